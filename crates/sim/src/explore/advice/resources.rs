//! Steps that act on one resource.

use belay_plan::model::{Name, Step};

use super::{Adviser, Rule};
use crate::causes::members;

impl Adviser<'_> {
    pub(super) fn resources(&mut self) {
        let steps: Vec<(&Name, &Step)> = self.plan.steps.iter().filter(|(_, step)| !step.resource.is_empty()).collect();
        for (number, (name, step)) in steps.iter().enumerate() {
            for (other_name, other) in &steps[number + 1..] {
                if step.aws.account == other.aws.account && step.aws.region == other.aws.region && step.to != other.to {
                    self.two_steps((name, step), (other_name, other));
                }
            }
        }
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
        if fallback(first.1, then.0) || (ordered && !undoes(first.1, then.1)) {
            return;
        }
        let pointer = format!("/steps/{}", then.0);
        if !same {
            let what = format!(
                "`{}` and `{}` may be one resource under two names, and `{name}` and `{other_name}` want different things of it",
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

/// Whether a later step gives traffic back to where an earlier one has taken it from. Where both keep traffic from a
/// third, as a page for maintenance does in between, the later one goes on.
pub(crate) fn undoes(first: &Step, then: &Step) -> bool {
    let (taken, given) = (members(first, false), members(then, true));
    let kept_away = members(then, false).intersection(&taken).count() > 0;
    taken.intersection(&given).count() > 0 && !kept_away
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
