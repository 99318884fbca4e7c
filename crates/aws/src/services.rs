//! The AWS services that Belay calls. Each is one value, in the file of what calls it; the guard, the budget, the error mapping and the
//! evidence go by the list of all.

use crate::{
    budget::Quota,
    channels, cloudwatch, elbv2, evidence, iam,
    jobs::{automation, function, state_machine},
    rds, route53, session,
};

/// What is to be known of a service.
#[derive(Debug)]
pub(crate) struct Service {
    /// As the SDK names it. `AWS_ENDPOINT_URL_` ends in it, in capitals and with `_` for a blank.
    pub(crate) name: &'static str,
    /// The first part of the host that is called, by which CloudTrail names it.
    pub(crate) source: &'static str,
    /// Whether an account has one for all regions, with one quota.
    pub(crate) global: bool,
    /// What AWS grants an account. Empty where it publishes nothing and nothing is known: see [`Budget`](crate::budget::Budget).
    pub(crate) quotas: &'static [Granted],
    /// The operations that only read. What is not listed counts as mutating.
    pub(crate) reads: &'static [&'static str],
    /// The mutating operations that actions and channels send, and no other: nothing else leaves the process, whatever its role
    /// permits.
    pub(crate) writes: &'static [&'static str],
    /// Codes of refusals that pass by themselves, beside those that all of AWS has.
    pub(crate) passing: &'static [&'static str],
    /// What the names of its actions begin with in plans, and their settings that name a resource.
    pub(crate) actions: Option<Actions>,
}

/// A quota, and the operation that has it for itself; the first that fits counts.
#[derive(Debug)]
pub(crate) struct Granted {
    /// Empty: all that have none of their own.
    pub(crate) operation: &'static str,
    pub(crate) quota: Quota,
}

impl Granted {
    /// `rate` calls a second, `burst` at once after a rest.
    pub(crate) const fn all(rate: f64, burst: f64) -> Self {
        Self::of("", rate, burst)
    }

    pub(crate) const fn of(operation: &'static str, rate: f64, burst: f64) -> Self {
        Self { operation, quota: Quota { rate, burst } }
    }
}

#[derive(Debug)]
pub(crate) struct Actions {
    /// `alb` of `alb.forward`.
    pub(crate) prefix: &'static str,
    pub(crate) keys: &'static [&'static str],
}

impl Service {
    /// With nothing but its name: the rest is said where it differs.
    pub(crate) const fn new(name: &'static str, source: &'static str) -> Self {
        let (quotas, reads, writes, passing) = (&[], &[], &[], &[]);
        Self { name, source, global: false, quotas, reads, writes, passing, actions: None }
    }
}

pub(crate) const ALL: [&Service; 15] = [
    &route53::SERVICE,
    &elbv2::SERVICE,
    &rds::SERVICE,
    &automation::SERVICE,
    &state_machine::SERVICE,
    &function::SERVICE,
    &cloudwatch::SERVICE,
    &channels::TOPICS,
    &channels::EVENTBRIDGE,
    &iam::SERVICE,
    &session::STS,
    &rds::KMS,
    &evidence::CLOUDTRAIL,
    &evidence::XRAY,
    &evidence::DEVOPS_GURU,
];

/// `name`: as the SDK names it.
pub(crate) fn of(name: &str) -> Option<&'static Service> {
    ALL.into_iter().find(|service| service.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_is_there_once() {
        let names: BTreeSet<&str> = ALL.iter().map(|service| service.name).collect();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn quotas_end_with_that_of_all_operations() {
        for service in ALL.into_iter().filter(|service| !service.quotas.is_empty()) {
            let (last, own) = service.quotas.split_last().unwrap();
            assert!(last.operation.is_empty() && own.iter().all(|own| !own.operation.is_empty()), "{}", service.name);
        }
    }

    #[test]
    fn each_service_of_an_action_is_known_to_the_evidence() {
        for spec in belay_aws_catalogue::action_specs() {
            let prefix = spec.name.split_once('.').unwrap().0;
            let has = |service: &&Service| service.actions.as_ref().is_some_and(|actions| actions.prefix == prefix);
            assert!(ALL.into_iter().any(|service| has(&service)), "{}", spec.name);
        }
    }
}
