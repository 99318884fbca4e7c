//! Lets things happen when they are due.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use belay_core::{
    event::{Event, FailureCode, Record, StepEvent},
    migration::Migration,
};
use belay_plan::{
    graph::Graph,
    model::{Name, OnFailure, counts_during},
};
use belay_ports::{Clock, Observer};
use futures::{Future, StreamExt, stream::FuturesUnordered};
use tokio::sync::watch;

use crate::{
    chance::Chance,
    clock::SimClock,
    condition::Condition,
    nature,
    rehearsal::{
        script::{Ask, Cue, Event as Happening, Moment},
        signals::Rules,
    },
    world::World,
};

/// How far the steps have come.
#[derive(Debug, Default)]
struct Progress {
    sent: BTreeSet<Name>,
    done: BTreeSet<Name>,
}

/// Hears what the journal says, for the world and for those who wait for a step.
pub(crate) struct Ear {
    world: Arc<World>,
    progress: watch::Sender<Progress>,
    clock: Arc<SimClock>,
    /// What signals follow, in each phase.
    rules: Rules,
    /// So much of the calm after the cutover need not be played: nothing happens in it.
    passed_over: Mutex<Duration>,
}

impl Ear {
    /// `phase`: the one in which it goes wrong.
    pub(crate) fn new(world: Arc<World>, clock: Arc<SimClock>, rules: Rules, phase: Option<&Name>) -> Arc<Self> {
        let progress = watch::Sender::new(Progress::default());
        let ear = Arc::new(Self { world, progress, clock, rules, passed_over: Mutex::default() });
        ear.signals_in(phase);
        ear
    }

    fn signals_in(&self, phase: Option<&Name>) {
        let rules = self.rules.get(&phase.cloned()).into_iter().flatten();
        rules.for_each(|(signal, rule)| self.world.set_rule(signal, rule.clone()));
    }

    /// When the cutover, or the phase after it, is on record, so much time is over at once. The engine is between two naps then, and no
    /// signal is being read: for it, nothing has slept.
    pub(crate) fn pass_over(&self, time: Duration) {
        *self.passed_over.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    fn time_passed_over(&self) -> Duration {
        std::mem::take(&mut *self.passed_over.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The run goes on without a step. What it would have put back is where it was; what nothing in the world shows is missed by nothing.
    fn passed_over(&self, step: &Name, state: &Migration) {
        let Some(run) = &state.run else { return };
        let plan = &run.plan.steps[step];
        // A step of another phase has nothing to do here, nor has a fallback that nobody needed: they stand in for nobody.
        let acts = counts_during(&plan.during, run.phase.as_deref());
        let unneeded = run.steps[step].started.is_none() && Graph::new(&run.plan).is_fallback(step);
        if !nature::is_seen(plan) && acts && !unneeded {
            self.world.pass_over(step);
        }
    }
}

impl Observer for Ear {
    fn recorded(&self, records: &[Record], state: &Migration) {
        for record in records {
            match &record.event {
                Event::CutoverMarked => self.clock.jump(self.time_passed_over()),
                Event::PhaseBegun { phase } => {
                    self.signals_in(Some(phase));
                    self.clock.jump(self.time_passed_over());
                }
                _ => {}
            }
            let Event::Step { step, what } = &record.event else { continue };
            match what {
                StepEvent::Intended { .. } => self.progress.send_modify(|progress| {
                    progress.sent.insert(step.clone());
                }),
                StepEvent::Settled { .. } => {
                    let plan = state.run.as_ref().map(|run| &run.plan.steps[step]);
                    let stage = state.run.as_ref().map_or(0, |run| run.steps[step].stage);
                    if plan.is_some_and(|plan| !plan.is_last_stage(stage)) {
                        continue; // more of it is to come
                    }
                    if plan.is_some_and(|plan| crate::world::is_builtin(&plan.action)) {
                        self.world.tell_done(step);
                    }
                    self.progress.send_modify(|progress| {
                        progress.done.insert(step.clone());
                    });
                }
                StepEvent::Skipped { .. } => self.passed_over(step, state),
                // The plan says that it does without.
                StepEvent::Failed { code, .. } if !matches!(code, FailureCode::Ambiguous | FailureCode::Contested) => {
                    let plan = state.run.as_ref().map(|run| &run.plan.steps[step]);
                    if plan.is_some_and(|plan| plan.on_failure == OnFailure::Continue) {
                        self.passed_over(step, state);
                    }
                }
                _ => {}
            }
        }
    }
}

type Due = Pin<Box<dyn Future<Output = (usize, Turn)> + Send>>;

/// What the world cannot do by itself.
pub(crate) enum Happens {
    /// The daemon dies, and is down for so long.
    Killed { down: Duration, loses_journal: bool },
    /// Another process takes the journal from the daemon, and goes on after so long.
    Ousted { down: Duration },
    /// A person asks for something.
    Asked { number: usize, what: Ask },
}

enum Turn {
    Begin,
    End,
}

/// Waits for the moments of a script.
pub(crate) struct Director {
    cues: Vec<Cue>,
    due: FuturesUnordered<Due>,
    clock: Arc<dyn Clock>,
    world: Arc<World>,
    /// What happened and found something to happen to, where the world does not know.
    met: BTreeSet<usize>,
    /// What still waits for a step.
    waiting: BTreeSet<usize>,
    /// Why what people asked for was refused.
    refused: BTreeMap<usize, String>,
}

impl Director {
    /// To be called at the breach: times count from now.
    pub(crate) fn new(cues: &[Cue], world: &Arc<World>, ear: &Arc<Ear>, chance: &mut Chance) -> Self {
        let clock = world.clock();
        let due = FuturesUnordered::new();
        for (number, cue) in cues.iter().enumerate() {
            due.push(wait_for(number, &cue.at, clock.clone(), ear, &mut chance.fork()));
        }
        let waits = |(number, cue): (usize, &Cue)| (!matches!(cue.at, Moment::Time(_))).then_some(number);
        Self {
            cues: cues.to_vec(),
            due,
            clock,
            world: world.clone(),
            met: BTreeSet::new(),
            waiting: cues.iter().enumerate().filter_map(waits).collect(),
            refused: BTreeMap::new(),
        }
    }

    /// Waits for the next thing to happen and lets it, if the world is all that it takes.
    pub(crate) async fn next(&mut self, chance: &mut Chance) -> Happens {
        loop {
            let Some((number, turn)) = self.due.next().await else { return std::future::pending().await };
            self.waiting.remove(&number);
            let cue = &self.cues[number];
            if let (Some(every), Turn::Begin) = (cue.every, &turn) {
                let clock = self.clock.clone();
                self.due.push(Box::pin(async move {
                    clock.sleep(every).await;
                    (number, Turn::Begin)
                }));
            }
            match (&cue.what, turn) {
                (Happening::Begin(condition), Turn::Begin) => self.begin(number, condition.clone()),
                (Happening::Lag { signals, time }, Turn::Begin) => {
                    let (signals, time) = (signals.clone(), time.draw(chance));
                    self.begin(number, Condition::Lags { signals, time });
                }
                (Happening::Begin(_) | Happening::Lag { .. }, Turn::End) => self.world.end(number),
                (Happening::Undo { steps }, _) => {
                    if steps.iter().any(|step| self.world.is_put_back(step)) {
                        self.met.insert(number);
                    }
                    steps.iter().for_each(|step| self.world.revert(step, Duration::ZERO));
                }
                (Happening::Kill { down, loses_journal }, _) => {
                    self.met.insert(number);
                    return Happens::Killed { down: down.draw(chance), loses_journal: *loses_journal };
                }
                (Happening::Lease { down }, _) => {
                    self.met.insert(number);
                    return Happens::Ousted { down: down.draw(chance) };
                }
                (Happening::Ask(what), _) => return Happens::Asked { number, what: what.clone() },
            }
        }
    }
}

impl Director {
    fn begin(&mut self, number: usize, condition: Condition) {
        self.world.begin(number, condition);
        if let Some(lasts) = self.cues[number].lasts {
            let clock = self.clock.clone();
            self.due.push(Box::pin(async move {
                clock.sleep(lasts).await;
                (number, Turn::End)
            }));
        }
    }

    /// This event found something to happen to.
    pub(crate) fn meets(&mut self, number: usize) {
        self.met.insert(number);
    }

    pub(crate) fn refused(&mut self, number: usize, why: &str) {
        self.refused.insert(number, why.to_owned());
    }

    /// Whether nothing is to come by itself, but for what waits for a step.
    pub(crate) fn is_calm(&self) -> bool {
        self.due.len() == self.waiting.len()
    }

    /// Whether an event is still to come by itself, or to end.
    pub(crate) fn is_over(&self) -> bool {
        self.due.is_empty()
    }

    /// The events that nothing has met, by their number from 1 on.
    pub(crate) fn unmet(&self) -> Vec<String> {
        let cues = self.cues.iter().enumerate();
        let unmet = cues.filter(|(number, _)| !self.met.contains(number) && !self.world.was_met(*number));
        let say = |(number, cue): (usize, &Cue)| {
            let why = self.refused.get(&number).map_or_else(String::new, |why| format!(": {why}"));
            format!("event {} (`{}`) met nothing{why}", number + 1, cue.what.as_str())
        };
        unmet.map(say).collect()
    }
}

fn wait_for(number: usize, moment: &Moment, clock: Arc<dyn Clock>, ear: &Arc<Ear>, chance: &mut Chance) -> Due {
    let mut progress = ear.progress.subscribe();
    match moment {
        Moment::Time(span) => {
            let time = span.draw(chance);
            Box::pin(async move {
                clock.sleep(time).await;
                (number, Turn::Begin)
            })
        }
        Moment::Sent { steps, after } | Moment::Done { steps, after } => {
            let sent = matches!(moment, Moment::Sent { .. });
            let (steps, after) = (steps.clone(), after.draw(chance));
            Box::pin(async move {
                let reached = |progress: &Progress| {
                    let reached = if sent { &progress.sent } else { &progress.done };
                    steps.iter().any(|step| reached.contains(step))
                };
                if progress.wait_for(reached).await.is_err() {
                    return std::future::pending().await; // nobody is there any more who could do it
                }
                clock.sleep(after).await;
                (number, Turn::Begin)
            })
        }
    }
}
