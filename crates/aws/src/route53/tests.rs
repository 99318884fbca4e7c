use std::sync::atomic::Ordering;

use belay_core::{change::Proof, id::RunId};
use belay_plan::model::Others;
use serde_json::json;

use super::*;
use crate::{
    session::Access,
    testing::{aws, endpoint, failed, proof, remaining, scope},
};

fn member(set_identifier: &str, weight: u32) -> RecordSet {
    RecordSet {
        name: "www.example.com.".to_owned(),
        kind: "A".to_owned(),
        set_identifier: set_identifier.to_owned(),
        weight,
        ttl: Some(30),
        values: vec![format!("192.0.2.{}", set_identifier.len())],
        alias: None,
        health_check: None,
        traffic_policy_instance: None,
    }
}

fn state(members: &[(&str, u32)]) -> State {
    let members = members.iter().map(|(name, weight)| member(name, *weight)).collect();
    State { members, checks: BTreeMap::new(), pending: false }
}

fn with() -> With {
    With { zone: "Z1".to_owned(), record: "www.example.com.".to_owned(), kind: "A".to_owned() }
}

fn to_explicit(now: &State, to: Value, others: Option<Others>) -> Assessment {
    assess(&scope(json!({}), Some(to), others), &with(), now, None).unwrap()
}

fn to_baseline(now: &State, baseline: &State, others: Option<Others>) -> Assessment {
    assess(&scope(json!({}), None, others), &with(), now, Some(baseline)).unwrap()
}

#[test]
fn one_change_upserts_the_members_that_differ_and_keeps_all_else_of_them() {
    let mut now = state(&[("blue", 0), ("canary", 7), ("green", 100)]);
    now.members[0].health_check = Some("hc".to_owned());
    let change = remaining(to_explicit(&now, json!({"blue": 100, "green": 0}), Some(Others::Keep)));
    assert_eq!(change.title, "www.example.com A: blue 0 -> 100, green 100 -> 0");
    assert_eq!(change.before, json!({"blue": 0, "canary": 7, "green": 100}));
    assert_eq!(change.after, json!({"blue": 100, "canary": 7, "green": 0}));
    let args = Args::deserialize(&change.args).unwrap();
    let blue = RecordSet { weight: 100, ..now.members[0].clone() };
    assert_eq!(args.upserts, [blue, RecordSet { weight: 0, ..now.members[2].clone() }]);
    assert_eq!((change.repeats, change.expected), (Repeats::Converges, PROPAGATION));
    let [Effect::Traffic { shares }] = change.effects.as_slice() else { panic!("only traffic") };
    let shares: Vec<_> = shares.iter().map(|share| (share.destination.as_str(), share.before, share.after)).collect();
    assert_eq!(shares, [("blue", 0, 100), ("canary", 7, 7), ("green", 100, 0)]);
}

#[test]
fn a_baseline_gives_weights_and_nothing_else() {
    let mut now = state(&[("blue", 0), ("green", 100)]);
    now.members[0].ttl = Some(5);
    let change = remaining(to_baseline(&now, &state(&[("blue", 100), ("green", 0)]), None));
    assert_eq!(Args::deserialize(&change.args).unwrap().upserts[0].ttl, Some(5));
    assert_eq!(to_baseline(&now, &now, None), Assessment::InPlace);
}

#[test]
fn our_change_settles_until_it_is_in_sync() {
    let mut now = state(&[("blue", 100), ("green", 0)]);
    now.pending = true;
    assert!(matches!(to_explicit(&now, json!({"blue": 100, "green": 0}), None), Assessment::Settling(_)));
    // What differs goes out even while another change is on its way.
    remaining(to_explicit(&now, json!({"blue": 50, "green": 50}), None));
}

#[test]
fn a_member_that_is_gone_is_a_verdict_that_says_which_exist() {
    let now = state(&[("green", 100)]);
    let why = failed(to_explicit(&now, json!({"blue": 0, "green": 100}), None));
    assert_eq!(why, "www.example.com A has no set identifier blue; it has green");
    failed(to_baseline(&now, &state(&[("blue", 100), ("green", 0)]), None));
    // It had no traffic before the cutover either.
    assert_eq!(to_baseline(&now, &state(&[("blue", 0), ("green", 100)]), None), Assessment::InPlace);
}

#[test]
fn a_member_that_came_later_goes_back_to_no_traffic_unless_it_is_kept() {
    let now = state(&[("blue", 0), ("canary", 10), ("green", 90)]);
    let baseline = state(&[("blue", 100), ("green", 0)]);
    let kept = remaining(to_baseline(&now, &baseline, Some(Others::Keep)));
    assert_eq!(kept.after, json!({"blue": 100, "canary": 10, "green": 0}));
    let change = remaining(to_baseline(&now, &baseline, None));
    assert_eq!(change.after, json!({"blue": 100, "canary": 0, "green": 0}));
}

#[test]
fn a_traffic_policys_record_is_left_alone() {
    let mut now = state(&[("blue", 0), ("green", 100)]);
    now.members[1].traffic_policy_instance = Some("tpi-1".to_owned());
    assert!(failed(to_explicit(&now, json!({"blue": 100, "green": 0}), None)).contains("tpi-1"));
}

#[test]
fn without_a_baseline_there_is_nothing_to_return_to() {
    let now = state(&[("blue", 100)]);
    assert!(assess(&scope(json!({}), None, None), &with(), &now, None).is_err());
}

#[test]
fn health_checks_prove() {
    let mut now = state(&[("a", 0), ("b", 0), ("c", 0), ("d", 0), ("e", 1)]);
    for (member, check) in now.members.iter_mut().zip(["up", "down", "mute", "unread"]) {
        member.health_check = Some(check.to_owned());
    }
    now.checks = BTreeMap::from([
        ("up".to_owned(), CheckHealth::Checkers { healthy: 3, of: 16 }),
        ("down".to_owned(), CheckHealth::Checkers { healthy: 2, of: 16 }),
        ("mute".to_owned(), CheckHealth::Untold { why: "inverted".to_owned() }),
    ]);
    let change = remaining(to_explicit(&now, json!({"a": 1, "b": 1, "c": 1, "d": 1, "e": 0}), None));
    assert_eq!(*proof(&change, "a"), Proof::Healthy { evidence: "3 of 16 health checkers reach it".to_owned() });
    assert_eq!(*proof(&change, "b"), Proof::Unhealthy { evidence: "2 of 16 health checkers reach it".to_owned() });
    for unproven in ["c", "d", "e"] {
        assert!(matches!(proof(&change, unproven), Proof::None { .. }), "{unproven}");
    }
}

#[test]
fn what_an_apply_sends_is_one_batch_of_whole_records() {
    let batch =
        batch(vec![member("blue", 100), member("green", 0)], "belay run r step s attempt 1".to_owned()).unwrap();
    assert_eq!(batch.comment(), Some("belay run r step s attempt 1"));
    let sent: Vec<_> =
        batch.changes.into_iter().map(|change| (change.action, change.resource_record_set.unwrap())).collect();
    assert!(sent.iter().all(|(action, set)| *action == ChangeAction::Upsert && set.ttl == Some(30)));
    assert_eq!(sent.iter().map(|(_, set)| set.weight).collect::<Vec<_>>(), [Some(100), Some(0)]);
}

#[test]
fn permissions_are_scoped_to_the_zone() {
    let aws = crate::testing::nowhere();
    let statements = Route53Weights::new(aws).permissions(&scope(json!({}), None, None), &with());
    let mutating: Vec<_> = statements.into_iter().filter(|statement| statement.mutates).collect();
    assert_eq!(mutating.len(), 1);
    assert_eq!(mutating[0].action, "route53:ChangeResourceRecordSets");
    assert_eq!(mutating[0].resource, "arn:aws:route53:::hostedzone/Z1");
}

#[test]
fn one_record_is_one_resource_however_it_is_written() {
    let resource = |record: &str| (spec().resource)(&json!({"zone": "Z1", "record": record, "type": "A"}));
    assert_eq!(resource("WWW.example.com."), resource("www.example.com"));
}

#[tokio::test]
async fn a_batch_is_sent_once_even_when_its_answer_is_lost() {
    let endpoint = endpoint(String::new()).await;
    let system = Route53Weights::new(aws(Access::ReadWrite, &endpoint).await);
    let now = state(&[("blue", 0), ("green", 100)]);
    let change = remaining(to_explicit(&now, json!({"blue": 100, "green": 0}), None));
    let mut scope = scope(json!({}), None, None);
    scope.aws.account = None;
    let key = Key { run: RunId("0abc".to_owned()), step: "back".to_owned(), attempt: 1 };
    let sent = system.apply(&scope, &key, &change).await;
    assert!(matches!(sent, Err(ApplyError::OutcomeUnknown { .. })), "{sent:?}");
    assert_eq!(endpoint.connections.load(Ordering::SeqCst), 1);
}
