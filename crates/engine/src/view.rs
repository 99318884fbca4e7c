//! The one view-model: what the command line prints, JSON shows and HTTP answers.

mod notices;
mod readiness;
mod rehearsal;
mod run;
mod waiting;

use std::sync::Arc;

use belay_core::{
    decision::{Word, authority, follows},
    incident::Incident,
    migration::{Migration, MigrationState},
    possible::{self, VerbWord},
    reading::Health,
    run::Run,
    watch::{Dwell, TriggerState, signals_of},
};
use belay_plan::model::{Answer, Authority, Name, PastWindow, Severity, Trigger};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    handle::Snapshot,
    loss::{self, LossView},
};

pub use notices::{ChannelView, GivenUpView};
pub use readiness::ReadinessView;
pub use run::{ApprovalView, ChangeView, GateView, RunView, StepView};
pub use waiting::WaitingFor;

/// A migration as the outside sees it: over HTTP, at a terminal, with `--json`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MigrationView {
    #[schema(value_type = String)]
    pub name: Name,
    pub state: MigrationState,
    /// Of the pinned plan; none before the first arming.
    pub plan_sha256: Option<String>,
    /// Of the file, when it is not what is pinned.
    pub pending_plan: Option<String>,
    pub summary: Option<String>,
    /// The overlay of the plan file that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub overlay: Option<Name>,
    /// The drill under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillView>,
    pub armed: Option<Timestamp>,
    pub cutover: Option<Timestamp>,
    /// The phase of the plan that it is in; none where the plan has no phases, or where it has not been armed since the
    /// last rollback.
    #[schema(value_type = Option<String>)]
    pub phase: Option<Name>,
    pub phase_since: Option<Timestamp>,
    pub phase_expected_s: Option<u64>,
    /// Until then no trigger opens an incident.
    pub muted_until: Option<Timestamp>,
    /// Who has muted it, and why.
    pub muted_by: Option<String>,
    pub muted_reason: Option<String>,
    /// How long rolling back by itself is possible; none where the plan says nothing of it.
    pub window: Option<WindowView>,
    /// What each step that loses data would lose if it ran now. Empty where the migration is not armed.
    #[schema(value_type = IndexMap<String, LossView>)]
    pub loss: IndexMap<Name, LossView>,
    /// Whether a rollback would go through now; none where that is not evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness: Option<ReadinessView>,
    pub baseline: Option<BaselineView>,
    #[schema(value_type = IndexMap<String, TriggerView>)]
    pub triggers: IndexMap<Name, TriggerView>,
    #[schema(value_type = IndexMap<String, SignalView>)]
    pub signals: IndexMap<Name, SignalView>,
    /// Sources of which nothing can be read, and since when.
    pub blind: IndexMap<String, Timestamp>,
    /// The open one.
    pub incident: Option<IncidentView>,
    /// The one under way, or the last.
    pub run: Option<RunView>,
    pub waiting_for: Vec<WaitingFor>,
    /// The verbs that move the migration now; none while a run is open: those stand with the run. People read the same words.
    pub possible: Vec<VerbWord>,
    /// What has become of notices, by the channels of the plan.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schema(value_type = IndexMap<String, ChannelView>)]
    pub notices: IndexMap<Name, ChannelView>,
    /// Why the engine has stopped acting, if it has.
    pub faults: Vec<String>,
    /// How often signals are read.
    pub poll_s: f64,
    /// The journal's last record.
    pub seq: u64,
    pub head: String,
    /// When the engine last changed anything of it.
    pub at: Timestamp,
    /// When it was looked at, by the same clock: ages count from here.
    pub now: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DrillView {
    /// The trigger that is made to fire; none where the rollback was asked for.
    #[schema(value_type = Option<String>)]
    pub trigger: Option<Name>,
    pub reason: String,
    /// Who asked.
    pub actor: String,
    /// The breach.
    pub started: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WindowView {
    /// Nothing starts by itself before.
    pub opens: Option<Timestamp>,
    /// Past it, people decide; none before the cutover is marked.
    pub point_of_no_return: Option<Timestamp>,
    /// What becomes then of steps that lose data.
    pub past: PastWindow,
    /// To the point of no return; 0 when it is passed.
    pub left_s: Option<f64>,
    /// The phase `cutover`, or a later one, has begun without the mark: the point of no return does not count.
    pub unmarked: bool,
}

impl WindowView {
    fn new(state: &Migration, now: Timestamp) -> Option<Self> {
        let window = state.plan.as_ref()?.window.as_ref()?;
        let point_of_no_return = state.point_of_no_return();
        let left_s = point_of_no_return.map(|point| point.duration_since(now).as_secs_f64().max(0.0));
        Some(Self { opens: window.opens, point_of_no_return, past: window.past, left_s, unmarked: state.is_unmarked() })
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct BaselineView {
    pub captured: Timestamp,
    pub plan_sha256: String,
    #[schema(value_type = Vec<String>)]
    pub steps: Vec<Name>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TriggerView {
    pub severity: Severity,
    pub state: TriggerWord,
    /// What its condition is about.
    pub signals: Vec<Name>,
    /// How long the condition has held, and how long it must.
    pub held_s: f64,
    pub for_s: f64,
    /// Set while the dwell runs: when it fires if nothing heals.
    pub fires_at: Option<Timestamp>,
    /// The condition cannot be decided since then.
    pub unknown_since: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TriggerWord {
    Quiet,
    Dwelling,
    Paused,
    Fired,
    Healing,
    /// It was red at arming and sleeps until it has been green once.
    WaitsForGreen,
    /// It counts in other phases than the present one.
    Asleep,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SignalView {
    pub health: Health,
    pub since: Timestamp,
    pub evidence: String,
    pub source: String,
    /// False when it has not been read since it is watched.
    pub read: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct IncidentView {
    pub id: String,
    #[schema(value_type = String)]
    pub migration: Name,
    pub opened: Timestamp,
    pub closed: Option<Timestamp>,
    #[schema(value_type = Vec<String>)]
    pub triggers: Vec<Name>,
    pub decision: Option<Answer>,
    /// The same: what happens now, or what is asked.
    pub answer: Option<Answer>,
    pub why: String,
    /// As the trigger names it that the answer is for.
    #[schema(value_type = Option<String>)]
    pub problem: Option<Name>,
    /// The rule that matched, counted from 0: `decision.rules[0]`, of the plan or of the default matrix.
    pub rule: Option<usize>,
    /// Until when people can decide; never extended.
    pub timebox_ends: Option<Timestamp>,
    /// What happens then: `roll_back`, `fix_forward`, or `decide` where nothing may start by itself then and people are asked on.
    pub then: Option<Answer>,
    /// Whose word decides: a list is any one of these roles, `{ "all": [...] }` one person of each.
    pub authority: Authority,
    pub words: Vec<WordView>,
    pub run: Option<String>,
    pub outcome: Option<belay_core::event::IncidentOutcome>,
}

/// One person's word on an incident, and whether it counts for what is asked now.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WordView {
    #[serde(flatten)]
    pub word: Word,
    /// False after another word of the same person, and when the question was settled or is asked of other people.
    pub counts: bool,
}

impl MigrationView {
    /// `file_sha256`: of the plan file as it is now, where there is one.
    pub fn new(snapshot: &Snapshot, file_sha256: Option<&str>, now: Timestamp) -> Self {
        let state = snapshot.state.as_ref();
        let pinned = state.plan.as_ref().map(|_| state.plan_sha256.clone());
        let triggers = state.plan.iter().flat_map(|plan| &plan.triggers);
        let phase = state.present_phase();
        Self {
            name: state.name.clone(),
            state: state.state(),
            pending_plan: file_sha256.map(str::to_owned).filter(|sha256| pinned.as_ref() != Some(sha256)),
            plan_sha256: pinned,
            summary: state.plan.as_ref().and_then(|plan| plan.summary.clone()),
            overlay: state.plan.as_ref().and_then(|plan| plan.overlaid.as_ref()?.overlay.clone()),
            drill: state.drill.as_ref().map(|drill| DrillView {
                trigger: drill.trigger.clone(),
                reason: drill.reason.clone(),
                actor: drill.actor.clone(),
                started: drill.started,
            }),
            armed: state.armed,
            cutover: state.kept_cutover(),
            phase: phase.map(|phase| phase.name.clone()),
            phase_since: phase.map(|phase| phase.since),
            phase_expected_s: phase
                .and_then(|phase| Some(state.plan.as_ref()?.phases.get(&phase.name)?.expected?.as_secs())),
            muted_until: state.muted.as_ref().map(|mute| mute.until),
            muted_by: state.muted.as_ref().map(|mute| mute.by.clone()),
            muted_reason: state.muted.as_ref().map(|mute| mute.reason.clone()),
            window: WindowView::new(state, now),
            loss: loss::views(snapshot, now),
            readiness: readiness::view(snapshot),
            baseline: state.kept_baseline().map(|baseline| BaselineView {
                captured: baseline.captured,
                plan_sha256: baseline.plan_sha256.clone(),
                steps: baseline.steps.keys().cloned().collect(),
            }),
            triggers: triggers
                .filter_map(|(name, trigger)| {
                    let view = TriggerView::new(trigger, state.triggers.get(name)?, now);
                    let asleep = state.armed.is_some() && state.is_asleep(name, trigger);
                    Some((name.clone(), if asleep { TriggerView { state: TriggerWord::Asleep, ..view } } else { view }))
                })
                .collect(),
            signals: state
                .signals
                .iter()
                .map(|(name, signal)| (name.clone(), SignalView::new(signal, snapshot.evidence.get(name))))
                .collect(),
            blind: state.blind.iter().map(|(source, since)| (source.clone(), *since)).collect(),
            incident: state.incident.as_ref().map(|incident| IncidentView::new(state, incident)),
            run: state.run.as_ref().map(|run| RunView::new(state, run, Some(snapshot), now)),
            waiting_for: waiting::of_migration(state),
            possible: possible::of_migration(state),
            notices: notices::channels(snapshot),
            faults: snapshot.faults.iter().map(ToString::to_string).collect(),
            poll_s: snapshot.poll.as_secs_f64(),
            seq: state.seq,
            head: state.head.clone(),
            at: snapshot.at,
            now,
        }
    }
}

impl TriggerView {
    fn new(trigger: &Trigger, state: &TriggerState, now: Timestamp) -> Self {
        let seconds = |since: Timestamp| now.duration_since(since).as_secs_f64().max(0.0);
        let (word, held_s) = match state.dwell {
            _ if state.waits_for_green => (TriggerWord::WaitsForGreen, 0.0),
            Dwell::Quiet => (TriggerWord::Quiet, 0.0),
            Dwell::Running { since, held_ms } => (TriggerWord::Dwelling, ms_to_s(held_ms) + seconds(since)),
            Dwell::Paused { held_ms } => (TriggerWord::Paused, ms_to_s(held_ms)),
            Dwell::Fired => (TriggerWord::Fired, trigger.dwell.as_secs_f64()),
            Dwell::Healing { since } => (TriggerWord::Healing, seconds(since)),
        };
        let fires_at = match state.dwell {
            Dwell::Running { since, held_ms } if !state.waits_for_green => {
                Some(since + trigger.dwell.saturating_sub(std::time::Duration::from_millis(held_ms)))
            }
            _ => None,
        };
        Self {
            severity: trigger.severity,
            state: word,
            signals: signals_of(&trigger.when).into_iter().cloned().collect(),
            held_s,
            for_s: trigger.dwell.as_secs_f64(),
            fires_at,
            unknown_since: state.unknown,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a dwell is far below 2^53 milliseconds")]
fn ms_to_s(time_ms: u64) -> f64 {
    time_ms as f64 / 1000.0
}

impl SignalView {
    /// `latest`: the evidence of the last reading, where that is another one than when the signal turned.
    fn new(signal: &belay_core::watch::SignalState, latest: Option<&String>) -> Self {
        let latest = latest.filter(|_| signal.health == Health::Unknown);
        Self {
            health: signal.health,
            since: signal.since,
            evidence: latest.unwrap_or(&signal.evidence).clone(),
            source: signal.source.clone(),
            read: signal.read,
        }
    }
}

impl IncidentView {
    pub fn new(state: &Migration, incident: &Incident) -> Self {
        let asks = incident.asks.as_ref();
        let counting = incident.last_words();
        let counts = |word: &Word| counting.iter().any(|counting| std::ptr::eq(*counting, word));
        Self {
            id: incident.id.to_string(),
            migration: state.name.clone(),
            opened: incident.opened,
            closed: incident.closed,
            triggers: incident.triggers.clone(),
            decision: incident.answer,
            answer: incident.answer,
            why: incident.why.clone(),
            problem: asks.and_then(|asks| asks.problem.clone()),
            rule: asks.map(|asks| asks.rule),
            timebox_ends: asks.and_then(|asks| asks.timebox_ends),
            then: follows(state, incident),
            authority: authority(state, incident),
            words: incident.words.iter().map(|word| WordView { word: word.clone(), counts: counts(word) }).collect(),
            run: incident.run.as_ref().map(ToString::to_string),
            outcome: incident.outcome,
        }
    }
}

/// All incidents of a migration, the latest first.
pub fn incidents(state: &Migration) -> Vec<IncidentView> {
    let past = state.past_incidents.iter().rev().map(AsRef::as_ref);
    state.incident.iter().chain(past).map(|incident| IncidentView::new(state, incident)).collect()
}

/// All runs of a migration, the latest first.
pub fn runs(snapshot: &Snapshot, now: Timestamp) -> Vec<RunView> {
    let state = &snapshot.state;
    let past = state.past_runs.iter().rev().map(Arc::as_ref).map(|run| (run, None));
    let present = state.run.iter().map(|run: &Run| (run, Some(snapshot)));
    present.chain(past).map(|(run, live)| RunView::new(state, run, live, now)).collect()
}
