//! Everything that can have happened to a migration. An event is journaled in a [`Record`] and folded into the state.
//!
//! Events are facts: an old journal is folded by every later version, so variants and fields are added, never changed
//! in meaning; [`EVENT_VERSION`] goes up when an old reader would misunderstand.

use std::sync::Arc;

use belay_plan::{
    checklist::Part,
    model::{Answer, Name, Overlaid, Plan},
    notify::NoticeKind,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    change::{Baseline, Change, Doc, Receipt, Report},
    decision::Question,
    evidence::{EvidenceSource, Finding},
    id::{IncidentId, NoticeId, RunId},
    input::CommandKey,
    notice::Facts,
    readiness::CheckVerdict,
    reading::Health,
    restore_test::RestoreTested,
    series::Series,
};

/// The version that this code writes. A record with a higher one makes its stream read-only.
pub const EVENT_VERSION: u32 = 6;

/// An event with its place in the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub stream: String,
    /// Counts from 1 without a gap.
    pub seq: u64,
    pub version: u32,
    pub at: Timestamp,
    /// `belay`, or the person who asked.
    pub actor: String,
    pub event: Event,
    /// Hash of the record before; 64 zeros for the first.
    pub prev: String,
    /// SHA-256 in hex over the record without this field; see the journal.
    pub hash: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    // --- the migration -------------------------------------------------------------------------------------------
    /// An operator asked for something; the events that follow in the same append are what came of it.
    Commanded {
        verb: String,
        reason: String,
        detail: Value,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<CommandKey>,
    },
    /// The plan from here on. Arming and a run without a daemon both pin.
    PlanPinned {
        plan: Arc<Plan>,
        plan_sha256: String,
    },
    BaselineCaptured {
        baseline: Arc<Baseline>,
    },
    /// Arming begins another attempt: the baseline, the mark of the cutover and the phase were those of the one before.
    AttemptBegun,
    /// `waits_for_green`: triggers that were red at arming and are asleep until they have been green once.
    Armed {
        waits_for_green: Vec<Name>,
    },
    Disarmed {
        why: String,
    },
    CutoverMarked,
    /// At arming the first one, at the cutover mark the one called `cutover`, otherwise because a person says so.
    PhaseBegun {
        phase: Name,
    },
    /// Until then no trigger opens an incident.
    Muted {
        until: Timestamp,
        by: String,
        reason: String,
    },
    Unmuted {
        why: String,
    },
    /// The point of no return is half an hour away, or less.
    PointOfNoReturnNear {
        at: Timestamp,
    },
    PointOfNoReturnPassed {
        at: Timestamp,
    },
    /// The resource of a step has stood still after the cutover: from here on, another state is drift.
    ExpectedCaptured {
        step: Name,
        doc: Arc<Doc>,
    },
    /// What was checked beforehand comes to another verdict. `findings`: a line for each check that is not as it should be, the
    /// worst first; `left_out` of them are not listed. `from`: none at the first evaluation after arming.
    ReadinessChanged {
        from: Option<CheckVerdict>,
        verdict: CheckVerdict,
        findings: Vec<String>,
        #[serde(default, skip_serializing_if = "is_none_left_out")]
        left_out: usize,
    },
    /// A process took the stream up again, or had been asleep: every signal is unread, no dwell has run meanwhile.
    WatchResumed {
        belay_version: String,
        outage_s: u64,
        /// It is the same process: calls under way are still waited for.
        #[serde(default)]
        asleep: bool,
        /// How far the wall clock was moved meanwhile, in seconds; below zero: it was set back. Deadlines move with it.
        #[serde(default, skip_serializing_if = "is_zero")]
        clock_set_s: i64,
    },

    // --- signals and triggers ------------------------------------------------------------------------------------
    SignalTurned {
        signal: Name,
        from: Health,
        to: Health,
        evidence: String,
        source: String,
        unreadable: bool,
    },
    DwellStarted {
        trigger: Name,
    },
    /// `held_ms`: what the dwell had come to.
    DwellPaused {
        trigger: Name,
        held_ms: u64,
    },
    DwellResumed {
        trigger: Name,
    },
    DwellReset {
        trigger: Name,
    },
    TriggerFired {
        trigger: Name,
        evidence: Vec<String>,
    },
    /// A trigger that was red at arming has been green once and is awake.
    TriggerGreen {
        trigger: Name,
    },
    /// A trigger that had fired is false again; it heals after its dwell.
    HealingStarted {
        trigger: Name,
    },
    HealingReset {
        trigger: Name,
    },
    TriggerHealed {
        trigger: Name,
    },
    TriggerUnknown {
        trigger: Name,
        why: String,
    },
    TriggerKnown {
        trigger: Name,
    },
    /// `if_unknown` ran out and its answer is to tell people.
    UnknownAlerted {
        trigger: Name,
        why: String,
    },
    /// Everything from one source turned unknown together.
    Blinded {
        source: String,
        why: String,
    },
    Sighted {
        source: String,
    },

    // --- incidents -----------------------------------------------------------------------------------------------
    IncidentOpened {
        incident: IncidentId,
        trigger: Name,
    },
    IncidentJoined {
        trigger: Name,
    },
    /// `trigger`: the one that the answer is for. `asks`: what people are asked meanwhile. `settled`: a person's word, or the
    /// end of the time that people had, and no rule alone.
    Decided {
        trigger: Name,
        answer: Answer,
        why: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asks: Option<Question>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        settled: bool,
    },
    /// What one person says to an open incident. The decision follows when all agree whose word it takes.
    WordGiven {
        who: String,
        roles: Vec<Name>,
        word: Answer,
        reason: String,
    },
    IncidentClosed {
        outcome: IncidentOutcome,
    },

    // --- evidence ------------------------------------------------------------------------------------------------
    /// A part of what one source has answered about an incident; the first part has the notes.
    EvidenceGathered {
        incident: IncidentId,
        source: EvidenceSource,
        findings: Vec<Finding>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
    },

    /// A chunk of what was read around an incident or run, which began at `begun`. `left_out`: signals that have no place in it.
    ReadingsKept {
        begun: Timestamp,
        series: Vec<Series>,
        #[serde(default, skip_serializing_if = "is_none_left_out")]
        left_out: usize,
    },

    // --- notices -------------------------------------------------------------------------------------------------
    /// Somebody is to be told. It is sent, and sent again, until it is sent or of no more use, also after the run that it
    /// tells of, and over restarts.
    NoticeDue {
        notice: NoticeId,
        channel: Name,
        facts: Arc<Facts>,
        /// What the plan's `within` comes to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        late_at: Option<Timestamp>,
        /// When it should have been sent by the channel's own times, if that is not now: nothing was decided meanwhile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
        /// The notice that is not sent any more, since this one contains it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instead_of: Option<NoticeId>,
    },
    /// `answer`: the receiver's, in short. `delay_s`: since it was due.
    NoticeSent {
        notice: NoticeId,
        channel: Name,
        about: NoticeKind,
        answer: String,
        delay_s: u64,
    },
    /// `again_at`: when it is tried again; none: it is given up. `asked`: the receiver has said for how long it is to be left
    /// alone.
    NoticeFailed {
        notice: NoticeId,
        channel: Name,
        about: NoticeKind,
        why: String,
        again_at: Option<Timestamp>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        asked: bool,
    },
    /// It was not sent, and nobody needs it any more: the run that asked for something has ended, or a newer one tells more.
    NoticeDropped {
        notice: NoticeId,
        channel: Name,
        about: NoticeKind,
        why: String,
    },
    /// The time that the plan gives it is over, and it is not sent.
    NoticeLate {
        notice: NoticeId,
        channel: Name,
        about: NoticeKind,
    },
    /// The rollback ended two days ago, and nobody has said that it was talked over.
    PostmortemDue {
        run: RunId,
    },
    PostmortemHeld {
        run: RunId,
        link: String,
    },
    /// The same of an incident in which nothing was rolled back.
    IncidentPostmortemDue {
        incident: IncidentId,
    },
    IncidentPostmortemHeld {
        incident: IncidentId,
        link: String,
    },

    // --- the checklist -------------------------------------------------------------------------------------------
    /// A person has seen to an item.
    ItemTicked {
        item: Name,
        part: Part,
        reason: String,
    },
    ItemUnticked {
        item: Name,
        reason: String,
    },

    // --- restore tests -------------------------------------------------------------------------------------------
    /// What a step restores was restored beside production.
    RestoreTested {
        step: Name,
        #[serde(flatten)]
        tested: RestoreTested,
    },

    // --- drills --------------------------------------------------------------------------------------------------
    /// The breach begins: until `trigger` has opened an incident, its signals read unhealthy. Without one, the run that
    /// follows was asked for.
    DrillStarted {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trigger: Option<Name>,
        reason: String,
        plan_sha256: String,
        /// What was laid over the plan file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        overlaid: Option<Overlaid>,
    },
    /// What was measured. A drill that halts has ended; its run can still be moved.
    DrillEnded {
        run: RunId,
        verdict: DrillVerdict,
        report: Value,
    },

    // --- runs ----------------------------------------------------------------------------------------------------
    RunStarted {
        run: RunId,
        kind: RunKind,
        reason: String,
        only: Vec<Name>,
        incident: Option<IncidentId>,
        /// The phase that decides which steps are carried out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<Name>,
    },
    /// A run that puts back what was there before `undoes`. `plan` and `baseline` are derived from that run; `left`:
    /// what of it stays, each with the reason.
    UndoStarted {
        run: RunId,
        undoes: RunId,
        reason: String,
        plan: Arc<Plan>,
        baseline: Arc<Baseline>,
        left: Vec<String>,
    },
    RunHeld {
        why: String,
    },
    RunResumed,
    /// `abort`: nothing new is sent; the run ends when the calls under way are answered.
    RunAborting {
        why: String,
    },
    /// Every step is over and at least one wants a person.
    RunHalted {
        why: String,
    },
    ConfirmOpened,
    RunEnded {
        outcome: RunOutcome,
        why: String,
    },
    Step {
        step: Name,
        #[serde(flatten)]
        what: StepEvent,
    },
    /// A gate of the run's confirmation.
    Confirm {
        signal: Name,
        #[serde(flatten)]
        what: GateEvent,
    },
    /// A dry run, whole: it has changed nothing, so it is one event.
    Rehearsed {
        run: RunId,
        reason: String,
        plan: Arc<Plan>,
        plan_sha256: String,
        report: Value,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_none_left_out(count: &usize) -> bool {
    *count == 0
}

fn is_zero(seconds: &i64) -> bool {
    *seconds == 0
}

/// What happened to one step of the run under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum StepEvent {
    /// Starts observing; the time-out counts from here. `fallback_for` names the failed step it stands in for.
    Started {
        fallback_for: Option<Name>,
    },
    /// A look that could not be completed; journaled when the reason changes.
    LookFailed {
        why: String,
    },
    /// The first look: what is to be done. Empty when all is in place.
    Planned {
        changes: Vec<Change>,
    },
    ApprovalAwaited {
        why: String,
        by_hand: bool,
    },
    /// One person's yes, on the way to a quorum.
    ApprovalGiven {
        by: String,
    },
    Approved,
    RequireOpened,
    Require {
        signal: Name,
        #[serde(flatten)]
        what: GateEvent,
    },
    RequirePassed,
    /// A traffic-raising change has no proof of health; a person may override it.
    Unproven {
        destination: String,
        why: String,
    },
    /// A person takes responsibility for one interlock or destination by name.
    Overridden {
        subject: String,
    },
    /// The intent: durable before the send. `send_within_ms` is checked on the monotonic clock right before sending.
    /// `found`: the resource as it was before the step's first send.
    Intended {
        attempt: u32,
        change: Change,
        send_within_ms: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<Arc<Doc>>,
    },
    Accepted {
        attempt: u32,
        receipt: Receipt,
    },
    /// It certainly had no effect. `again_at`: when the next look is due; none when it is not worth another try.
    /// `transient`: the cause passes by itself, so it uses up no attempt, as throttling uses up none. `declined`: it was
    /// refused for good, and this is what the actuator has made of the refusal; the next look may find another way.
    NoEffect {
        attempt: u32,
        why: String,
        throttled: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        transient: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        declined: Option<Value>,
        again_at: Option<Timestamp>,
    },
    /// Nobody knows: the next look finds out.
    OutcomeUnknown {
        attempt: u32,
        why: String,
        again_at: Timestamp,
    },
    /// A look shows that a change that was sent has taken effect.
    Effective {
        change: String,
    },
    /// A look contradicts what Belay had put back; a second one decides whether the step is contested.
    Doubted {
        why: String,
    },
    /// The look after a doubt shows it in place.
    Trusted,
    /// `wait` only: nothing outside Belay to look at.
    WaitStarted {
        until: Timestamp,
    },
    /// A job is over: what it leaves to read, whether it has succeeded or not.
    Reported {
        report: Report,
    },
    /// What clients have kept of the state before lives on until then.
    DrainStarted {
        until: Timestamp,
    },
    /// Its time-out has passed while an outage that it has begun is running: it goes on until that is over.
    Overdue {
        why: String,
    },
    /// A part of the traffic has moved, and its gates have passed, or there was nothing to move: the next part comes.
    /// `stages`: so many are behind. `percent`: how far the last one of them goes.
    StagePassed {
        stages: usize,
        percent: u32,
    },
    /// The target state holds. `changed`: whether Belay sent anything for it.
    Settled {
        changed: bool,
    },
    VerifyOpened,
    Verify {
        signal: Name,
        #[serde(flatten)]
        what: GateEvent,
    },
    Done,
    Unchanged,
    Failed {
        code: FailureCode,
        why: String,
    },
    Skipped {
        why: String,
    },
    /// After its time-out: a look shows that the target holds after all. The step stays failed until a person moves it.
    Arrived,
    /// Cannot start because `by` failed.
    Blocked {
        by: Name,
    },
    /// An operator's `retry`, or a blocked step whose blocker is out of the way: back to pending.
    Reset,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "gate", rename_all = "snake_case")]
pub enum GateEvent {
    /// Healthy evidence taken after the gate opened; `for` counts from here.
    Holding {
        evidence: String,
    },
    /// Not healthy (any more): `for` starts again. Journaled when the health changes.
    Broken {
        health: Health,
        evidence: String,
    },
    Passed,
    Failed {
        why: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    Real,
    Dry,
    Drill,
    Simulated,
    Undo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    RolledBack,
    Aborted,
    Rehearsed,
    /// The before-images of another run are back.
    Undone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentOutcome {
    /// The trigger healed by itself.
    Recovered,
    RolledBack,
    Aborted,
    Disarmed,
}

/// How a drill went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DrillVerdict {
    /// Rolled back and confirmed, within all objectives of the plan.
    Within,
    /// Rolled back and confirmed, and later than an objective says, or with more data lost.
    Outside,
    Halted,
    Aborted,
}

impl DrillVerdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Within => "within",
            Self::Outside => "outside",
            Self::Halted => "halted",
            Self::Aborted => "aborted",
        }
    }
}

/// Why a step failed; `status` and the exit message build on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// An interlock was not healthy in time.
    Require,
    /// A gate after the step was not healthy in time, or what was read back is not what was wanted.
    Verify,
    /// No proof that a destination can take the traffic it would get.
    Unproven,
    TimedOut,
    /// The resource could not be read, and reading again will not help.
    Unreadable,
    /// The call was refused, or the attempts are used up.
    Refused,
    /// The actuator's verdict: the target cannot be reached.
    Verdict,
    /// A change that must not be sent twice has an unknown outcome, or the resource is in a state nobody can explain.
    Ambiguous,
    /// Somebody else reverted what Belay had put back.
    Contested,
    /// A person said no.
    Denied,
    /// Not enough people said yes in time.
    Unanswered,
    /// The change would leave no traffic anywhere.
    AllZero,
    /// It loses data, and the point of no return is passed, where the plan says `past: refuse`.
    PastPoint,
}
