use std::sync::Arc;

use belay_aws_catalogue::elbv2::forward::{ACTION, spec};
use belay_core::{
    change::{BaselineEntry, Effect, Proof},
    id::RunId,
};
use belay_plan::{catalogue::Finding, model::Others};
use belay_ports::{CheckVerdict, Stages};

use super::{
    actions::{
        Stickiness,
        forward::{WeightedGroup, Written},
    },
    *,
};
use crate::testing::{Still, failed, nowhere, proof, remaining, scope};

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
    let weighted =
        groups.iter().map(|(name, weight)| WeightedGroup { arn: arn(name), weight: Some(*weight) }).collect();
    let authenticate =
        serde_json::from_value(json!({"type": "jwt-validation", "order": 1, "jwt": {"additional_claims": []}}))
            .unwrap();
    let forward = Action {
        kind: "forward".to_owned(),
        order: Some(2),
        forward: Some(Forward { groups: weighted, stickiness: None, written: Written::ForwardConfig }),
        ..Action::default()
    };
    let groups = groups.iter().map(|(name, _)| (arn(name), health(&[("healthy", 1)]))).collect();
    State { arn: LISTENER.to_owned(), actions: vec![authenticate, forward], groups, ..State::default() }
}

/// So many seconds into the test.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn with() -> With {
    With::deserialize(&json!({ "listener": LISTENER })).unwrap()
}

fn to_explicit(now: &State, to: Value, others: Option<Others>) -> Assessment {
    assess(&scope(json!({}), Some(to), others), &with(), now, None, &[]).unwrap()
}

fn to_baseline(now: &State, baseline: &State) -> Assessment {
    assess(&scope(json!({}), None, None), &with(), now, Some(baseline), &[]).unwrap()
}

fn sent(change: &Change) -> Vec<Action> {
    Args::deserialize(&change.args).unwrap().actions
}

#[test]
fn one_change_writes_the_whole_list_back_with_other_weights() {
    let now = state(&[("blue", 0), ("green", 100)]);
    let to = json!({"blue": 100, arn("green"): 0});
    let change = remaining(to_explicit(&now, to, None));
    assert_eq!(change.title, "listener checkout/f2f7dc8efc522ab2: blue 0 -> 100, green 100 -> 0");
    assert_eq!((&change.before, &change.after), (&json!({"blue": 0, "green": 100}), &json!({"blue": 100, "green": 0})));
    assert_eq!(change.call, "elasticloadbalancing:ModifyListener");
    assert_eq!(sent(&change), state(&[("blue", 100), ("green", 0)]).actions);
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
    let sent = sent(&change)[1].forward.clone().unwrap();
    // In the order of the baseline.
    assert_eq!(sent.groups[0], WeightedGroup { arn: arn("blue"), weight: Some(100) });
}

#[test]
fn a_group_that_does_not_exist_is_a_verdict() {
    let now = state(&[("green", 100)]);
    assert!(failed(to_explicit(&now, json!({"blue": 0, "green": 100}), None)).contains("no target group blue"));
    failed(to_baseline(&now, &state(&[("blue", 100), ("green", 0)])));
}

#[test]
fn a_listener_that_was_made_anew_since_arming_is_left_to_a_person() {
    let baseline = state(&[("blue", 100), ("green", 0)]);
    let now = State { arn: format!("{LISTENER}0"), ..state(&[("blue", 0), ("green", 100)]) };
    let Assessment::Ambiguous { why } = to_baseline(&now, &baseline) else { panic!("a person has to decide") };
    assert!(why.contains(&format!("{LISTENER} when the plan was armed and is {LISTENER}0 now")), "{why}");
    // A baseline of an older Belay does not hold the ARN.
    let old = State { arn: String::new(), ..baseline };
    assert!(matches!(to_baseline(&now, &old), Assessment::Remaining(_)));
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
    let now = State { actions: vec![redirect], ..State::default() };
    assert!(failed(to_explicit(&now, json!({"blue": 1}), None)).contains("does not forward"));
}

#[test]
fn an_action_that_is_not_understood_is_not_overwritten() {
    let mut now = state(&[("blue", 0), ("green", 100)]);
    now.actions[0].strange = Some("it is of the type \"teleport\"".to_owned());
    assert!(failed(to_explicit(&now, json!({"blue": 100, "green": 0}), None)).contains("teleport"));
    // At arming too, where nothing is to be done yet.
    assert!(failed(to_baseline(&now, &now)).contains("teleport"));
    let newer = State { unknown: BTreeSet::from(["Sharding".to_owned()]), ..state(&[("blue", 0), ("green", 100)]) };
    assert!(failed(to_explicit(&newer, json!({"blue": 100, "green": 0}), None)).contains("would erase: Sharding"));
}

#[test]
fn stickiness_is_told_and_kept() {
    let mut now = state(&[("blue", 0), ("green", 100)]);
    make_sticky(&mut now, true);
    let change = remaining(to_explicit(&now, json!({"blue": 100, "green": 0}), None));
    assert!(
        change.title.ends_with("(stickiness keeps clients with their present group for up to 1h)"),
        "{}",
        change.title
    );
    assert_eq!(sent(&change)[1].forward.as_ref().unwrap().stickiness, stickiness(true));
}

fn stickiness(on: bool) -> Option<Stickiness> {
    Some(Stickiness { enabled: Some(on), duration_s: on.then_some(3_600) })
}

fn make_sticky(state: &mut State, on: bool) {
    state.actions[1].forward.as_mut().unwrap().stickiness = stickiness(on);
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
    let check = |to| (spec().check)(&json!({}), Some(&to));
    assert_eq!(check(to).len(), 1);
    assert_eq!(check(json!({"blue": 1, "green": 0})), Vec::<Finding>::new());
}

fn mutating(with: Value) -> Vec<(String, String)> {
    let aws = AlbForward::new(nowhere(), Arc::new(Still { wakes: false }));
    let with = With::deserialize(&with).unwrap();
    let statements = aws.permissions(&scope(json!({}), None, None), &with).into_iter();
    statements.filter(|statement| statement.mutates).map(|statement| (statement.action, statement.resource)).collect()
}

#[test]
fn only_the_modification_is_scoped_to_the_listener() {
    let modify = |what: &str, resource: &str| (format!("elasticloadbalancing:Modify{what}"), resource.to_owned());
    assert_eq!(mutating(json!({ "listener": LISTENER })), [modify("Listener", LISTENER)]);
    let named = json!({ "load_balancer": "checkout", "port": 443 });
    let own = |what: &str| format!("arn:aws:elasticloadbalancing:eu-west-1:111122223333:{what}/checkout/*");
    let either = [modify("Listener", &own("listener/app")), modify("Listener", &own("listener/net"))];
    assert_eq!(mutating(json!({ "listener": named })), either);
    let rule = json!({ "load_balancer": "checkout", "port": 443, "priority": 10 });
    let either = [modify("Rule", &own("listener-rule/app")), modify("Rule", &own("listener-rule/net"))];
    assert_eq!(mutating(json!({ "rule": rule })), either);
}

/// The list of actions is written back whole.
#[test]
fn the_client_of_an_authentication_by_cognito_may_be_looked_up() {
    let pool = "arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_abc";
    let cognito = types::AuthenticateCognitoActionConfig::builder().user_pool_arn(pool);
    let cognito = cognito.user_pool_client_id("c").user_pool_domain("d").build();
    let kind = types::ActionTypeEnum::AuthenticateCognito;
    let action = types::Action::builder().r#type(kind).authenticate_cognito_config(cognito).build();
    let baseline = State { actions: vec![Action::from_aws(action)], ..state(&[("blue", 1)]) };
    let asked = |baseline: &State| {
        let doc = serde_json::to_value(baseline).unwrap();
        let entry = BaselineEntry { action: ACTION.to_owned(), resource: LISTENER.to_owned(), doc };
        let scope = Scope { baseline: Some(entry), ..scope(json!({}), None, None) };
        let with = With::deserialize(json!({ "listener": LISTENER })).unwrap();
        let alb = AlbForward::new(nowhere(), Arc::new(Still { wakes: false }));
        let all = alb.permissions(&scope, &with).into_iter();
        all.filter(|asked| asked.action.starts_with("cognito-idp:")).map(|asked| asked.resource).collect::<Vec<_>>()
    };
    assert_eq!(asked(&baseline), [pool]);
    assert_eq!(asked(&state(&[("blue", 1)])), [""; 0]);
}

#[test]
fn the_resource_is_what_the_plan_names() {
    let resource = |with: Value| (spec().resource)(&with);
    assert_eq!(resource(json!({ "listener": LISTENER, "stickiness": "suspend" })), format!("alb:{LISTENER}"));
    let listener = json!({ "load_balancer": "resolver", "port": 53, "protocol": "UDP" });
    assert_eq!(resource(json!({ "listener": listener })), "alb:listener/resolver:53/UDP");
    let rule = json!({ "load_balancer": "checkout", "port": 443, "priority": 10 });
    assert_eq!(resource(json!({ "rule": rule })), "alb:rule/checkout:443/10");
}

#[test]
fn the_sixth_group_makes_room_for_those_of_the_baseline() {
    let then = state(&["a", "b", "c", "d", "e"].map(|name| (name, 1)));
    let mut now = state(&["a", "b", "c", "d", "new"].map(|name| (name, u32::from(name == "new"))));
    now.groups.insert(arn("e"), health(&[("healthy", 1)]));
    let change = remaining(to_baseline(&now, &then));
    assert_eq!(sent(&change), then.actions);
}

#[test]
fn what_somebody_changed_beside_the_weights_is_told_and_left() {
    let then = state(&[("blue", 100), ("green", 0)]);
    let mut now = state(&[("blue", 0), ("green", 100)]);
    now.actions[0].order = Some(7);
    make_sticky(&mut now, true);
    let change = remaining(to_baseline(&now, &then));
    assert!(
        change.title.ends_with("changed since the baseline, and left as it is: jwt-validation, stickiness)"),
        "{}",
        change.title
    );
    assert_eq!(sent(&change)[0], now.actions[0]);
    assert_eq!(sent(&change)[1].forward.as_ref().unwrap().stickiness, stickiness(true));
}

/// The steps of a swap with `stickiness: suspend`, as the state before, the receipts and the time have it.
struct Suspending {
    before: Option<State>,
    receipts: Vec<Receipt>,
    timeout: Duration,
    run: bool,
    stages: Option<Vec<u32>>,
}

impl Suspending {
    fn begun() -> Self {
        let before = sticky_state(0, true);
        Self {
            before: Some(before),
            receipts: Vec::new(),
            timeout: Duration::from_secs(7_200),
            run: true,
            stages: None,
        }
    }

    fn receipt(mut self, change: &str, seconds: i64) -> Self {
        self.receipts.push(Receipt { change: change.to_owned(), at: at(seconds), body: Value::Null });
        self
    }

    fn assess(&self, now: &State) -> Assessment {
        let with = With::deserialize(&json!({ "listener": LISTENER, "stickiness": "suspend" })).unwrap();
        let scope = Scope {
            before: self.before.as_ref().map(|before| Arc::new(serde_json::to_value(before).unwrap())),
            timeout: self.timeout,
            stages: self.stages.clone().map(|ahead| Stages { ahead }),
            run: self.run.then(|| RunId("01k8abcd2345".to_owned())),
            ..scope(json!({}), Some(json!({"blue": 100, "green": 0})), None)
        };
        assess(&scope, &with, now, None, &self.receipts).unwrap()
    }
}

fn sticky_state(blue: u32, on: bool) -> State {
    let mut state = state(&[("blue", blue), ("green", 100 - blue)]);
    make_sticky(&mut state, on);
    state
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

#[test]
fn the_swap_switches_stickiness_off_and_a_second_change_puts_it_back() {
    let begun = Suspending { before: None, ..Suspending::begun() };
    let planned = changes(begun.assess(&sticky_state(0, true)));
    assert_eq!(sent(&planned[0])[1].forward.as_ref().unwrap().stickiness, stickiness(false));
    assert_eq!(planned[0].after, json!({"blue": 100, "green": 0}));
    assert!(planned[0].title.contains("stickiness is switched off"), "{}", planned[0].title);
    assert_eq!(planned[0].expected, Duration::from_secs(3_605));
    assert_eq!((planned[1].id.as_str(), planned[1].effects.as_slice()), ("stickiness", &[] as &[Effect]));
    // What is sent last is what was there, but for the weights.
    let swapped = Suspending::begun().receipt("forward", 10);
    let late = State { looked: Some(at(10 + 3_606)), ..sticky_state(100, false) };
    let back = remaining(swapped.assess(&late));
    assert_eq!(sent(&back), sticky_state(100, true).actions);
    assert_eq!(swapped.receipt("stickiness", 3_620).assess(&sticky_state(100, true)), Assessment::InPlace);
}

#[test]
fn stickiness_stays_off_until_the_old_cookies_have_run_out() {
    let swapped = Suspending::begun().receipt("forward", 10);
    for (seconds, left) in [(10, 3_605), (1_810, 1_805), (3_614, 1)] {
        let now = State { looked: Some(at(seconds)), ..sticky_state(100, false) };
        let Assessment::Settling(progress) = swapped.assess(&now) else { panic!("settling at {seconds}") };
        assert_eq!(progress.expected_left_s, Some(left));
        assert!(progress.note.starts_with("stickiness is off until 1970-01-12T14:46:55Z"), "{}", progress.note);
    }
    let now = State { looked: Some(at(3_615)), ..sticky_state(100, false) };
    assert_eq!(ids(swapped.assess(&now)), ["stickiness"]);
}

#[test]
fn after_a_lost_answer_the_time_counts_from_an_answer() {
    let lost = Suspending::begun();
    let now = State { looked: Some(at(9_999)), ..sticky_state(100, false) };
    let planned = changes(lost.assess(&now));
    assert_eq!(planned.iter().map(|change| change.id.as_str()).collect::<Vec<_>>(), ["again", "stickiness"]);
    assert_eq!(sent(&planned[0]), now.actions);
    let answered = lost.receipt("again", 9_999);
    assert!(matches!(answered.assess(&now), Assessment::Settling(_)));
    let late = State { looked: Some(at(9_999 + 3_605)), ..now };
    assert_eq!(ids(answered.assess(&late)), ["stickiness"]);
}

#[test]
fn what_an_earlier_run_left_off_is_as_the_baseline_has_it_in_the_end() {
    let with = With::deserialize(&json!({ "listener": LISTENER, "stickiness": "suspend" })).unwrap();
    let scope = Scope { timeout: Duration::from_secs(7_200), ..scope(json!({}), None, None) };
    let found = assess(&scope, &with, &sticky_state(100, false), Some(&sticky_state(100, true)), &[]).unwrap();
    assert_eq!(ids(found), ["again", "stickiness"]);
    // Nothing to suspend, nothing to wait for.
    let found = assess(&scope, &with, &sticky_state(0, false), Some(&sticky_state(100, false)), &[]).unwrap();
    assert_eq!(ids(found), ["forward"]);
}

#[test]
fn a_timeout_that_is_too_short_for_the_cookies_is_told_before_anything_runs() {
    let short = Suspending { timeout: Duration::from_secs(300), run: false, before: None, ..Suspending::begun() };
    // At arming the weights are as they shall be.
    for now in [sticky_state(0, true), sticky_state(100, true)] {
        let why = failed(short.assess(&now));
        assert!(why.contains("its timeout is 5m: give it `timeout: 1h5m`") && why.contains("keep"), "{why}");
    }
    // Once it runs, the traffic comes first.
    let running = Suspending { run: true, ..short };
    assert_eq!(ids(running.assess(&sticky_state(0, true))), ["forward", "stickiness"]);
}

#[test]
fn stickiness_without_a_duration_cannot_be_suspended() {
    let mut now = sticky_state(0, true);
    now.actions[1].forward.as_mut().unwrap().stickiness = Some(Stickiness { enabled: Some(true), duration_s: None });
    let asked = Suspending { run: false, before: None, ..Suspending::begun() };
    assert!(failed(asked.assess(&now)).contains("`stickiness: keep`"));
}

#[test]
fn traffic_moves_in_stages() {
    let (cut_over, back) = (state(&[("blue", 0), ("green", 999)]), state(&[("blue", 999), ("green", 0)]));
    let staged = |ahead: &[u32], before: Option<&State>| Scope {
        stages: Some(Stages { ahead: ahead.to_vec() }),
        before: before.map(|before| Arc::new(json!(before))),
        ..scope(json!({}), None, None)
    };
    let assess = |scope: &Scope, now: &State| assess(scope, &with(), now, Some(&back), &[]).unwrap();
    let Assessment::Remaining(changes) = assess(&staged(&[50, 100], None), &cut_over) else { panic!("changes") };
    let after: Vec<_> = changes.iter().map(|change| (change.id.as_str(), change.after.clone())).collect();
    assert_eq!(after[0], ("forward_50", json!({"blue": 500, "green": 500})));
    assert_eq!(after[1], ("forward", json!({"blue": 999, "green": 0})));
    let half = state(&[("blue", 500), ("green", 500)]);
    assert_eq!(assess(&staged(&[50, 100], Some(&cut_over)), &half), Assessment::InPlace);
    assert_eq!(remaining(assess(&staged(&[100], Some(&cut_over)), &half)).id, "forward");
}

#[test]
fn in_stages_stickiness_is_off_from_the_first_and_back_after_the_last() {
    let staged = |ahead: &[u32]| Suspending { stages: Some(ahead.to_vec()), ..Suspending::begun() };
    let cut_over = sticky_state(0, true);
    let planned = changes(staged(&[50, 100]).assess(&cut_over));
    let sticky: Vec<_> =
        planned.iter().map(|change| sent(change)[1].forward.as_ref().unwrap().sticky().is_some()).collect();
    assert_eq!(sticky, [false, false, true]);
    assert_eq!(planned.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), ["forward_50", "forward", "stickiness"]);
    let first = Args::deserialize(&planned[0].args).unwrap();
    let on_the_way = State { actions: first.actions, ..cut_over };
    assert_eq!(staged(&[50, 100]).receipt("forward_50", 1).assess(&on_the_way), Assessment::InPlace);
    assert_eq!(ids(staged(&[100]).receipt("forward_50", 1).assess(&on_the_way)), ["forward", "stickiness"]);
}

/// The baseline: blue carries all with four targets. Now: green does, with two.
fn ready(now: &State) -> Vec<(String, CheckVerdict)> {
    let mut baseline = state(&[("blue", 1), ("green", 0)]);
    baseline.groups.insert(arn("blue"), health(&[("healthy", 4)]));
    let checks = readiness::checks(&scope(json!({}), None, None), &with(), now, Some(&baseline));
    checks.into_iter().map(|check| (check.id, check.verdict)).collect()
}

fn cut_over(blue: &[(&str, usize)]) -> State {
    let mut now = state(&[("blue", 0), ("green", 1)]);
    now.groups.insert(arn("blue"), health(blue));
    now.groups.insert(arn("green"), health(&[("healthy", 2)]));
    now
}

#[test]
fn a_destination_that_could_not_carry_the_traffic_is_found_beforehand() {
    let found = |checks: &[(&str, CheckVerdict)]| -> Vec<(String, CheckVerdict)> {
        checks.iter().map(|(id, verdict)| ((*id).to_owned(), *verdict)).collect()
    };
    let go = CheckVerdict::Go;
    assert_eq!(ready(&cut_over(&[("healthy", 2)])), found(&[("destination", go), ("capacity", go)]));
    // The old side was scaled to one instance after the cutover.
    let scaled = ready(&cut_over(&[("healthy", 1)]));
    assert_eq!(scaled, found(&[("destination", go), ("capacity", CheckVerdict::NoGo)]));
    // So it is when the new side is sick, which is when the rollback comes.
    let mut sick = cut_over(&[("healthy", 1), ("unhealthy: Target.Timeout", 3)]);
    sick.groups.insert(arn("green"), health(&[("unhealthy: Target.Timeout", 2)]));
    assert_eq!(ready(&sick), scaled);
    // Where the new side has no targets at all, what was healthy at the baseline is the measure.
    sick.groups.insert(arn("green"), health(&[]));
    assert_eq!(ready(&sick), scaled);
    let mut uncounted = state(&[("blue", 1)]);
    uncounted.groups.insert(arn("blue"), health(&[]));
    let checks = readiness::checks(&scope(json!({}), None, None), &with(), &sick, Some(&uncounted));
    let unknown = checks.iter().find(|check| check.id == "capacity").unwrap();
    assert_eq!(unknown.verdict, CheckVerdict::Warn);
    assert!(
        unknown.found.contains("how many the traffic needs is not known: green, which carries it now"),
        "{unknown:?}"
    );
    let sick = ready(&cut_over(&[("unhealthy: Target.Timeout", 4)]));
    assert_eq!(sick, found(&[("destination", CheckVerdict::NoGo)]));
    let detached = ready(&cut_over(&[("unused: no listener forwards to the group", 4)]));
    assert_eq!(detached, found(&[("destination", CheckVerdict::Warn)]));
    let mut sticky = cut_over(&[("healthy", 4)]);
    make_sticky(&mut sticky, true);
    let sticky = ready(&sticky);
    assert_eq!(sticky, found(&[("destination", go), ("capacity", go), ("stickiness", CheckVerdict::Warn)]));
}

#[test]
fn before_the_cutover_a_destination_is_held_against_itself() {
    let mut now = state(&[("blue", 1), ("green", 0)]);
    now.groups.insert(arn("blue"), health(&[("healthy", 3)]));
    let verdicts: Vec<CheckVerdict> = ready(&now).into_iter().map(|(_, verdict)| verdict).collect();
    assert_eq!(verdicts, [CheckVerdict::Go, CheckVerdict::Go], "scaling in by night is no defect");
}
