//! One rehearsal from its beginning to its end: a process, a journal, a world, people, and what the script has in store.

use std::{sync::Arc, time::Duration};

use belay_core::{
    event::RunKind,
    input::{Asked, Verb},
    run::RunState,
};
use belay_engine::{Arming, Engine, Handle, Options, Sampler, Snapshot};
use belay_journal::MemoryJournal;
use belay_ports::Ports;
use jiff::Timestamp;

use crate::{
    chance::{Chance, SeededEntropy},
    clock::SimClock,
    fault::Faults,
    invariants::Witness,
    rehearsal::{
        Ended, Outcome, PlayError, Rehearsal,
        director::{Director, Ear, Happens},
        people::People,
        signals, usual,
    },
    world::World,
};

/// Every rehearsal begins at the same moment, so that its journal can be had again.
const BEGIN: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Of a calm that lasts longer than this, only so much is played.
const CALM_PLAYED: Duration = Duration::from_secs(24 * 60 * 60);

/// Before the cutover, so that no signal is being read at that moment.
const AFTER_THE_READ: Duration = Duration::from_secs(1);

/// When nothing was put on record for so long, and nothing is to come, nothing comes.
const QUIET: Duration = Duration::from_secs(24 * 60 * 60);

/// A process that does not answer its own shutdown in time is dropped.
const NOBODY: Duration = Duration::from_secs(60);

pub(crate) struct Stage<'r> {
    rehearsal: &'r Rehearsal,
    world: Arc<World>,
    witness: Arc<Witness>,
    ports: Ports,
    ear: Arc<Ear>,
    chance: Chance,
}

/// What was seen from the stage.
pub(crate) struct Seen {
    pub(crate) ended: Ended,
    pub(crate) witness: Arc<Witness>,
    pub(crate) breach: Option<Timestamp>,
    /// What the script has in store and nothing met.
    pub(crate) unmet: Vec<String>,
}

impl<'r> Stage<'r> {
    pub(crate) fn new(rehearsal: &'r Rehearsal, seed: u64) -> Self {
        let plan = &rehearsal.plan;
        let mut chance = Chance::new(seed);
        let clock = Arc::new(SimClock::new(BEGIN, 1));
        let world = Arc::new(World::new(plan, clock.clone(), Faults::none()));
        for (name, step) in &plan.steps {
            let takes = rehearsal.measured.get(name).copied().unwrap_or_else(|| usual::of_action(&step.action));
            world.draw_pace(name, takes, chance.fork());
        }
        world.set_every_destination(true);
        for (signal, rule) in signals::rules(plan, rehearsal.script.trigger.as_deref(), &mut chance) {
            world.set_rule(&signal, rule);
        }
        let witness = Witness::new(&plan.migration);
        let ear = Ear::new(world.clone(), clock);
        let entropy = Arc::new(SeededEntropy::new(chance.draw()));
        let mut ports = crate::ports(&world, Arc::new(MemoryJournal::default()), entropy);
        ports.journal = witness.journal(ports.journal);
        ports.actuators = witness.actuators(ports.actuators);
        ports.observer = ear.clone();
        Self { rehearsal, world, witness, ports, ear, chance }
    }

    pub(crate) async fn play(mut self) -> Result<Seen, PlayError> {
        let clock = self.world.clock();
        let handle = self.open().await?;
        let asked = Asked::new("operator 1", "as rehearsed");
        let (plan, sha256) = (&self.rehearsal.plan, &self.rehearsal.plan_sha256);
        belay_engine::arm(&handle, &self.ports, plan.clone(), sha256, Arming::default(), &asked).await?;
        let calm = self.rehearsal.script.calm.draw(&mut self.chance);
        if calm > CALM_PLAYED {
            self.ear.pass_over(calm - CALM_PLAYED);
            clock.sleep(AFTER_THE_READ).await;
        }
        handle.command(asked.command(Verb::Cutover)).await?;
        self.world.cut_over();
        clock.sleep(calm.min(CALM_PLAYED)).await;
        self.world.breach();
        let breach = clock.now();
        let (ended, unmet) = self.until_it_ends(handle, breach).await?;
        Ok(Seen { ended, witness: self.witness, breach: Some(breach), unmet })
    }

    /// A process starts, on the same journal and world.
    async fn open(&self) -> Result<Handle, PlayError> {
        let Ports { sensors, clock, observer, .. } = &self.ports;
        let sampler = Sampler::start(sensors.clone(), clock.clone(), observer.clone(), self.rehearsal.poll);
        let options = Options { sampler, belay_version: self.rehearsal.belay_version.clone() };
        Ok(Engine::open(self.ports.clone(), &self.rehearsal.plan.migration, options).await?)
    }

    async fn until_it_ends(
        &mut self,
        mut handle: Handle,
        breach: Timestamp,
    ) -> Result<(Ended, Vec<String>), PlayError> {
        let script = &self.rehearsal.script;
        let clock = self.world.clock();
        let mut people = People::new(script, self.chance.fork(), breach);
        let mut director = Director::new(&script.cues, &self.world, &self.ear, &mut self.chance);
        let horizon = BEGIN + script.horizon;
        loop {
            let mut watch = handle.watch();
            let snapshot = watch.borrow_and_update().clone();
            if let Some(ended) = ended(&snapshot, &mut people) {
                let _ = tokio::time::timeout(NOBODY, handle.shutdown()).await;
                return Ok((ended, [people.unmet(), director.unmet()].concat()));
            }
            let now = clock.now();
            let quiet = snapshot.state.at.is_some_and(|last| now >= last + QUIET) && now >= breach + QUIET;
            let next = people.next(&snapshot.state);
            let nothing_comes = quiet
                && next.is_none()
                && director.is_over()
                && self.world.is_at_rest()
                && snapshot.state.wants().deadline.is_none();
            if now >= horizon || nothing_comes {
                return Ok((not_over(&snapshot, script.horizon), [people.unmet(), director.unmet()].concat()));
            }
            let due = next.as_ref().map_or(horizon, |(at, _)| (*at).min(horizon)).min(now + QUIET);
            tokio::select! {
                biased;
                happens = director.next(&mut self.chance) => match happens {
                    Happens::Killed { down } => {
                        drop((handle, watch)); // as in a crash: nothing is finished
                        clock.sleep(down).await;
                        handle = self.open().await?;
                    }
                    Happens::Called { number } => {
                        let verb = Verb::Rollback { kind: RunKind::Simulated, only: Vec::new(), pin: None };
                        let called = Asked::new("operator 1", "as rehearsed").command(verb);
                        // Where a run is open, nobody calls another one.
                        if handle.command(called).await.is_ok() {
                            director.meets(number);
                        }
                    }
                },
                () = clock.sleep(until(due, clock.now())) => {
                    if let Some((_, command)) = next.filter(|(at, _)| *at <= clock.now()) {
                        match handle.command(command).await {
                            Ok(_) => people.was_heard(),
                            Err(error) => people.refused(error.to_string()),
                        }
                    }
                }
                changed = watch.changed() => changed.map_err(|_| PlayError::Stopped)?,
            }
        }
    }
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}

/// How it ended, if it has.
fn ended(snapshot: &Snapshot, people: &mut People<'_>) -> Option<Ended> {
    let state = &snapshot.state;
    let Some(run) = &state.run else {
        let recovered = state.incident.is_none() && !state.past_incidents.is_empty();
        return recovered.then(|| Ended::new(Outcome::Recovered, "the trigger healed before anybody rolled back"));
    };
    match run.state {
        RunState::RolledBack => Some(Ended::new(Outcome::RolledBack, &run.why)),
        RunState::Halted if people.go_on_after_a_halt() => None,
        RunState::Halted => Some(Ended::new(Outcome::Halted, &run.why)),
        RunState::Aborted | RunState::Undone | RunState::Rehearsed => Some(Ended::new(Outcome::Aborted, &run.why)),
        RunState::Running | RunState::Held | RunState::Confirming => {
            people.keep_waiting(run).map(|why| Ended::new(Outcome::WaitsForPerson, &why))
        }
    }
}

fn not_over(snapshot: &Snapshot, horizon: Duration) -> Ended {
    let horizon = belay_plan::duration::format(horizon);
    let state = &snapshot.state;
    match (&state.run, &state.incident) {
        (Some(run), _) => {
            let open = run.steps.iter().filter(|(_, step)| !step.phase.is_over());
            let open: Vec<String> = open.map(|(name, step)| format!("{name} is {}", step.phase.as_str())).collect();
            let open = if open.is_empty() { run.state.as_str().to_owned() } else { open.join(", ") };
            Ended::new(Outcome::NotOver, &format!("not over after {horizon}: {open}"))
        }
        (None, Some(incident)) => {
            let why = format!("an incident is open, and nobody has decided within {horizon}: {}", incident.why);
            Ended::new(Outcome::WaitsForPerson, &why)
        }
        (None, None) => Ended::new(Outcome::Unnoticed, &format!("nothing was noticed within {horizon}")),
    }
}
