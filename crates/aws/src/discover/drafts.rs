//! Whatever an account contains by the rules of AWS, its draft is a plan: held against the actions and signals that plans can use.

use std::collections::BTreeSet;

use belay_aws_catalogue::{action_specs, signal_specs};
use belay_draft::{
    choice::Choice,
    inventory::{
        Alarm, Backups, Balancer, Database, Forwarder, ForwarderKind, GroupHealth, Inventory, Member, Record, Share,
        Snapshot, Source, Targets, dns_name,
    },
    text::draft,
};
use belay_plan::{
    catalogue::Catalogue,
    model::{Plan, Target},
};
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*};
use serde_json::Value;

const NAME: &str = "[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?";
const LABEL: &str = "([*][.])?([a-z0-9_]([a-z0-9_-]{0,8}[a-z0-9_])?[.]){1,3}[a-z]{2,5}[.]?";
/// Anything at all, with what breaks lines and turns directions.
const TEXT: &str = "[\\x00-\u{2030}]{1,12}|.{1,12}";

fn arn(kind: &str, rest: &str) -> String {
    format!("arn:aws:elasticloadbalancing:eu-west-1:111122223333:{kind}/{rest}")
}

fn record() -> impl Strategy<Value = Record> {
    let member = (TEXT, 0_u32..256, proptest::option::of(TEXT), any::<bool>());
    let member = member.prop_map(|(set_identifier, weight, leads_to, checked)| Member {
        set_identifier,
        weight,
        leads_to,
        health_check: checked.then(|| "hc-1".to_owned()),
    });
    let kinds = proptest::sample::select(vec!["A", "AAAA", "CNAME", "TXT", "SRV"]);
    (LABEL, "Z[A-Z0-9]{5,20}", kinds, vec(member, 1..4), TEXT).prop_map(|(name, zone, kind, members, zone_name)| {
        Record {
            zone,
            zone_name: Some(zone_name),
            private: false,
            name: dns_name(&name),
            kind: kind.to_owned(),
            members,
        }
    })
}

fn forwarder() -> impl Strategy<Value = Forwarder> {
    let share = (NAME, 0_u32..1_000);
    let share = share.prop_map(|(name, weight)| Share { arn: arn("targetgroup", &format!("{name}/1")), weight });
    let rule = proptest::option::of(1_u32..50_000);
    (NAME, rule, vec(share, 1..6), proptest::option::of(0_i64..700_000)).prop_map(|(name, rule, groups, sticky_s)| {
        let (kind, of) = match rule {
            None => (ForwarderKind::Listener, arn("listener/app", &format!("{name}/1/2"))),
            Some(priority) => (
                ForwarderKind::Rule { priority: Some(priority.to_string()) },
                arn("listener-rule/app", &format!("{name}/1/2/3")),
            ),
        };
        let balancer = arn("loadbalancer/app", &format!("{name}/1"));
        Forwarder { kind, arn: of, balancer, port: Some(443), protocol: Some("HTTPS".to_owned()), groups, sticky_s }
    })
}

fn database() -> impl Strategy<Value = Database> {
    let backups = (
        proptest::option::of(any::<bool>()),
        proptest::option::of("(rds:)?[a-z][a-z0-9-]{0,30}"),
        proptest::option::of(1_i64..300_000),
        proptest::option::of(TEXT),
        vec(TEXT, 0..2),
    );
    let backups =
        backups.prop_map(|(point_in_time, snapshot, backtrack_window_s, switches_back, other_side_of)| Backups {
            point_in_time,
            earliest_restorable: Some(Timestamp::UNIX_EPOCH),
            latest_restorable: None,
            snapshot: snapshot.map(|name| Snapshot { name, taken: Some(Timestamp::UNIX_EPOCH) }),
            backtrack_window_s,
            switches_back,
            other_side_of,
        });
    (any::<bool>(), "[A-Za-z](-?[A-Za-z0-9]){0,31}", TEXT, backups)
        .prop_map(|(cluster, name, engine, backups)| Database { cluster, name, engine, backups, ..Database::default() })
}

fn alarm() -> impl Strategy<Value = Alarm> {
    let name = "[^\\x00-\\x1f\\x7f]{1,80}"
        .prop_filter("an ARN is no name", |name| !name.starts_with("arn:") && !name.trim().is_empty());
    (name, TEXT, 0_u64..100_000, TEXT).prop_map(|(name, metric, looks_at_s, state)| Alarm {
        name,
        state: Some(state),
        metric: Some(metric),
        looks_at_s: Some(looks_at_s),
        ..Alarm::default()
    })
}

/// Every name of a resource that a plan contains: what belongs to these keys, and the members of its targets.
fn names(plan: &Plan) -> Vec<String> {
    const OF_RESOURCES: [&str; 9] =
        ["zone", "record", "listener", "rule", "instance", "cluster", "snapshot", "target_group", "alarm"];
    fn walk(value: &Value, names: &mut Vec<String>) {
        let Value::Object(entries) = value else { return };
        for (key, value) in entries {
            match value {
                Value::String(name) if OF_RESOURCES.contains(&key.as_str()) => names.push(name.clone()),
                other => walk(other, names),
            }
        }
    }
    let mut names = Vec::new();
    for step in plan.steps.values() {
        walk(&step.with, &mut names);
        if let Target::Explicit(Value::Object(members)) = &step.to {
            names.extend(members.keys().cloned());
        }
    }
    plan.signals.values().for_each(|signal| walk(&signal.spec, &mut names));
    names
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_draft_is_a_plan(
        records in vec(record(), 0..3),
        forwarders in vec(forwarder(), 0..3),
        databases in vec(database(), 0..3),
        alarms in vec(alarm(), 0..4),
        known in any::<bool>(),
        healthy in 0_usize..3,
        registered in proptest::option::of((vec(TEXT, 0..8), any::<bool>())),
    ) {
        // What acts on the same thing twice is no plan, and the same thing is not found twice.
        let once = |keys: Vec<String>| keys.len() == keys.iter().collect::<BTreeSet<_>>().len();
        prop_assume!(once(forwarders.iter().map(|found| found.arn.clone()).collect()));
        prop_assume!(once(databases.iter().map(|found| found.name.to_ascii_lowercase()).collect()));
        prop_assume!(once(records.iter().map(|found| format!("{} {} {}", found.zone, found.name, found.kind)).collect()));
        let shares = forwarders.iter().flat_map(|forwarder| &forwarder.groups);
        let health = shares.map(|share| (share.arn.clone(), GroupHealth { healthy, targets: 2 })).collect();
        let known_targets = forwarders.iter().flat_map(|forwarder| &forwarder.groups).filter_map(|share| {
            let (ids, by_hand) = registered.clone()?;
            Some((share.arn.clone(), Targets { ids, by_hand }))
        });
        let targets = known_targets.collect();
        let balancers = forwarders.iter().map(|forwarder| Balancer {
            arn: forwarder.balancer.clone(),
            name: "any".to_owned(),
            dns_name: records.first().and_then(|record| record.members[0].leads_to.clone()).unwrap_or_default(),
        });
        let inventory = Inventory {
            source: if known { Source::Account { at: Timestamp::UNIX_EPOCH } } else { Source::default() },
            account: known.then(|| "111122223333".to_owned()),
            region: known.then(|| "eu-west-1".to_owned()),
            balancers: balancers.collect(),
            health,
            records,
            forwarders,
            targets,
            databases,
            alarms,
            notes: Vec::new(),
        };
        let choice = Choice {
            records: (0..inventory.records.len()).collect(),
            forwarders: (0..inventory.forwarders.len()).collect(),
            databases: (0..inventory.databases.len()).collect(),
            alarms: (0..inventory.alarms.len()).collect(),
            left_out: Vec::new(),
        };
        let Some(draft) = draft(&inventory, &choice, None) else { return Ok(()) };
        let catalogue = Catalogue::new(action_specs(), signal_specs());
        let plan = match belay_plan::load("plan.yaml", &draft.text, &catalogue) {
            Ok(loaded) => loaded.plan,
            Err(errors) => panic!("{:#?}\n{}", errors.iter().map(|error| &error.message).collect::<Vec<_>>(), draft.text),
        };
        let seen = format!("{inventory:?}").to_lowercase();
        for name in names(&plan) {
            let quoted = format!("{name:?}").to_lowercase();
            prop_assert!(seen.contains(quoted.trim_matches('"')), "{} was not seen, and is in {}", name, draft.text);
        }
        let watched = plan.signals.values().filter_map(|signal| signal.spec["alarm"].as_str());
        let names: Vec<&str> = inventory.alarms.iter().map(|alarm| alarm.name.as_str()).collect();
        prop_assert_eq!(watched.collect::<Vec<_>>(), names, "{}", draft.text);
        let restorable = inventory.databases.iter().filter(|database| {
            let backups = &database.backups;
            let wound_back = database.cluster && backups.backtrack_window_s.is_some() && backups.other_side_of.is_empty();
            wound_back || backups.switches_back.is_some() || backups.point_in_time != Some(false) || backups.snapshot.is_some()
        });
        let by_hand = registered.is_some_and(|(ids, by_hand)| by_hand && !ids.is_empty());
        let groups: BTreeSet<&str> =
            inventory.forwarders.iter().filter_map(Forwarder::only_group).filter(|_| by_hand).collect();
        let moved = inventory.records.len() + inventory.forwarders.len() + groups.len();
        let (restored, people) = match restorable.count() {
            0 => (0, 0),
            restored => (restored, 2),
        };
        prop_assert_eq!(plan.steps.len(), moved + restored + people, "{}", draft.text);
    }
}
