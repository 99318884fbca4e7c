//! What would be lost now: how often it is looked at, and when not at all.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use belay_core::{
    change::{Assessment, Change, Doc, Key, Receipt},
    input::Verb,
    reading::Health,
    run::{Phase, RunState},
};
use belay_engine::{Circumstances, Handle, Read, Snapshot};
use belay_plan::model::{AwsTarget, Plan, Signal};
use belay_ports::{
    AccountError, Actuator, Actuators, ApplyError, Check, Corrupt, DataOf, Fut, Interruption, Permission, ReadError,
    RestorePoint, Restored, Scope,
};
use belay_sim::Faults;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    plans::{plan, restore, step, trigger},
    scene::{Scene, command, phase, roll_back, virtually},
};

/// The world's actuators, with the observations outside of runs counted, and failing when they are to.
struct Watched {
    of: Arc<dyn Actuators>,
    counted: Arc<Counted>,
}

#[derive(Default)]
struct Counted {
    outside: AtomicUsize,
    failing: Mutex<Option<ReadError>>,
}

impl Counted {
    fn seen(&self) -> usize {
        self.outside.load(Ordering::Relaxed)
    }

    fn fail(&self, permanent: bool) {
        *self.failing.lock().unwrap() = Some(ReadError { why: "throttled".to_owned(), permanent });
    }

    fn recover(&self) {
        *self.failing.lock().unwrap() = None;
    }
}

impl Actuators for Watched {
    fn actuator(&self, action: &str) -> Option<Arc<dyn Actuator>> {
        Some(Arc::new(One { of: self.of.actuator(action)?, counted: self.counted.clone() }))
    }

    fn verify_account<'a>(&'a self, aws: &'a AwsTarget) -> Fut<'a, Result<String, AccountError>> {
        self.of.verify_account(aws)
    }

    fn readiness<'a>(
        &'a self,
        aws: &'a AwsTarget,
        permissions: &'a [Permission],
        until: Timestamp,
    ) -> Fut<'a, Vec<Check>> {
        self.of.readiness(aws, permissions, until)
    }

    fn permissions(&self, aws: &AwsTarget) -> Vec<Permission> {
        self.of.permissions(aws)
    }

    fn detours(&self) -> Vec<String> {
        self.of.detours()
    }
}

struct One {
    of: Arc<dyn Actuator>,
    counted: Arc<Counted>,
}

impl Actuator for One {
    fn observe<'a>(&'a self, scope: &'a Scope, receipts: &'a [Receipt]) -> Fut<'a, Result<Doc, ReadError>> {
        if scope.run.is_none() {
            self.counted.outside.fetch_add(1, Ordering::Relaxed);
            if let Some(error) = self.counted.failing.lock().unwrap().clone() {
                return Box::pin(async move { Err(error) });
            }
        }
        self.of.observe(scope, receipts)
    }

    fn assess(&self, scope: &Scope, now: &Doc, receipts: &[Receipt]) -> Result<Assessment, Corrupt> {
        self.of.assess(scope, now, receipts)
    }

    fn checks(&self, scope: &Scope, now: &Doc) -> Result<Vec<Check>, Corrupt> {
        self.of.checks(scope, now)
    }

    fn altered(&self, scope: &Scope, now: &Doc) -> Result<Vec<String>, Corrupt> {
        self.of.altered(scope, now)
    }

    fn readiness<'a>(&'a self, scope: &'a Scope, now: &'a Doc) -> Fut<'a, Vec<Check>> {
        self.of.readiness(scope, now)
    }

    fn restore_point(&self, scope: &Scope, now: &Doc) -> Result<Option<RestorePoint>, Corrupt> {
        self.of.restore_point(scope, now)
    }

    fn restore_test(&self, scope: &Scope, began: Timestamp) -> Result<Option<Value>, Corrupt> {
        self.of.restore_test(scope, began)
    }

    fn restored(&self, scope: &Scope, now: &Doc) -> Result<Option<Restored>, Corrupt> {
        self.of.restored(scope, now)
    }

    fn apply<'a>(&'a self, scope: &'a Scope, key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        self.of.apply(scope, key, change)
    }

    fn pace(&self) -> Duration {
        self.of.pace()
    }

    fn stirs<'a>(&'a self, scope: &'a Scope) -> Fut<'a, ()> {
        self.of.stirs(scope)
    }

    fn permissions(&self, scope: &Scope) -> Vec<Permission> {
        self.of.permissions(scope)
    }

    fn interrupt(&self, scope: &Scope, why: Interruption) {
        self.of.interrupt(scope, why);
    }
}

/// A restore, watched by a signal that bears ten minutes.
fn watched_plan() -> Plan {
    let by_hand = step("manual", belay_plan::model::Target::Own);
    let by_hand = belay_plan::model::Step { with: json!({ "instructions": "Look." }), ..by_hand };
    let mut plan = plan([("db", restore()), ("by_hand", by_hand)]);
    plan.steps["by_hand"].needs = vec!["db".to_owned()];
    let spec = json!({ "loss": "db", "healthy": "<= 10m" });
    let lost = Signal { kind: "loss".to_owned(), spec, aws: AwsTarget::default() };
    plan.signals.insert("lost".to_owned(), lost);
    plan.triggers["hurt"] = trigger("lost", 30);
    plan
}

fn scene() -> (Scene, Arc<Counted>) {
    let mut scene = Scene::new(watched_plan(), 1, Faults::none());
    let counted = Arc::new(Counted::default());
    scene.ports.actuators = Arc::new(Watched { of: scene.ports.actuators.clone(), counted: counted.clone() });
    (scene, counted)
}

fn health(snapshot: &Snapshot) -> Health {
    snapshot.state.signals["lost"].health
}

async fn minutes(count: u64) {
    tokio::time::sleep(Duration::from_secs(60 * count)).await;
}

fn read(handle: &Handle) -> Read {
    handle.snapshot().losses["db"].read
}

#[test]
fn each_step_is_observed_once_a_minute_and_not_while_a_run_is_under_way() {
    virtually(async {
        let (scene, counted) = scene();
        let handle = scene.open().await;
        minutes(10).await;
        assert_eq!(counted.seen(), 0, "nothing is armed");
        scene.arm(&handle).await.unwrap();
        let armed = counted.seen();
        scene.until(&handle, |snapshot| snapshot.losses["db"].read == Read::Observed).await;
        minutes(10).await;
        let seen = counted.seen() - armed;
        assert!((9..=10).contains(&seen), "{seen} in ten minutes");

        // A run of an hour: a person is waited for.
        command(&handle, Verb::Cutover).await.unwrap();
        scene.world.cut_over();
        scene.until(&handle, |snapshot| matches!(snapshot.losses["db"].point.data, DataOf::Time(_))).await;
        command(&handle, roll_back(&[])).await.unwrap();
        let begun = counted.seen();
        scene.until(&handle, |snapshot| phase(snapshot, "by_hand") == Some(Phase::AwaitingApproval)).await;
        minutes(60).await;
        assert_eq!(counted.seen(), begun, "the run needs the quota");
        let snapshot = handle.snapshot();
        assert!(matches!(snapshot.losses["db"].point.data, DataOf::Time(_)), "what was known stands");
        assert_eq!(
            health(&snapshot),
            Health::Healthy,
            "and nothing turns by itself: the last reading was before the run"
        );

        let run = snapshot.state.run.as_ref().unwrap().id.clone();
        command(&handle, Verb::Abort { run }).await.unwrap();
        scene.until_run(&handle, RunState::Aborted).await;
        minutes(10).await;
        assert_eq!(counted.seen(), begun, "it is not armed any more");
        assert!(handle.snapshot().losses.is_empty());
        scene.assert_sound(Some(&handle.snapshot().state));
    });
}

#[test]
fn what_fails_is_asked_less_often_and_unknown_after_a_while() {
    virtually(async {
        let (scene, counted) = scene();
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        command(&handle, Verb::Cutover).await.unwrap();
        scene.until(&handle, |snapshot| health(snapshot) == Health::Healthy).await;
        counted.fail(false);
        let before = counted.seen();
        minutes(3).await;
        assert_eq!(read(&handle), Read::Observed, "one answer that did not come says nothing of the data");
        scene.until(&handle, |snapshot| health(snapshot) == Health::Unknown).await;
        let loss = handle.snapshot().losses["db"].clone();
        assert_eq!((loss.read, loss.point.data), (Read::Failed, DataOf::Unknown));
        assert_eq!(loss.point.basis, "it cannot be read: throttled");
        minutes(60).await;
        let seen = counted.seen() - before;
        assert!((5..=9).contains(&seen), "{seen} in more than an hour");
        counted.recover();
        scene.until(&handle, |snapshot| snapshot.losses["db"].read == Read::Observed).await;
        // More than ten minutes have gone by since the cutover.
        scene.until(&handle, |snapshot| health(snapshot) == Health::Unhealthy).await;
    });
}

#[test]
fn a_trigger_fires_as_soon_as_more_would_be_lost() {
    virtually(async {
        let (scene, _) = scene();
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        minutes(30).await;
        assert_eq!(health(&handle.snapshot()), Health::Unknown, "the cutover is not marked");
        let marked = scene.clock.now();
        command(&handle, Verb::Cutover).await.unwrap();
        scene.world.cut_over();
        scene.until(&handle, |snapshot| health(snapshot) == Health::Unhealthy).await;
        let turned = scene.clock.now().duration_since(marked).unsigned_abs();
        assert!(turned > Duration::from_secs(600) && turned < Duration::from_secs(601), "{turned:?}");
        let snapshot = scene.until(&handle, |snapshot| snapshot.state.run.is_some()).await;
        assert_eq!(snapshot.state.incident.as_ref().unwrap().triggers, ["hurt"]);
        scene.assert_sound(None);
    });
}

#[test]
fn after_a_restart_it_is_observed_again() {
    virtually(async {
        let (scene, counted) = scene();
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        command(&handle, Verb::Cutover).await.unwrap();
        scene.until(&handle, |snapshot| health(snapshot) == Health::Healthy).await;
        drop(handle);
        let before = counted.seen();
        let handle = scene.open().await;
        scene
            .until(&handle, |snapshot| snapshot.losses.get("db").is_some_and(|loss| loss.read == Read::Observed))
            .await;
        assert_eq!(counted.seen(), before + 1);
        let snapshot = scene.until(&handle, |snapshot| snapshot.state.signals["lost"].read).await;
        assert_eq!(health(&snapshot), Health::Healthy);
        scene.assert_sound(Some(&handle.snapshot().state));
    });
}

#[test]
fn a_dry_run_shows_it_and_a_signal_that_no_one_can_read_refuses_arming() {
    virtually(async {
        let (scene, _) = scene();
        let report = belay_engine::dry_run(
            &scene.ports,
            &scene.plan,
            "abc",
            &Circumstances { cutover: Some("2026-03-01T01:30:00Z".parse().unwrap()), ..Circumstances::default() },
            belay_engine::Which::default(),
        )
        .await
        .unwrap();
        let db = &report.loss["db"];
        assert!((1800..1810).contains(&db.now_s.unwrap()), "{db:?}");
        assert_eq!(report.signals["lost"].health, Health::Unhealthy);
        assert!(!report.loss.contains_key("by_hand"), "it loses nothing");

        let mut plan = watched_plan();
        plan.steps["by_hand"].loses_data = true;
        plan.signals["lost"].spec["loss"] = json!("by_hand");
        let scene = Scene::new(plan, 1, Faults::none());
        let handle = scene.open().await;
        let refused = scene.arm(&handle).await.unwrap_err();
        assert!(refused.to_string().contains("what by_hand would lose is not known"), "{refused}");
    });
}
