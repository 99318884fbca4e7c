use std::sync::Arc;

use belay_core::change::BaselineEntry;
use belay_plan::model::Others;
use belay_ports::Stages;

use super::{
    actions::{Stickiness, WeightedGroup},
    *,
};
use crate::testing::{failed, proof, remaining, scope};

const LISTENER: &str =
    "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/checkout/50dc6c495c0c9188/f2f7dc8efc522ab2";

fn arn(name: &str) -> String {
    format!("arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/{name}/0123456789abcdef")
}

fn health(states: &[(&str, usize)]) -> GroupHealth {
    GroupHealth { states: states.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect() }
}

/// Attached groups with their weights, each with one healthy target, behind an authentication.
fn state(groups: &[(&str, u32)]) -> State {
    let weighted = groups.iter().map(|(name, weight)| WeightedGroup { arn: arn(name), weight: *weight }).collect();
    let authenticate =
        serde_json::from_value(json!({"type": "jwt-validation", "order": 1, "jwt": {"additional_claims": []}}))
            .unwrap();
    let forward = Action {
        kind: "forward".to_owned(),
        order: Some(2),
        forward: Some(Forward { groups: weighted, stickiness: None }),
        ..Action::default()
    };
    let groups = groups.iter().map(|(name, _)| (arn(name), health(&[("healthy", 1)]))).collect();
    State { actions: vec![authenticate, forward], groups }
}

fn with() -> With {
    With::Listener(LISTENER.to_owned())
}

fn to_explicit(now: &State, to: Value, others: Option<Others>) -> Assessment {
    assess(&scope(json!({}), Some(to), others), &with(), now, None).unwrap()
}

fn to_baseline(now: &State, baseline: &State) -> Assessment {
    assess(&scope(json!({}), None, None), &with(), now, Some(baseline)).unwrap()
}

#[test]
fn one_change_writes_the_whole_list_back_with_other_weights() {
    let now = state(&[("blue", 0), ("green", 100)]);
    let to = json!({"blue": 100, arn("green"): 0});
    let change = remaining(to_explicit(&now, to, None));
    assert_eq!(change.title, "listener checkout/f2f7dc8efc522ab2: blue 0 -> 100, green 100 -> 0");
    assert_eq!((&change.before, &change.after), (&json!({"blue": 0, "green": 100}), &json!({"blue": 100, "green": 0})));
    assert_eq!(change.call, "elasticloadbalancing:ModifyListener");
    let args = Args::deserialize(&change.args).unwrap();
    assert_eq!(args.actions, state(&[("blue", 100), ("green", 0)]).actions);
    assert_eq!(*proof(&change, "blue"), Proof::Healthy { evidence: "1 of 1 targets healthy".to_owned() });
}

#[test]
fn a_target_that_holds_is_in_place() {
    let now = state(&[("blue", 100), ("green", 0)]);
    assert_eq!(to_explicit(&now, json!({"blue": 100, "green": 0}), None), Assessment::InPlace);
    assert_eq!(to_baseline(&now, &now), Assessment::InPlace);
    // Detached at weight zero is the same traffic.
    assert_eq!(to_baseline(&state(&[("blue", 100)]), &now), Assessment::InPlace);
}

#[test]
fn a_group_that_was_detached_is_attached_again() {
    let mut now = state(&[("green", 100)]);
    now.groups.insert(arn("blue"), health(&[("unused: no listener forwards to the group", 2)]));
    let change = remaining(to_baseline(&now, &state(&[("blue", 100), ("green", 0)])));
    assert_eq!(change.after, json!({"blue": 100, "green": 0}));
    assert!(matches!(proof(&change, "blue"), Proof::None { .. }));
    let added = Args::deserialize(&change.args).unwrap().actions[1].forward.clone().unwrap();
    assert_eq!(added.groups[1], WeightedGroup { arn: arn("blue"), weight: 100 });
}

#[test]
fn a_group_that_does_not_exist_is_a_verdict() {
    let now = state(&[("green", 100)]);
    assert!(failed(to_explicit(&now, json!({"blue": 0, "green": 100}), None)).contains("no target group blue"));
    failed(to_baseline(&now, &state(&[("blue", 100), ("green", 0)])));
}

#[test]
fn more_than_five_groups_are_a_verdict() {
    let names = ["a", "b", "c", "d", "e"].map(|name| (name, 1));
    let mut now = state(&names);
    now.groups.insert(arn("f"), health(&[]));
    assert!(failed(to_explicit(&now, json!({"f": 1}), Some(Others::Keep))).contains("at most 5"));
}

#[test]
fn what_does_not_forward_has_no_weights() {
    let redirect = serde_json::from_value(json!({"type": "redirect", "redirect": {}})).unwrap();
    let now = State { actions: vec![redirect], groups: BTreeMap::new() };
    assert!(failed(to_explicit(&now, json!({"blue": 1}), None)).contains("does not forward"));
}

#[test]
fn an_action_that_is_not_understood_is_not_overwritten() {
    let mut now = state(&[("blue", 0), ("green", 100)]);
    now.actions[0].kind = "teleport".to_owned();
    assert!(failed(to_explicit(&now, json!({"blue": 100, "green": 0}), None)).contains("teleport"));
}

#[test]
fn stickiness_is_told_and_kept() {
    let mut now = state(&[("blue", 0), ("green", 100)]);
    let stickiness = Some(Stickiness { enabled: Some(true), duration_s: Some(3_600) });
    now.actions[1].forward.as_mut().unwrap().stickiness = stickiness.clone();
    let change = remaining(to_explicit(&now, json!({"blue": 100, "green": 0}), None));
    assert!(
        change.title.ends_with("(stickiness keeps clients with their present group for up to 1h)"),
        "{}",
        change.title
    );
    assert_eq!(Args::deserialize(&change.args).unwrap().actions[1].forward.as_ref().unwrap().stickiness, stickiness);
}

#[test]
fn the_groups_of_the_target_are_observed_too() {
    let named = target_groups(&scope(json!({}), Some(json!({"blue": 1, "green": 0})), None)).unwrap();
    assert_eq!(named, ["blue", "green"]);
    let mut back = scope(json!({}), None, None);
    assert_eq!(target_groups(&back).unwrap(), Vec::<String>::new());
    let doc = serde_json::to_value(state(&[("blue", 100)])).unwrap();
    back.baseline = Some(BaselineEntry { action: ACTION.to_owned(), resource: format!("alb:{LISTENER}"), doc });
    assert_eq!(target_groups(&back).unwrap(), [arn("blue")]);
}

#[test]
fn a_group_is_named_once() {
    let to = json!({"blue": 1, arn("blue"): 0});
    assert_eq!(check(&json!({}), Some(&to)).len(), 1);
    assert!(check(&json!({}), Some(&json!({"blue": 1, "green": 0}))).is_empty());
}

#[test]
fn only_the_modification_is_scoped_to_the_listener() {
    let aws = crate::testing::nowhere();
    let statements = AlbForward::new(aws).permissions(&scope(json!({}), None, None), &with());
    let mutating: Vec<_> = statements.iter().filter(|statement| statement.mutates).collect();
    assert_eq!(mutating.len(), 1);
    assert_eq!(
        (mutating[0].action.as_str(), mutating[0].resource.as_str()),
        ("elasticloadbalancing:ModifyListener", LISTENER)
    );
}

#[test]
fn traffic_moves_in_stages() {
    let (cut_over, back) = (state(&[("blue", 0), ("green", 999)]), state(&[("blue", 999), ("green", 0)]));
    let staged = |ahead: &[u32], before: Option<&State>| Scope {
        stages: Some(Stages { ahead: ahead.to_vec(), before: before.map(|before| Arc::new(json!(before))) }),
        ..scope(json!({}), None, None)
    };
    let assess = |scope: &Scope, now: &State| assess(scope, &with(), now, Some(&back)).unwrap();
    let Assessment::Remaining(changes) = assess(&staged(&[50, 100], None), &cut_over) else { panic!("changes") };
    let after: Vec<_> = changes.iter().map(|change| (change.id.as_str(), change.after.clone())).collect();
    assert_eq!(after[0], ("forward_50", json!({"blue": 500, "green": 500})));
    assert_eq!(after[1], ("forward", json!({"blue": 999, "green": 0})));
    let half = state(&[("blue", 500), ("green", 500)]);
    assert_eq!(assess(&staged(&[50, 100], Some(&cut_over)), &half), Assessment::InPlace);
    assert_eq!(remaining(assess(&staged(&[100], Some(&cut_over)), &half)).id, "forward");
}
