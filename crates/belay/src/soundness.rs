//! What the search of `belay explore` says of a plan, as a check of its readiness. A search takes processor time, so each plan is
//! searched once in each phase.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use belay_engine::HostChecks;
use belay_plan::model::{Name, Plan};
use belay_ports::{Check, Clock, Fut};
use belay_sim::explore::{Verdict, explore_from_triggers};
use tokio::sync::oneshot;

use crate::{clock::SystemClock, text, threads::give_way};

/// How long a search may take for somebody who waits for it: what it has found by then counts.
pub(crate) const PATIENT: Duration = Duration::from_secs(20);

/// The same in a daemon, which has a cutover to watch meanwhile.
pub(crate) const BESIDE_THE_WATCH: Duration = Duration::from_secs(5);

/// States that are searched at most: so many fit into the memory that a daemon may take for this.
const STATES_MAX: usize = 50_000;

/// Plans that are remembered.
const KEPT: usize = 16;

#[derive(Debug)]
pub(crate) struct Soundness {
    time_max: Duration,
    known: Mutex<Vec<Known>>,
}

/// What was found of a plan in one of its phases.
type Known = (Arc<Plan>, Option<Name>, Check);

impl HostChecks for Soundness {
    fn checks<'a>(&'a self, plan: &'a Arc<Plan>, phase: Option<&'a str>) -> Fut<'a, Vec<Check>> {
        Box::pin(async move {
            if let Some(known) = self.known(plan, phase) {
                return vec![known];
            }
            let (searched, time_max) = (plan.clone(), self.time_max);
            let of = phase.map(str::to_owned);
            let (answer, found) = oneshot::channel();
            let thread = thread::Builder::new().name("search".to_owned()).spawn(move || {
                give_way(); // the watch comes first
                let _ = answer.send(search(&searched, of.as_deref(), time_max)); // nobody may wait any more
            });
            drop(thread); // without one, nobody answers
            // An error means that the search panicked, and that is logged, or that there was no thread for it.
            let check = found.await;
            let check = check.unwrap_or_else(|_| {
                Check::unknown("explore", &plan.migration, "internal error: the search failed; see the log")
                    .wanted(WANTED)
                    .cure("`belay explore PLAN` searches in a process of its own")
            });
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= KEPT {
                known.remove(0);
            }
            known.push((plan.clone(), phase.map(str::to_owned), check.clone()));
            vec![check]
        })
    }
}

impl Soundness {
    pub(crate) fn within(time_max: Duration) -> Self {
        Self { time_max, known: Mutex::default() }
    }

    fn known(&self, plan: &Arc<Plan>, phase: Option<&str>) -> Option<Check> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |(of, during, _): &&Known| Arc::ptr_eq(of, plan) && during.as_deref() == phase;
        known.iter().find(same).map(|(.., check)| check.clone())
    }
}

const WANTED: &str = "a search of all courses of the rollback that finds no bad end";

fn search(plan: &Plan, phase: Option<&str>, time_max: Duration) -> Check {
    let clock = SystemClock::start();
    let report = explore_from_triggers(plan, phase, STATES_MAX, &mut |_| clock.monotonic() < time_max);
    let (subject, more) = (&plan.migration, "`belay explore PLAN` shows each");
    let report = match report {
        Ok(report) => report,
        Err(refusal) => {
            return Check::unknown("explore", subject, format!("not searched: {refusal}"))
                .wanted(WANTED)
                .cure("correct in the plan what it names; `belay explore PLAN` searches again");
        }
    };
    let open = report.advice.iter().filter(|advice| advice.is_open()).count();
    let findings = text::count(open, "finding");
    let searched = format!("{} states searched", report.states);
    match report.verdict {
        Verdict::Refuted => {
            let found = "there is a counter-example: a way to a bad end";
            Check::no_go("explore", subject, found).wanted(WANTED).cure(more)
        }
        Verdict::Bounded => {
            Check::warn("explore", subject, format!("no bad end found, but not all was searched ({searched})"))
                .wanted(WANTED)
                .cure("`belay explore PLAN --max-states N` searches more")
        }
        Verdict::Proven | Verdict::Assumed if open > 0 => {
            Check::warn("explore", subject, format!("every way ends well, with {findings}"))
                .wanted("no finding that is open")
                .cure(more)
        }
        Verdict::Proven | Verdict::Assumed => {
            Check::go("explore", subject, format!("every way ends well ({searched})"))
        }
    }
}
