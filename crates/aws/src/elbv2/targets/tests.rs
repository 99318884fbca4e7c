use std::sync::Arc;

use belay_aws_catalogue::elbv2::{
    target::Address,
    targets::{ACTION, spec},
};
use belay_core::{
    change::{BaselineEntry, Effect, Proof},
    id::RunId,
    proof::{self, Verdict},
};
use belay_plan::model::Others;
use serde_json::{Value, json};

use super::*;
use crate::{
    elbv2::health::{NOT_ATTACHED, ZONE_NOT_ENABLED},
    testing::{Still, failed, nowhere, remaining, scope},
};

const ARN: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/blue/0123456789abcdef";
const HEALTHY: &str = "healthy";
const INITIAL: &str = "initial: Elb.InitialHealthChecking";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn target(id: &str, state: &str) -> Target {
    let address = Address { id: id.to_owned(), port: Some(80) };
    Target { registration: Registration { address, zone: None, quic_server_id: None }, state: state.to_owned() }
}

/// A group of instances at port 80.
fn group(targets: &[(&str, &str)]) -> State {
    State {
        looked: None,
        arn: ARN.to_owned(),
        kind: "instance".to_owned(),
        port: Some(80),
        checks_s: 150,
        delay_s: 300,
        least_healthy: 1,
        targets: targets.iter().map(|(id, state)| target(id, state)).collect(),
    }
}

fn with() -> With {
    With::deserialize(&json!({ "target_group": "blue" })).unwrap()
}

/// A step in its run, which returns to `then`; it has begun at `before` if that is given.
struct Step {
    scope: Scope,
    then: Option<State>,
    receipts: Vec<Receipt>,
}

impl Step {
    fn to_baseline(then: State) -> Self {
        let scope = Scope { run: Some(RunId("01k8abcd2345".to_owned())), ..scope(json!({}), None, None) };
        Self { scope, then: Some(then), receipts: Vec::new() }
    }

    fn to(targets: Value, others: Option<Others>) -> Self {
        Self { scope: scope(json!({}), Some(targets), others), then: None, receipts: Vec::new() }
    }

    fn begun(mut self, before: &State) -> Self {
        self.scope.before = Some(Arc::new(serde_json::to_value(before).unwrap()));
        self
    }

    fn receipt(mut self, change: &str, seconds: i64) -> Self {
        self.receipts.push(Receipt { change: change.to_owned(), at: at(seconds), body: Value::Null });
        self
    }

    fn assess(&self, now: &State) -> Assessment {
        assess::assess(&self.scope, &with(), now, self.then.as_ref(), &self.receipts).unwrap()
    }
}

fn changes(assessment: Assessment) -> Vec<Change> {
    match assessment {
        Assessment::Remaining(changes) => changes,
        other => panic!("nothing remains: {other:?}"),
    }
}

fn settling(assessment: Assessment) -> belay_core::change::Progress {
    match assessment {
        Assessment::Settling(progress) => progress,
        other => panic!("not settling: {other:?}"),
    }
}

fn sent(change: &Change) -> Vec<String> {
    let targets = Args::deserialize(&change.args).unwrap().targets.into_iter();
    targets.map(|target| target.address.to_string()).collect()
}

fn allowed(change: &Change) -> Verdict {
    proof::check(change, &Default::default(), proof::Interlocks::None)
}

#[test]
fn first_registers_then_waits_then_deregisters_then_drains() {
    let before = group(&[("i-green", HEALTHY)]);
    let step = Step::to_baseline(group(&[("i-blue", HEALTHY), ("i-cyan", HEALTHY)]));
    let planned = changes(step.assess(&before));
    assert_eq!(planned.iter().map(|change| change.call.as_str()).collect::<Vec<_>>(), [REGISTER, DEREGISTER]);
    assert_eq!(planned[0].title, "target group blue: registers i-blue:80, i-cyan:80");
    assert_eq!(sent(&planned[0]), ["i-blue:80", "i-cyan:80"]);
    assert_eq!(planned[0].before, json!(["i-green:80"]));
    assert_eq!(planned[1].after, json!(["i-blue:80", "i-cyan:80"]));
    assert!(planned.iter().all(|change| allowed(change) == Verdict::Fine), "{planned:#?}");

    let step = step.begun(&before).receipt("register", 10);
    let mut now = group(&[("i-blue", HEALTHY), ("i-cyan", INITIAL), ("i-green", HEALTHY)]);
    now.looked = Some(at(40));
    let progress = settling(step.assess(&now));
    assert_eq!(progress.note, "1 of 2 targets ready; i-cyan:80 initial: Elb.InitialHealthChecking");
    assert_eq!((progress.fraction, progress.expected_left_s), (Some(0.5), Some(120)));

    let ready = group(&[("i-blue", HEALTHY), ("i-cyan", HEALTHY), ("i-green", HEALTHY)]);
    let change = remaining(step.assess(&ready));
    assert_eq!((sent(&change), allowed(&change)), (vec!["i-green:80".to_owned()], Verdict::Fine));

    let step = step.receipt("deregister", 100);
    let mut draining = group(&[("i-blue", HEALTHY), ("i-cyan", HEALTHY), ("i-green", "draining")]);
    draining.looked = Some(at(160));
    let progress = settling(step.assess(&draining));
    assert_eq!(progress.note, "draining for up to 5m, the group's deregistration delay: i-green:80");
    assert_eq!(progress.expected_left_s, Some(240));
    assert_eq!(step.assess(&group(&[("i-blue", HEALTHY), ("i-cyan", HEALTHY)])), Assessment::InPlace);
}

#[test]
fn the_last_healthy_target_is_never_deregistered() {
    let then = group(&[("i-blue", "unhealthy: Target.Timeout")]);
    let now = group(&[("i-blue", "unhealthy: Target.Timeout"), ("i-green", HEALTHY)]);
    let change = remaining(Step::to_baseline(then).assess(&now));
    assert!(matches!(allowed(&change), Verdict::AllZero { .. }), "{change:#?}");
}

#[test]
fn who_stays_without_being_checked_proves_nothing() {
    let now = group(&[("i-blue", "unavailable: health checks are off"), ("i-green", HEALTHY)]);
    let change = remaining(Step::to(json!({"i-blue": 80}), Some(Others::Zero)).assess(&now));
    assert!(matches!(allowed(&change), Verdict::Unproven { .. }));
    let [Effect::Traffic { shares }] = change.effects.as_slice() else { panic!("only traffic") };
    assert!(shares.iter().any(|share| matches!(share.proof, Proof::None { .. })));
}

#[test]
fn a_target_that_drains_is_registered_again() {
    let then = group(&[("i-blue", HEALTHY)]);
    let now = group(&[("i-blue", "draining"), ("i-green", HEALTHY)]);
    assert_eq!(sent(&changes(Step::to_baseline(then).assess(&now))[0]), ["i-blue:80"]);
}

#[test]
fn one_that_was_unhealthy_before_is_not_waited_for() {
    let then = group(&[("i-blue", HEALTHY), ("i-sick", "unhealthy: Target.Timeout")]);
    let before = group(&[("i-green", HEALTHY)]);
    let now = group(&[("i-blue", HEALTHY), ("i-green", HEALTHY), ("i-sick", "unhealthy: Target.Timeout")]);
    let change = remaining(Step::to_baseline(then).begun(&before).assess(&now));
    assert_eq!(sent(&change), ["i-green:80"]);
}

#[test]
fn what_cannot_become_healthy_is_a_verdict_with_its_cure() {
    let before = group(&[]);
    let step = || Step::to_baseline(group(&[("i-blue", HEALTHY)])).begun(&before);
    let why = failed(step().assess(&group(&[("i-blue", NOT_ATTACHED)])));
    assert!(why.contains("keep it attached at weight 0"), "{why}");
    let why = failed(step().assess(&group(&[("i-blue", ZONE_NOT_ENABLED)])));
    assert!(why.contains("enable the zone"), "{why}");
    // A stopped instance may be started, and one that does not answer may come: the time-out decides.
    for state in ["unused: Target.InvalidState", "unhealthy: Target.Timeout"] {
        settling(step().assess(&group(&[("i-blue", state)])));
    }
    // Nothing is sent where it is known beforehand.
    let why = failed(Step::to(json!({"i-blue": 80}), Some(Others::Zero)).assess(&group(&[("i-green", NOT_ATTACHED)])));
    assert!(why.contains("no listener forwards to it") && why.contains("weight 0"), "{why}");
}

#[test]
fn others_stay_or_go_as_the_plan_says() {
    let now = group(&[("i-blue", HEALTHY), ("i-green", HEALTHY)]);
    let to = || json!({"i-blue": 80});
    assert_eq!(Step::to(to(), Some(Others::Keep)).assess(&now), Assessment::InPlace);
    assert_eq!(sent(&remaining(Step::to(to(), Some(Others::Zero)).assess(&now))), ["i-green:80"]);
    let why = failed(Step::to(to(), None).assess(&now));
    assert!(why.contains("`to` does not name i-green:80") && why.contains("`others: keep`"), "{why}");
}

#[test]
fn ports_and_zones_are_those_of_the_plan_or_of_the_group() {
    let now = State { kind: "ip".to_owned(), port: Some(8080), ..group(&[]) };
    let to = json!({
        "10.0.0.7": "default", "10.0.0.8": [8080, 8081], "2001:db8::7": { "port": 80, "zone": "all" },
    });
    let change = remaining(Step::to(to, None).assess(&now));
    assert_eq!(sent(&change), ["10.0.0.7:8080", "10.0.0.8:8080", "10.0.0.8:8081", "[2001:db8::7]:80"]);
    let registrations = Args::deserialize(&change.args).unwrap().targets;
    assert_eq!(described::into_aws(registrations[3].clone()).availability_zone(), Some("all"));
    let instance = Registration { zone: Some("eu-west-1a".to_owned()), ..target("i-blue", HEALTHY).registration };
    assert_eq!(described::into_aws(instance).availability_zone(), None);
}

#[test]
fn an_address_is_the_same_however_it_is_written() {
    let now = State { kind: "ip".to_owned(), ..group(&[("2001:db8::7", HEALTHY)]) };
    let step = Step::to(json!({ "2001:DB8:0:0::7": "default" }), None);
    assert_eq!(step.assess(&now), Assessment::InPlace);
}

#[test]
fn a_group_takes_targets_of_its_kind() {
    let why = failed(Step::to(json!({"10.0.0.7": 80}), None).assess(&group(&[])));
    assert!(why.contains("of the type `instance`") && why.contains("10.0.0.7:80 is an IP address"), "{why}");
}

#[test]
fn a_function_is_alone_in_its_group() {
    let function = |name: &str| format!("arn:aws:lambda:eu-west-1:111122223333:function:{name}");
    let mut now = State { kind: "lambda".to_owned(), port: None, ..group(&[]) };
    let to = || json!({ function("blue"): "default" });
    assert_eq!(sent(&remaining(Step::to(to(), None).assess(&now))), ["function:blue"]);
    let mut green = target(&function("green"), HEALTHY);
    green.registration.address.port = None;
    now.targets.push(green);
    let why = failed(Step::to(to(), Some(Others::Zero)).assess(&now));
    assert!(why.contains("holds a Lambda function alone") && why.contains("`alb.forward`"), "{why}");
}

#[test]
fn fewer_healthy_targets_than_the_group_asks_for_are_told() {
    let now = State { least_healthy: 2, ..group(&[("i-blue", HEALTHY), ("i-green", HEALTHY)]) };
    let change = remaining(Step::to(json!({"i-blue": 80}), Some(Others::Zero)).assess(&now));
    assert!(change.title.contains("fewer than 2 healthy targets"), "{}", change.title);
}

#[test]
fn what_no_plan_can_mean_is_found_offline() {
    let findings = |to: Value| -> Vec<String> {
        (spec().check)(&json!({ "target_group": "blue" }), Some(&to)).into_iter().map(|found| found.message).collect()
    };
    let function = "arn:aws:lambda:eu-west-1:111122223333:function:blue";
    for (to, message) in [
        (json!({"300.0.0.1": 80}), "`300.0.0.1` is not an IP address"),
        (json!({"10.0.0.1": [80, 80]}), "`10.0.0.1:80` is there twice"),
        (json!({ function: 80 }), "a Lambda function has no port"),
        (json!({"i-0abcdef1": {"zone": "all"}}), "only an IP address takes one"),
        (json!({"10.0.0.1": 80, "i-0abcdef1": 80}), "a target group has targets of one kind, and this is an instance"),
        (
            json!({ function: "default", format!("{function}2"): "default" }),
            "a target group holds a Lambda function alone",
        ),
    ] {
        let found = findings(to);
        assert!(found.len() == 1 && found[0].contains(message), "{message}: {found:?}");
    }
    assert_eq!(findings(json!({"10.0.0.1": 80, "10.0.0.2": {"port": 81, "zone": "eu-west-1a"}})), [""; 0]);
}

#[test]
fn what_it_may_change_is_the_one_group() {
    let system = AlbTargets::new(nowhere(), Arc::new(Still { wakes: false }));
    let statements = system.permissions(&scope(json!({}), None, None), &with());
    let writes: Vec<&str> = statements.iter().filter(|one| one.mutates).map(|one| one.resource.as_str()).collect();
    assert_eq!(writes, ["arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/blue/*"; 2]);
    let arn = arn(&With::deserialize(&json!({ "target_group": ARN })).unwrap(), &crate::testing::target());
    assert_eq!(arn, ARN);
    // One group, however it is named.
    let resource = |group: &str| (spec().resource)(&json!({ "target_group": group }));
    assert_eq!((resource("blue").as_str(), resource(ARN).as_str()), ("alb.targets:blue", "alb.targets:blue"));
}

#[test]
fn a_baseline_survives_the_journal() {
    let then = group(&[("i-blue", HEALTHY)]);
    let doc = serde_json::to_value(&then).unwrap();
    let entry = BaselineEntry { action: ACTION.to_owned(), resource: "alb.targets:blue".to_owned(), doc };
    assert_eq!(State::deserialize(&entry.doc).unwrap(), then);
    assert!(then.is_of("blue") && then.is_of(ARN) && !then.is_of("green"));
    assert_eq!(then.health().healthy(), 1);
}

/// What the readiness shows of the targets that a baseline has, with what is registered now.
fn destination(now: &State, cut_over: bool) -> Check {
    let cutover = cut_over.then(|| at(0));
    let scope = Scope { cutover, ..scope(json!({}), None, None) };
    let then = group(&[("i-blue", HEALTHY), ("i-cyan", HEALTHY)]);
    readiness::check(&scope, &with(), now, Some(&then)).unwrap()
}

#[test]
fn each_defect_of_the_targets_is_found_before_they_are_needed() {
    use belay_ports::CheckVerdict::{Go, NoGo, Warn};
    const SICK: &str = "unhealthy: Target.Timeout";
    for (targets, cut_over, verdict, part) in [
        (&[("i-blue", HEALTHY), ("i-cyan", HEALTHY)][..], false, Go, "2 of 2 targets healthy"),
        (&[("i-blue", HEALTHY), ("i-cyan", SICK)], false, Warn, "1 of 2 targets healthy; 1 unhealthy"),
        (&[("i-blue", SICK), ("i-cyan", SICK)], false, NoGo, "0 of 2 targets healthy"),
        // Others do not answer for them.
        (&[("i-blue", SICK), ("i-cyan", SICK), ("i-green", HEALTHY)], false, NoGo, "0 of 2 targets healthy"),
        (&[("i-blue", NOT_ATTACHED), ("i-cyan", NOT_ATTACHED)], false, Warn, "no listener forwards"),
        (&[("i-blue", HEALTHY)], false, Warn, "1 of 2 are not registered before the cutover"),
        (&[("i-green", HEALTHY)], true, Go, "2 of 2 are not registered, and the step registers them"),
    ] {
        let check = destination(&group(targets), cut_over);
        assert_eq!((check.id.as_str(), check.verdict), ("destination", verdict), "{targets:?}: {check:?}");
        assert!(check.found.contains(part), "{targets:?}: {check:?}");
        assert_eq!(check.cure.is_empty(), verdict == Go);
    }
}
