//! A rollback of hours in milliseconds: the real engine and the real actuators on a paused clock, before a strict world.

use std::{sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use belay_aws::{
    AwsSystems,
    session::{Access, Aws},
};
use belay_core::{
    event::{Record, RunKind},
    input::{Asked, Verb},
    run::{Phase, Run, RunState, StepState},
};
use belay_engine::{
    ArmError, Armed, Arming, Circumstances, DryRun, Engine, Handle, LossView, Options, Readiness, Request, Sampler,
    Which, view::MigrationView,
};
use belay_journal::MemoryJournal;
use belay_plan::{
    catalogue::Catalogue,
    model::{Name, Plan},
};
use belay_ports::{Clock, Ports, Restored};
use belay_sim::{SeededEntropy, SimClock, invariants::Witness};
use indexmap::IndexMap;

use crate::{connector::Shared, fault::Call, paced::Paced, world::World};

const POLL: Duration = Duration::from_secs(5);

/// Between two looks of a step, unless a scene looks closely: a look costs the SDK's part of a test twenty milliseconds.
const PACE: Duration = Duration::from_secs(2);

/// A killed process is started again after so long.
const DOWN: Duration = Duration::from_secs(5);

/// A rollback that is not over by then is never over.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// A world, and the plan that rolls it back.
pub struct Scene {
    world: World,
    plan: Plan,
    sha256: String,
    cut_over: Box<dyn Fn(&mut World)>,
    pace: Duration,
}

/// What came of a rollback.
pub struct Played {
    pub run: Run,
    pub took: Duration,
    pub world: World,
    pub records: Vec<Record>,
    /// How often the process was started.
    pub starts: usize,
}

impl Scene {
    /// `plan`: a whole plan, or its steps alone, indented by two.
    ///
    /// # Panics
    /// When the plan is not valid: with all its errors.
    pub fn new(world: World, plan: &str) -> Self {
        let text = if plan.starts_with("belay:") { plan.to_owned() } else { with_head(plan) };
        let catalogue = Catalogue::new(belay_aws_catalogue::action_specs(), belay_aws_catalogue::signal_specs());
        let loaded = belay_plan::load("plan.yaml", &text, &catalogue);
        let loaded = loaded.unwrap_or_else(|errors| panic!("{errors:#?}\n{text}"));
        Self { world, plan: loaded.plan, sha256: loaded.sha256, cut_over: Box::new(|_| ()), pace: PACE }
    }

    /// What becomes of the world between arming and the rollback.
    #[must_use]
    pub fn after_cutover(mut self, change: impl Fn(&mut World) + 'static) -> Self {
        self.cut_over = Box::new(change);
        self
    }

    /// Looks as often as the real daemon does: four times a second, for as long as little time has gone.
    #[must_use]
    pub fn closely(mut self) -> Self {
        self.pace = Duration::ZERO;
        self
    }

    /// The calls that the undisturbed rollback makes and that can change something.
    pub fn sends(&self) -> Vec<Call> {
        let played = self.roll_back();
        assert_eq!(played.run.state, RunState::RolledBack, "{}", played.told());
        played.sends().cloned().collect()
    }

    /// Arms, cuts over, rolls back, and waits until the run ends or halts. A person approves whatever has to be approved.
    ///
    /// # Panics
    /// When it cannot be armed, or never ends, or breaks an invariant.
    pub fn roll_back(&self) -> Played {
        self.roll_back_in(self.world.clone())
    }

    /// The same in a world that differs: with something that befalls its calls.
    pub fn roll_back_in(&self, world: World) -> Played {
        virtually(async {
            let stage = Stage::new(self, world);
            let handle = stage.open().await;
            stage.arm(&handle).await.unwrap_or_else(|error| panic!("it cannot be armed: {error}"));
            stage.play(handle, true).await
        })
    }

    /// The same without a person who asks for it: a trigger of the plan rolls back.
    pub fn wait_for_the_trigger(&self) -> Played {
        virtually(async {
            let stage = Stage::new(self, self.world.clone());
            let handle = stage.open().await;
            stage.arm(&handle).await.unwrap_or_else(|error| panic!("it cannot be armed: {error}"));
            stage.play(handle, false).await
        })
    }

    /// Nobody has marked the cutover: a rollback as a trigger starts it, which halts. Then what the message names: the run is aborted, the
    /// plan of `cured` is armed, and rolled back. Both runs.
    ///
    /// # Panics
    /// When one of these is refused.
    pub fn roll_back_unmarked(&self, cured: &Self) -> (Played, Played) {
        virtually(async {
            let stage = Stage::new(self, self.world.clone());
            let took = |verb| Asked::new("operator", "a test").command(verb);
            let roll_back = || took(Verb::Rollback { kind: RunKind::Real, only: Vec::new(), pin: None });
            let handle = stage.open().await;
            stage.arm(&handle).await.unwrap_or_else(|error| panic!("it cannot be armed: {error}"));
            (self.cut_over)(&mut stage.shared.world());
            handle.command(roll_back()).await.expect("the rollback can begin");
            let halted = stage.follow(handle, stage.clock.now()).await;
            let handle = stage.open().await;
            handle
                .command(took(Verb::Abort { run: halted.run.id.clone() }))
                .await
                .expect("what has halted can be aborted");
            let mut watch = handle.watch();
            let over = watch.wait_for(|snapshot| snapshot.state.open_run().is_none()).await.map(drop);
            over.expect("the loop goes on");
            stage.arm_plan(&handle, cured).await.unwrap_or_else(|error| panic!("it cannot be armed: {error}"));
            handle.command(roll_back()).await.expect("the rollback can begin");
            (halted, stage.follow(handle, stage.clock.now()).await)
        })
    }

    /// Whether a rollback would go through now, before the cutover and without a baseline; with clients that can only read.
    pub fn readiness(&self) -> Readiness {
        virtually(async {
            let (stage, plan) = (Stage::new(self, self.world.clone()), Arc::new(self.plan.clone()));
            let ports = stage.ports(Access::ReadOnly);
            belay_engine::readiness(&ports, &(), &plan, &self.sha256, &Circumstances::default()).await
        })
    }

    /// Restores what a step would, beside it, in a world that may differ. With what was made.
    ///
    /// # Panics
    /// When the step has no restore, or the test cannot begin.
    pub fn restore_test_in(&self, step: &str, world: World) -> (Played, Restored) {
        virtually(async {
            let stage = Stage::of(self, &format!("{}-restore-test", self.plan.migration), world);
            let ports = stage.ports(Access::ReadWrite);
            let test = belay_engine::restore_test(&ports, &self.plan, step, None, None);
            let test = test.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(test.plan.migration, stage.migration);
            let handle = stage.open().await;
            let request = Request {
                plan: test.plan,
                plan_sha256: self.sha256.clone(),
                kind: RunKind::Real,
                baseline: test.baseline,
                only: Vec::new(),
                phase: None,
                asked: Asked::new("operator", "a restore test"),
            };
            let began = stage.clock.now();
            belay_engine::run_foreground(&handle, &ports, request).await.unwrap_or_else(|error| panic!("{error}"));
            let played = stage.follow(handle, began).await;
            let restored = belay_engine::restored(&ports, &played.run).await.expect("it can be looked at");
            (played, restored)
        })
    }

    /// The same in the world as it is.
    pub fn restore_test(&self, step: &str) -> (Played, Restored) {
        self.restore_test_in(step, self.world.clone())
    }

    pub fn world(&self) -> World {
        self.world.clone()
    }

    /// Whether it can be armed, with what a person is told then.
    ///
    /// # Errors
    /// Why not.
    pub fn arm(&self) -> Result<Armed, ArmError> {
        virtually(async {
            let stage = Stage::new(self, self.world.clone());
            let handle = stage.open().await;
            stage.arm(&handle).await
        })
    }

    /// Armed, and after a while cut over: what would be lost at each of these times after arming. With the calls that reading it took,
    /// counted from the first of these times on.
    ///
    /// # Panics
    /// When it cannot be armed.
    pub fn losses(&self, cutover_after: Duration, at: &[Duration]) -> (Vec<IndexMap<Name, LossView>>, Vec<Call>) {
        virtually(async {
            let stage = Stage::new(self, self.world.clone());
            let handle = stage.open().await;
            stage.arm(&handle).await.unwrap_or_else(|error| panic!("it cannot be armed: {error}"));
            let asked = Asked::new("operator", "a test");
            let armed = stage.clock.now();
            let until = async |time: Duration| {
                stage.clock.sleep(time.saturating_sub(stage.clock.now().duration_since(armed).unsigned_abs())).await;
            };
            let (mut shown, mut marked, mut calls_before) = (Vec::new(), false, None);
            for time in at {
                if !marked && *time >= cutover_after {
                    until(cutover_after).await;
                    handle.command(asked.command(Verb::Cutover)).await.expect("the cutover can be marked");
                    (self.cut_over)(&mut stage.shared.world());
                    marked = true;
                }
                until(*time).await;
                shown.push(MigrationView::new(&handle.snapshot(), None, stage.clock.now()).loss);
                calls_before.get_or_insert_with(|| stage.shared.world().calls().len());
            }
            let calls = stage.shared.world().calls()[calls_before.unwrap_or_default()..].to_vec();
            (shown, calls)
        })
    }

    /// A dry run without a baseline, in the world after the cutover; with clients that can only read.
    pub fn dry_run(&self) -> DryRun {
        self.dry(false)
    }

    /// The same with the baseline of the world before the cutover.
    pub fn dry_run_to_baseline(&self) -> DryRun {
        self.dry(true)
    }

    fn dry(&self, to_baseline: bool) -> DryRun {
        virtually(async {
            let (stage, plan, sha256) = (Stage::new(self, self.world.clone()), &self.plan, &self.sha256);
            let ports = stage.ports(Access::ReadOnly);
            let baseline = match to_baseline {
                true => Some(belay_engine::capture(&ports, plan, sha256).await.expect("a baseline can be captured")),
                false => None,
            };
            (self.cut_over)(&mut stage.shared.world());
            let circumstances = Circumstances { baseline: baseline.map(Arc::new), ..Circumstances::default() };
            let dry = belay_engine::dry_run(&ports, plan, sha256, &circumstances, Which::default()).await;
            dry.unwrap_or_else(|error| panic!("no dry run: {error}"))
        })
    }
}

/// Runs in virtual time, alone on a thread.
fn virtually<F: Future>(scene: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O can be made").block_on(scene)
}

fn with_head(steps: &str) -> String {
    format!(
        "belay: 1
migration: shop
aws: {{ account: \"111122223333\", region: eu-west-1 }}
steps:
{steps}"
    )
}

struct Stage<'s> {
    scene: &'s Scene,
    /// Whose run is played.
    migration: Name,
    shared: Shared,
    clock: Arc<dyn Clock>,
    journal: Arc<MemoryJournal>,
    witness: Arc<Witness>,
}

impl<'s> Stage<'s> {
    fn new(scene: &'s Scene, world: World) -> Self {
        Self::of(scene, &scene.plan.migration, world)
    }

    fn of(scene: &'s Scene, migration: &str, world: World) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(world.began(), 1));
        let shared = Shared::new(world, clock.clone());
        let witness = Witness::new(migration);
        Self {
            scene,
            migration: migration.to_owned(),
            shared,
            clock,
            journal: Arc::new(MemoryJournal::default()),
            witness,
        }
    }

    fn ports(&self, access: Access) -> Ports {
        let credentials = Credentials::new("AKIDSTRICT", "secret", None, None, "strict");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(self.shared.clone())
            .build();
        let systems = Arc::new(AwsSystems::new(
            Aws::with_config(access, self.clock.clone(), Arc::new(()), config, Arc::new(self.shared.clone())),
            self.clock.clone(),
        ));
        let paced = Paced { actuators: systems.clone(), pace: self.scene.pace };
        Ports {
            actuators: self.witness.actuators(Arc::new(paced)),
            sensors: systems,
            journal: self.witness.journal(self.journal.clone()),
            clock: self.clock.clone(),
            entropy: Arc::new(SeededEntropy::new(1)),
            channels: Arc::new(()),
            evidence: Arc::new(()),
            observer: Arc::new(()),
        }
    }

    /// A process starts: with new clients, on the same journal and world.
    async fn open(&self) -> Handle {
        let ports = self.ports(Access::ReadWrite);
        let sampler = Sampler::start(ports.sensors.clone(), self.clock.clone(), Arc::new(()), POLL);
        let options = Options { sampler, belay_version: "0.1.0".to_owned(), readiness: None };
        Engine::open(ports, &self.migration, options).await.expect("a journal in memory can be read")
    }

    async fn arm(&self, handle: &Handle) -> Result<Armed, ArmError> {
        self.arm_plan(handle, self.scene).await
    }

    /// Arms the plan of a scene.
    async fn arm_plan(&self, handle: &Handle, of: &Scene) -> Result<Armed, ArmError> {
        let (plan, ports) = (Arc::new(of.plan.clone()), self.ports(Access::ReadOnly));
        let asked = Asked::new("operator", "before the cutover");
        belay_engine::arm(handle, &ports, plan, &of.sha256, Arming::default(), &asked).await
    }

    async fn play(&self, handle: Handle, by_a_person: bool) -> Played {
        let asked = Asked::new("operator", "a test");
        let took = |verb| asked.command(verb);
        handle.command(took(Verb::Cutover)).await.expect("the cutover can be marked");
        (self.scene.cut_over)(&mut self.shared.world());
        let began = self.clock.now();
        if by_a_person {
            let roll_back = Verb::Rollback { kind: RunKind::Real, only: Vec::new(), pin: None };
            handle.command(took(roll_back)).await.expect("the rollback can begin");
        }
        self.follow(handle, began).await
    }

    /// Until the run is over, or halted.
    async fn follow(&self, mut handle: Handle, began: jiff::Timestamp) -> Played {
        let took = |verb| Asked::new("operator", "a test").command(verb);
        let mut starts = 1;
        loop {
            let mut watch = handle.watch();
            let snapshot = watch.borrow_and_update().clone();
            let left = LONG.saturating_sub(self.clock.now().duration_since(began).unsigned_abs());
            assert!(!left.is_zero(), "not over after {LONG:?}: {:#?}", snapshot.state.run);
            let run = snapshot.state.run.as_ref();
            if let Some(run) = run
                && !matches!(run.state, RunState::Running | RunState::Held | RunState::Confirming)
            {
                return self.over(run.clone(), began, starts);
            }
            let steps = run.into_iter().flat_map(|run| run.steps.iter().map(move |(name, step)| (run, name, step)));
            if let Some((run, step, _)) = steps.into_iter().find(|(.., step)| step.phase == Phase::AwaitingApproval) {
                let approve = Verb::Approve { run: run.id.clone(), step: step.clone(), approve: true };
                handle.command(took(approve)).await.expect("what waits for approval can be approved");
                continue;
            }
            tokio::select! {
                biased;
                () = self.shared.killed.notified() => {
                    drop((handle, watch)); // nothing is finished
                    self.clock.sleep(DOWN).await;
                    handle = self.open().await;
                    starts += 1;
                }
                () = self.clock.sleep(left) => {}
                changed = watch.changed() => changed.expect("the loop goes on"),
            }
        }
    }

    fn over(&self, run: Run, began: jiff::Timestamp, starts: usize) -> Played {
        assert_eq!(self.witness.violations(), Vec::<String>::new());
        let took = self.clock.now().duration_since(began).unsigned_abs();
        Played { run, took, world: self.shared.world().clone(), records: self.witness.records(), starts }
    }
}

impl Played {
    /// The run ended rolled back.
    #[track_caller]
    #[must_use]
    pub fn rolled_back(self) -> Self {
        assert_eq!(self.run.state, RunState::RolledBack, "{}", self.told());
        self
    }

    #[track_caller]
    pub fn step(&self, name: &str) -> &StepState {
        self.run.steps.get(name).unwrap_or_else(|| panic!("there is no step {name}"))
    }

    /// Everything that was sent and can change something, in order.
    pub fn sends(&self) -> impl Iterator<Item = &Call> {
        self.world.calls().iter().filter(|call| call.mutates())
    }

    /// The calls of one operation.
    pub fn calls<'p>(&'p self, operation: &'p str) -> impl Iterator<Item = &'p Call> {
        self.world.calls().iter().filter(move |call| call.operation == operation)
    }

    /// For a message: how it ended, and what was sent.
    pub fn told(&self) -> String {
        let mut lines = vec![format!("{} after {:?}: {}", self.run.state.as_str(), self.took, self.run.why)];
        lines.extend(self.run.steps.iter().map(|(name, step)| format!("{name}: {:?}: {}", step.phase, step.why)));
        lines.extend(self.sends().map(|call| {
            let at = call.at.duration_since(self.world.began()).unsigned_abs();
            format!("{at:?} {} {} {:?}", call.operation, call.input, call.outcome)
        }));
        lines.join("\n")
    }
}
