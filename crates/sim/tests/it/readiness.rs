//! The readiness of an armed migration: evaluated again and again, on record when its verdict changes, and never during a run.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use belay_core::{
    event::Event,
    migration::Migration,
    readiness::CheckVerdict,
    reading::{Health, Reading},
    run::RunState,
};
use belay_engine::{
    Circumstances, Engine, Handle, HostChecks, Options, Readiness, Sampler, Which, capture, dry_run, readiness,
    view::MigrationView,
};
use belay_plan::{
    model::{Phase, Plan, RedAtArm, Step, Target},
    notify::NoticeKind,
};
use belay_ports::{Check, Fut, Permission, Query, Sensor, Sensors};
use belay_sim::{Faults, Receiver, Rule};

use crate::{
    notices::{channel, telling},
    plans::{plan, weights},
    scene::{POLL, Scene, virtually},
};

/// A check whose verdict the test decides, and that counts how often it was asked for.
#[derive(Default)]
pub(crate) struct Decided {
    verdict: Mutex<Option<CheckVerdict>>,
    asked: Mutex<u32>,
}

impl Decided {
    pub(crate) fn set(&self, verdict: CheckVerdict) {
        *self.verdict.lock().unwrap() = Some(verdict);
    }

    fn asked(&self) -> u32 {
        *self.asked.lock().unwrap()
    }
}

impl HostChecks for Decided {
    fn checks<'a>(&'a self, _: &'a Arc<Plan>, _: Option<&'a str>) -> Fut<'a, Vec<Check>> {
        *self.asked.lock().unwrap() += 1;
        let check = match self.verdict.lock().unwrap().unwrap_or(CheckVerdict::Go) {
            CheckVerdict::Go => Check::go("people", "alice", "is here"),
            CheckVerdict::Warn => Check::warn("people", "alice", "is on her way").wanted("here").cure("wait"),
            CheckVerdict::Unknown => {
                Check::unknown("people", "alice", "does not answer").wanted("here").cure("call her")
            }
            CheckVerdict::NoGo => Check::no_go("people", "alice", "is asleep").wanted("here").cure("wake her"),
        };
        Box::pin(std::future::ready(vec![check]))
    }
}

fn sound() -> Scene {
    let scene = Scene::new(plan([("dns", weights())]), 1, Faults::none());
    scene.world.set("dns", serde_json::json!({ "blue": 100, "green": 0 }));
    scene
}

/// Nothing is on record yet.
fn before(scene: &Scene) -> Circumstances {
    Circumstances::of(&scene.plan, &Migration::new("moving"), &[])
}

async fn evaluate(scene: &Scene) -> Readiness {
    let host = Decided::default();
    complete(readiness(&scene.ports, &host, &scene.plan, "abc", &before(scene)).await)
}

/// Of all that is not as it should be, a person reads what would be right and what to do.
fn complete(found: Readiness) -> Readiness {
    for check in found.findings() {
        assert!(!check.wanted.is_empty() && !check.cure.is_empty(), "{check:#?}");
    }
    found
}

fn of<'r>(found: &'r Readiness, id: &str, part: &str) -> &'r belay_engine::ReadinessCheck {
    let check = found.checks.iter().find(|check| check.id == id && check.part == part);
    check.unwrap_or_else(|| panic!("no {id} of {part:?} in {:#?}", found.checks))
}

#[test]
fn a_sound_plan_is_ready_but_for_its_first_drill() {
    virtually(async {
        let scene = sound();
        let baseline = Some(Arc::new(capture(&scene.ports, &scene.plan, "abc").await.unwrap()));
        let known = Circumstances { baseline, ..before(&scene) };
        let found = readiness(&scene.ports, &Decided::default(), &scene.plan, "abc", &known).await;
        assert_eq!(of(&found, "baseline", "").verdict, CheckVerdict::Go);
        assert_eq!(found.verdict, CheckVerdict::Warn);
        let lines: Vec<String> = found.findings().into_iter().map(belay_engine::ReadinessCheck::line).collect();
        assert!(lines.len() == 1 && lines[0].contains("not carried out in a drill within 30 days: dns"), "{lines:?}");
    });
}

#[test]
fn without_a_baseline_the_present_state_is_taken_as_known_good_with_a_warning() {
    virtually(async {
        let scene = sound();
        let found = evaluate(&scene).await;
        let check = of(&found, "baseline", "");
        let expected = "no baseline is on record; the present state is taken as known-good";
        assert_eq!((check.verdict, check.found.as_str()), (CheckVerdict::Warn, expected));
        assert!(check.cure.contains("`belay arm`") && check.cure.contains("belay capture PLAN -o FILE"), "{check:?}");

        // A step that was added to the plan since.
        let known = capture(&scene.ports, &scene.plan, "abc").await.unwrap();
        let scene = Scene::new(plan([("dns", weights()), ("listener", weights())]), 1, Faults::none());
        let known = Circumstances { baseline: Some(Arc::new(known)), ..before(&scene) };
        let found = readiness(&scene.ports, &Decided::default(), &scene.plan, "abc", &known).await;
        let check = of(&found, "baseline", "");
        let expected = "the baseline on record has nothing of listener; the present state is taken as known-good";
        assert_eq!((check.verdict, check.found.as_str()), (CheckVerdict::Warn, expected));

        // Where the plan names every target, nothing depends on it.
        let named = Step { to: Target::Explicit(serde_json::json!({ "blue": 100, "green": 0 })), ..weights() };
        let scene = Scene::new(plan([("dns", named)]), 1, Faults::none());
        let found = evaluate(&scene).await;
        assert!(found.checks.iter().all(|check| check.id != "baseline"), "{:#?}", found.checks);
    });
}

/// A signal that can be read only by what the baseline contains of the step's resource.
struct GoesByTheBaseline;

impl Sensor for GoesByTheBaseline {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        let reading = |query: &Query| Reading {
            signal: query.signal.clone(),
            taken: "2026-03-01T02:00:00Z".parse().unwrap(),
            health: if query.baseline.is_empty() { Health::Unknown } else { Health::Healthy },
            evidence: format!("{} resources in the baseline", query.baseline.len()),
            source: "baseline".to_owned(),
            unreadable: query.baseline.is_empty(),
            permanent: false,
            measured: None,
        };
        Box::pin(std::future::ready(queries.iter().map(reading).collect()))
    }

    fn permissions(&self, _: &Query) -> Vec<Permission> {
        Vec::new()
    }
}

impl Sensors for GoesByTheBaseline {
    fn sensor(&self, _: &str) -> Option<Arc<dyn Sensor>> {
        Some(Arc::new(Self))
    }
}

#[test]
fn before_arming_signals_go_by_the_baseline_that_arming_would_capture() {
    virtually(async {
        let mut scene = sound();
        scene.ports.sensors = Arc::new(GoesByTheBaseline);
        let found = evaluate(&scene).await;
        assert_eq!(of(&found, "signal", "signal in_place").verdict, CheckVerdict::Go, "{:#?}", found.checks);
        assert_eq!(of(&found, "interlock", "step dns").verdict, CheckVerdict::Go);
        let known = Circumstances::default();
        let rehearsed = dry_run(&scene.ports, &scene.plan, "abc", &known, Which::default()).await.unwrap();
        let unknown: Vec<_> = rehearsed.warnings.iter().filter(|warning| warning.contains("in the baseline")).collect();
        assert!(unknown.is_empty(), "{unknown:?}");

        let cut_over = Circumstances { cutover: Some(scene.clock.now()), ..before(&scene) };
        let found = readiness(&scene.ports, &Decided::default(), &scene.plan, "abc", &cut_over).await;
        assert_eq!(of(&found, "signal", "signal in_place").verdict, CheckVerdict::Unknown, "it is too late to capture");
    });
}

/// In each of these worlds exactly one thing is broken.
#[test]
fn what_is_broken_is_found_and_named() {
    virtually(async {
        let scene = sound();
        scene.world.set_rule("in_place", Rule::Absent);
        let found = evaluate(&scene).await;
        let check = of(&found, "signal", "signal in_place");
        assert_eq!(
            (check.verdict, check.found.as_str()),
            (CheckVerdict::NoGo, "cannot be read: there is no such alarm")
        );
        let line = format!("signal in_place: {} (wanted: {}); {}", check.found, check.wanted, check.cure);
        assert_eq!(check.line(), line);

        let scene = sound();
        scene.world.set_rule("in_place", Rule::Always(Health::Unhealthy));
        let found = evaluate(&scene).await;
        let check = of(&found, "trigger", "trigger hurt");
        assert_eq!(check.verdict, CheckVerdict::NoGo, "arming would refuse it: {check:#?}");
        let armed = Circumstances { armed: true, ..before(&scene) };
        let found = readiness(&scene.ports, &Decided::default(), &scene.plan, "abc", &armed).await;
        assert!(found.checks.iter().all(|check| check.id != "trigger"), "{:#?}", found.checks);
        let mut waits = Plan::clone(&scene.plan);
        waits.triggers["hurt"].red_at_arm = RedAtArm::WaitForGreen;
        let scene = Scene { plan: Arc::new(waits), ..scene };
        let check = of(&evaluate(&scene).await, "trigger", "trigger hurt").clone();
        assert_eq!(check.verdict, CheckVerdict::Warn, "{check:#?}");

        let scene = sound();
        scene.world.set_rule("blue_ready", Rule::Always(Health::Unhealthy));
        let found = evaluate(&scene).await;
        let check = of(&found, "interlock", "step dns");
        assert_eq!((check.verdict, check.subject.as_str()), (CheckVerdict::NoGo, "blue_ready"));

        let mut plan = Plan::clone(&sound().plan);
        plan.objectives.rto = Some(Duration::from_secs(60));
        let scene = Scene { plan: Arc::new(plan), ..sound() };
        let check = of(&evaluate(&scene).await, "rto", "").clone();
        assert!(check.verdict == CheckVerdict::Warn && check.found.ends_with("dns was never measured"), "{check:?}");
        let took = |seconds| [("dns".to_owned(), vec![Duration::from_secs(seconds).into()])].into();
        for (seconds, verdict) in [(59, CheckVerdict::Go), (61, CheckVerdict::NoGo)] {
            let measured = Circumstances { measured: took(seconds), ..before(&scene) };
            let found = readiness(&scene.ports, &Decided::default(), &scene.plan, "abc", &measured).await;
            let check = of(&found, "rto", "");
            assert_eq!((check.verdict, check.wanted.as_str()), (verdict, "at most 1m (rto)"), "{check:?}");
            assert!(check.found.contains("(measured)"), "{check:?}");
        }

        let scene = sound();
        let cut_over = Circumstances { cutover: Some(scene.clock.now()), ..before(&scene) };
        let found = complete(readiness(&scene.ports, &Decided::default(), &scene.plan, "abc", &cut_over).await);
        let check = of(&found, "baseline", "step dns");
        assert!(check.verdict == CheckVerdict::NoGo && check.cure.contains("--baseline FILE"), "{check:?}");
        assert_eq!(found.verdict, CheckVerdict::NoGo);
    });
}

/// Steps of phases that never meet are in no run together.
#[test]
fn the_objective_is_held_against_the_steps_of_one_phase() {
    virtually(async {
        let mut plan = plan([("copy", weights()), ("dns", weights())]);
        plan.objectives.rto = Some(Duration::from_secs(60));
        plan.phases = ["copy", "cutover"].map(|phase| (phase.to_owned(), Phase::default())).into_iter().collect();
        for (step, phase) in [("copy", "copy"), ("dns", "cutover")] {
            plan.steps[step].during = vec![phase.to_owned()];
        }
        plan.steps["dns"].needs = vec!["copy".to_owned()];
        let scene = Scene::new(plan, 1, Faults::none());
        assert_eq!(before(&scene).phase.as_deref(), Some("cutover"), "where nobody knows better");
        let took = |step: &str| (step.to_owned(), vec![Duration::from_secs(40).into()]);
        for phase in ["copy", "cutover"] {
            let phase = Some(phase.to_owned());
            let known = Circumstances { phase, measured: [took("copy"), took("dns")].into(), ..before(&scene) };
            let found = readiness(&scene.ports, &Decided::default(), &scene.plan, "abc", &known).await;
            let check = of(&found, "rto", "");
            assert!(check.verdict == CheckVerdict::Go && check.found.contains("40s (measured)"), "{check:?}");
        }
    });
}

pub(crate) async fn open(scene: &Scene, host: &Arc<Decided>) -> Handle {
    let sampler = Sampler::start(scene.ports.sensors.clone(), scene.clock.clone(), Arc::new(()), POLL);
    let options = Options { sampler, belay_version: "0.1.0".to_owned(), readiness: Some(host.clone()) };
    Engine::open(scene.ports.clone(), &scene.plan.migration, options).await.unwrap()
}

/// The verdicts on record, in their order.
fn on_record(scene: &Scene) -> Vec<CheckVerdict> {
    let records = scene.witness.records();
    let changes = records.iter().filter_map(|record| match &record.event {
        Event::ReadinessChanged { verdict, .. } => Some(*verdict),
        _ => None,
    });
    changes.collect()
}

async fn minutes(scene: &Scene, count: u64) {
    scene.clock.sleep(Duration::from_secs(60 * count)).await;
}

#[test]
fn only_what_two_evaluations_agree_on_goes_on_record() {
    virtually(async {
        let (scene, host) = (sound(), Arc::new(Decided::default()));
        let handle = open(&scene, &host).await;
        scene.arm(&handle).await.unwrap();
        scene.until(&handle, |snapshot| snapshot.state.readiness.is_some()).await;
        // Without a drill a plan is never more than ready with a warning.
        assert_eq!(on_record(&scene), [CheckVerdict::Warn]);
        minutes(&scene, 60).await;
        assert_eq!(on_record(&scene), [CheckVerdict::Warn], "an evaluation that finds the same is no event");
        let asked = host.asked();
        assert!((12..=14).contains(&asked), "every five minutes: {asked} times");

        // One answer that did not come.
        host.set(CheckVerdict::Unknown);
        scene
            .until(&handle, |snapshot| snapshot.readiness.as_ref().is_some_and(|r| r.verdict == CheckVerdict::Unknown))
            .await;
        host.set(CheckVerdict::Go);
        minutes(&scene, 10).await;
        assert_eq!(on_record(&scene), [CheckVerdict::Warn]);

        host.set(CheckVerdict::NoGo);
        scene
            .until(&handle, |snapshot| {
                snapshot.state.readiness.as_ref().is_some_and(|r| r.verdict == CheckVerdict::NoGo)
            })
            .await;
        host.set(CheckVerdict::Go);
        scene
            .until(&handle, |snapshot| {
                snapshot.state.readiness.as_ref().is_some_and(|r| r.verdict == CheckVerdict::Warn)
            })
            .await;
        assert_eq!(on_record(&scene), [CheckVerdict::Warn, CheckVerdict::NoGo, CheckVerdict::Warn]);
        scene.assert_sound(Some(&handle.snapshot().state));
    });
}

#[test]
fn a_restart_repeats_no_event() {
    virtually(async {
        let (scene, host) = (sound(), Arc::new(Decided::default()));
        let handle = open(&scene, &host).await;
        scene.arm(&handle).await.unwrap();
        scene.until(&handle, |snapshot| snapshot.state.readiness.is_some()).await;
        handle.shutdown().await;
        let handle = open(&scene, &host).await;
        scene.until(&handle, |snapshot| snapshot.readiness.is_some()).await;
        minutes(&scene, 20).await;
        assert_eq!(on_record(&scene), [CheckVerdict::Warn]);
        drop(handle);
    });
}

/// That the host is there, only a notice shows.
#[test]
fn a_channel_is_ready_once_it_has_taken_a_notice_and_in_sight_while_it_cannot_be_used() {
    virtually(async {
        let channels = [("chat", NoticeKind::Armed), ("oncall", NoticeKind::Halted), ("broken", NoticeKind::Halted)];
        let channels = channels.map(|(name, kind)| (name.to_owned(), channel(&[kind])));
        let (scene, host) = (Scene::new(telling(channels), 1, Faults::none()), Arc::new(Decided::default()));
        let handle = open(&scene, &host).await;
        scene.arm(&handle).await.unwrap();
        scene.world.inbox().set("broken", Receiver::Refuses);
        minutes(&scene, 2).await;
        let snapshot = handle.snapshot();
        let found = snapshot.readiness.as_ref().unwrap();
        let verdict = |name: &str| of(found, "channel", &format!("channel {name}")).verdict;
        let expected = [CheckVerdict::Go, CheckVerdict::Warn, CheckVerdict::NoGo];
        assert_eq!(["chat", "oncall", "broken"].map(verdict), expected);
        assert!(of(found, "channel", "channel chat").found.starts_with("it took a notice at "));
        let unusable: Vec<_> = snapshot.unusable_channels().collect();
        assert!(unusable.len() == 1 && unusable[0].0 == "broken", "{unusable:?}");
        let view = MigrationView::new(&snapshot, None, scene.clock.now());
        assert!(view.notices["broken"].unusable.is_some() && view.notices["oncall"].unusable.is_none());
    });
}

#[test]
fn nothing_is_evaluated_during_a_run() {
    virtually(async {
        let (scene, host) = (sound(), Arc::new(Decided::default()));
        let handle = open(&scene, &host).await;
        scene.armed_and_cut_over(&handle).await;
        scene.until_run(&handle, RunState::Running).await;
        let asked = host.asked();
        scene.until_run(&handle, RunState::RolledBack).await;
        assert_eq!(host.asked(), asked);
        minutes(&scene, 20).await;
        assert_eq!(host.asked(), asked, "what was rolled back is not armed any more");
    });
}
