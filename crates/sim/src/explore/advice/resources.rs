//! Steps that act on one resource.

use std::collections::BTreeSet;

use belay_plan::model::{Name, Nature, Step, Target};
use serde_json::Value;

use super::{Adviser, Rule};
use crate::{
    causes::{members, target_group},
    explore::sides::{matches, sides, words},
    nature,
};

impl Adviser<'_> {
    pub(super) fn resources(&mut self) {
        let steps: Vec<(&Name, &Step)> = self.plan.steps.iter().filter(|(_, step)| !step.resource.is_empty()).collect();
        for (number, (name, step)) in steps.iter().enumerate() {
            for (other_name, other) in &steps[number + 1..] {
                if step.aws.account == other.aws.account && step.aws.region == other.aws.region {
                    self.two_steps((name, step), (other_name, other));
                }
            }
        }
        self.directions();
        for (index, (name, _)) in self.plan.steps.iter().enumerate() {
            self.part_stays(index, name);
        }
    }

    /// Two steps of which each gives traffic to the side that the other one takes it from. Where both keep it from a third,
    /// as a page does, one goes on where the other has stopped.
    fn directions(&mut self) {
        let moves = |step: &Step| nature::of(step) == Nature::Traffic;
        let steps: Vec<(&Name, &Step)> = self.plan.steps.iter().filter(|(_, step)| moves(step)).collect();
        for (number, (name, step)) in steps.iter().enumerate() {
            for (other_name, other) in &steps[number + 1..] {
                let ([to, from], [other_to, other_from]) = (sides(step), sides(other));
                let both = |one: &BTreeSet<String>, two: &BTreeSet<String>| one.intersection(two).next().cloned();
                let kept_away = both(&from, &other_from).is_some();
                let (Some(here), Some(there)) = (both(&to, &other_from), both(&other_to, &from)) else { continue };
                if kept_away || step.resource == other.resource {
                    continue;
                }
                let what = format!(
                    "`{name}` gives traffic to {here} and takes it from {there}, and `{other_name}` does the opposite: one of \
                     them goes the wrong way"
                );
                let instead = "correct the `to` of the one that goes to the failing side";
                self.say(Rule::TargetsContradict, format!("/steps/{other_name}/to"), what, instead);
            }
        }
    }

    /// A target that leaves a part of the traffic where it fails: on a member that nothing proves, or that others empty.
    fn part_stays(&mut self, index: usize, name: &Name) {
        let step = &self.plan.steps[index];
        let Target::Explicit(Value::Object(named)) = &step.to else { return };
        let raised = members(step, true);
        if nature::of(step) != Nature::Traffic || self.model.steps[index].superseded || raised.len() < 2 {
            return;
        }
        let required = |member: &str| {
            let (one, rest) = apart(&raised, member);
            let mut groups = step.require.iter().filter_map(|gate| target_group(self.plan.signals.get(&gate.signal)?));
            groups.any(|group| matches(group, &one, &rest))
        };
        let emptied = |member: &str| {
            let (one, rest) = apart(&raised, member);
            let own = &words(&one) - &words(&rest);
            let mut others = self.plan.steps.values().filter(|other| nature::of(other) == Nature::Traffic);
            others.any(|other| sides(other)[1].intersection(&own).next().is_some())
        };
        let weight = |member: &str| named[member].as_u64().unwrap_or(0);
        let most = raised.iter().map(|member| weight(member)).max().unwrap_or(0);
        let (any_required, whole) = (raised.iter().any(|member| required(member)), members(step, false).is_empty());
        let stays = |member: &&&str| {
            let unproven = whole && any_required && !required(member);
            let unequal = whole && !any_required && weight(member) < most;
            emptied(member) || unproven || unequal
        };
        let Some(member) = raised.iter().find(stays) else { return };
        let sum: u64 = raised.iter().map(|member| weight(member)).sum();
        let what = format!(
            "`{name}` leaves {} of {sum} of its traffic on {member}, and nothing in the plan says that this side is good: a \
             part of the customers stays where it fails",
            weight(member)
        );
        let instead =
            format!("take it away as well: `{member}: 0`; or require a signal of each side that keeps traffic");
        self.say(Rule::PartStays, format!("/steps/{name}/to"), what, instead);
    }

    fn two_steps(&mut self, (name, step): (&Name, &Step), (other_name, other): (&Name, &Step)) {
        let same = step.resource == other.resource;
        if !same && !may_be_one(&step.resource, &other.resource) {
            return;
        }
        let (first, then) = if self.turns.is_behind(name, other_name) {
            ((other_name, other), (name, step))
        } else {
            ((name, step), (other_name, other))
        };
        let ordered = self.turns.is_behind(then.0, first.0);
        let fallback =
            |one: &Step, two: &Name| matches!(&one.on_failure, belay_plan::model::OnFailure::Fallback(to) if to == two);
        // Twice the same does no harm one after the other; of one port it cannot be told whether an ARN means it.
        let alike =
            step.to == other.to && (ordered || same || !(is_https(&step.resource) || is_https(&other.resource)));
        if alike || fallback(first.1, then.0) || (ordered && !undoes(first.1, then.1)) {
            return;
        }
        let pointer = format!("/steps/{}", then.0);
        if !same {
            let what = format!(
                "`{}` and `{}` may be one resource under two names, and `{name}` and `{other_name}` both act on it",
                step.resource, other.resource
            );
            let instead = "name it the same way in both, and leave one of the steps out";
            self.say(Rule::OneResourceTwoNames, pointer, what, instead);
        } else if ordered {
            let what = format!("`{}` undoes what `{}` has put back: both act on `{}`", then.0, first.0, step.resource);
            self.say(Rule::TargetsContradict, pointer, what, "leave one of them out, or correct its `to`");
        } else {
            let what = format!(
                "`{name}` and `{other_name}` want different things of `{}`, and neither waits for the other: the last \
                 one to act wins",
                step.resource
            );
            self.say(Rule::TargetsContradict, pointer, what, "leave one of them out, or say the order with `needs`");
        }
    }
}

/// A member, and the others.
fn apart<'m>(members: &BTreeSet<&'m str>, member: &'m str) -> (BTreeSet<&'m str>, BTreeSet<&'m str>) {
    members.iter().copied().partition(|other| *other == member)
}

/// Whether a later step gives traffic back to where an earlier one has taken it from. Where both keep traffic from a
/// third, as a page for maintenance does in between, the later one goes on.
pub(crate) fn undoes(first: &Step, then: &Step) -> bool {
    let (taken, given) = (members(first, false), members(then, true));
    let kept_away = members(then, false).intersection(&taken).count() > 0;
    taken.intersection(&given).count() > 0 && !kept_away
}

/// A record, or the listener on the usual port: what an ARN without a port most likely means.
fn is_https(resource: &str) -> bool {
    resource.starts_with("route53:") || resource.ends_with(":443") || resource.contains(":443/")
}

/// One listener as an ARN and by load balancer and port; one zone by its id and by its name.
fn may_be_one(one: &str, two: &str) -> bool {
    may_be_one_listener(one, two) || may_be_one_listener(two, one) || may_be_one_record(one, two)
}

fn may_be_one_listener(arn: &str, named: &str) -> bool {
    let (Some(arn), Some(named)) = (arn.strip_prefix("alb:arn:"), named.strip_prefix("alb:")) else { return false };
    let of_arn = [":listener/", ":listener-rule/"].iter().find_map(|kind| {
        let (_, rest) = arn.split_once(kind)?;
        Some((kind.contains("rule"), rest.split('/').nth(1)?))
    });
    let of_name = [("listener/", false), ("rule/", true)].iter().find_map(|(kind, rule)| {
        let rest = named.strip_prefix(kind)?;
        Some((*rule, rest.split(['/', ':']).next()?))
    });
    of_arn.is_some() && of_arn == of_name
}

fn may_be_one_record(one: &str, two: &str) -> bool {
    let parts = |resource: &str| -> Option<(String, String)> {
        let (zone, record) = resource.strip_prefix("route53:")?.split_once('/')?;
        Some((zone.to_owned(), record.to_owned()))
    };
    let (Some((zone, record)), Some((other_zone, other_record))) = (parts(one), parts(two)) else { return false };
    let is_name = |zone: &str| zone.contains('.');
    record == other_record && is_name(&zone) != is_name(&other_zone)
}

#[cfg(test)]
mod tests {
    use super::may_be_one;

    #[test]
    fn one_resource_may_have_two_names() {
        let arn = "alb:arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/shop/50dc/f2f7";
        assert!(may_be_one(arn, "alb:listener/shop:443"));
        assert!(!may_be_one(arn, "alb:listener/shop-partners:443"));
        assert!(!may_be_one(arn, "alb:rule/shop:443/10"));
        assert!(may_be_one("route53:example.com/www.example.com/A", "route53:Z0123456789ABC/www.example.com/A"));
        assert!(!may_be_one("route53:example.com/www.example.com/A", "route53:Z0123456789ABC/api.example.com/A"));
        assert!(!may_be_one("route53:example.com/www.example.com/A", "route53:example.org/www.example.com/A"));
    }
}
