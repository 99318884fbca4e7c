//! What belongs together: records and the load balancers that they lead to, alarms and what they watch. Pure.

use crate::{
    choice::Choice,
    inventory::{Alarm, Balancer, Database, Forwarder, Inventory, Record, dns_name},
};

/// The load balancers that the members of a record lead to, those with traffic or all.
pub(crate) fn behind<'i>(inventory: &'i Inventory, record: &'i Record, with_traffic: bool) -> Vec<&'i Balancer> {
    let carries = carriers(record.members.iter().map(|member| member.weight));
    let members = record.members.iter().zip(carries).filter(|(_, carries)| !with_traffic || *carries);
    let led: Vec<&str> = members.filter_map(|(member, _)| member.leads_to.as_deref()).map(undualstacked).collect();
    inventory.balancers.iter().filter(|balancer| led.contains(&undualstacked(&balancer.dns_name))).collect()
}

/// Route 53's console puts it before the name of a load balancer with IPv6.
fn undualstacked(name: &str) -> &str {
    name.strip_prefix("dualstack.").unwrap_or(name)
}

/// Which of these weights get traffic: where all are zero, each gets the same.
pub(crate) fn carriers(weights: impl Iterator<Item = u32> + Clone) -> impl Iterator<Item = bool> {
    let none = weights.clone().all(|weight| weight == 0);
    weights.map(move |weight| none || weight > 0)
}

/// The target groups of a forward action that get traffic, by ARN.
pub(crate) fn with_traffic(forwarder: &Forwarder) -> impl Iterator<Item = &str> {
    let carries = carriers(forwarder.groups.iter().map(|group| group.weight));
    forwarder.groups.iter().zip(carries).filter(|(_, carries)| *carries).map(|(group, _)| group.arn.as_str())
}

/// What shows whether the members of a record that get traffic are healthy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Proof<'i> {
    /// The target groups behind the load balancers that they lead to, by ARN.
    Groups(Vec<&'i str>),
    /// They have health checks, which Belay asks at each send, and the plan puts these groups back as well: those of the same side.
    Beside(Vec<&'i str>),
    /// Their health checks alone: set identifier and id.
    Checks(Vec<(&'i str, &'i str)>),
    None,
}

pub(crate) fn proof<'i>(inventory: &'i Inventory, choice: &Choice, record: &'i Record) -> Proof<'i> {
    let destinations = behind(inventory, record, true);
    let groups = destinations.iter().flat_map(|balancer| {
        let own = inventory.forwarders.iter().filter(|forwarder| forwarder.balancer == balancer.arn);
        own.flat_map(with_traffic)
    });
    let groups: Vec<&str> = groups.collect();
    if !groups.is_empty() {
        return Proof::Groups(groups);
    }
    let carries = carriers(record.members.iter().map(|member| member.weight));
    let members = record.members.iter().zip(carries).filter(|(_, carries)| *carries);
    let checks = members.map(|(member, _)| Some((member.set_identifier.as_str(), member.health_check.as_deref()?)));
    let Some(checks) = checks.collect::<Option<Vec<_>>>() else { return Proof::None };
    let beside = choice.forwarders.iter().flat_map(|index| with_traffic(&inventory.forwarders[*index]));
    match beside.collect::<Vec<_>>() {
        none if none.is_empty() => Proof::Checks(checks),
        beside => Proof::Beside(beside),
    }
}

/// What alarms are held against.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    dimensions: Vec<(&'static str, String)>,
}

impl Watched {
    /// A load balancer and its target groups, as CloudWatch calls them: `app/shop/50dc6c495c0c9188`.
    pub(crate) fn balancer(&mut self, inventory: &Inventory, arn: &str) {
        if let Some((_, dimension)) = arn.split_once(":loadbalancer/") {
            self.dimensions.push(("LoadBalancer", dimension.to_owned()));
        }
        for forwarder in inventory.forwarders.iter().filter(|forwarder| forwarder.balancer == arn) {
            self.groups(forwarder);
        }
    }

    pub(crate) fn groups(&mut self, forwarder: &Forwarder) {
        let of = |arn: &str| arn.rsplit(':').next().unwrap_or_default().to_owned();
        self.dimensions.extend(forwarder.groups.iter().map(|group| ("TargetGroup", of(&group.arn))));
    }

    pub(crate) fn record(&mut self, inventory: &Inventory, record: &Record) {
        for balancer in behind(inventory, record, false) {
            self.balancer(inventory, &balancer.arn);
        }
        let checks = record.members.iter().filter_map(|member| member.health_check.clone());
        self.dimensions.extend(checks.map(|check| ("HealthCheckId", check)));
    }

    pub(crate) fn database(&mut self, database: &Database) {
        let own = if database.cluster { "DBClusterIdentifier" } else { "DBInstanceIdentifier" };
        self.dimensions.push((own, database.name.clone()));
        self.dimensions.extend(database.members.iter().map(|member| ("DBInstanceIdentifier", member.clone())));
    }

    fn has(&self, alarm: &Alarm) -> bool {
        let same = |(name, value): &(String, String)| {
            self.dimensions.iter().any(|(own, wanted)| own == name && wanted.eq_ignore_ascii_case(value))
        };
        alarm.dimensions.iter().any(same)
    }

    /// The alarms that watch any of it, by index; composite alarms by those that they name.
    pub(crate) fn alarms(&self, inventory: &Inventory) -> Vec<usize> {
        let mut found: Vec<bool> = inventory.alarms.iter().map(|alarm| self.has(alarm)).collect();
        // Composite alarms may name composite alarms.
        loop {
            let names = |rule: &str| {
                let named = inventory.alarms.iter().zip(&found).filter(|(_, found)| **found);
                named.into_iter().any(|(alarm, _)| rule_names(rule, alarm))
            };
            let more: Vec<usize> = inventory
                .alarms
                .iter()
                .enumerate()
                .filter(|(index, _)| !found[*index])
                .filter(|(_, alarm)| alarm.rule.as_deref().is_some_and(names))
                .map(|(index, _)| index)
                .collect();
            if more.is_empty() {
                break;
            }
            more.into_iter().for_each(|index| found[index] = true);
        }
        found.into_iter().enumerate().filter(|(_, found)| *found).map(|(index, _)| index).collect()
    }
}

/// Whether the rule of a composite alarm names another one: `ALARM("errors") OR ALARM(slow)`, by name or ARN.
fn rule_names(rule: &str, alarm: &Alarm) -> bool {
    rule.split('(').skip(1).any(|rest| {
        let rest = rest.trim_start().trim_start_matches(['"', '\'']);
        [&alarm.name, &alarm.arn].into_iter().filter(|name| !name.is_empty()).any(|name| {
            rest.strip_prefix(name.as_str())
                .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(')'))
        })
    })
}

/// Whether a person who writes `wanted` means this name.
pub(crate) fn is_name(wanted: &str, name: &str) -> bool {
    dns_name(wanted) == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_zero_is_an_equal_split() {
        assert_eq!(carriers([0, 100].into_iter()).collect::<Vec<_>>(), [false, true]);
        assert_eq!(carriers([0, 0].into_iter()).collect::<Vec<_>>(), [true, true]);
    }

    #[test]
    fn a_rule_names_whole_names_alone() {
        let named = |rule: &str| {
            let arn = "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:errors".to_owned();
            rule_names(rule, &Alarm { name: "errors".to_owned(), arn, ..Alarm::default() })
        };
        for rule in [
            "ALARM(errors)",
            "NOT (OK( \"errors\" ))",
            "ALARM('x') OR ALARM('errors')",
            "ALARM(\"arn:aws:cloudwatch:eu-west-1:111122223333:alarm:errors\")",
        ] {
            assert!(named(rule), "{rule}");
        }
        for rule in ["ALARM(errors-2)", "ALARM(my-errors)", "errors", ""] {
            assert!(!named(rule), "{rule}");
        }
    }
}
