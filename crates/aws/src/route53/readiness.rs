//! What stands against a shift of weights beforehand: destinations that Route 53's checkers do not reach, answers that live long, and
//! what Route 53 itself depends on. Pure, but for what was read of the health checks.

use std::{collections::BTreeMap, time::Duration};

use belay_core::change::Proof;
use belay_plan::{duration, model::AwsTarget};
use belay_ports::{Check, Scope};

use super::{
    State, With,
    alias::Led,
    altered::leads_to,
    health::{self, CheckHealth},
    record::RecordSet,
};
use crate::{place, weights as shared};

/// Caches keep an answer so long at most where traffic has to move soon and the plan has no objective for it ("Best practices for
/// Amazon Route 53 DNS": 60 or 120 seconds for what is health-checked or fails over).
const TTL_MAX: Duration = Duration::from_secs(120);

/// The records that are to get traffic, as they are now.
pub(super) fn destinations(scope: &Scope, now: &State, baseline: Option<&State>) -> Vec<RecordSet> {
    // Whether the target can be reached is assessed before.
    let Ok(named) = shared::named(scope, baseline.map(State::shares)) else { return Vec::new() };
    let gets = |record: &&RecordSet| named.weights.get(&record.set_identifier).is_some_and(|weight| *weight > 0);
    now.members.iter().filter(gets).cloned().collect()
}

/// What was read beside the records.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// The health checks of the destinations, by id.
    pub(super) health: BTreeMap<String, CheckHealth>,
    /// The load balancers that they lead to, by DNS name.
    pub(super) led: BTreeMap<String, Led>,
}

pub(super) fn checks(
    with: &With,
    scope: &Scope,
    now: &State,
    destinations: &[RecordSet],
    beside: &Beside,
) -> Vec<Check> {
    let mut checks: Vec<Check> = destinations.iter().map(|record| healthy(scope, record, beside)).collect();
    checks.extend(destinations.iter().filter_map(|record| same_place(now, destinations, record)));
    checks.extend(ttl(with, now, scope.objectives.rto));
    checks.push(control_plane(with, &scope.aws));
    checks
}

/// What is gone is gone, whatever an interlock shows.
fn gone(record: &RecordSet, Beside { health, led }: &Beside) -> Option<Check> {
    let subject = record.set_identifier.as_str();
    if let Some(id) = record.health_check.as_ref().filter(|id| health.get(*id) == Some(&CheckHealth::Missing)) {
        let check = Check::no_go("destination", subject, format!("its health check {id} does not exist"));
        return Some(
            check
                .wanted("the health check that the record names: Route 53 does not go by its health else")
                .cure("create a health check, and give it to the record, before the cutover"),
        );
    }
    let alias = record.alias.as_ref()?.dns_name.trim_end_matches('.');
    match led.iter().find(|(name, _)| name.trim_end_matches('.') == alias)?.1 {
        Led::There => None,
        Led::Gone => {
            let check =
                Check::no_go("destination", subject, format!("there is no load balancer {alias}, to which it leads"));
            Some(
                check
                    .wanted("an alias of a load balancer that exists")
                    .cure("point the record at the one that is to get the traffic"),
            )
        }
        Led::Untold(why) => {
            let check = Check::warn(
                "destination",
                subject,
                format!("whether {alias} exists, to which it leads, is not known: {why}"),
            );
            Some(
                check
                    .wanted("an alias of a load balancer that exists")
                    .cure("attach what `belay iam PLAN` prints, or check again"),
            )
        }
    }
}

/// A rollback between records that lead to the same place changes nothing for clients.
fn same_place(now: &State, destinations: &[RecordSet], record: &RecordSet) -> Option<Check> {
    let is_destination = |other: &RecordSet| destinations.iter().any(|one| one.set_identifier == other.set_identifier);
    let others = now.members.iter().filter(|other| !is_destination(other));
    let same = others.filter(|other| leads_to(other) == leads_to(record)).map(|other| other.set_identifier.as_str());
    let same: Vec<&str> = same.collect();
    (!same.is_empty()).then(|| {
        let (place, same) = (leads_to(record), same.join(", "));
        let found =
            format!("it leads to {place}, and so does {same}: traffic that moves between them stays where it is");
        Check::warn("same_place", &record.set_identifier, found)
            .wanted("records of the two sides that lead to different places")
            .cure("correct the record that is wrong before the cutover")
    })
}

fn healthy(scope: &Scope, record: &RecordSet, beside: &Beside) -> Check {
    let subject = record.set_identifier.as_str();
    if let Some(gone) = gone(record, beside) {
        return gone;
    }
    match health::proof(record, &beside.health) {
        Proof::Healthy { evidence } => Check::go("destination", subject, evidence),
        Proof::Unhealthy { evidence } => Check::no_go("destination", subject, evidence)
            .wanted("health checkers that reach it: no traffic is sent to it else")
            .cure("bring it back to health before the cutover"),
        Proof::None { why } if !scope.interlocks.is_empty() => {
            let interlocks = scope.interlocks.join(", ");
            Check::go("destination", subject, format!("it gets traffic only while {interlocks} holds ({why})"))
        }
        Proof::None { why } => Check::warn("destination", subject, format!("Route 53 proves nothing of it: {why}"))
            .wanted("a health check, or an interlock (`require`) of the step that proves its health")
            .cure("give the record a health check, or the step a `require`"),
    }
}

/// Of all members: what clients keep is the answer of the side that they have. Until the last of them asks again nothing has recovered,
/// so half of the recovery time is left for what comes before: to detect, to decide, and the steps.
fn ttl(with: &With, now: &State, rto: Option<Duration>) -> Option<Check> {
    let seconds = now.members.iter().filter_map(|member| member.ttl).max()?;
    let ttl = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let found = format!("resolvers keep an answer for {}", duration::format(ttl));
    let (max, of) = match rto {
        Some(rto) => (rto / 2, format!(" (half of the rto, {})", duration::format(rto))),
        None => (TTL_MAX, String::new()),
    };
    let check = match rto {
        _ if ttl <= max => return Some(Check::go("ttl", with.title(), found)),
        Some(rto) if ttl >= rto => Check::no_go("ttl", with.title(), found),
        _ => Check::warn("ttl", with.title(), found),
    };
    Some(
        check
            .wanted(format!("at most {}{of}", duration::format(max)))
            .cure("lower the TTL of all its members, at least the present TTL before the cutover"),
    )
}

/// A single point that no plan can remove ("Route 53 ... control plane", AWS Fault Isolation Boundaries).
fn control_plane(with: &With, target: &AwsTarget) -> Check {
    let found = match place::partition(target) == "aws" {
        true => {
            "weights are changed through Route 53's control plane, which is in us-east-1 alone: while that is impaired, the step waits"
        }
        false => {
            "weights are changed through Route 53's control plane, which is in one region of the partition: while that is impaired, the step waits"
        }
    };
    Check::go("single_point", with.title(), found)
}

#[cfg(test)]
mod tests {
    use belay_ports::CheckVerdict;
    use serde_json::json;

    use super::*;

    fn record(name: &str, ttl: i64, health_check: Option<&str>) -> RecordSet {
        serde_json::from_value(json!({
            "name": "shop.example.com.", "type": "A", "set_identifier": name, "weight": 1, "ttl": ttl,
            "values": ["192.0.2.1"], "health_check": health_check,
        }))
        .expect("a record")
    }

    fn found(ttl: i64, health_check: Option<&str>, healthy: usize) -> Vec<Check> {
        found_within(ttl, health_check, healthy, None)
    }

    fn found_within(ttl: i64, health_check: Option<&str>, healthy: usize, rto: Option<Duration>) -> Vec<Check> {
        let mut scope = crate::testing::scope(json!({}), None, None);
        scope.objectives.rto = rto;
        found_in(&scope, ttl, health_check, healthy)
    }

    fn found_in(scope: &Scope, ttl: i64, health_check: Option<&str>, healthy: usize) -> Vec<Check> {
        let with: With =
            serde_json::from_value(json!({ "zone": "Z1", "record": "shop.example.com", "type": "A" })).unwrap();
        let records = vec![record("blue", ttl, health_check)];
        let now = State { members: records.clone(), ..State::default() };
        let health = [("hc".to_owned(), CheckHealth::Checkers { healthy, of: 10 })].into();
        checks(&with, scope, &now, &records, &Beside { health, ..Beside::default() })
    }

    fn aliased(name: &str, dns_name: &str) -> RecordSet {
        serde_json::from_value(json!({
            "name": "shop.example.com.", "type": "A", "set_identifier": name, "weight": 1,
            "alias": { "zone": "Z2", "dns_name": dns_name, "evaluate_target_health": true },
        }))
        .expect("a record")
    }

    /// An interlock shows the health of something; it does not bring back what the record names.
    #[test]
    fn a_record_whose_health_check_or_load_balancer_is_gone_is_found_in_spite_of_an_interlock() {
        let guarded = Scope { interlocks: vec!["ready".to_owned()], ..crate::testing::scope(json!({}), None, None) };
        let of = |record: &RecordSet, beside: &Beside| healthy(&guarded, record, beside);
        let missing = Beside { health: [("hc".to_owned(), CheckHealth::Missing)].into(), ..Beside::default() };
        let check = of(&record("blue", 60, Some("hc")), &missing);
        assert_eq!((check.verdict, check.found.as_str()), (CheckVerdict::NoGo, "its health check hc does not exist"));
        let alias = aliased("blue", "dualstack.old-123.eu-west-1.elb.amazonaws.com.");
        for (led, verdict) in [
            (Led::Gone, CheckVerdict::NoGo),
            (Led::Untold("denied".to_owned()), CheckVerdict::Warn),
            (Led::There, CheckVerdict::Go),
        ] {
            let led = [("dualstack.old-123.eu-west-1.elb.amazonaws.com.".to_owned(), led)].into();
            let check = of(&alias, &Beside { led, ..Beside::default() });
            assert_eq!((check.id.as_str(), check.verdict), ("destination", verdict), "{check:?}");
        }
        assert_eq!(of(&alias, &Beside::default()).verdict, CheckVerdict::Go, "of another region: not looked up");
    }

    #[test]
    fn two_sides_that_lead_to_the_same_place_are_a_warning() {
        let with: With =
            serde_json::from_value(json!({ "zone": "Z1", "record": "shop.example.com", "type": "A" })).unwrap();
        let scope = crate::testing::scope(json!({}), None, None);
        let found = |green: RecordSet| {
            let blue = record("blue", 60, None);
            let now = State { members: vec![blue.clone(), green], ..State::default() };
            let checks = checks(&with, &scope, &now, &[blue], &Beside::default());
            checks.into_iter().find(|check| check.id == "same_place")
        };
        let same = found(record("green", 60, None)).unwrap();
        assert_eq!((same.subject.as_str(), same.verdict), ("blue", CheckVerdict::Warn));
        assert!(same.found.contains("192.0.2.1, and so does green"), "{same:?}");
        let other = RecordSet { values: vec!["192.0.2.9".to_owned()], ..record("green", 60, None) };
        assert_eq!(found(other), None);
    }

    #[test]
    fn a_ttl_is_held_against_the_recovery_time() {
        for (ttl, rto_s, verdict) in [
            (300, 900, CheckVerdict::Go),
            (450, 900, CheckVerdict::Go),
            (451, 900, CheckVerdict::Warn),
            (900, 900, CheckVerdict::NoGo),
            (60, 100, CheckVerdict::Warn),
            (60, 60, CheckVerdict::NoGo),
        ] {
            let checks = found_within(ttl, Some("hc"), 10, Some(Duration::from_secs(rto_s)));
            let ttl = checks.iter().find(|check| check.id == "ttl").unwrap();
            assert_eq!(ttl.verdict, verdict, "{ttl:?}");
        }
        let long = found_within(3600, Some("hc"), 10, Some(Duration::from_secs(900)));
        assert_eq!(long[1].wanted, "at most 7m30s (half of the rto, 15m)");
    }

    #[test]
    fn an_interlock_of_the_step_stands_for_the_health_that_route_53_does_not_know() {
        let interlocks = vec!["blue_ready".to_owned()];
        let guarded = Scope { interlocks, ..crate::testing::scope(json!({}), None, None) };
        let of = |health_check, healthy| found_in(&guarded, 60, health_check, healthy).remove(0);
        let go = of(None, 10);
        assert_eq!((go.id.as_str(), go.verdict), ("destination", CheckVerdict::Go));
        assert!(go.found.starts_with("it gets traffic only while blue_ready holds (") && go.cure.is_empty(), "{go:?}");
        assert_eq!(of(Some("hc"), 1).verdict, CheckVerdict::NoGo, "what Route 53 takes for sick is sick all the same");
        let cure = found(60, None, 10).remove(0).cure;
        assert_eq!(cure, "give the record a health check, or the step a `require`");
    }

    #[test]
    fn each_defect_alone_is_found() {
        let verdicts =
            |checks: Vec<Check>| checks.into_iter().map(|check| (check.id, check.verdict)).collect::<Vec<_>>();
        let expected = |destination, ttl| {
            [("destination", destination), ("ttl", ttl), ("single_point", CheckVerdict::Go)]
                .map(|(id, verdict)| (id.to_owned(), verdict))
                .to_vec()
        };
        assert_eq!(verdicts(found(60, Some("hc"), 10)), expected(CheckVerdict::Go, CheckVerdict::Go));
        assert_eq!(verdicts(found(121, Some("hc"), 10)), expected(CheckVerdict::Go, CheckVerdict::Warn));
        assert_eq!(verdicts(found(60, Some("hc"), 1)), expected(CheckVerdict::NoGo, CheckVerdict::Go));
        assert_eq!(verdicts(found(60, None, 10)), expected(CheckVerdict::Warn, CheckVerdict::Go));
    }
}
