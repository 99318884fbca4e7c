//! What can be known before the rollback: found by arming and by a dry run, and shown by both.

use std::{sync::Arc, time::Duration};

use belay_core::{
    change::{Assessment, Change, Doc, Key, Receipt},
    event::RunKind,
    input::{Asked, Verb},
};
use belay_engine::{
    ArmError, Arming, Circumstances, DryRun, Found, Request, RunError, Verdict, rollback, run_foreground,
    view::MigrationView,
};
use belay_plan::model::{AwsTarget, Plan, Step};
use belay_ports::{
    AccountError, Actuator, Actuators, ApplyError, Check, CheckVerdict, Corrupt, Fut, Interruption, Permission,
    ReadError, RestorePoint, Restored, Scope,
};
use belay_sim::{Faults, Rule};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    plans::{plan, weights},
    scene::{Scene, command, virtually},
};

/// The world's actuators, whose resources have one more finding, and so have the credentials.
struct Finding {
    of: Arc<dyn Actuators>,
    check: Check,
    credentials: Credentials,
}

/// What IAM answers.
enum Credentials {
    Found(Vec<Check>),
    Nothing,
}

impl Actuators for Finding {
    fn actuator(&self, action: &str) -> Option<Arc<dyn Actuator>> {
        Some(Arc::new(Checked { of: self.of.actuator(action)?, check: self.check.clone() }))
    }

    fn verify_account<'a>(&'a self, aws: &'a AwsTarget) -> Fut<'a, Result<String, AccountError>> {
        self.of.verify_account(aws)
    }

    fn readiness<'a>(&'a self, _: &'a AwsTarget, _: &'a [Permission], _: Timestamp) -> Fut<'a, Vec<Check>> {
        Box::pin(async move {
            match &self.credentials {
                Credentials::Found(checks) => checks.clone(),
                Credentials::Nothing => std::future::pending().await,
            }
        })
    }

    fn permissions(&self, aws: &AwsTarget) -> Vec<Permission> {
        self.of.permissions(aws)
    }

    fn detours(&self) -> Vec<String> {
        self.of.detours()
    }
}

struct Checked {
    of: Arc<dyn Actuator>,
    check: Check,
}

impl Actuator for Checked {
    fn observe<'a>(&'a self, scope: &'a Scope, receipts: &'a [Receipt]) -> Fut<'a, Result<Doc, ReadError>> {
        self.of.observe(scope, receipts)
    }

    fn assess(&self, scope: &Scope, now: &Doc, receipts: &[Receipt]) -> Result<Assessment, Corrupt> {
        self.of.assess(scope, now, receipts)
    }

    fn checks(&self, _: &Scope, _: &Doc) -> Result<Vec<Check>, Corrupt> {
        Ok(vec![self.check.clone()])
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

fn scene(verdict: CheckVerdict) -> Scene {
    scene_with(Check {
        id: "renamable".to_owned(),
        subject: "checkout".to_owned(),
        verdict,
        found: "stopped".to_owned(),
        wanted: "available".to_owned(),
        cure: "start it".to_owned(),
    })
}

fn scene_with(check: Check) -> Scene {
    scene_of(plan([("dns", weights())]), check)
}

fn scene_of(plan: Plan, check: Check) -> Scene {
    scene_as(plan, check, Credentials::Found(Vec::new()))
}

fn scene_as(plan: Plan, check: Check, credentials: Credentials) -> Scene {
    let mut scene = Scene::new(plan, 1, Faults::none());
    scene.world.set("dns", serde_json::json!({ "blue": 100, "green": 0 }));
    scene.ports.actuators = Arc::new(Finding { of: scene.ports.actuators.clone(), check, credentials });
    scene
}

fn scene_with_credentials(credentials: Credentials) -> Scene {
    scene_as(plan([("dns", weights())]), Check::go("step", "checkout", "well"), credentials)
}

async fn dry_run(scene: &Scene, cutover: Option<Timestamp>) -> DryRun {
    belay_engine::dry_run(
        &scene.ports,
        &scene.plan,
        "abc",
        &Circumstances { cutover, ..Circumstances::default() },
        belay_engine::Which::default(),
    )
    .await
    .unwrap()
}

const LINE: &str = "checkout: stopped (wanted: available); start it";

#[test]
fn a_check_that_is_no_go_stops_the_dry_run_and_arming() {
    virtually(async {
        let scene = scene(CheckVerdict::NoGo);
        let report = dry_run(&scene, None).await;
        assert_eq!((report.verdict, report.stopped_by[0].why.as_str()), (Verdict::WouldStop, LINE));
        let handle = scene.open().await;
        let refused = scene.arm(&handle).await.unwrap_err();
        assert!(matches!(&refused, ArmError::Impossible { why, .. } if why == LINE), "{refused}");
        assert_eq!(handle.snapshot().state.seq, 0, "nothing has changed");
    });
}

#[test]
fn a_check_that_warns_is_shown_by_both() {
    virtually(async {
        for verdict in [CheckVerdict::Warn, CheckVerdict::Unknown] {
            let scene = scene(verdict);
            let report = dry_run(&scene, None).await;
            assert_eq!(report.verdict, Verdict::WouldRollBack);
            assert!(report.warnings.contains(&format!("step dns: {LINE}")), "{:?}", report.warnings);
            let handle = scene.open().await;
            assert_eq!(scene.arm(&handle).await.unwrap().warnings, [format!("step dns: {LINE}")]);
        }
    });
}

/// Arming comes before the cutover; a rollback without the mark would fail in the middle.
#[test]
fn a_step_that_counts_from_a_cutover_without_a_mark_stops_the_dry_run_and_is_a_warning_of_arming() {
    virtually(async {
        let scene = scene_with(Check::cutover_unmarked("checkout", "`from`"));
        let report = dry_run(&scene, None).await;
        let [stop] = report.stopped_by.as_slice() else { panic!("{:?}", report.stopped_by) };
        assert_eq!((report.verdict, stop.step.as_str()), (Verdict::WouldStop, "dns"));
        assert!(
            stop.why.contains("the cutover, which is not marked") && stop.why.contains("`belay cutover`"),
            "{stop:?}"
        );
        assert!(!report.warnings.iter().any(|warning| warning.contains("not marked")), "{:?}", report.warnings);
        let handle = scene.open().await;
        let armed = scene.arm(&handle).await.unwrap();
        assert_eq!(armed.warnings, [format!("step dns: {}", stop.why)]);
    });
}

#[test]
fn a_run_without_a_daemon_is_refused_where_a_step_would_fail_without_the_mark() {
    virtually(async {
        let lossy = Step { loses_data: true, ..weights() };
        let scene = scene_of(plan([("dns", lossy), ("web", weights())]), Check::cutover_unmarked("checkout", "`from`"));
        scene.world.set("web", serde_json::json!({ "blue": 100, "green": 0 }));
        let handle = scene.open().await;
        let request = |only: &[&str]| Request {
            plan: scene.plan.clone(),
            plan_sha256: "abc".to_owned(),
            kind: RunKind::Real,
            baseline: None,
            only: only.iter().map(|name| (*name).to_owned()).collect(),
            phase: None,
            asked: Asked::new("alice", "it hurts"),
        };
        let refused = run_foreground(&handle, &scene.ports, request(&[])).await.unwrap_err();
        assert!(matches!(&refused, RunError::CutoverUnmarked { step, .. } if step == "dns"), "{refused}");
        let other = run_foreground(&handle, &scene.ports, request(&["web"])).await;
        assert!(!matches!(other, Err(RunError::CutoverUnmarked { .. })), "{other:?}");
    });
}

/// The dry run and a run without a daemon say the same.
#[test]
fn a_rollback_that_a_person_asks_for_is_refused_where_a_step_would_fail_without_the_mark() {
    virtually(async {
        let lossy = Step { loses_data: true, ..weights() };
        let scene = scene_of(plan([("dns", lossy), ("web", weights())]), Check::cutover_unmarked("checkout", "`from`"));
        scene.world.set("web", serde_json::json!({ "blue": 100, "green": 0 }));
        let handle = scene.open().await;
        let asked = Asked::new("alice", "it hurts");
        let nothing_is_armed = rollback(&handle, &scene.ports, Vec::new(), &asked).await;
        assert!(matches!(nothing_is_armed, Err(RunError::Command(_))), "{nothing_is_armed:?}");
        scene.arm(&handle).await.unwrap();
        let refused = rollback(&handle, &scene.ports, Vec::new(), &asked).await.unwrap_err();
        assert!(matches!(&refused, RunError::CutoverUnmarked { step, .. } if step == "dns"), "{refused}");
        assert!(handle.snapshot().state.run.is_none(), "nothing has begun");
        rollback(&handle, &scene.ports, vec!["web".to_owned()], &asked).await.unwrap();
    });
}

#[test]
fn a_rollback_does_not_wait_for_what_shows_whether_the_mark_is_needed() {
    virtually(async {
        let lossy = Step { loses_data: true, ..weights() };
        let scene = scene_of(plan([("dns", lossy)]), Check::cutover_unmarked("checkout", "`from`"));
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        scene.world.set_latency(Duration::from_secs(60));
        let began = scene.clock.monotonic();
        rollback(&handle, &scene.ports, Vec::new(), &Asked::new("alice", "it hurts")).await.unwrap();
        assert!(scene.clock.monotonic() - began < Duration::from_secs(6));
    });
}

#[test]
fn arming_after_a_cutover_that_was_disarmed_says_that_the_baseline_is_the_new_side() {
    virtually(async {
        let mut plan = plan([("dns", weights())]);
        plan.triggers.clear();
        plan.phases = ["backfill", "cutover"].map(|name| (name.to_owned(), Default::default())).into_iter().collect();
        let scene = Scene::new(plan, 1, Faults::none());
        let shown = |handle: &belay_engine::Handle| MigrationView::new(&handle.snapshot(), None, scene.clock.now());
        scene.world.set("dns", serde_json::json!({ "blue": 100, "green": 0 }));
        let handle = scene.open().await;
        scene.arm(&handle).await.unwrap();
        command(&handle, Verb::Cutover).await.unwrap();
        assert_eq!(shown(&handle).phase.as_deref(), Some("cutover"));
        command(&handle, Verb::Disarm).await.unwrap();
        assert_eq!(shown(&handle).phase, None, "the next arming begins with the first phase");
        assert!(scene.arm(&handle).await.unwrap().warnings.is_empty(), "the traffic was not moved");

        let before = handle.snapshot().state.baseline.clone().unwrap();
        command(&handle, Verb::Cutover).await.unwrap();
        scene.world.set("dns", serde_json::json!({ "blue": 0, "green": 100 }));
        command(&handle, Verb::Disarm).await.unwrap();
        let warnings = scene.arm(&handle).await.unwrap().warnings;
        let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
        assert!(warning.starts_with("step dns: its baseline is new, and is not the state of "), "{warning}");
        assert!(warning.contains(" -o FILE`, then `belay arm --baseline FILE`"), "{warning}");
        assert!(scene.arm(&handle).await.unwrap().warnings.is_empty(), "said once");

        // What `belay capture --on-record` writes.
        let given = Arming { baseline: Some(before.as_ref().clone()), ..Arming::default() };
        assert!(scene.arm_as(&handle, given).await.unwrap().warnings.is_empty());
        let now = handle.snapshot().state.baseline.clone().unwrap();
        assert_eq!(now.steps["dns"].doc["is"]["blue"], 100, "a rollback goes back to the known-good state");
    });
}

#[test]
fn a_signal_that_does_not_exist_is_named_and_refuses_arming_unless_it_is_accepted() {
    virtually(async {
        let scene = scene(CheckVerdict::Go);
        scene.world.set_rule("in_place", Rule::Absent);
        let expected =
            "signals.in_place: signal in_place cannot be read: there is no such alarm (trigger hurt depends on it)";
        let report = dry_run(&scene, None).await;
        assert!(report.warnings.iter().any(|warning| warning == expected), "{:?}", report.warnings);
        assert!(report.signals["in_place"].permanent && report.triggers["hurt"].signals == ["in_place"]);
        let handle = scene.open().await;
        let refused = scene.arm(&handle).await.unwrap_err();
        assert_eq!(refused.to_string(), expected);
        let armed = scene.arm_as(&handle, Arming { accept_unknown: true, ..Arming::default() }).await.unwrap();
        assert_eq!(armed.warnings, [expected]);
    });
}

/// The dry run of a role that lacks a permission goes through, since it only reads; the rollback would not.
#[test]
fn a_permission_that_iam_denies_refuses_arming_unless_it_is_accepted() {
    let denied = |action: &str| {
        Check::no_go("permission", format!("{action} on checkout"), "implicitDeny: no policy of belay allows it")
            .wanted("allowed for belay")
            .cure("attach it")
    };
    let line = |action: &str| {
        format!(
            "{action} on checkout: implicitDeny: no policy of belay allows it (wanted: allowed for belay); attach it"
        )
    };
    virtually(async {
        let actions: Vec<String> = (1..=7).map(|number| format!("rds:Action{number}")).collect();
        let checks: Vec<Check> = actions.iter().map(|action| denied(action)).collect();
        let scene = scene_with_credentials(Credentials::Found(checks));
        let handle = scene.open().await;
        let refused = scene.arm(&handle).await.unwrap_err();
        let lines: Vec<String> = actions.iter().map(|action| line(action)).collect();
        let text = format!("the role in use lacks permissions:\n{}\nand 2 more", lines[..5].join("\n"));
        assert_eq!(refused.to_string(), text);
        assert!(
            matches!(&refused, ArmError::MissingPermissions { permissions } if *permissions == lines),
            "{refused:?}"
        );
        assert_eq!(handle.snapshot().state.seq, 0, "nothing has changed");
        let armed = scene.arm_as(&handle, Arming { accept_unknown: true, ..Arming::default() }).await.unwrap();
        assert_eq!(armed.warnings, lines);
    });
}

#[test]
fn what_iam_does_not_answer_is_a_line_of_arming_and_no_refusal() {
    virtually(async {
        let unknown = Check::unknown("permission", "belay", "the role needs iam:SimulatePrincipalPolicy")
            .wanted("all permissions")
            .cure("allow it");
        let go = Check::go("credentials", "belay", "lasting keys");
        let scene = scene_with_credentials(Credentials::Found(vec![go, unknown.clone()]));
        let handle = scene.open().await;
        assert_eq!(scene.arm(&handle).await.unwrap().warnings, [unknown.line()]);

        let scene = scene_with_credentials(Credentials::Nothing);
        let handle = scene.open().await;
        let began = scene.clock.monotonic();
        let warnings = scene.arm(&handle).await.unwrap().warnings;
        let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
        assert!(warning.contains("not evaluated within 10 s"), "{warning}");
        assert!(scene.clock.monotonic() - began < Duration::from_secs(11), "arming waits no longer");
    });
}

#[test]
fn without_a_baseline_a_dry_run_shows_what_arming_would_capture() {
    virtually(async {
        let scene = scene(CheckVerdict::Go);
        let report = dry_run(&scene, None).await;
        assert_eq!((report.verdict, report.steps["dns"].found), (Verdict::WouldRollBack, Found::Uncaptured));
        assert_eq!(report.steps["dns"].captures.as_ref().unwrap()["is"]["blue"], 100);
        assert!(report.warnings.iter().any(|warning| warning.contains("no baseline is captured yet for dns")));
    });
}

#[test]
fn after_the_cutover_a_missing_baseline_stops_the_dry_run() {
    virtually(async {
        let scene = scene(CheckVerdict::Go);
        let report = dry_run(&scene, Some(scene.clock.now())).await;
        assert_eq!(report.verdict, Verdict::WouldStop);
        assert!(report.stopped_by[0].why.contains("--baseline FILE"), "{:?}", report.stopped_by);
    });
}
