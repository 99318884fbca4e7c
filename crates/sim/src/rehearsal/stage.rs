//! One rehearsal from its beginning to its end: a process, a journal, a world, people, and what the script has in store.

use std::{sync::Arc, time::Duration};

use belay_core::{
    event::RunKind,
    incident::Incident,
    input::{Asked, Refusal, RefusalKind, Verb},
    run::RunState,
};
use belay_engine::{Arming, CommandError, Engine, Handle, Options, Sampler, Snapshot};
use belay_journal::MemoryJournal;
use belay_plan::model::{Answer, Name};
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
        leased::Leased,
        people::People,
        script::Ask,
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

/// When nothing was put on record for so long since an incident, and nothing is to come, it stays as it is: no signal takes longer
/// to show what has changed.
const STILL: Duration = Duration::from_secs(10 * 60);

/// A process that does not answer its own shutdown in time is dropped.
const NOBODY: Duration = Duration::from_secs(60);

pub(crate) struct Stage<'r> {
    rehearsal: &'r Rehearsal,
    pub(crate) world: Arc<World>,
    witness: Arc<Witness>,
    ports: Ports,
    ear: Arc<Ear>,
    /// The journal as the daemon has it that runs.
    lease: Arc<Leased>,
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
        // Before the window opens, nothing would start by itself.
        let opens = plan.window.as_ref().and_then(|window| window.opens);
        let clock = Arc::new(SimClock::new(opens.map_or(BEGIN, |opens| BEGIN.max(opens)), 1));
        let world = Arc::new(World::new(plan, clock.clone(), Faults::none()));
        for (name, step) in &plan.steps {
            let takes = rehearsal.measured.get(name).copied().unwrap_or_else(|| usual::of_step(step));
            world.draw_pace(name, takes, chance.fork());
        }
        world.set_every_destination(true);
        world.leave_unwatched();
        let rules = signals::rules(plan, rehearsal.script.trigger.as_deref(), &mut chance);
        let witness = Witness::new(&plan.migration);
        let ear = Ear::new(world.clone(), clock, rules, rehearsal.script.phase.as_ref());
        let entropy = Arc::new(SeededEntropy::new(chance.draw()));
        let mut ports = crate::ports(&world, Arc::new(MemoryJournal::default()), entropy);
        ports.journal = witness.journal(ports.journal);
        ports.actuators = witness.actuators(ports.actuators);
        ports.observer = ear.clone();
        world.set_shares(Chance::new(!seed));
        let lease = Arc::new(Leased::new(ports.journal.clone()));
        Self { rehearsal, world, witness, ports, ear, lease, chance }
    }

    pub(crate) async fn play(mut self) -> Result<Seen, PlayError> {
        let clock = self.world.clock();
        let handle = self.open().await?;
        let asked = Asked::new("operator 1", "as rehearsed");
        let (plan, sha256) = (&self.rehearsal.plan, &self.rehearsal.plan_sha256);
        belay_engine::arm(&handle, &self.ports, plan.clone(), sha256, Arming::default(), &asked).await?;
        let calm = self.rehearsal.script.calm.draw(&mut self.chance);
        let begins = clock.now();
        let verbs = self.until_the_breach();
        for (number, verb) in verbs.iter().enumerate() {
            if calm > CALM_PLAYED && number + 1 == verbs.len() {
                self.ear.pass_over(calm - CALM_PLAYED);
                clock.sleep(AFTER_THE_READ).await;
            }
            handle.command(asked.command(verb.clone())).await?;
            if matches!(verb, Verb::Cutover) {
                self.world.cut_over_to(self.rehearsal.script.share);
            }
        }
        if self.rehearsal.script.is_before_cutover(&self.rehearsal.plan) {
            self.world.change(self.own_steps());
        }
        clock.sleep(if verbs.is_empty() { calm } else { calm.min(CALM_PLAYED) }).await;
        self.world.breach();
        let breach = clock.now();
        let (ended, unmet) = self.until_it_ends(handle, begins, breach).await?;
        Ok(Seen { ended, witness: self.witness, breach: Some(breach), unmet })
    }

    /// Before the cutover a phase has changed what its own steps put back: a copy has begun, traffic is where it was.
    fn own_steps(&self) -> impl Iterator<Item = &Name> {
        let phase = self.rehearsal.script.phase.as_ref();
        let steps = self.rehearsal.plan.steps.iter();
        steps.filter(move |(_, step)| phase.is_some_and(|phase| step.during.contains(phase))).map(|(name, _)| name)
    }

    /// What people do until the migration is where it goes wrong: arming has begun the first phase.
    fn until_the_breach(&self) -> Vec<Verb> {
        let (plan, script) = (&self.rehearsal.plan, &self.rehearsal.script);
        let is_cut_over = !script.is_before_cutover(plan);
        let has_cutover = plan.phases.contains_key("cutover");
        let begun =
            if is_cut_over && has_cutover { Some("cutover") } else { plan.phases.keys().next().map(String::as_str) };
        let next = script.phase.clone().filter(|phase| Some(phase.as_str()) != begun);
        let cutover = is_cut_over.then_some(Verb::Cutover);
        cutover.into_iter().chain(next.map(|phase| Verb::Phase { phase })).collect()
    }

    /// A process starts, on the same journal and world, and has the journal until another one takes it.
    async fn open(&mut self) -> Result<Handle, PlayError> {
        let Ports { sensors, clock, observer, .. } = &self.ports;
        let sampler = Sampler::start(sensors.clone(), clock.clone(), observer.clone(), self.rehearsal.poll);
        let options = Options { sampler, belay_version: self.rehearsal.belay_version.clone(), readiness: None };
        self.lease = Arc::new(Leased::new(self.ports.journal.clone()));
        let ports = Ports { journal: self.lease.clone(), ..self.ports.clone() };
        Ok(Engine::open(ports, &self.rehearsal.plan.migration, options).await?)
    }

    /// The daemon that starts on an empty journal has nothing to go on with, so all stays as it is.
    async fn forgotten(&mut self, down: Duration) -> Result<Ended, PlayError> {
        self.ports.journal = Arc::new(MemoryJournal::default());
        let handle = self.open().await?;
        debug_assert!(handle.snapshot().state.plan.is_none(), "it knows of nothing");
        let open = self.witness.state().run.as_ref().map_or_else(
            || "no rollback had begun".to_owned(),
            |run| {
                run.steps
                    .iter()
                    .map(|(name, step)| format!("{name} is {}", step.phase.as_str()))
                    .collect::<Vec<_>>()
                    .join(", ")
            },
        );
        let down = belay_plan::duration::format(down);
        let why = format!(
            "the journal was lost: the daemon that started {down} later knows neither the plan nor the baseline, and does nothing; {open}"
        );
        Ok(Ended::new(Outcome::NotOver, &why))
    }

    async fn until_it_ends(
        &mut self,
        mut handle: Handle,
        begins: Timestamp,
        breach: Timestamp,
    ) -> Result<(Ended, Vec<String>), PlayError> {
        let script = &self.rehearsal.script;
        let clock = self.world.clock();
        let mut people = People::new(script, self.chance.fork(), breach);
        let mut director = Director::new(&script.cues, &self.world, &self.ear, &mut self.chance);
        let horizon = begins + script.horizon;
        let (still, long) = (STILL + script.longest_lag(), QUIET + script.longest_lag());
        loop {
            let mut watch = handle.watch();
            let snapshot = watch.borrow_and_update().clone();
            let now = clock.now();
            let next = people.next(&snapshot.state);
            // Nothing is to come by itself, and nobody says anything: what that means for an incident before a run.
            let is_still = snapshot.state.run.is_none()
                && snapshot.state.at.is_some_and(|last| now >= last + still)
                && director.is_calm()
                && next.is_none()
                && snapshot.state.wants().deadline.is_none();
            if let Some(ended) = ended(&snapshot, &mut people, is_still) {
                let _ = tokio::time::timeout(NOBODY, handle.shutdown()).await;
                return Ok((ended, [people.unmet(), director.unmet()].concat()));
            }
            let quiet = snapshot.state.at.is_some_and(|last| now >= last + long) && now >= breach + long;
            let nothing_comes = quiet
                && next.is_none()
                && director.is_over()
                && self.world.is_at_rest()
                && snapshot.state.wants().deadline.is_none();
            if now >= horizon || nothing_comes {
                return Ok((not_over(&snapshot, script.horizon), [people.unmet(), director.unmet()].concat()));
            }
            let incidents = snapshot.state.incident.is_some() || !snapshot.state.past_incidents.is_empty();
            let pause = if snapshot.state.run.is_none() && incidents { still } else { QUIET };
            let due = next.as_ref().map_or(horizon, |(at, _)| (*at).min(horizon)).min(now + pause);
            tokio::select! {
                biased;
                happens = director.next(&mut self.chance) => match happens {
                    Happens::Killed { down, loses_journal } => {
                        drop((handle, watch)); // as in a crash: nothing is finished
                        clock.sleep(down).await;
                        if loses_journal {
                            return Ok((self.forgotten(down).await?, [people.unmet(), director.unmet()].concat()));
                        }
                        handle = self.open().await?;
                    }
                    Happens::Ousted { down } => {
                        self.lease.lose(); // its calls under way still arrive, and nothing that it decides is durable
                        clock.sleep(down).await;
                        handle = self.open().await?;
                    }
                    Happens::Asked { number, what } => {
                        let asked = Asked::new("operator 1", "as rehearsed").command(verb(&what));
                        match handle.command(asked).await {
                            Ok(_) => {
                                director.meets(number);
                                if what == Ask::Cutover {
                                    self.world.cut_over_to(script.share);
                                }
                            }
                            Err(error) => director.refused(number, &reason(&error)),
                        }
                    }
                },
                () = clock.sleep(until(due, clock.now())) => {
                    if let Some((_, command)) = next.filter(|(at, _)| *at <= clock.now()) {
                        let answered = handle.command(command).await;
                        people.was_said(answered.as_ref().err());
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

fn verb(what: &Ask) -> Verb {
    match what {
        Ask::Rollback { only } => Verb::Rollback { kind: RunKind::Simulated, only: only.clone(), pin: None },
        Ask::Cutover => Verb::Cutover,
        Ask::Phase(phase) => Verb::Phase { phase: phase.clone() },
        Ask::Mute(time) => Verb::Mute { time: *time },
        Ask::Unmute => Verb::Unmute,
    }
}

/// Why, without what is drawn anew in each run.
fn reason(error: &CommandError) -> String {
    match error {
        CommandError::Refused(Refusal { kind: RefusalKind::AlreadyRunning { .. }, .. }) => {
            "a rollback was under way".to_owned()
        }
        error => error.to_string(),
    }
}

/// How it ended, if it has. `is_still`: nothing happens any more before a run, by itself or by anybody.
fn ended(snapshot: &Snapshot, people: &mut People<'_>, is_still: bool) -> Option<Ended> {
    let state = &snapshot.state;
    let Some(run) = &state.run else {
        return match &state.incident {
            None if is_still && !state.past_incidents.is_empty() => {
                Some(Ended::new(Outcome::Recovered, "the trigger healed before anybody rolled back"))
            }
            Some(incident) if is_still => undecided(incident),
            _ => None,
        };
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

/// An incident that nothing moves any more.
fn undecided(incident: &Incident) -> Option<Ended> {
    match (incident.answer, incident.asks.as_ref().and_then(|asks| asks.timebox_ends)) {
        (Some(Answer::FixForward), _) => Some(fixed_forward(incident)),
        (_, None) => Some(Ended::new(
            Outcome::WaitsForPerson,
            &format!("an incident is open, and nobody decides: {}", incident.why),
        )),
        (_, Some(_)) => None,
    }
}

fn fixed_forward(incident: &Incident) -> Ended {
    Ended::new(Outcome::FixForward, &format!("nothing is rolled back, traffic stays where it is: {}", incident.why))
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
        (None, Some(incident)) if incident.answer == Some(Answer::FixForward) => fixed_forward(incident),
        (None, Some(incident)) => {
            let why = format!("an incident is open, and nobody has decided within {horizon}: {}", incident.why);
            Ended::new(Outcome::WaitsForPerson, &why)
        }
        (None, None) if !state.past_incidents.is_empty() => {
            Ended::new(Outcome::Recovered, "the trigger healed before anybody rolled back")
        }
        (None, None) => Ended::new(Outcome::Unnoticed, &format!("nothing was noticed within {horizon}")),
    }
}
