use std::sync::{Arc, atomic::Ordering};

use belay_aws_catalogue::route53::{TYPES, spec};
use belay_core::{
    change::{Proof, Repeats},
    id::RunId,
};
use belay_plan::model::Others;
use belay_ports::Stages;
use serde_json::json;

use super::{record::Alias, *};
use crate::{
    session::Access,
    testing::{Still, aws, endpoint, failed, nowhere, proof, remaining, scope},
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
    State { zone: "Z1".to_owned(), members, ..State::default() }
}

fn with() -> With {
    serde_json::from_value(json!({ "zone": "Z1", "record": "www.example.com.", "type": "A" })).unwrap()
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
    // While it is on its way the members are not read.
    let now = State { zone: "Z1".to_owned(), pending: true, ..State::default() };
    assert!(matches!(to_explicit(&now, json!({"blue": 100, "green": 0}), None), Assessment::Settling(_)));
}

#[test]
fn a_member_that_is_gone_is_a_verdict_that_says_which_exist() {
    let now = state(&[("green", 100)]);
    let why = failed(to_explicit(&now, json!({"blue": 0, "green": 100}), None));
    let expected = "www.example.com A has no set identifier blue, and no baseline says what it was; it has green";
    assert_eq!(why, expected);
    // It had no traffic before the cutover either.
    assert_eq!(to_baseline(&now, &state(&[("blue", 0), ("green", 100)]), None), Assessment::InPlace);
}

#[test]
fn a_member_that_somebody_deleted_is_created_again_as_the_baseline_has_it() {
    let mut now = state(&[("green", 100)]);
    now.members[0].ttl = Some(5);
    let mut baseline = state(&[("blue", 100), ("green", 0), ("old", 0)]);
    baseline.members[0].health_check = Some("hc".to_owned());
    let change = remaining(to_baseline(&now, &baseline, None));
    assert_eq!(change.title, "www.example.com A: create blue again, blue 0 -> 100, green 100 -> 0");
    assert_eq!(change.before, json!({"blue": null, "green": 100}));
    assert_eq!(change.after, json!({"blue": 100, "green": 0}));
    // All members share one time to live: that of those who are there.
    let blue = RecordSet { ttl: Some(5), ..baseline.members[0].clone() };
    assert_eq!(
        Args::deserialize(&change.args).unwrap().upserts,
        [blue, RecordSet { weight: 0, ..now.members[0].clone() }]
    );
    // The plan's own weights go with the baseline's values.
    let scope = scope(json!({}), Some(json!({"blue": 7, "green": 0})), None);
    let change = remaining(assess(&scope, &with(), &now, Some(&baseline)).unwrap());
    assert_eq!(change.after, json!({"blue": 7, "green": 0}));
    assert_eq!(Args::deserialize(&change.args).unwrap().upserts[0].weight, 7);
}

#[test]
fn an_alias_that_somebody_deleted_has_no_time_to_live() {
    let mut baseline = state(&[("blue", 100), ("green", 0)]);
    let alias = Alias { zone: "Z2".to_owned(), dns_name: "lb.example.com.".to_owned(), evaluate_target_health: true };
    let blue = RecordSet { ttl: None, values: Vec::new(), alias: Some(alias), ..baseline.members[0].clone() };
    baseline.members[0] = blue.clone();
    let change = remaining(to_baseline(&state(&[("green", 100)]), &baseline, None));
    assert_eq!(Args::deserialize(&change.args).unwrap().upserts[0], blue);
}

#[test]
fn a_record_that_is_all_gone_is_created_again_whole() {
    let baseline = state(&[("blue", 100), ("green", 0)]);
    let nothing = State { zone: "Z1".to_owned(), ..State::default() };
    let change = remaining(to_baseline(&nothing, &baseline, None));
    assert_eq!(Args::deserialize(&change.args).unwrap().upserts, baseline.members);
    assert_eq!(change.before, json!({"blue": null, "green": null}));
    let why = failed(to_explicit(&nothing, json!({"blue": 100, "green": 0}), None));
    assert!(why.contains("does not exist, and no baseline says what blue, green was"), "{why}");
}

#[test]
fn what_stands_where_the_record_was_is_a_verdict_with_the_cure() {
    let instead = Some("a simple record".to_owned());
    let now = State { zone: "Z1".to_owned(), instead, ..State::default() };
    let why = failed(to_baseline(&now, &state(&[("blue", 100), ("green", 0)]), None));
    assert!(why.contains("a simple record has its place") && why.contains("Belay creates blue, green again"), "{why}");
    let why = failed(to_explicit(&now, json!({"blue": 100, "green": 0}), None));
    assert!(why.ends_with("put the weighted record back by hand"), "{why}");
}

fn staged(ahead: &[u32], before: Option<&State>) -> Scope {
    let before = before.map(|before| Arc::new(json!(before)));
    let stages = Some(Stages { ahead: ahead.to_vec() });
    Scope { stages, before, ..scope(json!({}), None, None) }
}

#[test]
fn traffic_moves_in_stages_each_with_an_id_of_its_own() {
    let baseline = state(&[("blue", 100), ("green", 0)]);
    let cut_over = state(&[("blue", 0), ("green", 100)]);
    let assess = |scope: &Scope, now: &State| assess(scope, &with(), now, Some(&baseline)).unwrap();
    let Assessment::Remaining(changes) = assess(&staged(&[10, 50, 100], None), &cut_over) else { panic!("changes") };
    let ids: Vec<_> = changes.iter().map(|change| (change.id.as_str(), &change.before, &change.after)).collect();
    let image = |blue: u32| json!({"blue": blue, "green": 100 - blue});
    let expected = [
        ("weights_10", &image(0), &image(10)),
        ("weights_50", &image(10), &image(50)),
        ("weights", &image(50), &image(100)),
    ];
    assert_eq!(ids, expected);
    assert_eq!(changes[0].title, "www.example.com A: blue 0 -> 10, green 100 -> 90 (stage 10%)");
    // A stage is in place where its weights are, and goes on from the before-image.
    let now = state(&[("blue", 10), ("green", 90)]);
    assert_eq!(assess(&staged(&[10, 50, 100], Some(&cut_over)), &now), Assessment::InPlace);
    let Assessment::Remaining(changes) = assess(&staged(&[50, 100], Some(&cut_over)), &now) else { panic!("changes") };
    assert_eq!((changes[0].id.as_str(), &changes[0].after), ("weights_50", &image(50)));
    // Nobody goes back to a stage from the target.
    assert_eq!(assess(&staged(&[10, 50, 100], Some(&cut_over)), &baseline), Assessment::InPlace);
}

#[test]
fn a_deleted_member_comes_back_in_stages_too() {
    let baseline = state(&[("blue", 100), ("green", 0)]);
    let now = state(&[("green", 100)]);
    let found = assess(&staged(&[50, 100], None), &with(), &now, Some(&baseline)).unwrap();
    let Assessment::Remaining(changes) = found else { panic!("changes") };
    assert_eq!(changes[0].after, json!({"blue": 50, "green": 50}));
    assert_eq!(changes[0].title, "www.example.com A: create blue again, blue 0 -> 50, green 100 -> 50 (stage 50%)");
    assert_eq!(changes[1].title, "www.example.com A: blue 50 -> 100, green 50 -> 0");
}

#[test]
fn old_answers_are_waited_for_where_the_plan_says_so() {
    let wait_ttl = With { wait_ttl: true, ..with() };
    let drained = |now: &State| {
        let scope = scope(json!({}), Some(json!({"blue": 100, "green": 0})), None);
        let change = remaining(assess(&scope, &wait_ttl, now, None).unwrap());
        let Some(Effect::Drains { time }) = change.effects.last() else { panic!("it drains: {:?}", change.effects) };
        assert_eq!(change.expected, PROPAGATION + *time);
        time.as_secs()
    };
    let mut now = state(&[("blue", 0), ("green", 100)]);
    assert_eq!(drained(&now), 30);
    now.members[1].ttl = None;
    assert_eq!(drained(&now), 60, "an alias");
    now.aliased_ttls = BTreeMap::from([("green".to_owned(), 300)]);
    assert_eq!(drained(&now), 300, "an alias of a record with a time to live of its own");
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
    let aws = nowhere();
    let statements =
        Route53Weights::new(aws, Arc::new(Still { wakes: false })).permissions(&scope(json!({}), None, None), &with());
    let mutating: Vec<_> = statements.into_iter().filter(|statement| statement.mutates).collect();
    assert_eq!(mutating.len(), 1);
    assert_eq!(mutating[0].action, "route53:ChangeResourceRecordSets");
    assert_eq!(mutating[0].resource, "arn:aws:route53:::hostedzone/Z1");
    // Of a zone that is known by its name, nobody knows the ARN.
    let by_name = With { zone: "example.com".to_owned(), ..with() };
    let statements = Route53Weights::new(nowhere(), Arc::new(Still { wakes: false }))
        .permissions(&scope(json!({}), None, None), &by_name);
    assert_eq!(
        (statements[0].action.as_str(), statements[0].resource.as_str()),
        ("route53:ListHostedZonesByName", "*")
    );
    assert!(statements.iter().any(|s| s.mutates && s.resource == "arn:aws:route53:::hostedzone/*"));
}

#[test]
fn one_record_is_one_resource_however_it_is_written() {
    let resource = |record: &str| (spec().resource)(&json!({"zone": "Z1", "record": record, "type": "A"}));
    assert_eq!(resource("WWW.example.com."), resource("www.example.com"));
    assert_eq!(resource("\\052.example.com"), resource("*.example.com"));
    let zone = |zone: Value| (spec().resource)(&json!({"zone": zone, "record": "www.example.com", "type": "A"}));
    assert_eq!(zone(json!("/hostedzone/Z1")), resource("www.example.com"));
    assert_eq!(zone(json!("Example.com.")), zone(json!("example.com")));
    let private = json!({"zone": "example.com", "private": true, "record": "www.example.com", "type": "A"});
    assert_ne!((spec().resource)(&private), zone(json!("example.com")));
}

#[test]
fn a_record_outside_of_the_named_zone_is_found_out_offline() {
    let found = |with: Value| (spec().check)(&with, None);
    let of = |zone: &str, record: &str| found(json!({"zone": zone, "record": record}));
    assert!(of("example.com", "www.EXAMPLE.com.").is_empty());
    assert!(of("example.com", "*.example.com").is_empty());
    assert!(of("example.com", "example.com").is_empty());
    assert!(of("Z1", "www.other.org").is_empty());
    let outside = of("example.com", "www.notexample.com");
    assert_eq!(outside[0].message, "`www.notexample.com` is not in the zone `example.com`");
    assert_eq!(outside[0].pointer, "/with/record");
    let idle = found(json!({"zone": "Z1", "private": true, "record": "www.other.org"}));
    assert_eq!(idle[0].pointer, "/with/private");
}

#[tokio::test]
async fn a_batch_is_sent_once_even_when_its_answer_is_lost() {
    let endpoint = endpoint(String::new()).await;
    let system = Route53Weights::new(aws(Access::ReadWrite, &endpoint).await, Arc::new(Still { wakes: false }));
    let now = state(&[("blue", 0), ("green", 100)]);
    let change = remaining(to_explicit(&now, json!({"blue": 100, "green": 0}), None));
    let mut scope = scope(json!({}), None, None);
    scope.aws.account = None;
    let key = Key { run: RunId("0abc".to_owned()), step: "back".to_owned(), attempt: 1 };
    let sent = system.apply(&scope, &key, &change).await;
    assert!(matches!(sent, Err(ApplyError::OutcomeUnknown { .. })), "{sent:?}");
    assert_eq!(endpoint.connections.load(Ordering::SeqCst), 1);
}

/// Both weights of a record are 0 at the baseline: Route 53 answers with each as often.
#[test]
fn equal_shares_come_back_with_weights_above_zero() {
    let (baseline, now) = (state(&[("blue", 0), ("green", 0)]), state(&[("blue", 0), ("green", 100)]));
    let change = remaining(to_baseline(&now, &baseline, None));
    assert_eq!(change.after, json!({"blue": 1, "green": 1}));
    assert_eq!(to_baseline(&baseline, &baseline, None), Assessment::InPlace);
    assert_eq!(to_baseline(&state(&[("blue", 1), ("green", 1)]), &baseline, None), Assessment::InPlace);
    let system = Route53Weights::new(nowhere(), Arc::new(Still { wakes: false }));
    let checks = system.checks(&scope(json!({}), None, None), &with(), &now, Some(&baseline)).unwrap();
    assert_eq!(checks.iter().map(|check| check.id.as_str()).collect::<Vec<_>>(), ["all_zero"]);
}

#[test]
fn a_health_check_that_proves_nothing_is_named() {
    let mut now = state(&[("blue", 0), ("green", 100)]);
    now.members[0].health_check = Some("hc".to_owned());
    let why = "its health check is of type RECOVERY_CONTROL, which has no checkers".to_owned();
    now.checks.insert("hc".to_owned(), CheckHealth::Untold { why });
    let change = remaining(to_explicit(&now, json!({"blue": 100, "green": 0}), None));
    assert!(change.title.ends_with(
        "(not proven healthy by Route 53: blue: its health check is of type RECOVERY_CONTROL, which has no checkers)"
    ));
    let system = Route53Weights::new(nowhere(), Arc::new(Still { wakes: false }));
    let checks = system.checks(&scope(json!({}), None, None), &with(), &now, None).unwrap();
    assert!(checks[0].line().contains("RECOVERY_CONTROL"), "{checks:?}");
}

#[test]
fn names_and_types_of_all_weighted_records_are_taken() {
    let catalogue = belay_plan::catalogue::Catalogue::new(vec![spec()], Vec::new());
    let errors = |record: &str, kind: &str| {
        let plan = format!(
            "belay: 1\nmigration: m\naws: {{ account: \"111122223333\", region: eusc-de-east-1 }}\nsteps:\n  a:\n    action: route53.weights\n    \
             with: {{ zone: Z1, record: '{record}', type: {kind} }}\n    to: {{ a: 1 }}\n"
        );
        let loaded = belay_plan::load("plan.yaml", &plan, &catalogue);
        loaded.err().map(|errors| format!("{errors:#?}"))
    };
    for kind in TYPES {
        assert_eq!(errors("_sip._tcp.example.com", kind), None, "{kind}");
    }
    assert!(errors("example.com", "NS").is_some());
    for record in ["a\\100b.example.com", "\\052.example.com", "\\303\\244.example.com", "*.example.com"] {
        assert_eq!(errors(record, "TXT"), None, "{record}");
    }
    for record in ["a..example.com", "a b.example.com", "-a.example.com"] {
        assert!(errors(record, "TXT").is_some(), "{record}");
    }
    let why = errors("b\u{fc}cher.example.com", "A").expect("it is refused");
    assert!(why.contains("xn--bcher-kva.example.com"), "{why}");
}
