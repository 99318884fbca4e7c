//! What reaches core from outside: commands, readings, answers of tasks, and ticks.

use std::{sync::Arc, time::Duration};

use belay_plan::{
    checklist::Part,
    model::{Name, Plan},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    change::{Assessment, Baseline, Doc},
    event::{DrillVerdict, RunKind},
    evidence::{EvidenceSource, Gathered},
    id::{IncidentId, NoticeId, RunId},
    readiness::Checked,
    reading::Reading,
    restore_test::RestoreTested,
    series::Series,
};

#[derive(Debug, Clone)]
pub enum Input {
    Command(Command),
    Reading(Reading),
    /// A look at a step's resource came back.
    Looked {
        step: Name,
        result: Result<Look, LookFailure>,
    },
    /// A send came back.
    Applied {
        step: Name,
        attempt: u32,
        result: Result<Value, SendFailure>,
    },
    /// A try to send a notice is over.
    Noticed {
        notice: NoticeId,
        result: Result<String, NotSent>,
    },
    /// The resource of a step has stood still after the cutover.
    StoodStill {
        step: Name,
        doc: Arc<Doc>,
    },
    /// The readiness was evaluated.
    Checked(Checked),
    /// A source has been asked about an incident.
    Gathered {
        incident: IncidentId,
        source: EvidenceSource,
        gathered: Gathered,
    },
    /// A chunk of readings goes on record; see [`Recorder`](crate::series::Recorder).
    ReadingsKept {
        begun: Timestamp,
        series: Vec<Series>,
        left_out: usize,
    },
    /// Time has passed; deadlines are looked at.
    Tick,
    /// A process took the stream up: whoever waited for answers is gone.
    Resumed {
        belay_version: String,
    },
    /// The process was asleep for longer than it should, or the wall clock was set. Calls under way are still waited for.
    Awoke {
        belay_version: String,
        /// How late it woke up, on the monotonic clock.
        late: Duration,
        /// How far the wall clock ran ahead of the monotonic one (below zero: it was set back).
        clock_set: SignedDuration,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    pub doc: Arc<Doc>,
    pub assessment: Assessment,
    /// The stage that it was held against, counted from 0.
    pub stage: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookFailure {
    pub why: String,
    /// Looking again will not help (access denied, a resource that does not exist).
    pub permanent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendFailure {
    /// It certainly had no effect.
    NoEffect {
        why: String,
        class: ErrorClass,
    },
    /// It was refused for good, but the step may have another way: the next look decides. `body` is given to the looks that
    /// follow, as a receipt is.
    Declined {
        why: String,
        body: Value,
    },
    OutcomeUnknown {
        why: String,
    },
}

/// Why a notice was not sent, or perhaps not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotSent {
    /// For people: names the status or the error, never the address with its secret.
    pub why: String,
    pub retry: Retry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It may pass by itself: 5xx, 429, time-outs, lost answers. `after`: what the receiver asked for (`Retry-After`).
    Later { after: Option<Duration> },
    /// The receiver will never take it: 4xx, an address that is none.
    Never,
}

/// What can be expected of sending the same again after a send that had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// It would be refused again, for as long as nobody changes anything.
    Permanent,
    /// The cause passes by itself (a database that is busy, credentials that are renewed, a network that is down): sent
    /// again until the step times out, however often that is.
    Transient,
    /// AWS, or Belay's own rate limiter, asks for fewer calls: as [`Transient`](Self::Transient), and counted as throttling.
    Throttled,
}

/// An operator's wish.
#[derive(Debug, Clone)]
pub struct Command {
    pub asked: Asked,
    pub verb: Verb,
}

/// Characters of a reason: it is shown on one line, in every status.
pub const REASON_CHARS_MAX: usize = 2000;

/// A reason as it goes on record: on one line, without control characters.
///
/// # Errors
/// What is wrong with it, after the name of what holds it.
pub fn clean_reason(text: &str) -> Result<String, String> {
    let line: String = text.chars().map(|c| if c.is_control() || is_line_end(c) { ' ' } else { c }).collect();
    let line = line.trim();
    if line.is_empty() {
        return Err("is empty; say why, it goes on record".to_owned());
    }
    match line.chars().count() <= REASON_CHARS_MAX {
        true => Ok(line.to_owned()),
        false => Err(format!("has more than {REASON_CHARS_MAX} characters; where there is more to say, link to it")),
    }
}

/// A link as it goes on record: a page that a browser finds.
///
/// # Errors
/// What is wrong with it, after the name of what holds it.
pub fn clean_link(text: &str) -> Result<String, String> {
    let line = clean_reason(text)?;
    let rest = ["https://", "http://"].iter().find_map(|scheme| line.strip_prefix(scheme));
    match rest.is_some_and(|rest| !rest.starts_with('/') && !rest.is_empty() && !line.contains(char::is_whitespace)) {
        true => Ok(line),
        false => Err("is no link; give the address of the page, as https://wiki.example.com/incidents/17".to_owned()),
    }
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Who asks, and why.
#[derive(Debug, Clone)]
pub struct Asked {
    pub actor: String,
    pub authority: Authority,
    pub reason: String,
    /// Given by whoever may ask for the same thing again without wanting it twice.
    pub key: Option<CommandKey>,
}

impl Asked {
    /// By somebody who holds the process itself: a terminal, a Unix signal, the configuration.
    pub fn new(actor: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { actor: actor.into(), authority: Authority::Everything, reason: reason.into(), key: None }
    }

    pub fn command(&self, verb: Verb) -> Command {
        Command { asked: self.clone(), verb }
    }
}

/// What the one who asks may decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// Whoever holds the process itself has every role.
    Everything,
    /// The roles of the caller's token.
    Roles(Vec<Name>),
}

/// An idempotency key: asked for again with the same key, the same thing is answered and not done twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandKey {
    pub key: String,
    /// Of the whole request, so that another request under the same key is noticed.
    pub fingerprint: String,
}

#[derive(Debug, Clone)]
pub enum Verb {
    /// `baseline`: captured or given just now; none keeps the one in the journal. `readings`: taken just now, for `red_at_arm`.
    Arm {
        plan: Arc<Plan>,
        plan_sha256: String,
        baseline: Option<Arc<Baseline>>,
        readings: Vec<Reading>,
        /// A trigger that is red already is waited for, whatever its `red_at_arm` says.
        wait_for_green: bool,
        /// Where calls go, if not straight to AWS; goes on record.
        detours: Vec<String>,
    },
    Disarm,
    Cutover,
    /// Begins a phase of the plan.
    Phase {
        phase: Name,
    },
    /// For so long no trigger opens an incident; at most [`MUTE_MAX`](crate::mute::MUTE_MAX).
    Mute {
        time: Duration,
    },
    Unmute,
    /// With a plan: pins it first (a run without a daemon). Without: rolls back the armed migration.
    Rollback {
        kind: RunKind,
        only: Vec<Name>,
        pin: Option<Pin>,
    },
    /// A decision inside an open incident: roll back after all.
    Decide {
        roll_back: bool,
    },
    Approve {
        run: RunId,
        step: Name,
        approve: bool,
    },
    Override {
        run: RunId,
        step: Name,
        subject: String,
    },
    Retry {
        run: RunId,
        step: Name,
    },
    Skip {
        run: RunId,
        step: Name,
    },
    Hold {
        run: RunId,
    },
    Resume {
        run: RunId,
    },
    Abort {
        run: RunId,
    },
    /// Puts back what was there before a run that is over.
    Undo {
        run: RunId,
    },
    /// Begins a drill of what is armed. With a trigger: its signals read unhealthy until it has opened an incident.
    /// Without: rolls back.
    Drill {
        trigger: Option<Name>,
    },
    /// What a drill has come to goes on record.
    DrillOver {
        verdict: DrillVerdict,
        report: Value,
    },
    /// A rollback was talked over; `link` leads to what came of it.
    PostmortemHeld {
        run: RunId,
        link: String,
    },
    /// An incident was talked over; where it was rolled back, its run.
    IncidentPostmortemHeld {
        incident: IncidentId,
        link: String,
    },
    /// Somebody has seen to an item of the checklist.
    Tick {
        item: Name,
        part: Part,
    },
    /// It was not seen to after all.
    Untick {
        item: Name,
    },
    /// What a step restores was restored beside production.
    RestoreTested {
        step: Name,
        tested: RestoreTested,
    },
    /// A finished dry run goes on record, as a run of its own.
    Rehearsed {
        plan: Arc<Plan>,
        plan_sha256: String,
        only: Vec<Name>,
        report: Value,
    },
}

/// A plan with its baseline, pinned for one run.
#[derive(Debug, Clone)]
pub struct Pin {
    pub plan: Arc<Plan>,
    pub plan_sha256: String,
    pub baseline: Option<Arc<Baseline>>,
    /// In which phase it runs; none: in that of the journal, if there is one.
    pub phase: Option<Name>,
}

/// Why an input was refused; nothing has changed. [`possible`](crate::possible) names the verbs that the state allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    pub kind: RefusalKind,
    pub why: String,
    /// What to do next, for a person.
    pub help: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalKind {
    /// The migration, run or step is in the wrong state for this verb.
    WrongState,
    /// A rollback is under way already.
    AlreadyRunning {
        run: RunId,
    },
    NoBaseline,
    /// A trigger is red, and the plan says to refuse.
    RedAtArm,
    /// No such run or step.
    NotFound,
    /// The caller does not have the role that the plan asks for.
    NotAllowed {
        role: Name,
    },
}
