//! The calls that a listener or a rule takes, and what IAM knows it by.

use belay_aws_catalogue::elbv2::forward::{Forwarder, Kind, ListenerName, RuleName};
use belay_plan::model::AwsTarget;

use crate::place;

pub(super) fn modify(kind: Kind) -> &'static str {
    match kind {
        Kind::Listener => "elasticloadbalancing:ModifyListener",
        Kind::Rule => "elasticloadbalancing:ModifyRule",
    }
}

/// The calls that find it and read it.
pub(super) fn reads(forwarder: &Forwarder) -> &'static [&'static str] {
    const BALANCERS: &str = "elasticloadbalancing:DescribeLoadBalancers";
    const LISTENERS: &str = "elasticloadbalancing:DescribeListeners";
    const RULES: &str = "elasticloadbalancing:DescribeRules";
    match forwarder {
        Forwarder::Listener(ListenerName::Arn(_)) => &[LISTENERS],
        Forwarder::Listener(ListenerName::At(_)) => &[BALANCERS, LISTENERS],
        Forwarder::Rule(RuleName::Arn(_)) => &[RULES],
        Forwarder::Rule(RuleName::At { .. }) => &[BALANCERS, LISTENERS, RULES],
    }
}

/// The ARNs that it can have, as IAM takes them.
pub(super) fn arns(forwarder: &Forwarder, target: &AwsTarget) -> Vec<String> {
    let named = |kind: &str, balancer: &str, name: &str| {
        let (partition, any) = (place::partition(target), "*".to_owned());
        let (region, account) = (target.region.as_ref().unwrap_or(&any), target.account.as_ref().unwrap_or(&any));
        format!("arn:{partition}:elasticloadbalancing:{region}:{account}:{kind}/{balancer}/{name}/*")
    };
    match forwarder {
        Forwarder::Listener(ListenerName::Arn(arn)) | Forwarder::Rule(RuleName::Arn(arn)) => vec![arn.clone()],
        Forwarder::Listener(ListenerName::At(listener)) => {
            listener.balancers().iter().map(|of| named("listener", of, &listener.load_balancer)).collect()
        }
        Forwarder::Rule(RuleName::At { listener, .. }) => {
            listener.balancers().iter().map(|of| named("listener-rule", of, &listener.load_balancer)).collect()
        }
    }
}
