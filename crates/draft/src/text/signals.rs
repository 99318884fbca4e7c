//! What is observed, what starts a rollback, and what confirms it.

use std::collections::BTreeMap;

use super::{
    Draw,
    steps::can_be_restored,
    words::{duration, list},
};
use crate::{
    inventory::{Alarm, Database, GroupHealth, group_name},
    names::Names,
    related::{Proof, behind, proof, with_traffic},
    yaml::{comment, scalar},
};

/// What a gate waits for by default.
const WITHIN_DEFAULT_S: u64 = 5 * 60;

/// The names of the plan's signals.
pub(super) struct Signals {
    /// By the ARN of the target group.
    groups: BTreeMap<String, String>,
    /// By the id of the health check, with the set identifier of its record.
    checks: BTreeMap<String, (String, String)>,
    /// By index, in the order of the choice.
    alarms: Vec<(usize, String)>,
    databases: Vec<(usize, String)>,
}

impl Signals {
    pub(super) fn of(draw: &Draw<'_>) -> Self {
        let Draw { inventory, choice } = draw;
        let mut names = Names::default();
        let mut named = |text: &str, suffix: &str, fallback: &str| names.of(text, suffix, fallback);
        let alarms = choice.alarms.iter();
        let alarms = alarms.map(|index| (*index, named(&inventory.alarms[*index].name, "", "alarm"))).collect();
        let mut groups = BTreeMap::new();
        for arn in destinations(draw) {
            groups.insert(arn.to_owned(), named(group_name(arn), "_healthy", "targets_healthy"));
        }
        let mut checks = BTreeMap::new();
        for index in choice.records.iter().filter(|_| has_metrics(draw)) {
            let Proof::Checks(found) = proof(inventory, choice, &inventory.records[*index]) else { continue };
            for (member, id) in found {
                let name = || (member.to_owned(), named(member, "_checked", "record_checked"));
                checks.entry(id.to_owned()).or_insert_with(name);
            }
        }
        let databases = choice.databases.iter().filter(|index| can_be_restored(&inventory.databases[**index]));
        let databases = databases
            .map(|index| (*index, named(&inventory.databases[*index].name, "_available", "database_available")))
            .collect();
        Self { groups, checks, alarms, databases }
    }

    /// The signal that shows whether a target group is healthy.
    pub(super) fn of_group(&self, arn: &str) -> Option<&str> {
        self.groups.get(arn).map(String::as_str)
    }

    /// The signal that shows whether a health check of Route 53 is healthy.
    pub(super) fn of_check(&self, id: &str) -> Option<&str> {
        self.checks.get(id).map(|(_, name)| name.as_str())
    }

    pub(super) fn of_database(&self, index: usize) -> &str {
        let found = self.databases.iter().find(|(own, _)| *own == index);
        found.map(|(_, name)| name.as_str()).expect("each chosen database has its signal")
    }

    fn has_any(&self) -> bool {
        !(self.groups.is_empty() && self.checks.is_empty() && self.alarms.is_empty() && self.databases.is_empty())
    }

    pub(super) fn section(&self, draw: &Draw<'_>, not_known: &mut Vec<String>) -> String {
        if !self.has_any() {
            not_known.push(
                "what shows whether the system works: nothing that was found can tell. Add signals, such as `http`, and use them \
                 in `triggers`, `require` and `confirm`"
                    .to_owned(),
            );
            return comment(
                0,
                "TODO: signals. Nothing that was found shows whether the system works: add what does, as \
                 `page: { http: { url: URL, status: 200 } }`, and name it in `triggers`, in `require` of the steps and in `confirm`.",
            );
        }
        let mut text = "signals:\n".to_owned();
        for (index, name) in &self.alarms {
            let found = &draw.inventory.alarms[*index];
            text += &alarm(draw, found, name);
            not_known.extend(unfit_now(found));
        }
        for (arn, name) in &self.groups {
            text += &group(draw, arn, name, not_known);
        }
        for (id, (member, name)) in &self.checks {
            text += &check(id, member, name);
        }
        for (index, name) in &self.databases {
            let Database { cluster, name: database, .. } = &draw.inventory.databases[*index];
            let kind = if *cluster { "cluster" } else { "instance" };
            text += &comment(2, "Whether the restored database serves.");
            text += &format!("  {name}: {{ rds_status: {{ {kind}: {}, status: available }} }}\n", scalar(database));
        }
        text
    }

    pub(super) fn triggers(&self, draw: &Draw<'_>, not_known: &mut Vec<String>) -> String {
        let names: Vec<&str> = self.alarms.iter().map(|(_, name)| name.as_str()).collect();
        if names.is_empty() {
            not_known.push(
                "which signal shows that customers are hurt: no alarm is part of the plan, so nothing starts a rollback by itself"
                    .to_owned(),
            );
            return comment(
                0,
                "TODO: decide which signal shows that customers are hurt. No alarm is part of this plan, so no rollback starts by \
                 itself; `belay rollback` starts one. With an alarm, or a metric with a threshold of yours, under `signals`:",
            ) + "# triggers:\n#   customers_hurt: { when: SIGNAL, severity: critical }\n";
        }
        let called: Vec<String> =
            self.alarms.iter().map(|(index, _)| draw.inventory.alarms[*index].name.clone()).collect();
        not_known.push(format!(
            "whether {} may start a rollback without asking anybody (trigger `customers_hurt`)",
            list(&called)
        ));
        let (when, they) = match names.as_slice() {
            [name] => ((*name).to_owned(), "this alarm alone"),
            names => (format!("{{ any: [{}] }}", names.join(", ")), "each of these alarms alone"),
        };
        comment(
            0,
            &format!(
                "TODO: decide whether {they} may start a rollback. As written, Belay rolls back by itself as soon as it is in ALARM. \
                 `for: DURATION` waits that long first; `decision: {{ rules: [{{ do: decide }}] }}` asks people."
            ),
        ) + &format!("triggers:\n  customers_hurt:\n    when: {when}\n    severity: critical\n")
    }

    /// What has to be healthy after the last step: alarms, or else what the steps can be judged by.
    pub(super) fn confirm(&self, draw: &Draw<'_>) -> String {
        let gates: Vec<String> = match self.alarms.is_empty() {
            false => self.alarm_gates(draw),
            true => {
                let checks = self.checks.values().map(|(_, name)| name);
                let databases = self.databases.iter().map(|(_, name)| name);
                self.groups.values().chain(checks).chain(databases).cloned().collect()
            }
        };
        if gates.is_empty() {
            return String::new();
        }
        let gates: String = gates.iter().map(|gate| format!("  - {gate}\n")).collect();
        format!("{}confirm:\n{gates}", comment(0, "Healthy after the last step: only then the rollback is confirmed."))
    }

    /// The alarms as entries of `verify` and `confirm`.
    pub(super) fn alarm_gates(&self, draw: &Draw<'_>) -> Vec<String> {
        self.alarms.iter().map(|(index, name)| gate(&draw.inventory.alarms[*index], name)).collect()
    }
}

/// The target groups to which a rollback sends traffic, by ARN, each once.
pub(super) fn destinations<'a>(draw: &Draw<'a>) -> Vec<&'a str> {
    let Draw { inventory, choice } = draw;
    let mut found: Vec<&str> = Vec::new();
    for index in &choice.forwarders {
        found.extend(with_traffic(&inventory.forwarders[*index]));
    }
    for index in &choice.records {
        for balancer in behind(inventory, &inventory.records[*index], true) {
            let forwarders = inventory.forwarders.iter().filter(|forwarder| forwarder.balancer == balancer.arn);
            found.extend(forwarders.flat_map(with_traffic));
        }
    }
    let mut known = Vec::new();
    for arn in found {
        if !known.contains(&arn) {
            known.push(arn);
        }
    }
    known
}

fn alarm(draw: &Draw<'_>, alarm: &Alarm, name: &str) -> String {
    let what = match (&alarm.metric, &alarm.rule) {
        (Some(metric), _) => metric.clone(),
        (None, Some(_)) => "A composite alarm".to_owned(),
        (None, None) => "An alarm on logs".to_owned(),
    };
    let state = alarm.state.as_ref().map(|state| format!(", {state} when this was written")).unwrap_or_default();
    let mut parts = alarm.arn.split(':').skip(3);
    let (region, account) = (parts.next(), parts.next());
    let is_here = |part: Option<&str>, own: &Option<String>| part.is_none() || own.as_deref() == part;
    let here =
        alarm.arn.is_empty() || is_here(region, &draw.inventory.region) && is_here(account, &draw.inventory.account);
    let called = if here { &alarm.name } else { &alarm.arn };
    let waits = slow(alarm).map(|seconds| {
        format!(
            " It looks at {} of data, so it stays in ALARM for that long after the last bad value: gates wait for twice that.",
            duration(seconds)
        )
    });
    let told = comment(2, &format!("{what}{state}.{}", waits.unwrap_or_default()));
    format!("{told}  {name}: {{ alarm: {} }}\n", scalar(called))
}

/// Of the public regions, the metrics of health checks are in us-east-1 (Route 53 Developer Guide, "Monitoring health checks using CloudWatch").
fn has_metrics(draw: &Draw<'_>) -> bool {
    draw.inventory.region.as_deref().is_some_and(|region| !region.starts_with("cn-") && !region.starts_with("us-gov-"))
}

/// A health check of Route 53: 1 while it is healthy.
fn check(id: &str, member: &str, name: &str) -> String {
    let what = format!(
        "The health check of {member} in Route 53, as CloudWatch in us-east-1 has it. It had traffic when this was written, so a rollback gives it traffic again."
    );
    let metric = format!(
        "namespace: AWS/Route53, name: HealthCheckStatus, dimensions: {{ HealthCheckId: {} }}, stat: Minimum, period: 1m",
        scalar(id)
    );
    format!(
        "{}  {name}:\n    metric: {{ {metric} }}\n    healthy: \">= 1\"\n    aws: {{ region: us-east-1 }}\n",
        comment(2, &what)
    )
}

/// What of an alarm's state stands in the way now.
fn unfit_now(alarm: &Alarm) -> Option<String> {
    match alarm.state.as_deref()? {
        "ALARM" => Some(format!(
            "when {} will be OK: it is in ALARM, and no plan is armed while its trigger is true",
            alarm.name
        )),
        "INSUFFICIENT_DATA" => {
            Some(format!("whether {} works: it has no data, and as long as that lasts it starts nothing", alarm.name))
        }
        _ => None,
    }
}

fn group(draw: &Draw<'_>, arn: &str, name: &str, not_known: &mut Vec<String>) -> String {
    let group = group_name(arn);
    let health = draw.inventory.health.get(arn);
    let chosen = draw.choice.forwarders.iter().map(|index| &draw.inventory.forwarders[*index]);
    let is_of_a_step = chosen.into_iter().any(|forwarder| forwarder.groups.iter().any(|share| share.arn == arn));
    let now = match health {
        Some(GroupHealth { healthy, targets }) => format!("Healthy targets then: {healthy} of {targets}."),
        None => "not known: how many of its targets are healthy.".to_owned(),
    };
    if let Some(GroupHealth { healthy: 0, targets }) = health {
        not_known.push(format!(
            "what proves that target group {group} is healthy: none of its {targets} targets was healthy when this was written"
        ));
    }
    let (at_least, why) = match health {
        _ if is_of_a_step => ("baseline".to_owned(), "`baseline`: as many as when the plan is armed.".to_owned()),
        Some(GroupHealth { healthy, .. }) if *healthy > 0 => {
            (healthy.to_string(), "Lower the number if fewer are enough for all traffic.".to_owned())
        }
        _ => {
            not_known.push(format!("how many healthy targets of {group} are enough for all traffic (signal `{name}`)"));
            (
                "1".to_owned(),
                "TODO: how many are enough for all traffic? 1 is the least that can be asked for.".to_owned(),
            )
        }
    };
    let told = comment(
        2,
        &format!(
            "Target group {group} had traffic when this was written, so a rollback gives it traffic again. {now} {why}"
        ),
    );
    format!("{told}  {name}: {{ target_health: {{ target_group: {}, at_least: {at_least} }} }}\n", scalar(group))
}

/// How long an alarm takes to be OK again is known from what it looks at.
fn gate(alarm: &Alarm, name: &str) -> String {
    match slow(alarm) {
        Some(seconds) => format!("{{ signal: {name}, within: {} }}", duration(2 * seconds)),
        None => name.to_owned(),
    }
}

/// How much data the alarm looks at, where twice that is more than a gate waits for by default.
fn slow(alarm: &Alarm) -> Option<u64> {
    alarm.looks_at_s.filter(|seconds| 2 * seconds > WITHIN_DEFAULT_S)
}
