//! A process, a journal and a world, in virtual time; and a person who does what a waiting state asks for.

use std::{future::Future, sync::Arc, time::Duration};

use belay_core::{
    event::RunKind,
    input::{Asked, Verb},
    migration::Migration,
    reading::Health,
    run::{Phase, RunState},
};
use belay_engine::{Armed, Arming, CommandError, Engine, Handle, Options, Sampler, Snapshot, view::MigrationView};
use belay_journal::MemoryJournal;
use belay_plan::model::Plan;
use belay_ports::{Clock, Ports};
use belay_sim::{Chance, Faults, Rule, SeededEntropy, SimClock, World, invariants::Witness};

pub(crate) const POLL: Duration = Duration::from_secs(5);

/// Six hours of virtual time: whatever still moves then never ends.
pub(crate) const LONG: Duration = Duration::from_secs(6 * 60 * 60);

/// Runs in virtual time, alone on a thread: the same every time.
pub(crate) fn virtually<F: Future>(scene: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(scene)
}

/// Of this virtual time, at a real date.
pub(crate) fn sim_clock() -> SimClock {
    SimClock::new("2026-03-01T02:00:00Z".parse().unwrap(), 1)
}

pub(crate) struct Scene {
    pub(crate) plan: Arc<Plan>,
    pub(crate) world: Arc<World>,
    pub(crate) journal: Arc<MemoryJournal>,
    pub(crate) witness: Arc<Witness>,
    pub(crate) ports: Ports,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Scene {
    pub(crate) fn new(plan: Plan, seed: u64, faults: Faults) -> Self {
        Self::on(Arc::new(sim_clock()), plan, seed, faults)
    }

    pub(crate) fn on(clock: Arc<dyn Clock>, plan: Plan, seed: u64, faults: Faults) -> Self {
        let world = Arc::new(World::new(&plan, clock.clone(), faults));
        world.set_rule("blue_ready", Rule::Always(Health::Healthy));
        world.set_destination("blue", true);
        for step in plan.steps.keys() {
            world.set_rule(&format!("at_{step}"), Rule::AtTarget(vec![step.clone()]));
        }
        // A fallback's resource counts for nothing: it may rightly never be touched.
        let main = plan.steps.keys().filter(|name| !name.starts_with('f')).cloned().collect();
        world.set_rule("in_place", Rule::AtTarget(main));
        let journal = Arc::new(MemoryJournal::default());
        let witness = Witness::new(&plan.migration);
        let mut ports = belay_sim::ports(&world, journal.clone(), Arc::new(SeededEntropy::new(seed)));
        ports.journal = witness.journal(ports.journal);
        ports.actuators = witness.actuators(ports.actuators);
        Self { plan: Arc::new(plan), world, journal, witness, ports, clock }
    }

    /// A process starts: with a new sampler, on the same journal and world.
    pub(crate) async fn open(&self) -> Handle {
        let sampler = Sampler::start(self.ports.sensors.clone(), self.clock.clone(), Arc::new(()), POLL);
        let options = Options { sampler, belay_version: "0.1.0".to_owned(), readiness: None };
        Engine::open(self.ports.clone(), &self.plan.migration, options).await.unwrap()
    }

    pub(crate) async fn arm(&self, handle: &Handle) -> Result<Armed, belay_engine::ArmError> {
        self.arm_as(handle, Arming::default()).await
    }

    pub(crate) async fn arm_as(&self, handle: &Handle, arming: Arming) -> Result<Armed, belay_engine::ArmError> {
        let asked = Asked::new("alice", "moving");
        belay_engine::arm(handle, &self.ports, self.plan.clone(), "abc", arming, &asked).await
    }

    /// Armed, and then the cutover goes wrong at once.
    pub(crate) async fn armed_and_cut_over(&self, handle: &Handle) {
        self.arm(handle).await.unwrap();
        command(handle, Verb::Cutover).await.unwrap();
        self.world.cut_over();
    }

    /// Waits until a snapshot shows it.
    pub(crate) async fn until(&self, handle: &Handle, what: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut watch = handle.watch();
        let waiting = async { watch.wait_for(|snapshot| what(snapshot)).await.unwrap().clone() };
        match tokio::time::timeout(LONG, waiting).await {
            Ok(snapshot) => snapshot,
            Err(_) => panic!("it never came to that; the last state is {:#?}", handle.snapshot().state.run),
        }
    }

    pub(crate) async fn until_run(&self, handle: &Handle, state: RunState) -> Arc<Snapshot> {
        self.until(handle, |snapshot| run_state(snapshot) == Some(state)).await
    }

    /// Nothing that must hold was broken, and what the journal says is what the engine thought.
    pub(crate) fn assert_sound(&self, live: Option<&Migration>) {
        assert_eq!(self.witness.violations(), Vec::<String>::new());
        let records = self.witness.records();
        let mut replayed = Migration::new(&self.plan.migration);
        for record in &records {
            replayed.evolve(record).unwrap();
        }
        if let Some(live) = live {
            assert_eq!(&replayed, live, "replay does not come to the live state");
        }
    }

    /// What happened, to the byte.
    pub(crate) fn transcript(&self) -> Vec<String> {
        self.witness.records().iter().map(|record| serde_json::to_string(record).unwrap()).collect()
    }
}

pub(crate) fn run_state(snapshot: &Snapshot) -> Option<RunState> {
    snapshot.state.run.as_ref().map(|run| run.state)
}

pub(crate) fn phase(snapshot: &Snapshot, step: &str) -> Option<Phase> {
    snapshot.state.run.as_ref()?.steps.get(step).map(|step| step.phase)
}

pub(crate) async fn command(handle: &Handle, verb: Verb) -> Result<(), CommandError> {
    let command = Asked::new("alice", "because").command(verb);
    handle.command(command).await.map(|_| ())
}

pub(crate) fn roll_back(only: &[&str]) -> Verb {
    let only = only.iter().map(|name| (*name).to_owned()).collect();
    Verb::Rollback { kind: RunKind::Real, only, pin: None }
}

/// What a person does next about a run that waits for one. None when nothing waits for a person.
pub(crate) fn next_verb(
    snapshot: &Snapshot,
    now: jiff::Timestamp,
    chance: &mut Chance,
    patience: bool,
) -> Option<Verb> {
    let run = snapshot.state.open_run()?;
    let id = run.id.clone();
    let waits = matches!(run.state, RunState::Halted | RunState::Held)
        || run.steps.values().any(|step| step.phase == Phase::AwaitingApproval);
    if !waits {
        return None;
    }
    if !patience {
        return Some(Verb::Abort { run: id });
    }
    let view = MigrationView::new(snapshot, None, now);
    let needs_person = |verb: &&str| matches!(*verb, "approve" | "resume" | "retry" | "skip" | "override" | "abort");
    let choices: Vec<(&str, Option<String>)> = view
        .waiting_for
        .iter()
        .filter(|waiting| {
            matches!(run.state, RunState::Halted | RunState::Held)
                || waiting.step.as_ref().is_some_and(|step| run.steps[step].phase == Phase::AwaitingApproval)
        })
        .flat_map(|waiting| {
            waiting.verbs.iter().map(|verb| verb.as_str()).filter(needs_person).map(|verb| (verb, waiting.step.clone()))
        })
        .filter(|(verb, _)| *verb != "abort" || chance.clone().per_mille(50))
        .collect();
    let (verb, step) = chance.pick(&choices)?.clone();
    let step = step.unwrap_or_default();
    Some(match verb {
        "approve" => Verb::Approve { run: id, step, approve: chance.per_mille(900) },
        "retry" => Verb::Retry { run: id, step },
        "skip" => Verb::Skip { run: id, step },
        "override" => {
            let subject = if chance.per_mille(500) { "blue_ready" } else { "blue" };
            Verb::Override { run: id, step, subject: subject.to_owned() }
        }
        "resume" => Verb::Resume { run: id },
        _ => Verb::Abort { run: id },
    })
}
