//! The whole dance of a cluster, state by state, without any receipt.

use std::collections::BTreeMap;

use belay_core::change::{Assessment, Change, Effect, Sent, SentOutcome};
use belay_plan::model::Target;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{calls::ClusterCall, settings::ClusterSettings, state::Listed, *};
use crate::{
    rds::{
        Settings,
        calls::Call,
        owner::{RUN_TAG, STEP_TAG},
        source::MIGRATION_TAG,
        state::Attached,
    },
    testing::{self, failed},
};

const RUN: &str = "01k8abcd2345";

fn time(text: &str) -> Timestamp {
    format!("2026-03-01T{text}Z").parse().unwrap()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn restored(name: &str) -> String {
    format!("{name}-restored-{RUN}")
}

fn moved(name: &str) -> String {
    format!("{name}-failed-{RUN}")
}

fn tags(ours: bool) -> BTreeMap<String, String> {
    let run = if ours { RUN } else { "01k7earlier1" };
    let tags = [("team", "shop"), (RUN_TAG, run), (STEP_TAG, "db_back"), (MIGRATION_TAG, "checkout")];
    tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn cluster(name: &str, resource_id: &str, members: [&str; 2]) -> Cluster {
    let listed = |(index, name): (usize, &str)| Listed { name: name.to_owned(), writer: index == 1 };
    Cluster {
        name: name.to_owned(),
        resource_id: text(resource_id),
        arn: Some(format!("arn:aws:rds:eu-west-1:111122223333:cluster:{name}")),
        status: "available".to_owned(),
        queued: Vec::new(),
        limitless: false,
        renaming_to: None,
        pending: Vec::new(),
        percent_progress: None,
        created: Some(time("01:00:00")),
        engine: "aurora-postgresql".to_owned(),
        engine_version: "15.4".to_owned(),
        kms_key: None,
        endpoint: Some(format!("{name}.cluster-abc.eu-west-1.rds.amazonaws.com")),
        port: None,
        reader_endpoint: None,
        latest_restorable: Some(time("01:55:00")),
        earliest_restorable: Some(time("00:00:00")),
        settings: ClusterSettings {
            cluster_parameter_group: text("shop-cluster"),
            maintenance_window: text("sun:05:00-sun:06:00"),
            ..ClusterSettings::default()
        },
        tags: tags(resource_id == "cluster-NEW"),
        members: members.into_iter().enumerate().map(listed).collect(),
        attached: Attached::default(),
        custom_endpoints: Vec::new(),
        global_cluster: None,
    }
}

fn old(name: &str) -> Cluster {
    cluster(name, "cluster-OLD", ["shop-1", "shop-2"])
}

fn new(name: &str) -> Cluster {
    cluster(name, "cluster-NEW", ["shop-1-restored-01k8abcd2345", "shop-2-restored-01k8abcd2345"])
}

fn instance(name: &str, ours: bool) -> Instance {
    Instance {
        name: name.to_owned(),
        resource_id: None,
        status: "available".to_owned(),
        queued: Vec::new(),
        renaming_to: None,
        modifying: false,
        pending: Vec::new(),
        percent_progress: None,
        endpoint: None,
        port: None,
        created: None,
        engine: "aurora-postgresql".to_owned(),
        engine_version: "15.4".to_owned(),
        kms_key: None,
        cluster: text("shop"),
        promotion_tier: Some(if name.starts_with("shop-1") { 2 } else { 1 }),
        latest_restorable: None,
        settings: Settings {
            db_instance_class: text("db.r6g.large"),
            maintenance_window: text("mon:05:00-mon:06:00"),
            // The cluster's, not the member's own.
            backup_window: text("03:00-04:00"),
            ..Settings::default()
        },
        tags: tags(ours),
        attached: Attached::default(),
    }
}

/// A member under the names of this set: `o` its own, of the old one; `n` its own, of the new one; `r`, `f`.
fn member(name: &str, under: &str) -> Member {
    let at = |letter: char, name: String, ours: bool| under.contains(letter).then(|| instance(&name, ours));
    Member {
        name: name.to_owned(),
        instance: at('o', name.to_owned(), false).or_else(|| at('n', name.to_owned(), true)),
        restored: at('r', restored(name), true),
        failed: at('f', moved(name), false),
    }
}

/// The writer is `shop-2`.
fn state(clusters: [Option<Cluster>; 3], readers: &str, writers: &str) -> ClusterState {
    let [cluster, restored, failed] = clusters;
    ClusterState {
        looked: time("02:00:00"),
        cluster,
        restored,
        steady: Some(time("01:00:00")),
        failed,
        members: vec![member("shop-1", readers), member("shop-2", writers)],
        snapshot: Some(Snapshot {
            name: "shop-pre".to_owned(),
            status: "available".to_owned(),
            taken: Some(time("01:30:00")),
            instance: "shop".to_owned(),
            engine: "aurora-postgresql".to_owned(),
            engine_version: "15.2".to_owned(),
            ..Snapshot::default()
        }),
        links: None,
        cname: None,
        led: None,
        proxied: Vec::new(),
    }
}

fn scope() -> Scope {
    let run = Some(RunId(RUN.to_owned()));
    Scope { run, step: "db_back".to_owned(), to: Target::Own, ..testing::scope(Value::Null, None, None) }
}

fn with(more: &Value) -> With {
    let mut with = json!({ "cluster": "shop", "from": { "snapshot": "shop-pre" } });
    for (key, value) in more.as_object().into_iter().flatten() {
        with[key] = value.clone();
    }
    serde_json::from_value(with).unwrap()
}

fn accepted(change: &str, at: &str) -> Receipt {
    Receipt { change: change.to_owned(), at: time(at), body: Value::Null }
}

/// The look before found the same.
fn twice(now: &ClusterState) -> Scope {
    let doc = serde_json::to_value(Observed::Cluster(now.clone())).unwrap();
    Scope { previous: Some(std::sync::Arc::new(doc)), ..scope() }
}

fn assessed(now: &ClusterState, receipts: &[Receipt]) -> Assessment {
    let scope = Scope { sent: testing::accepted(receipts), ..twice(now) };
    assess(&scope, &with(&json!({})), "shop", now, None, receipts)
}

fn changes(assessment: Assessment) -> Vec<Change> {
    match assessment {
        Assessment::Remaining(changes) => changes,
        other => panic!("nothing remains: {other:?}"),
    }
}

fn ids(assessment: Assessment) -> Vec<String> {
    changes(assessment).into_iter().map(|change| change.id).collect()
}

fn note(assessment: Assessment) -> String {
    match assessment {
        Assessment::Settling(progress) => progress.note,
        other => panic!("not settling: {other:?}"),
    }
}

const WHOLE_DANCE: [&str; 10] = [
    "restore",
    "create_member:shop-2",
    "create_member:shop-1",
    "rename_failed",
    "rename_restored",
    "rename_failed:shop-1",
    "rename_restored:shop-1",
    "rename_failed:shop-2",
    "rename_restored:shop-2",
    "carry_after",
];

#[test]
fn every_point_of_the_dance_is_recognised_without_any_receipt() {
    let own = || Some(old("shop"));
    let made = || Some(new(&restored("shop")));
    let plain = || ClusterSettings { cluster_parameter_group: text("shop-cluster"), ..ClusterSettings::default() };
    let bare = Cluster { settings: plain(), members: Vec::new(), ..new(&restored("shop")) };
    let swapped = || [Some(new("shop")), None, Some(old(&moved("shop")))];
    let unset = Cluster { settings: plain(), ..new("shop") };
    let remaining = [
        (state([own(), None, None], "o", "o"), &WHOLE_DANCE[..]),
        // The writer first.
        (state([own(), Some(bare), None], "o", "o"), &WHOLE_DANCE[1..]),
        (state([own(), made(), None], "o", "o"), &WHOLE_DANCE[1..9]),
        (state([own(), made(), None], "o", "or"), &WHOLE_DANCE[2..9]),
        (state([own(), made(), None], "or", "or"), &WHOLE_DANCE[3..9]),
        // Nothing answers to the endpoints.
        (state([None, made(), Some(old(&moved("shop")))], "or", "or"), &WHOLE_DANCE[4..9]),
        (state(swapped(), "or", "or"), &WHOLE_DANCE[5..9]),
        (state(swapped(), "rf", "or"), &WHOLE_DANCE[6..9]),
        (state(swapped(), "nf", "or"), &WHOLE_DANCE[7..9]),
        (state(swapped(), "nf", "rf"), &WHOLE_DANCE[8..9]),
        (state([Some(unset), None, Some(old(&moved("shop")))], "nf", "nf"), &WHOLE_DANCE[9..]),
    ];
    for (now, expected) in remaining {
        assert_eq!(ids(assessed(&now, &[])), expected, "{now:#?}");
    }
    assert_eq!(assessed(&state(swapped(), "nf", "nf"), &[]), Assessment::InPlace);
    // Whoever deletes the failed one afterwards changes nothing.
    assert_eq!(assessed(&state([Some(new("shop")), None, None], "n", "n"), &[]), Assessment::InPlace);
}

#[test]
fn a_second_member_waits_for_the_writer() {
    let mut now = state([Some(old("shop")), Some(new(&restored("shop"))), None], "o", "or");
    let writer = now.members[1].restored.as_mut().unwrap();
    writer.status = "creating".to_owned();
    assert_eq!(note(assessed(&now, &[])), "shop-2-restored-01k8abcd2345 is creating");
    // All of them are available before the names change.
    let mut now = state([Some(old("shop")), Some(new(&restored("shop"))), None], "or", "or");
    now.members[0].restored.as_mut().unwrap().status = "configuring-enhanced-monitoring".to_owned();
    assert!(note(assessed(&now, &[])).contains("is configuring-enhanced-monitoring"));
}

#[test]
fn what_was_accepted_and_does_not_show_is_waited_for() {
    let own = || Some(old("shop"));
    let made = || Some(new(&restored("shop")));
    let swapped = || [Some(new("shop")), None, Some(old(&moved("shop")))];
    for (now, change) in [
        (state([own(), None, None], "o", "o"), "restore"),
        (state([own(), made(), None], "o", "o"), "create_member:shop-2"),
        (state([own(), made(), None], "or", "or"), "rename_failed"),
        (state([None, made(), None], "or", "or"), "rename_failed"),
        (state([None, made(), Some(old(&moved("shop")))], "or", "or"), "rename_restored"),
        (state([None, None, Some(old(&moved("shop")))], "or", "or"), "rename_restored"),
        (state(swapped(), "or", "nf"), "rename_failed:shop-1"),
        (state(swapped(), "r", "nf"), "rename_failed:shop-1"),
        (state(swapped(), "rf", "nf"), "rename_restored:shop-1"),
    ] {
        note(assessed(&now, &[accepted(change, "01:59:57")]));
    }
}

#[test]
fn a_rename_whose_answer_was_lost_is_waited_for_while_it_is_listed_nowhere() {
    let made = || Some(new(&restored("shop")));
    let gone = || Some(old(&moved("shop")));
    let swapped = || [Some(new("shop")), None, gone()];
    let cases = [
        (state([None, made(), None], "or", "or"), "rename_failed"),
        (state([None, None, gone()], "or", "or"), "rename_restored"),
        (state([None, None, None], "or", "or"), "rename_restored"),
        (state(swapped(), "r", "nf"), "rename_failed:shop-1"),
        (state(swapped(), "f", "nf"), "rename_restored:shop-1"),
        (state(swapped(), "", "nf"), "rename_restored:shop-1"),
    ];
    for (now, change) in cases {
        let sent = Sent { change: change.to_owned(), at: time("01:58:00"), outcome: SentOutcome::Unknown };
        let scope = Scope { sent: vec![sent], ..scope() };
        let note = note(assess(&scope, &with(&json!({})), "shop", &now, None, &[]));
        assert!(note.contains("being renamed"), "{change}: {note}");
    }
}

#[test]
fn members_of_before_are_looked_for_though_they_are_listed_nowhere() {
    let before = serde_json::to_value(state([Some(old("shop")), None, None], "o", "o")).unwrap();
    let scope = Scope { before: Some(std::sync::Arc::new(before)), ..scope() };
    assert_eq!(known_members(&scope), ["shop-1".to_owned(), "shop-2".to_owned()].into());
}

#[test]
fn names_settings_tags_and_effects_are_those_of_the_run() {
    let mut now = state([Some(old("shop")), None, None], "o", "o");
    let original = now.cluster.as_mut().unwrap();
    original.custom_endpoints = vec!["reports.cluster-custom-abc.eu-west-1.rds.amazonaws.com".to_owned()];
    let changes = changes(assessed(&now, &[]));
    assert_eq!(changes[0].effects, [Effect::LosesData { since: Some(time("01:30:00")) }]);
    assert_eq!(
        changes[3].title,
        "rename cluster shop to shop-failed-01k8abcd2345 (kept, with its custom \
         endpoint reports.cluster-custom-abc.eu-west-1.rds.amazonaws.com)"
    );
    assert_eq!(changes[3].keeps.as_deref(), Some("cluster shop-failed-01k8abcd2345"));
    let restore: Call = serde_json::from_value(changes[0].args.clone()).unwrap();
    let Call::Cluster(ClusterCall::RestoreFromSnapshot { snapshot, engine_version, settings, tags, .. }) = restore
    else {
        panic!("{restore:?}");
    };
    assert_eq!((snapshot.as_str(), engine_version.as_str()), ("shop-pre", "15.2"));
    assert_eq!((settings.cluster_parameter_group, settings.maintenance_window), (text("shop-cluster"), None));
    assert_eq!((tags["team"].as_str(), tags[RUN_TAG].as_str()), ("shop", RUN));

    let create: Call = serde_json::from_value(changes[1].args.clone()).unwrap();
    let Call::Cluster(ClusterCall::CreateMember { cluster, name, engine, settings, promotion_tier, tags }) = create
    else {
        panic!("{create:?}");
    };
    assert_eq!((cluster, name), (restored("shop"), restored("shop-2")));
    assert_eq!((engine.as_str(), promotion_tier), ("aurora-postgresql", Some(1)));
    assert_eq!(settings.db_instance_class, text("db.r6g.large"));
    assert_eq!(settings.backup_window, None, "that is the cluster's");
    assert_eq!(tags[REPLACES_TAG], "shop-2");
    assert_eq!(
        changes[1].title,
        "create shop-2-restored-01k8abcd2345 in shop-restored-01k8abcd2345 as shop-2 was, its writer"
    );
}

#[test]
fn the_cluster_and_its_members_are_read_back() {
    let mut now = state([Some(new("shop")), None, Some(old(&moved("shop")))], "nf", "nf");
    let cluster = now.cluster.as_mut().unwrap();
    cluster.settings.cluster_parameter_group = text("default.aurora-postgresql15");
    cluster.pending = vec!["cluster parameter group on shop-1 is pending-reboot".to_owned()];
    let reader = now.members[0].instance.as_mut().unwrap();
    reader.settings.db_instance_class = text("db.t4g.medium");
    reader.promotion_tier = Some(15);
    reader.tags.remove("team");
    let Assessment::Differs { why } =
        assessed(&now, &[accepted(changes::of_member("rename_restored", "shop-2").as_str(), "01:00:00")])
    else {
        panic!("it differs");
    };
    for expected in [
        "cluster_parameter_group: wanted shop-cluster, found default.aurora-postgresql15",
        "member shop-1: db_instance_class: wanted db.r6g.large, found db.t4g.medium",
        "member shop-1: promotion_tier: wanted 2, found 15",
        "member shop-1: tag team: wanted shop, found none",
        "pending: cluster parameter group on shop-1 is pending-reboot",
    ] {
        assert!(why.contains(expected), "{expected}: {why}");
    }
}

#[test]
fn a_baseline_says_what_members_there_are() {
    let mut baseline = state([Some(old("shop")), None, None], "o", "o");
    baseline.members[0].instance.as_mut().unwrap().settings.db_instance_class = text("db.r6g.xlarge");
    // One was deleted since, and one added.
    let mut now = state([Some(old("shop")), None, None], "", "o");
    now.members.push(member("shop-3", "o"));
    let found = changes(assess(&scope(), &with(&json!({})), "shop", &now, Some(&baseline), &[]));
    let all: Vec<&str> = found.iter().map(|change| change.id.as_str()).collect();
    assert_eq!(
        all,
        [
            "restore",
            "create_member:shop-2",
            "create_member:shop-1",
            "rename_failed",
            "rename_restored",
            "rename_restored:shop-1",
            "rename_failed:shop-2",
            "rename_restored:shop-2",
            "carry_after",
        ]
    );
    assert_eq!(found[2].after["settings"]["db_instance_class"], "db.r6g.xlarge");
}

#[test]
fn what_cannot_succeed_is_a_verdict() {
    let original = || state([Some(old("shop")), None, None], "o", "o");
    let mut global = original();
    global.cluster.as_mut().unwrap().global_cluster = text("world");
    assert!(failed(assessed(&global, &[])).contains("belongs to the global database world"));
    let mut other = original();
    other.snapshot.as_mut().unwrap().engine = "aurora-mysql".to_owned();
    assert!(failed(assessed(&other, &[])).contains("is of aurora-mysql, and the cluster shop runs aurora-postgresql"));
    assert!(failed(assessed(&ClusterState { snapshot: None, ..original() }, &[])).contains("no snapshot shop-pre"));
    assert!(failed(assessed(&state([None, None, None], "", ""), &[])).contains("there is no cluster shop"));
    let mut stuck = state([Some(old("shop")), Some(new(&restored("shop"))), None], "o", "or");
    stuck.members[1].restored.as_mut().unwrap().status = "incompatible-parameters".to_owned();
    assert!(failed(assessed(&stuck, &[])).contains("repair its parameter group"));
}

#[test]
fn somebody_elses_are_left_alone() {
    let ambiguity = |now: &ClusterState| match assessed(now, &[]) {
        Assessment::Ambiguous { why } => why,
        other => panic!("not ambiguous: {other:?}"),
    };
    let mut foreign = state([Some(old("shop")), Some(new(&restored("shop"))), None], "or", "or");
    foreign.members[0].restored.as_mut().unwrap().tags.insert(RUN_TAG.to_owned(), "01k9another1".to_owned());
    assert!(ambiguity(&foreign).contains("made by run 01k9another1"));
    let again = state([Some(old("shop")), None, Some(old(&moved("shop")))], "o", "o");
    let mut again = again;
    again.failed.as_mut().unwrap().resource_id = text("cluster-OTHER");
    assert!(ambiguity(&again).contains("now there is another shop"));
    let member = state([Some(new("shop")), None, Some(old(&moved("shop")))], "orf", "nf");
    assert!(ambiguity(&member).contains("the member shop-1 was moved away"));
}

#[test]
fn a_multi_az_cluster_brings_its_instances_itself() {
    let multi_az = |cluster: Cluster| Cluster { engine: "postgres".to_owned(), ..cluster };
    let mut now = state([Some(multi_az(old("shop"))), None, None], "o", "o");
    now.snapshot.as_mut().unwrap().engine = "postgres".to_owned();
    assert_eq!(ids(assessed(&now, &[])), ["restore", "rename_failed", "rename_restored", "carry_after"]);
    // It gets its name when as many members as before answer.
    let mut now = state([Some(multi_az(old("shop"))), Some(multi_az(new(&restored("shop")))), None], "o", "o");
    now.snapshot.as_mut().unwrap().engine = "postgres".to_owned();
    assert_eq!(note(assessed(&now, &[])), "0 of 2 members of the restored cluster shop-restored-01k8abcd2345 answer");
    let mut now = state([Some(multi_az(old("shop"))), Some(multi_az(new(&restored("shop")))), None], "or", "or");
    now.snapshot.as_mut().unwrap().engine = "postgres".to_owned();
    assert_eq!(ids(assessed(&now, &[])), ["rename_failed", "rename_restored"]);
}

#[test]
fn without_a_rename_it_stays_beside() {
    let beside = |more: &Value, now: &ClusterState| assess(&scope(), &with(more), "shop", now, None, &[]);
    let none = json!({ "keep_endpoint": "none" });
    let now = state([Some(old("shop")), Some(new(&restored("shop"))), None], "or", "or");
    assert!(matches!(beside(&none, &now), Assessment::Over(_)));
    let cname = json!({ "keep_endpoint": "cname", "cname": { "zone": "Z1", "record": "db.example.com" } });
    let now = ClusterState { cname: Some(cname::Found::default()), ..now };
    let found = changes(beside(&cname, &now));
    assert_eq!(found.len(), 1);
    assert!(found[0].title.contains("at shop-restored-01k8abcd2345.cluster-abc.eu-west-1"), "{}", found[0].title);
}

#[test]
fn members_are_known_by_their_tags_and_names() {
    let run = RunId(RUN.to_owned());
    let name = |listed: &str, found: Option<&Instance>| name_of(listed, found, Some(&run));
    assert_eq!(name("shop-1", None), "shop-1");
    assert_eq!(name(&restored("shop-1"), None), "shop-1");
    assert_eq!(name(&moved("shop-1"), None), "shop-1");
    let mut tagged = instance("cut", true);
    tagged.tags.insert(REPLACES_TAG.to_owned(), "a-long-name".to_owned());
    assert_eq!(name("cut", Some(&tagged)), "a-long-name");
    // What an earlier run replaced is the name of its own by now.
    tagged.tags.insert(RUN_TAG.to_owned(), "01k7earlier1".to_owned());
    assert_eq!(name("cut", Some(&tagged)), "cut");
    // A name that was cut does not give itself back.
    let long = "orders-".repeat(8) + "1";
    let cut = Names::new(&long, Some(&run)).failed;
    assert_eq!(name(&cut, None), cut);
}

#[test]
fn a_look_survives_being_journaled_and_is_told_from_an_instances() {
    let now = state([Some(old("shop")), None, None], "o", "or");
    let journaled = serde_json::to_value(Observed::Cluster(now.clone())).unwrap();
    let read: Observed = serde_json::from_value(journaled).unwrap();
    assert_eq!(read, Observed::Cluster(now));
    let instance = json!({ "looked": "2026-03-01T00:00:00Z", "instance": null, "restored": null, "failed": null,
        "snapshot": null, "earliest_restorable": null });
    assert!(matches!(serde_json::from_value(instance), Ok(Observed::Instance(_))));
}

/// Once the restored cluster has its name, Application Auto Scaling makes readers in it.
#[test]
fn a_reader_that_was_made_meanwhile_holds_up_nothing() {
    let mut now = state([Some(new("shop")), None, Some(old(&moved("shop")))], "nf", "nf");
    let name = "application-autoscaling-61aabbcc";
    let made = Instance {
        status: "creating".to_owned(),
        tags: BTreeMap::from([("application-autoscaling:resourceId".to_owned(), "cluster:shop".to_owned())]),
        ..instance(name, false)
    };
    now.members.push(Member { name: name.to_owned(), instance: Some(made), restored: None, failed: None });
    for listed in &mut now.cluster.as_mut().unwrap().members {
        listed.name = listed.name.replace(&format!("-restored-{RUN}"), "");
    }
    assert_eq!(assessed(&now, &[]), Assessment::InPlace);
}
