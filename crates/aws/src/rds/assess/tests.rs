//! The whole dance, state by state: every point at which a crash can leave it, with and without the receipts of what
//! was accepted.

use belay_core::{
    change::{Change, Effect, Outcome, Repeats, Sent, SentOutcome},
    id::RunId,
};
use belay_plan::model::Target;
use serde_json::{Value, json};

use super::{changes::CARRY_AFTER, *};
use crate::{
    rds::{
        Observed,
        calls::Call,
        cname::{Found, Record},
        links::Links,
        owner::{RUN_TAG, STEP_TAG},
        settings::RestoreKind,
        source::MIGRATION_TAG,
        state::{Attached, Snapshot},
    },
    testing::{self, failed, target},
};

const RUN: &str = "01k8abcd2345";
const NEW_NAME: &str = "checkout-restored-01k8abcd2345";
const OLD_NAME: &str = "checkout-failed-01k8abcd2345";

const WHOLE_DANCE: [&str; 4] = [RESTORE, RENAME_FAILED, RENAME_RESTORED, CARRY_AFTER];

fn time(text: &str) -> Timestamp {
    format!("2026-03-01T{text}Z").parse().unwrap()
}

fn settings() -> Settings {
    Settings {
        db_instance_class: Some("db.r6g.large".to_owned()),
        db_parameter_group: Some("checkout-postgres15".to_owned()),
        multi_az: Some(true),
        maintenance_window: Some("sun:05:00-sun:06:00".to_owned()),
        ..Settings::default()
    }
}

/// What a restore takes of them.
fn without_window() -> Settings {
    Settings { maintenance_window: None, ..settings() }
}

fn instance(name: &str, resource_id: &str) -> Instance {
    Instance {
        name: name.to_owned(),
        resource_id: Some(resource_id.to_owned()),
        status: "available".to_owned(),
        queued: Vec::new(),
        renaming_to: None,
        modifying: false,
        pending: Vec::new(),
        percent_progress: None,
        endpoint: Some(format!("{name}.abc.eu-west-1.rds.amazonaws.com")),
        port: None,
        created: Some(time("01:00:00")),
        engine: "postgres".to_owned(),
        engine_version: "15.4".to_owned(),
        kms_key: None,
        cluster: None,
        promotion_tier: None,
        latest_restorable: Some(time("01:55:00")),
        settings: settings(),
        tags: [("team", "shop"), ("aws:cloudformation:stack-name", "shop"), ("belay:run", "01k7earlier1")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        attached: Attached::default(),
    }
}

fn old(name: &str) -> Instance {
    instance(name, "db-OLD")
}

/// As a restore of ours leaves it.
fn new(name: &str) -> Instance {
    let tags = [("team", "shop"), (RUN_TAG, RUN), (STEP_TAG, "db_back"), (MIGRATION_TAG, "checkout")];
    Instance { tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(), ..instance(name, "db-NEW") }
}

fn with_status(instance: Instance, status: &str) -> Instance {
    Instance { status: status.to_owned(), ..instance }
}

fn snapshot(status: &str) -> Snapshot {
    Snapshot {
        name: "checkout-pre".to_owned(),
        encrypted: false,
        status: status.to_owned(),
        percent_progress: Some(40),
        taken: Some(time("01:30:00")),
        instance: "checkout".to_owned(),
        engine: "postgres".to_owned(),
        engine_version: "15.2".to_owned(),
        allocated_storage: Some(100),
        ..Snapshot::default()
    }
}

fn state(instance: Option<Instance>, restored: Option<Instance>, failed: Option<Instance>) -> State {
    State {
        looked: time("02:00:00"),
        instance,
        restored,
        steady: Some(time("01:00:00")),
        failed,
        snapshot: Some(snapshot("available")),
        earliest_restorable: Some(time("00:00:00")),
        links: None,
        cname: None,
        led: None,
        proxied: Vec::new(),
    }
}

/// Accepted three seconds ago.
fn accepted(change: &str) -> Receipt {
    accepted_at(change, "01:59:57")
}

fn accepted_at(change: &str, at: &str) -> Receipt {
    Receipt { change: change.to_owned(), at: time(at), body: Value::Null }
}

fn scope() -> Scope {
    Scope {
        migration: "checkout".to_owned(),
        step: "db_back".to_owned(),
        run: Some(RunId(RUN.to_owned())),
        tries: 0,
        deadline: None,
        aws: target(),
        with: Value::Null,
        to: Target::Own,
        others: None,
        baseline: None,
        cutover: None,
        stages: None,
        timeout: Duration::from_secs(3600),
        before: None,
        sent: Vec::new(),
        previous: None,
        objectives: Default::default(),
        interlocks: Vec::new(),
    }
}

fn from(source: Value) -> With {
    serde_json::from_value(json!({ "instance": "checkout", "from": source })).unwrap()
}

fn from_snapshot() -> With {
    from(json!({ "snapshot": "checkout-pre" }))
}

/// The look before found the same.
fn twice(scope: Scope, now: &State) -> Scope {
    let doc = serde_json::to_value(Observed::Instance(now.clone())).unwrap();
    Scope { previous: Some(std::sync::Arc::new(doc)), ..scope }
}

fn assessed(now: &State, receipts: &[Receipt]) -> Assessment {
    let scope = Scope { sent: testing::accepted(receipts), ..twice(scope(), now) };
    assess(&scope, &from_snapshot(), "checkout", now, None, receipts)
}

fn assessed_from(source: Value, now: &State) -> Assessment {
    assess(&scope(), &from(source), "checkout", now, None, &[])
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

fn ambiguity(assessment: Assessment) -> String {
    match assessment {
        Assessment::Ambiguous { why } => why,
        other => panic!("not ambiguous: {other:?}"),
    }
}

#[test]
fn every_point_of_the_dance_is_recognised_without_any_receipt() {
    let differs = Instance { settings: Settings::default(), ..new(NEW_NAME) };
    let monitored_later = |name: &str| Instance { settings: without_window(), ..new(name) };
    let remaining = [
        (state(Some(old("checkout")), None, None), &WHOLE_DANCE[..]),
        (state(Some(old("checkout")), Some(differs), None), &[CARRY, RENAME_FAILED, RENAME_RESTORED, CARRY_AFTER][..]),
        (state(Some(old("checkout")), Some(monitored_later(NEW_NAME)), None), &WHOLE_DANCE[1..]),
        (state(Some(old("checkout")), Some(new(NEW_NAME)), None), &WHOLE_DANCE[1..3]),
        (state(Some(monitored_later("checkout")), None, Some(old(OLD_NAME))), &WHOLE_DANCE[3..]),
        (state(None, Some(new(NEW_NAME)), Some(old(OLD_NAME))), &WHOLE_DANCE[2..3]),
        // The failed one still reboots: the name is free, and nothing answers to it, so nothing is waited for.
        (state(None, Some(new(NEW_NAME)), Some(with_status(old(OLD_NAME), "rebooting"))), &WHOLE_DANCE[2..3]),
        // Somebody has deleted it, or it is listed under neither name for a moment.
        (state(None, Some(new(NEW_NAME)), None), &WHOLE_DANCE[2..3]),
    ];
    for (now, expected) in remaining {
        assert_eq!(ids(assessed(&now, &[])), expected, "{now:?}");
    }
    assert_eq!(assessed(&state(Some(new("checkout")), None, Some(old(OLD_NAME))), &[]), Assessment::InPlace);
    // Whoever deletes the failed one afterwards changes nothing.
    assert_eq!(assessed(&state(Some(new("checkout")), None, None), &[]), Assessment::InPlace);
}

#[test]
fn what_is_under_way_is_waited_for() {
    let creating = Instance { settings: Settings::default(), ..with_status(new(NEW_NAME), "creating") };
    let renaming_old = Instance { renaming_to: Some(OLD_NAME.to_owned()), ..old("checkout") };
    let renaming_new = Instance { renaming_to: Some("checkout".to_owned()), ..new(NEW_NAME) };
    let cases = [
        (state(Some(old("checkout")), Some(creating), None), "is creating"),
        (state(Some(old("checkout")), Some(with_status(new(NEW_NAME), "backing-up")), None), "is backing-up"),
        (state(Some(old("checkout")), Some(with_status(new(NEW_NAME), "modifying")), None), "is modifying"),
        (
            state(Some(with_status(old("checkout"), "modifying")), Some(new(NEW_NAME)), None),
            "can be renamed after that",
        ),
        (state(Some(with_status(old("checkout"), "renaming")), Some(new(NEW_NAME)), None), "checkout is renaming"),
        (state(Some(renaming_old), Some(new(NEW_NAME)), None), "is being renamed to checkout-failed-"),
        (state(Some(old("checkout")), Some(new(NEW_NAME)), Some(old(OLD_NAME))), "listed under two names"),
        (state(None, Some(with_status(new(NEW_NAME), "renaming")), Some(old(OLD_NAME))), "is renaming"),
        (state(None, Some(renaming_new), Some(old(OLD_NAME))), "is being renamed to checkout"),
        (state(Some(new("checkout")), Some(new(NEW_NAME)), Some(old(OLD_NAME))), "listed under two names"),
        (state(Some(with_status(new("checkout"), "rebooting")), None, Some(old(OLD_NAME))), "checkout is rebooting"),
    ];
    for (now, expected) in cases {
        let note = note(assessed(&now, &[]));
        assert!(note.contains(expected), "{note}");
    }
}

#[test]
fn an_accepted_change_that_does_not_show_yet_is_waited_for() {
    let differs = || Instance { settings: Settings::default(), ..new(NEW_NAME) };
    let pending = || Instance { modifying: true, ..differs() };
    let cases = [
        (state(Some(old("checkout")), None, None), RESTORE, "is not listed yet"),
        (state(Some(old("checkout")), Some(differs()), None), CARRY, "do not show yet"),
        (state(Some(old("checkout")), Some(pending()), None), CARRY, "do not show yet"),
        (
            state(Some(Instance { settings: without_window(), ..new("checkout") }), None, Some(old(OLD_NAME))),
            CARRY_AFTER,
            "do not show yet",
        ),
        (state(Some(old("checkout")), Some(new(NEW_NAME)), None), RENAME_FAILED, "has it not yet"),
        (state(None, Some(new(NEW_NAME)), None), RENAME_FAILED, "listed under neither name"),
        (state(None, Some(new(NEW_NAME)), Some(old(OLD_NAME))), RENAME_RESTORED, "has it not yet"),
        (state(None, None, Some(old(OLD_NAME))), RENAME_RESTORED, "listed under neither name"),
    ];
    for (now, change, expected) in cases {
        let note = note(assessed(&now, &[accepted(change)]));
        assert!(note.contains(expected), "{note}");
    }
}

/// A scope that knows of one send, by which nothing was answered.
fn perhaps_sent(change: &str, at: &str) -> Scope {
    let sent = Sent { change: change.to_owned(), at: time(at), outcome: SentOutcome::Unknown };
    Scope { sent: vec![sent], ..scope() }
}

#[test]
fn a_rename_whose_answer_was_lost_is_waited_for_while_the_database_is_listed_nowhere() {
    let assessed = |scope: &Scope, now: &State| assess(scope, &from_snapshot(), "checkout", now, None, &[]);
    let renaming_old = state(None, Some(new(NEW_NAME)), None);
    let renaming_new = state(None, None, Some(old(OLD_NAME)));
    let nowhere = state(None, None, None);
    for (now, change) in [
        (&renaming_old, RENAME_FAILED),
        (&renaming_new, RENAME_RESTORED),
        (&nowhere, RENAME_FAILED),
        (&nowhere, RENAME_RESTORED),
    ] {
        let note = note(assessed(&perhaps_sent(change, "01:58:00"), now));
        assert!(note.contains("being renamed"), "{change}: {note}");
    }
    // It takes minutes, not hours; and what was never sent is not waited for.
    assert!(
        failed(assessed(&perhaps_sent(RENAME_RESTORED, "01:00:00"), &renaming_new)).contains("there is no checkout")
    );
    assert!(failed(assessed(&scope(), &renaming_new)).contains("there is no checkout"));
    let declined = SentOutcome::Declined { why: String::new(), body: Value::Null };
    let sent = Sent { change: RENAME_RESTORED.to_owned(), at: time("01:58:00"), outcome: declined };
    failed(assessed(&Scope { sent: vec![sent], ..scope() }, &renaming_new));
    // Still under its old name, it may not have been sent: the same again changes nothing, or is refused.
    let between = state(None, Some(new(NEW_NAME)), Some(old(OLD_NAME)));
    assert_eq!(ids(assessed(&perhaps_sent(RENAME_RESTORED, "01:58:00"), &between)), [RENAME_RESTORED]);
}

#[test]
fn what_never_shows_remains() {
    let late = |change| [accepted_at(change, "01:45:00")];
    let start = state(Some(old("checkout")), None, None);
    assert_eq!(ids(assessed(&start, &late(RESTORE))), WHOLE_DANCE);
    let restored = state(Some(old("checkout")), Some(new(NEW_NAME)), None);
    assert_eq!(ids(assessed(&restored, &late(RENAME_FAILED))), WHOLE_DANCE[1..3]);
    let between = state(None, Some(new(NEW_NAME)), Some(old(OLD_NAME)));
    assert_eq!(ids(assessed(&between, &late(RENAME_RESTORED))), WHOLE_DANCE[2..3]);
}

#[test]
fn settings_that_rds_does_not_take_are_named_and_hold_up_nothing() {
    let stubborn = Instance { settings: Settings { multi_az: Some(false), ..settings() }, ..new(NEW_NAME) };
    let now = state(Some(old("checkout")), Some(stubborn.clone()), None);
    let changes = changes(assessed(&now, &[accepted_at(CARRY, "01:45:00")]));
    assert_eq!(changes[0].id, RENAME_FAILED);
    assert_eq!(changes[1].title, format!("rename {NEW_NAME} to checkout (without its multi_az)"));
    // As long as they may still show, the names wait.
    assert!(note(assessed(&now, &[accepted_at(CARRY, "01:59:00")])).contains("do not show yet"));
    let swapped = state(Some(Instance { name: "checkout".to_owned(), ..stubborn }), None, Some(old(OLD_NAME)));
    let why = differs(assessed(&swapped, &[accepted_at(CARRY, "01:45:00")]));
    assert!(why.contains("multi_az: wanted true, found false"), "{why}");
}

#[test]
fn the_names_change_when_the_restored_one_is_steady() {
    let now = state(Some(old("checkout")), Some(new(NEW_NAME)), None);
    let steady = |since: &str| State { steady: Some(time(since)), ..now.clone() };
    assert!(note(assessed(&steady("02:00:00"), &[])).contains("looked at once more"));
    assert_eq!(ids(assessed(&steady("01:59:59"), &[]))[0], RENAME_FAILED);
    assert!(note(assessed(&now, &[accepted_at(CARRY, "01:59:20")])).contains("may be for a moment"));
    assert!(note(assessed(&now, &[accepted_at("add_role:s3Import", "01:59:20")])).contains("may be for a moment"));
    assert_eq!(ids(assessed(&now, &[accepted_at(CARRY, "01:59:10")]))[0], RENAME_FAILED);
    // What came after it has only just passed.
    let carried = [accepted_at(CARRY, "01:55:00")];
    assert!(note(assessed(&steady("01:59:20"), &carried)).contains("may be for a moment"));
    assert_eq!(ids(assessed(&steady("01:59:10"), &carried))[0], RENAME_FAILED);
    // A lost answer leaves no receipt.
    let lost = Sent { change: CARRY.to_owned(), at: time("01:59:20"), outcome: SentOutcome::Unknown };
    let lost = Scope { sent: vec![lost], ..scope() };
    let waits = assess(&lost, &from_snapshot(), "checkout", &now, None, &[]);
    assert!(note(waits).contains("may be for a moment"));
    let coming = Instance { modifying: true, ..new(NEW_NAME) };
    let coming = state(Some(old("checkout")), Some(coming), None);
    assert!(note(assessed(&coming, &carried)).contains("not in force yet"));
}

#[test]
fn what_rds_would_not_rename_is_found_before_anything_is_restored() {
    for status in ["stopped", "storage-full", "failed"] {
        let stuck = with_status(old("checkout"), status);
        let why = failed(assessed(&state(Some(stuck.clone()), None, None), &[]));
        assert!(why.contains(&format!("the instance checkout is {status}")), "{why}");
        failed(assessed(&state(Some(stuck), Some(new(NEW_NAME)), None), &[]));
    }
    let links = Links { deployments: vec!["green-day".to_owned()], ..Links::default() };
    let bound = State { links: Some(links), ..state(Some(old("checkout")), None, None) };
    assert!(failed(assessed(&bound, &[])).contains("blue/green deployment green-day"));
    let custom = Instance { engine: "custom-oracle-ee".to_owned(), ..old("checkout") };
    assert!(failed(assessed(&state(Some(custom), None, None), &[])).contains("RDS Custom renames no instance"));
}

#[test]
fn what_is_queued_comes_along_with_the_rename_and_is_told() {
    let queued = Instance { queued: vec!["engine version to 15.8".to_owned()], ..old("checkout") };
    let found = changes(assessed(&state(Some(queued), None, None), &[]));
    let applies = Effect::Applies { queued: vec!["engine version to 15.8".to_owned()] };
    assert!(found[1].effects.contains(&applies), "{:?}", found[1]);
}

#[test]
fn a_refused_restore_goes_without_what_was_refused() {
    let body = json!({ "settings": ["db_instance_class", "multi_az"], "named": ["multi_az"] });
    let declined = Sent {
        change: RESTORE.to_owned(),
        at: time("01:59:00"),
        outcome: SentOutcome::Declined { why: "no".to_owned(), body },
    };
    let now = state(Some(old("checkout")), None, None);
    let scope = Scope { sent: vec![declined], ..scope() };
    let found = changes(assess(&scope, &from_snapshot(), "checkout", &now, None, &[]));
    assert!(found[0].title.ends_with("; without multi_az, which RDS refused"), "{}", found[0].title);
    assert_eq!(found[0].after["settings"].get("multi_az"), None);
    let swapped = Instance { settings: Settings { multi_az: Some(false), ..settings() }, ..new("checkout") };
    let swapped = state(Some(swapped), None, Some(old(OLD_NAME)));
    let why = differs(assess(&scope, &from_snapshot(), "checkout", &swapped, None, &[]));
    assert!(why.contains("multi_az: wanted true, found false (RDS refused: no)"), "{why}");
}

#[test]
fn what_stays_behind_is_a_difference_that_the_plan_may_accept() {
    let attached = Attached { read_replicas: vec!["checkout-replica".to_owned()], ..Attached::default() };
    let mut replaced = Instance { attached, ..old(OLD_NAME) };
    replaced.settings.iam_database_authentication = Some(true);
    let mut back = new("checkout");
    back.settings.iam_database_authentication = Some(true);
    let swapped = state(Some(back), None, Some(replaced));
    let why = differs(assessed(&swapped, &[]));
    for expected in [
        "resource_id: was db-OLD, is db-NEW",
        "read_replicas: checkout-replica go on to replicate from checkout-failed-01k8abcd2345",
    ] {
        assert!(why.contains(expected), "{expected}: {why}");
    }
    let accepting = With { without: ["resource_id", "read_replicas"].map(ToOwned::to_owned).into(), ..from_snapshot() };
    assert_eq!(assess(&scope(), &accepting, "checkout", &swapped, None, &[]), Assessment::InPlace);
}

#[test]
fn what_the_plan_does_without_is_neither_given_nor_missed() {
    let with = With { without: ["multi_az", "tags"].map(ToOwned::to_owned).into(), ..from_snapshot() };
    let now = state(Some(old("checkout")), None, None);
    let found = changes(assess(&scope(), &with, "checkout", &now, None, &[]));
    assert_eq!(found[0].after["settings"].get("multi_az"), None);
    let mut other = Instance { settings: Settings { multi_az: Some(false), ..settings() }, ..new("checkout") };
    other.tags.remove("team");
    let swapped = state(Some(other), None, Some(old(OLD_NAME)));
    assert_eq!(assess(&scope(), &with, "checkout", &swapped, None, &[]), Assessment::InPlace);
}

fn differs(assessment: Assessment) -> String {
    match assessment {
        Assessment::Differs { why } => why,
        other => panic!("no difference: {other:?}"),
    }
}

#[test]
fn the_restored_instance_is_read_back() {
    let swapped = |new: Instance| state(Some(new), None, Some(old(OLD_NAME)));
    let good = || new("checkout");
    // Settings that only a restore can give, tags, and what waits for somebody.
    let elsewhere = Instance {
        settings: Settings { availability_zone: Some("eu-west-1c".to_owned()), ..settings() },
        tags: [(RUN_TAG.to_owned(), RUN.to_owned()), (STEP_TAG.to_owned(), "db_back".to_owned())].into(),
        pending: vec!["parameter group checkout-postgres15 is pending-reboot".to_owned()],
        ..good()
    };
    let mut now = swapped(elsewhere);
    now.failed.as_mut().unwrap().settings.availability_zone = Some("eu-west-1b".to_owned());
    let why = differs(assessed(&now, &[accepted_at(RENAME_RESTORED, "01:00:00")]));
    for expected in [
        "is not set as on checkout-failed-01k8abcd2345",
        "availability_zone: wanted eu-west-1b, found eu-west-1c",
        "tag team: wanted shop, found none",
        "pending: parameter group checkout-postgres15 is pending-reboot",
    ] {
        assert!(why.contains(expected), "{expected}: {why}");
    }
    // What was accepted a while ago may still come, and a look may lag behind.
    assert!(note(assessed(&now, &[accepted_at(RENAME_RESTORED, "01:55:00")])).contains("to come into force"));
    let lagging = Instance { settings: Settings { multi_az: None, ..settings() }, ..good() };
    assert!(
        note(assessed(&swapped(lagging.clone()), &[accepted(RENAME_RESTORED)])).contains("until its settings show")
    );
    differs(assessed(&swapped(lagging), &[accepted_at(RENAME_RESTORED, "01:58:00")]));
    // Nothing is left to compare with.
    let alone = Instance { settings: Settings::default(), ..good() };
    assert_eq!(assessed(&state(Some(alone), None, None), &[]), Assessment::InPlace);
}

#[test]
fn a_difference_that_no_call_can_change_holds_up_nothing() {
    let elsewhere = Instance {
        settings: Settings { availability_zone: Some("eu-west-1c".to_owned()), ..settings() },
        ..new(NEW_NAME)
    };
    let mut now = state(Some(old("checkout")), Some(elsewhere), None);
    now.instance.as_mut().unwrap().settings.availability_zone = Some("eu-west-1b".to_owned());
    assert_eq!(ids(assessed(&now, &[])), WHOLE_DANCE[1..3]);
}

#[test]
fn names_settings_tags_and_effects_are_those_of_the_run() {
    let attached = Attached {
        read_replicas: vec!["checkout-replica".to_owned()],
        roles: vec![Role { arn: "arn:aws:iam::111122223333:role/s3".to_owned(), feature: "s3Import".to_owned() }],
        ..Attached::default()
    };
    let now = state(Some(Instance { attached, ..old("checkout") }), None, None);
    let changes = changes(assessed(&now, &[]));
    assert!(changes.iter().all(|change| change.repeats == Repeats::Converges));
    let titles: Vec<&str> = changes.iter().map(|change| change.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            format!("restore {NEW_NAME} from snapshot checkout-pre, data of 2026-03-01T01:30:00Z"),
            format!("add the role arn:aws:iam::111122223333:role/s3 for s3Import to {NEW_NAME}"),
            format!(
                "rename checkout to {OLD_NAME} (kept, with its read replica checkout-replica, IAM role \
                 arn:aws:iam::111122223333:role/s3)"
            ),
            format!("rename {NEW_NAME} to checkout"),
            format!("set maintenance_window of {NEW_NAME} as on checkout"),
        ]
    );
    let kept: Vec<&str> = changes.iter().filter_map(|change| change.keeps.as_deref()).collect();
    assert_eq!(kept, [OLD_NAME]);
    assert_eq!(changes[0].effects, [Effect::LosesData { since: Some(time("01:30:00")) }]);
    for rename in &changes[2..4] {
        assert_eq!(rename.effects, [Effect::Outage { expected: changes::RENAME_EXPECTED }]);
        assert_eq!(rename.call, "rds:ModifyDBInstance");
    }
    let restore: Call = serde_json::from_value(changes[0].args.clone()).unwrap();
    assert_eq!(
        restore,
        Call::RestoreFromSnapshot {
            snapshot: "checkout-pre".to_owned(),
            name: NEW_NAME.to_owned(),
            settings: settings().split(RestoreKind::Snapshot, "postgres").0,
            tags: new(NEW_NAME).tags,
        }
    );
    let renamed: Call = serde_json::from_value(changes[3].args.clone()).unwrap();
    assert_eq!(renamed, Call::Rename { from: NEW_NAME.to_owned(), to: "checkout".to_owned() });
}

#[test]
fn before_images_stay_the_same_while_things_settle() {
    let before = |old_status: &str| {
        let now = state(Some(with_status(old("checkout"), old_status)), Some(new(NEW_NAME)), None);
        changes(assessed(&now, &[])).into_iter().map(|change| change.before).collect::<Vec<_>>()
    };
    assert_eq!(before("available"), before("storage-optimization"));
}

#[test]
fn a_baseline_comes_before_what_the_instance_is_now() {
    let mut baseline = state(Some(old("checkout")), None, None);
    let known_good = baseline.instance.as_mut().unwrap();
    known_good.settings.db_instance_class = Some("db.r6g.xlarge".to_owned());
    known_good.tags = [("team".to_owned(), "before".to_owned())].into();

    let now = state(Some(old("checkout")), None, None);
    let found = changes(assess(&scope(), &from_snapshot(), "checkout", &now, Some(&baseline), &[]));
    assert_eq!(found[0].after["settings"]["db_instance_class"], "db.r6g.xlarge");
    assert_eq!(found[0].after["tags"]["team"], "before");

    // In place, and then changed by somebody.
    let swapped = state(Some(new("checkout")), None, Some(old(OLD_NAME)));
    let found = changes(assess(&scope(), &from_snapshot(), "checkout", &swapped, Some(&baseline), &[]));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].title, "set db_instance_class of checkout as in the baseline");
    assert_eq!(found[0].before, json!({ "db_instance_class": "db.r6g.large" }));
}

#[test]
fn where_no_tags_are_kept_the_names_tell() {
    let untagged = |instance: Instance| Instance { tags: [].into(), ..instance };
    let swapped = state(Some(untagged(new("checkout"))), None, Some(untagged(old(OLD_NAME))));
    assert_eq!(assessed(&swapped, &[]), Assessment::InPlace);
    let restored = state(Some(untagged(old("checkout"))), Some(untagged(new(NEW_NAME))), None);
    assert_eq!(ids(assessed(&restored, &[])), WHOLE_DANCE[1..3]);
}

#[test]
fn an_emulator_that_copies_resource_ids_does_not_confuse() {
    let copy = Instance { resource_id: Some("db-OLD".to_owned()), created: Some(time("01:58:00")), ..new(NEW_NAME) };
    assert_eq!(ids(assessed(&state(Some(old("checkout")), Some(copy), None), &[])), WHOLE_DANCE[1..3]);
}

#[test]
fn somebody_elses_instances_are_left_alone() {
    let of_run = |run: &str, step: &str| {
        let mut instance = new(NEW_NAME);
        instance.tags.insert(RUN_TAG.to_owned(), run.to_owned());
        instance.tags.insert(STEP_TAG.to_owned(), step.to_owned());
        instance
    };
    let why = ambiguity(assessed(&state(Some(old("checkout")), Some(of_run("01k9another1", "db_back")), None), &[]));
    assert!(why.contains("made by run 01k9another1"), "{why}");
    let why = ambiguity(assessed(&state(Some(old("checkout")), Some(of_run(RUN, "shard_2_back")), None), &[]));
    assert!(why.contains("made by step shard_2_back of this run"), "{why}");

    let stranger = instance("checkout", "db-STRANGER");
    for restored in [None, Some(new(NEW_NAME))] {
        let why = ambiguity(assessed(&state(Some(stranger.clone()), restored, Some(old(OLD_NAME))), &[]));
        assert!(why.contains("now there is another checkout"), "{why}");
    }
}

#[test]
fn what_cannot_succeed_is_a_verdict() {
    let stuck = state(Some(old("checkout")), Some(with_status(new(NEW_NAME), "incompatible-parameters")), None);
    assert!(failed(assessed(&stuck, &[])).contains("repair its parameter group"));
    let broken = state(None, Some(with_status(new(NEW_NAME), "failed")), Some(old(OLD_NAME)));
    assert!(failed(assessed(&broken, &[])).contains("is failed"));
    assert!(failed(assessed(&state(None, None, None), &[])).contains("there is no instance checkout, and neither"));
    assert!(failed(assessed(&state(None, None, Some(old(OLD_NAME))), &[])).contains("kept as checkout-failed-"));
    let member = Instance { cluster: Some("aurora-1".to_owned()), ..old("checkout") };
    assert!(failed(assessed(&state(Some(member), None, None), &[])).contains("cluster aurora-1"));
}

#[test]
fn the_snapshot_has_to_be_there_and_available() {
    let with_snapshot = |snapshot| State { snapshot, ..state(Some(old("checkout")), None, None) };
    assert_eq!(failed(assessed(&with_snapshot(None), &[])), "there is no snapshot checkout-pre");
    assert!(failed(assessed(&with_snapshot(Some(snapshot("failed"))), &[])).contains("is failed"));
    match assessed(&with_snapshot(Some(snapshot("creating"))), &[]) {
        Assessment::Settling(progress) => assert_eq!(progress.fraction, Some(0.4)),
        other => panic!("{other:?}"),
    }
    // Once the restore has begun, it is not needed any more.
    let restored = State { snapshot: None, ..state(Some(old("checkout")), Some(new(NEW_NAME)), None) };
    assert_eq!(ids(assessed(&restored, &[])), WHOLE_DANCE[1..3]);
}

#[test]
fn groups_of_another_major_version_are_left_out_and_said() {
    let upgraded = Instance { engine_version: "16.1".to_owned(), ..old("checkout") };
    let found = changes(assessed(&state(Some(upgraded), None, None), &[]));
    assert_eq!(found[0].after["settings"].get("db_parameter_group"), None);
    assert!(found[0].title.contains("do not fit postgres 15.2"), "{}", found[0].title);
    assert_eq!(family("postgres", "15.4"), "15");
    assert_eq!(family("mysql", "8.0.35"), "8.0");
    assert_eq!(family("oracle-ee", "19"), "19");
}

#[test]
fn points_in_time_have_to_be_within_reach() {
    let now = state(Some(old("checkout")), None, None);
    let at = |time: &str| json!({ "time": format!("2026-03-01T{time}Z") });

    let found = changes(assessed_from(at("01:40:00"), &now));
    assert_eq!(found[0].call, "rds:RestoreDBInstanceToPointInTime");
    assert_eq!(found[0].effects, [Effect::LosesData { since: Some(time("01:40:00")) }]);
    let latest = changes(assessed_from(json!({ "time": "latest" }), &now));
    assert_eq!(latest[0].effects, [Effect::LosesData { since: Some(time("01:55:00")) }]);
    assert_eq!(latest[0].args["restore_to_point_in_time"]["time"], Value::Null);

    assert!(failed(assessed_from(at("03:00:00"), &now)).contains("in the future"));
    let late = State { earliest_restorable: Some(time("01:50:00")), ..now.clone() };
    assert!(failed(assessed_from(at("01:40:00"), &late)).contains("before 2026-03-01T01:50:00Z, the earliest"));
    // Logs are shipped about every five minutes.
    assert!(note(assessed_from(at("01:58:00"), &now)).contains("can be restored up to 2026-03-01T01:55:00Z"));
    let stale = Instance { latest_restorable: Some(time("01:00:00")), ..old("checkout") };
    let stale = state(Some(stale), None, None);
    assert!(failed(assessed_from(at("01:58:00"), &stale)).contains("has not happened for 30 minutes"));
    let no_backups = state(Some(Instance { latest_restorable: None, ..old("checkout") }), None, None);
    assert!(failed(assessed_from(at("01:40:00"), &no_backups)).contains("automated backups are off"));
}

#[test]
fn the_cutover_has_to_be_marked() {
    let now = state(Some(old("checkout")), None, None);
    let with = from(json!({ "time": "cutover" }));
    let why = failed(assess(&scope(), &with, "checkout", &now, None, &[]));
    assert!(why.contains("the cutover was not marked") && why.contains("name the time in `from`"), "{why}");
    // Arming comes before the mark.
    let arming = Scope { run: None, ..scope() };
    assert_eq!(changes(assess(&arming, &with, "checkout", &now, None, &[]))[0].id, "restore");
    let marked = Scope { cutover: Some(time("01:45:00")), ..scope() };
    let found = changes(assess(&marked, &with, "checkout", &now, None, &[]));
    assert_eq!(found[0].args["restore_to_point_in_time"]["time"], "2026-03-01T01:45:00Z");
}

#[test]
fn without_a_run_it_says_what_would_be_done() {
    let no_run = Scope { run: None, ..scope() };
    let now = state(Some(old("checkout")), None, None);
    let found = changes(assess(&no_run, &from_snapshot(), "checkout", &now, None, &[]));
    let whole: Vec<&str> = found.iter().map(|change| change.id.as_str()).collect();
    assert_eq!(whole, WHOLE_DANCE);
    assert_eq!(found[2].title, "rename checkout-restored-<run> to checkout");
    let none = assess(&no_run, &from_snapshot(), "checkout", &state(None, None, None), None, &[]);
    assert_eq!(failed(none), "there is no instance checkout");
}

#[test]
fn progress_tells_how_long_it_has_taken() {
    let creating = state(Some(old("checkout")), Some(with_status(new(NEW_NAME), "creating")), None);
    match assessed(&creating, &[accepted_at(RESTORE, "01:57:00")]) {
        Assessment::Settling(progress) => {
            assert_eq!(progress.note, format!("{NEW_NAME} is creating (3m of about 15m)"));
            assert_eq!(progress.expected_left_s, Some(12 * 60));
        }
        other => panic!("{other:?}"),
    }
}

/// What goes on record where the target holds.
fn said(assessment: Assessment) -> String {
    match assessment {
        Assessment::Over(Outcome { failure: None, report }) => report.output,
        other => panic!("it does not hold: {other:?}"),
    }
}

fn with_endpoint(keep: &str) -> With {
    let mut with = json!({ "instance": "checkout", "from": { "snapshot": "checkout-pre" }, "keep_endpoint": keep });
    if keep == "cname" {
        with["cname"] = json!({ "zone": "Z1", "record": "db.example.com" });
    }
    serde_json::from_value(with).unwrap()
}

fn record(value: &str, pending: bool) -> Found {
    let record =
        Record { kind: "CNAME".to_owned(), ttl_s: Some(60), values: vec![value.to_owned()], one_of_several: false };
    Found { zone: None, records: vec![record], pending }
}

#[test]
fn without_a_rename_the_restored_one_stays_beside() {
    let with = with_endpoint("none");
    let assessed = |now: &State, receipts: &[Receipt]| assess(&scope(), &with, "checkout", now, None, receipts);
    let found = changes(assessed(&state(Some(old("checkout")), None, None), &[]));
    let all: Vec<&str> = found.iter().map(|change| change.id.as_str()).collect();
    assert_eq!(all, [RESTORE, CARRY_AFTER]);
    assert!(
        found[0]
            .title
            .ends_with("; it stays beside checkout, at checkout-restored-01k8abcd2345.abc.eu-west-1.rds.amazonaws.com"),
        "{}",
        found[0].title
    );
    let creating = state(Some(old("checkout")), Some(with_status(new(NEW_NAME), "creating")), None);
    assert!(note(assessed(&creating, &[])).contains("is creating"));
    let answers =
        "checkout-restored-01k8abcd2345 answers at checkout-restored-01k8abcd2345.abc.eu-west-1.rds.amazonaws.com";
    assert_eq!(said(assessed(&state(Some(old("checkout")), Some(new(NEW_NAME)), None), &[])), answers);
    // Whatever becomes of the other.
    assert_eq!(said(assessed(&state(None, Some(new(NEW_NAME)), None), &[])), answers);
}

#[test]
fn a_record_is_pointed_at_the_restored_one() {
    let with = with_endpoint("cname");
    let endpoint = "checkout-restored-01k8abcd2345.abc.eu-west-1.rds.amazonaws.com";
    let at = |restored: Option<Instance>, found: Found| State {
        cname: Some(found),
        ..state(Some(old("checkout")), restored, None)
    };
    let assessed = |now: &State| assess(&scope(), &with, "checkout", now, None, &[]);
    let before = || record("checkout.abc.eu-west-1.rds.amazonaws.com", false);
    assert_eq!(ids(assessed(&at(None, before()))), [RESTORE, CARRY_AFTER, "point_cname"]);

    let found = changes(assessed(&at(Some(new(NEW_NAME)), before())));
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].title,
        format!("point db.example.com at {endpoint} (until now checkout.abc.eu-west-1.rds.amazonaws.com)")
    );
    let call: Call = serde_json::from_value(found[0].args.clone()).unwrap();
    let expected = Call::PointCname {
        zone: "Z1".to_owned(),
        record: "db.example.com".to_owned(),
        ttl_s: 60,
        endpoint: endpoint.to_owned(),
    };
    assert_eq!(call, expected);
    assert!(note(assessed(&at(Some(new(NEW_NAME)), record(endpoint, true)))).contains("not all name servers"));
    assert!(said(assessed(&at(Some(new(NEW_NAME)), record(endpoint, false)))).ends_with(endpoint));

    // Found out before hours are spent on a restore.
    let address = Found {
        zone: None,
        records: vec![Record { kind: "A".to_owned(), ..record("x", false).records.remove(0) }],
        pending: false,
    };
    assert!(failed(assessed(&at(None, address))).contains("has a record of type A"));
}

#[test]
fn the_newest_snapshot_goes_by_its_own_name() {
    let newest = json!({ "newest_snapshot": { "before": "2026-03-01T01:45:00Z" } });
    let automated = Snapshot { name: "rds:checkout-2026-03-01".to_owned(), ..snapshot("available") };
    let now = State { snapshot: Some(automated), ..state(Some(old("checkout")), None, None) };
    let found = changes(assessed_from(newest, &now));
    assert_eq!(found[0].args["restore_from_snapshot"]["snapshot"], "rds:checkout-2026-03-01");
    assert!(found[0].title.contains("from snapshot rds:checkout-2026-03-01, data of"), "{}", found[0].title);
}

#[test]
fn a_snapshot_of_another_engine_brings_only_what_it_can() {
    let of_mysql =
        Snapshot { engine: "mysql".to_owned(), engine_version: "8.0.35".to_owned(), ..snapshot("available") };
    let mut now = State { snapshot: Some(of_mysql), ..state(Some(old("checkout")), None, None) };
    now.instance.as_mut().unwrap().settings.license_model = Some("postgresql-license".to_owned());
    let found = changes(assessed(&now, &[]));
    assert!(found[0].title.contains("do not fit mysql 8.0.35"), "{}", found[0].title);
    assert_eq!(found[0].after["settings"].get("license_model"), None);
    assert_eq!(found[0].after["settings"]["db_instance_class"], "db.r6g.large");
}
