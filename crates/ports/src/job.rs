//! Jobs: steps whose target is "execution K has succeeded".
//!
//! K derives from the run, the step and the try, so that a lost answer is resolved by looking K up. A person's `retry`
//! (or `resume`) begins a new try, and with it a new K: but only if the execution before has failed. One that has
//! succeeded stays the target, and one that still runs is waited for.
//!
//! A failed execution is a verdict: the plan's `retry` is for sends that did not get through, never for a job that ran.

use belay_core::change::{Assessment, Change, Outcome, Progress, Receipt, Report};
use belay_plan::duration;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::actuator::Scope;

/// As much of what a job writes or answers goes on record.
pub const OUTPUT_BYTES_MAX: usize = 4096;

/// The id of the one change that a job has.
pub const START: &str = "start";

/// One execution of a step's job: what is observed, and, where the job cannot be asked, what its answer is kept as.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// The try that started it, from 1.
    pub number: u32,
    /// What its system calls it: an id, an ARN, the id of a request.
    pub id: String,
    #[serde(flatten)]
    pub state: State,
    /// Where its logs are.
    pub logs: String,
}

/// The receipt of a start, where the execution can be asked afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    pub number: u32,
    pub id: String,
    pub logs: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    Running {
        /// From 0.0 to 1.0, where it is known.
        fraction: Option<f64>,
        note: String,
    },
    Succeeded {
        output: String,
    },
    Failed {
        why: String,
        output: String,
    },
}

/// The number of the execution that this try starts; 1 where nothing runs yet.
pub fn number(scope: &Scope) -> u32 {
    scope.tries.max(1)
}

/// The numbers of the executions that this run may have started, the newest first. None where nothing runs.
pub fn numbers(scope: &Scope) -> impl Iterator<Item = u32> + use<> {
    let newest = scope.run.as_ref().map_or(0, |_| number(scope));
    (1..=newest).rev()
}

/// The newest execution that an apply has answered for, where the answer is all that there will ever be.
pub fn answered(receipts: &[Receipt]) -> Option<Execution> {
    receipts.iter().rev().find_map(|receipt| Execution::deserialize(&receipt.body).ok())
}

/// The receipt of the start with this number, if it was answered.
pub fn started(receipts: &[Receipt], number: u32) -> Option<Started> {
    let started = receipts.iter().rev().filter_map(|receipt| Started::deserialize(&receipt.body).ok());
    started.into_iter().find(|started| started.number == number)
}

/// How far it is from "the job has succeeded". `newest`: the newest execution that is known; `start`: what starts the
/// one of this try.
pub fn assess(scope: &Scope, newest: Option<&Execution>, start: impl FnOnce() -> Change) -> Assessment {
    let Some(execution) = newest else { return Assessment::Remaining(vec![start()]) };
    let over = |failure: Option<String>, output: &str| {
        let report = Report { output: output.to_owned(), logs: execution.logs.clone() };
        Assessment::Over(Outcome { failure, report })
    };
    match &execution.state {
        State::Running { fraction, note } => {
            Assessment::Settling(Progress { fraction: *fraction, note: note.clone(), expected_left_s: None })
        }
        State::Succeeded { output } => over(None, output),
        State::Failed { .. } if execution.number < number(scope) => Assessment::Remaining(vec![start()]),
        State::Failed { why, output } => over(Some(why.clone()), output),
    }
}

/// "running for 3m": since it was accepted, for a person.
pub fn running_for(since: Option<Timestamp>, now: Timestamp) -> String {
    let gone = since.and_then(|since| std::time::Duration::try_from(now.duration_since(since)).ok());
    gone.map_or_else(String::new, |gone| {
        format!(", running for {}", duration::format(std::time::Duration::from_secs(gone.as_secs())))
    })
}

/// What a job wrote, cut to [`OUTPUT_BYTES_MAX`]: its end, where the reason for a failure stands.
pub fn tail(output: &str) -> String {
    let from = output.len().saturating_sub(OUTPUT_BYTES_MAX);
    let from = (from..output.len()).find(|at| output.is_char_boundary(*at)).unwrap_or(from);
    if from == 0 { output.to_owned() } else { format!("...{}", &output[from..]) }
}

/// What a job answered, cut to [`OUTPUT_BYTES_MAX`]: its beginning.
pub fn head(output: &str) -> String {
    if output.len() <= OUTPUT_BYTES_MAX {
        return output.to_owned();
    }
    let to = (0..=OUTPUT_BYTES_MAX).rev().find(|at| output.is_char_boundary(*at)).unwrap_or_default();
    format!("{}...", &output[..to])
}

#[cfg(test)]
mod tests {
    use belay_core::{change::Repeats, id::RunId};
    use belay_plan::model::{AwsTarget, Target};
    use serde_json::{Value, json};

    use super::*;

    fn scope(tries: u32) -> Scope {
        Scope {
            migration: "checkout".to_owned(),
            step: "fence".to_owned(),
            run: (tries > 0).then(|| RunId("01k8abcd2345".to_owned())),
            tries,
            deadline: None,
            aws: AwsTarget::default(),
            with: Value::Null,
            to: Target::Own,
            others: None,
            baseline: None,
            cutover: None,
            stages: None,
            timeout: std::time::Duration::from_secs(300),
            before: None,
            sent: Vec::new(),
            previous: None,
            objectives: Default::default(),
            interlocks: Vec::new(),
        }
    }

    fn execution(number: u32, state: State) -> Execution {
        Execution { number, id: "k".to_owned(), state, logs: "a log group".to_owned() }
    }

    fn start() -> Change {
        Change {
            id: START.to_owned(),
            title: String::new(),
            before: Value::Null,
            after: Value::Null,
            call: String::new(),
            args: Value::Null,
            effects: Vec::new(),
            keeps: None,
            repeats: Repeats::Token,
            expected: std::time::Duration::ZERO,
        }
    }

    fn failed() -> State {
        State::Failed { why: "no".to_owned(), output: "o".to_owned() }
    }

    #[test]
    fn a_job_is_started_when_nothing_of_it_is_there() {
        for tries in [0, 1, 2] {
            assert_eq!(assess(&scope(tries), None, start), Assessment::Remaining(vec![start()]));
        }
        assert_eq!(numbers(&scope(0)).count(), 0);
        assert_eq!(numbers(&scope(3)).collect::<Vec<_>>(), [3, 2, 1]);
    }

    #[test]
    fn a_failed_execution_is_a_verdict_until_a_person_says_once_more() {
        let Assessment::Over(outcome) = assess(&scope(1), Some(&execution(1, failed())), start) else { panic!() };
        assert_eq!(outcome.failure.as_deref(), Some("no"));
        assert_eq!((outcome.report.output.as_str(), outcome.report.logs.as_str()), ("o", "a log group"));
        let again = assess(&scope(2), Some(&execution(1, failed())), start);
        assert_eq!(again, Assessment::Remaining(vec![start()]));
        assert!(matches!(assess(&scope(2), Some(&execution(2, failed())), start), Assessment::Over(_)));
    }

    #[test]
    fn what_succeeded_or_still_runs_is_not_started_again_by_a_retry() {
        let done = execution(1, State::Succeeded { output: String::new() });
        assert!(matches!(assess(&scope(3), Some(&done), start), Assessment::Over(Outcome { failure: None, .. })));
        let running = execution(1, State::Running { fraction: None, note: "step 1 of 3".to_owned() });
        assert!(matches!(assess(&scope(2), Some(&running), start), Assessment::Settling(_)));
    }

    #[test]
    fn an_answer_is_kept_as_a_receipt() {
        let answer = execution(2, failed());
        let receipt = |body| Receipt { change: START.to_owned(), at: Timestamp::UNIX_EPOCH, body };
        let receipts = [receipt(json!({ "id": "x" })), receipt(serde_json::to_value(&answer).unwrap())];
        assert_eq!(answered(&receipts), Some(answer));
        assert_eq!(answered(&receipts[..1]), None);
    }

    #[test]
    fn long_output_is_cut_between_characters() {
        let long = "é".repeat(OUTPUT_BYTES_MAX);
        for cut in [tail(&format!("{long}x")), head(&format!("x{long}"))] {
            assert!(cut.len() <= OUTPUT_BYTES_MAX + 3 && cut.len() > OUTPUT_BYTES_MAX, "{}", cut.len());
        }
        assert!(tail(&format!("{long}END")).ends_with("END") && head(&format!("BEGIN{long}")).starts_with("BEGIN"));
        assert_eq!((tail("short"), head("short")), ("short".to_owned(), "short".to_owned()));
    }
}
