//! Rehearsals: a plan is played by the real engine in a simulated world, in virtual time. The same plan, scenario and seed
//! give the same journal, to the byte.

mod director;
mod leased;
mod many;
mod people;
mod report;
pub mod script;
mod signals;
mod stage;
mod steps;
pub mod usual;
mod words;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use belay_core::event::Record;
use belay_engine::{ArmError, CommandError, OpenError};
use belay_plan::model::{Name, Plan};
use belay_ports::ReadFailure;

pub use many::{Counted, Distribution, Quantiles, StepDistribution, distribution, play_all};
pub use report::{Ended, Outcome, Report, StepReport, Times, Verdict};
use script::Script;
use stage::Stage;

use crate::spread::Spread;

/// How often signals are read, as by the daemon's default.
const POLL: Duration = Duration::from_secs(5);

/// A plan with everything that it takes to play it, as often as one likes.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    pub(crate) plan: Arc<Plan>,
    pub(crate) plan_sha256: String,
    pub(crate) script: Script,
    pub(crate) measured: BTreeMap<Name, Spread>,
    pub(crate) poll: Duration,
    pub(crate) belay_version: String,
}

/// Why a plan could not be played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    #[error("the plan cannot be armed in the simulated world")]
    Arm(#[from] ArmError),
    #[error("the simulated cutover was refused")]
    Command(#[from] CommandError),
    #[error("the simulated daemon does not start")]
    Open(#[from] OpenError),
    #[error("the journal of the simulation cannot be read")]
    Journal(#[from] ReadFailure),
    #[error("the simulated daemon has ended")]
    Stopped,
    #[error("there is no runtime to simulate in")]
    Runtime(#[from] std::io::Error),
    /// A bug of Belay.
    #[error("an invariant was broken with seed {seed}: {}", violations.join("; "))]
    Broken { seed: u64, violations: Vec<String> },
}

/// One play.
#[derive(Debug, Clone)]
pub struct Played {
    pub report: Report,
    pub records: Vec<Record>,
}

impl Rehearsal {
    /// `measured`: how long steps took in drills; the usual time of its action stands in for a step that is not in it.
    pub fn new(
        plan: &Plan,
        plan_sha256: &str,
        script: Script,
        measured: BTreeMap<Name, Spread>,
        belay_version: &str,
    ) -> Self {
        Self {
            plan: Arc::new(plan.clone()),
            plan_sha256: plan_sha256.to_owned(),
            script,
            measured,
            poll: POLL,
            belay_version: belay_version.to_owned(),
        }
    }

    /// Plays it once, in a runtime of its own on this thread.
    ///
    /// # Errors
    /// [`PlayError`]; a plan that halts is no error.
    pub fn play(&self, seed: u64) -> Result<Played, PlayError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let seen = runtime.block_on(async { Stage::new(self, seed).play().await })?;
        let violations = seen.witness.violations();
        if !violations.is_empty() {
            return Err(PlayError::Broken { seed, violations });
        }
        let records = seen.witness.records();
        let mut report = Report::new(&self.plan, seed, seen.ended, seen.breach, &records, &seen.witness.state());
        report.unmet = seen.unmet;
        Ok(Played { report, records })
    }

    /// Where the duration of a step comes from: `measured` in drills and rollbacks, `usual` for its action, or a `guess`. None:
    /// people or the plan say how long it takes.
    pub fn source(&self, step: &str) -> Option<&'static str> {
        let planned = self.plan.steps.get(step)?;
        match planned.usual {
            _ if self.measured.contains_key(step) => Some("measured"),
            _ if crate::world::is_builtin(&planned.action) => None,
            Some(_) => Some("usual"),
            None => Some("guess"),
        }
    }

    pub fn script(&self) -> &Script {
        &self.script
    }
}

#[cfg(test)]
mod tests {
    use belay_plan::model::{Condition, Fix, RedAtArm, Severity, Step, Target, Trigger, TriggerScope};

    use super::*;
    use crate::explore::fixture;

    /// Two chains of steps, interlocks and gates in them, and a signal that fires.
    fn chains(steps: usize) -> Plan {
        let step = |number: usize| {
            let step = match number % 5 {
                3 => fixture::restore(),
                4 => fixture::step("sim.job", Target::Own),
                _ => Step { verify: vec![fixture::gate("errors", 600, 30)], ..fixture::weights() },
            };
            let needs = if number < 2 { Vec::new() } else { vec![format!("s{}", number - 2)] };
            (format!("s{number}"), Step { needs, ..step })
        };
        let mut plan = fixture::from((0..steps).map(step));
        let trigger = Trigger {
            when: Condition::Signal("errors".to_owned()),
            dwell: Duration::from_secs(60),
            severity: Severity::Critical,
            scope: TriggerScope::SystemWide,
            fix: Fix::Unknown,
            if_unknown: None,
            red_at_arm: RedAtArm::Refuse,
            problem: None,
            customer_facing: None,
            during: Vec::new(),
        };
        plan.triggers.insert("hurt".to_owned(), trigger);
        plan.confirm = vec![fixture::gate("errors", 900, 60)];
        plan
    }

    /// Looks, and records.
    fn work(steps: usize) -> [usize; 2] {
        let plan = chains(steps);
        let rehearsal = Rehearsal::new(&plan, "abc", Script::usual(&plan, None), BTreeMap::new(), "0.1.0");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (seen, looked) = runtime.block_on(async {
            let stage = Stage::new(&rehearsal, 1);
            let world = stage.world.clone();
            let seen = stage.play().await.unwrap();
            let looked = world.inner().looked;
            (seen, looked)
        });
        assert_eq!(seen.ended.outcome, Outcome::RolledBack, "{}", seen.ended.why);
        [looked, seen.witness.records().len()]
    }

    /// What is done is not looked at over and over: a step costs the same in a large plan, although that takes as much longer.
    #[test]
    fn a_drill_takes_work_in_proportion_to_its_steps() {
        let ([looked, records], [more_looked, more_records]) = (work(20), work(80));
        assert!(looked <= 20 * 12, "{looked} looks at 20 steps");
        assert!(more_looked <= 5 * looked, "{looked} looks at 20 steps, {more_looked} at 80");
        assert!(more_records <= 5 * records, "{records} records of 20 steps, {more_records} of 80");
    }
}
