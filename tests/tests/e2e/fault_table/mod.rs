//! Every call that an actuator makes, by everything that can befall it: what comes of it is the table in
//! `crates/aws/FAULTS.md`, which this test generates and holds.
//!
//! `BELAY_BLESS=1` writes the table anew.

mod moves;
mod scenarios;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::Mutex,
    thread,
    time::Duration,
};

use belay_tests::{Belay, Call, Finished, Kind, Outcome, Proxy, Target, When, World, wait_until};

use self::scenarios::{SCENARIOS, Scenario};

/// Each waits for time-outs most of the time.
const WORKERS: usize = 10;

/// Longer than Belay waits for any answer.
const SILENCE: Duration = Duration::from_secs(45);

/// What befalls a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Throttled,
    Error,
    Timeout,
    Cut,
    Lost,
    Expired,
    Denied,
}

impl Fault {
    const ALL: [Self; 7] =
        [Self::Throttled, Self::Error, Self::Timeout, Self::Cut, Self::Lost, Self::Expired, Self::Denied];

    fn title(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Error => "500",
            Self::Timeout => "timeout",
            Self::Cut => "cut before",
            Self::Lost => "answer lost",
            Self::Expired => "expired credentials",
            Self::Denied => "access denied",
        }
    }

    /// Sets it up for the n-th call of its kind; a permission that is missing is missing for all.
    fn befall(self, proxy: &Proxy, call: &Kin) {
        let nth = When::Nth(call.nth);
        let fault = |when, kind| drop(proxy.fault(&call.service, &call.action, when, kind));
        match self {
            Self::Throttled => fault(nth, Kind::Throttle),
            Self::Error => fault(nth, Kind::Error500),
            Self::Timeout => {
                fault(nth, Kind::Delay(SILENCE));
                fault(nth, Kind::Cut);
            }
            Self::Cut => fault(nth, Kind::Cut),
            Self::Lost => fault(nth, Kind::LostAnswer),
            Self::Expired => fault(nth, Kind::ExpiredToken),
            Self::Denied => fault(When::All, Kind::AccessDenied),
        }
    }
}

/// The n-th call of its kind in a rollback.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kin {
    service: String,
    action: String,
    /// From 1. Always 1 for reads: they are repeated as often as it takes.
    nth: usize,
    mutates: bool,
}

/// Where one worker plays: a world of its own, seen by Belay through a proxy.
struct Bench<'a> {
    scenario: &'a Scenario,
    world: World,
    proxy: Proxy,
    page: Target,
    /// Makes names that no other case has.
    case: String,
}

impl Bench<'_> {
    fn new<'a>(scenario: &'a Scenario, case: &str) -> Bench<'a> {
        let endpoint = (scenario.emulator)().url();
        let world =
            World::seed(endpoint, &["--prefix", case, "--blue-target", "10.0.0.1:80", "--green-target", "10.0.0.2:80"]);
        let page = Target::start("the shop is open");
        Bench { scenario, world, proxy: Proxy::to(endpoint), page, case: case.to_owned() }
    }

    /// Cuts over and rolls back, with something going wrong.
    fn play(&self, fault: Option<(&Kin, Fault)>) -> (Finished, Vec<Call>) {
        let mut plan = (self.scenario.cut_over)(&self.world, &self.case);
        plan = plan.replace("$account", self.world.text("/account")).replace("$region", self.world.text("/region"));
        self.proxy.clear_faults();
        self.proxy.clear();
        if let Some((call, fault)) = fault {
            fault.befall(&self.proxy, call);
        }
        let belay = Belay::at(self.proxy.url());
        let plan = belay.write("plan.yaml", &plan.replace("$page", &self.page.url()));
        let done = belay.run(&["run", &plan, "--reason", "a test", "--json"]);
        (done, self.proxy.calls())
    }
}

/// The calls of a rollback in which nothing goes wrong, except those by which Belay finds out who it is.
fn calls_of(scenario: &Scenario) -> Vec<Kin> {
    let bench = Bench::new(scenario, &format!("{}-plain", scenario.short));
    let (done, calls) = bench.play(None);
    assert_eq!(done.code, 0, "{}: {done}", scenario.action);
    assert!((scenario.is_back)(&bench.world, &bench.case), "{}: {done}", scenario.action);
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut found = Vec::new();
    for call in calls.iter().filter(|call| call.service != "sts") {
        let nth = seen.entry((&call.service, &call.action)).or_default();
        *nth += 1;
        if call.is_mutating() || *nth == 1 {
            let (service, action) = (call.service.clone(), call.action.clone());
            found.push(Kin { service, action, nth: *nth, mutates: call.is_mutating() });
        }
    }
    found
}

/// What came of one case, in words; `calls`: all calls of the undisturbed rollback.
fn outcome(bench: &Bench<'_>, call: &Kin, fault: Fault, calls: &[Kin]) -> String {
    let context = format!("{} {call:?} {fault:?}", bench.scenario.action);
    let (done, sent) = bench.play(Some((call, fault)));
    let usual = |action: &str| calls.iter().filter(|call| call.action == action).count();
    for action in sent.iter().filter(|call| call.is_mutating()).map(|call| &call.action) {
        let effects = sent.iter().filter(|call| call.action == *action && took_effect(call)).count();
        assert!(effects <= usual(action), "{context}: {action} took effect {effects} times\n{done}\n{sent:#?}");
    }
    match done.code {
        0 => {
            // An emulator that is busy may fail to answer once.
            wait_until(&format!("{context} to be as it was\n{done}"), || {
                (bench.scenario.is_back)(&bench.world, &bench.case).then_some(())
            });
            let sends = sent.iter().filter(|sent| sent.action == call.action).count();
            match (fault, call.mutates, sends > usual(&call.action)) {
                (Fault::Denied, true, _) => panic!("{context}: {done}"),
                (Fault::Denied, false, _) => "goes on",
                (_, false, _) => "read again",
                (_, true, true) => "sent again",
                (_, true, false) => "found done",
            }
            .to_owned()
        }
        4 => {
            let run = done.json_lines().pop().unwrap_or_else(|| panic!("{context}: {done}"));
            let why = run["steps"]["back"]["why"].as_str().unwrap_or_default();
            // CloudWatch and Step Functions are signed under other names than IAM has; nothing else is.
            let iam = format!("{}:{}", call.service, call.action);
            assert!(why.contains(&iam), "{context}: no {iam} in {why}");
            let resources = (bench.scenario.resources)(&bench.world, &bench.case);
            let named = resources.iter().any(|resource| why.contains(resource.as_str()));
            assert!(named || why.contains("on *"), "{context}: none of {resources:?} in {why}");
            assert_eq!(fault, Fault::Denied, "{context}: {why}");
            assert!(why.contains(&format!("the role needs {iam}")), "{context}: {why}");
            assert!(!run["steps"]["back"]["waiting_for"][0]["verbs"].as_array().unwrap().is_empty(), "{context}");
            "halts".to_owned()
        }
        _ => panic!("{context}: {done}"),
    }
}

fn took_effect(call: &Call) -> bool {
    matches!(call.outcome, Outcome::Answered(200) | Outcome::Lost(200))
}

/// One row for each call, one column for each fault.
fn table(scenario: &Scenario, calls: &[Kin], outcomes: &BTreeMap<(Kin, Fault), String>) -> String {
    let mut text = format!("## `{}`\n\n{}\n\n| call |", scenario.action, scenario.about);
    for fault in Fault::ALL {
        let _ = write!(text, " {} |", fault.title());
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(Fault::ALL.len()));
    text.push('\n');
    for call in calls {
        let several = calls.iter().filter(|other| other.action == call.action).count() > 1;
        let nth = if several { format!(" ({})", call.nth) } else { String::new() };
        let _ = write!(text, "| `{}`{nth} |", call.action);
        for fault in Fault::ALL {
            let _ = write!(text, " {} |", outcomes[&(call.clone(), fault)]);
        }
        text.push('\n');
    }
    text
}

const HEAD: &str = "# When a call goes wrong

What comes of a rollback when one of its calls to AWS goes wrong: each call that an action makes, by what befalls it. The table is
generated, and held, by a test that plays every case over the wire, through a proxy, against an emulator.

Emulators are faster than AWS and forgive more. So each change is also played with each blow against the strict stand-in (`tests/strict/tests/blows.rs`), which renames
as slowly as RDS does; there, nobody is without a database's name for longer than two renames take.

What befalls it:

- *throttled*, *500*, *expired credentials*: AWS answers so, once. *timeout*: no answer at all. *cut before*: the connection breaks before
  AWS has seen the call. *answer lost*: the call takes effect, and the connection breaks before the answer. *access denied*: every time.

What comes of it:

- *read again*: the rollback goes on with the next look, and ends as it should.
- *sent again*: after the failed send Belay observes the resource, sends again only what is still missing, and ends as it should.
- *found done*: Belay observes the resource, sees that the change has taken effect, does not send it again, and ends as it should.
- *goes on*: the change does not depend on what the read would have told; that it is not known is said by `dry-run` and `arm`.
- *halts*: the run waits for a person; the message names the call, the resource and what is missing, and `retry` goes on.

In no case does a change take effect more often than in a rollback in which nothing goes wrong.

";

/// Actions without a table here, and why.
const ELSEWHERE: [(&str, &str); 5] = [
    ("manual", "a person does it"),
    ("wait", "nothing is called"),
    ("command", "AWS is not asked"),
    ("ssm.automation", "the emulator's automations never end: tests/strict/tests/jobs.rs"),
    ("lambda.invoke", "the emulator needs containers: tests/strict/tests/jobs.rs"),
];

/// An action is in the table, or it is said why not.
#[test]
fn no_action_is_forgotten() {
    let schema: serde_json::Value =
        serde_json::from_str(&Belay::at("http://127.0.0.1:9").run(&["schema"]).stdout).unwrap();
    let mut actions = std::collections::BTreeSet::new();
    collect(&schema, &mut actions);
    let played: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.action).collect();
    let said = |action: &str| ELSEWHERE.iter().any(|(other, _)| *other == action);
    let forgotten: Vec<_> =
        actions.iter().filter(|action| !played.contains(&action.as_str()) && !said(action)).collect();
    assert!(forgotten.is_empty(), "add a scenario, or the reason why there is none: {forgotten:?}");
    let gone = |action: &&str| !actions.contains(*action);
    assert_eq!(played.iter().copied().chain(ELSEWHERE.map(|(action, _)| action)).filter(gone).count(), 0);
}

/// The names of actions: what the schema allows `action` to be.
fn collect(schema: &serde_json::Value, actions: &mut std::collections::BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(fields) => {
            actions.extend(schema["properties"]["action"]["const"].as_str().map(ToOwned::to_owned));
            fields.values().for_each(|field| collect(field, actions));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, actions)),
        _ => {}
    }
}

#[test]
#[ignore = "seven minutes, and alone on the machine: see tests/README.md"]
fn every_call_by_every_fault() {
    let jobs = Mutex::new(VecDeque::new());
    let mut calls = Vec::new();
    thread::scope(|scope| {
        let plain: Vec<_> = SCENARIOS.iter().map(|scenario| scope.spawn(|| calls_of(scenario))).collect();
        calls.extend(plain.into_iter().map(|found| found.join().unwrap()));
    });
    for (index, calls) in calls.iter().enumerate() {
        let cases = calls.iter().flat_map(|call| Fault::ALL.map(|fault| (index, call.clone(), fault)));
        jobs.lock().unwrap().extend(cases);
    }
    let outcomes: Mutex<BTreeMap<(usize, Kin, Fault), String>> = Mutex::default();
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (jobs, outcomes, calls) = (&jobs, &outcomes, &calls);
            scope.spawn(move || {
                let mut benches: BTreeMap<usize, Bench<'_>> = BTreeMap::new();
                let mut cases = 0;
                while let Some((index, call, fault)) = { jobs.lock().unwrap().pop_front() } {
                    let scenario = &SCENARIOS[index];
                    let prefix = format!("{}-{worker}", scenario.short);
                    let bench = benches.entry(index).or_insert_with(|| Bench::new(scenario, &prefix));
                    cases += 1;
                    bench.case = format!("{prefix}-{cases}");
                    // All that is wrong is told at once: each case takes its time.
                    let found = panic::catch_unwind(AssertUnwindSafe(|| outcome(bench, &call, fault, &calls[index])));
                    let found = found.unwrap_or_else(|_| "WRONG".to_owned());
                    outcomes.lock().unwrap().insert((index, call, fault), found);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let wrong: Vec<_> = outcomes.iter().filter(|(_, found)| *found == "WRONG").map(|(case, _)| case).collect();
    assert!(wrong.is_empty(), "each is told above: {wrong:#?}");
    let tables = SCENARIOS.iter().zip(&calls).enumerate().map(|(index, (scenario, calls))| {
        let of = outcomes.iter().filter(|((of, ..), _)| *of == index);
        table(scenario, calls, &of.map(|((_, call, fault), found)| ((call.clone(), *fault), found.clone())).collect())
    });
    let text = HEAD.to_owned() + &tables.collect::<Vec<_>>().join("\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/aws/FAULTS.md");
    if std::env::var_os("BELAY_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(held == text, "{} says something else than:\n{text}", path.display());
}
