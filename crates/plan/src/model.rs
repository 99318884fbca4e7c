//! The plan as everything after decoding sees it: typed, complete, with every default filled in.
//!
//! A [`Plan`] is journaled as JSON when it is armed, and that is what runs, so these types only ever grow:
//! a field added later needs a serde default that keeps the old meaning.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{checklist::Checklist, duration::text as duration_text, notify::Notify};

/// `[a-z][a-z0-9_-]{0,62}`; checked when the plan is decoded.
pub type Name = String;

/// One plan file, guarding one migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub migration: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    #[serde(default)]
    pub aws: AwsTarget,
    #[serde(default)]
    pub objectives: Objectives,
    /// In order; empty: the migration has one phase, without a name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub phases: IndexMap<Name, Phase>,
    #[serde(default)]
    pub signals: IndexMap<Name, Signal>,
    #[serde(default)]
    pub triggers: IndexMap<Name, Trigger>,
    #[serde(default)]
    pub decision: Decision,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    pub steps: IndexMap<Name, Step>,
    #[serde(default)]
    pub confirm: Vec<Gate>,
    /// What is gathered when an incident opens; none: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    #[serde(default, deserialize_with = "lenient_notify", skip_serializing_if = "Notify::is_empty")]
    pub notify: Arc<Notify>,
    #[serde(default, skip_serializing_if = "Checklist::is_empty")]
    pub checklist: Checklist,
    /// Findings that are known, and why they stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepts: Vec<Accept>,
    /// What was laid over the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlaid: Option<Overlaid>,
}

impl Plan {
    /// Whether a step does anything by itself in a phase: one that only stands in for another waits for that to fail.
    pub fn serves(&self, name: &str, phase: Option<&str>) -> bool {
        let stands_in = |step: &Step| matches!(&step.on_failure, OnFailure::Fallback(fallback) if fallback == name);
        self.steps.get(name).is_some_and(|step| counts_during(&step.during, phase))
            && !self.steps.values().any(stands_in)
    }

    /// The phase that a rehearsal is about where nobody says: `cutover`, or else the last one.
    pub fn usual_phase(&self) -> Option<&str> {
        let cutover = self.phases.keys().find(|name| *name == "cutover");
        cutover.or_else(|| self.phases.keys().last()).map(String::as_str)
    }

    /// Whether a step has a part in a run in this phase: one that stands in for another has it only where that one has.
    pub fn takes_part(&self, name: &str, phase: Option<&str>) -> bool {
        let counts = self.steps.get(name).is_some_and(|step| counts_during(&step.during, phase));
        let stands_in = |step: &Step| matches!(&step.on_failure, OnFailure::Fallback(fallback) if fallback == name);
        // It stands in for one, and no plan has a cycle of these.
        let mut owners = self.steps.iter().filter(|(_, step)| stands_in(step));
        counts && owners.next().is_none_or(|(owner, _)| self.takes_part(owner, phase))
    }

    /// Whether a rollback in this phase does anything.
    pub fn is_served(&self, phase: Option<&str>) -> bool {
        self.steps.keys().any(|step| self.serves(step, phase))
    }

    /// What is left of it in one phase: steps and triggers of other phases are gone. A run skips such steps at once, so
    /// nothing waits for them, and none of them stands in for another; what stands in only for them is gone, too.
    #[must_use]
    pub fn in_phase(&self, phase: Option<&str>) -> Self {
        let mut plan = self.clone();
        // Arming begins with the first one.
        if let Some(place) = phase.and_then(|phase| plan.phases.get_index_of(phase)) {
            plan.phases.move_index(place, 0);
        }
        plan.steps.retain(|name, _| self.takes_part(name, phase));
        plan.triggers.retain(|_, trigger| counts_during(&trigger.during, phase));
        let left: BTreeSet<Name> = plan.steps.keys().cloned().collect();
        for step in plan.steps.values_mut() {
            step.during.clear();
            step.needs.retain(|need| left.contains(need));
            step.fences.retain(|fenced| left.contains(fenced));
            if matches!(&step.on_failure, OnFailure::Fallback(name) if !left.contains(name)) {
                step.on_failure = OnFailure::Halt;
            }
        }
        plan
    }
}

/// A finding of the search that its authors have looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accept {
    pub finding: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Name>,
    pub reason: String,
}

/// What was laid over a plan file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Overlaid {
    /// The migration as the file calls it.
    pub file_migration: Name,
    /// The overlay of the file that was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Name>,
    /// The settings, `PATH=VALUE`, in the order in which they were laid over it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<String>,
}

/// Which account and region, and as whom. A step's or a signal's own `aws:` is already merged over the plan's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AwsTarget {
    /// Twelve digits. Credentials of another account are refused before anything else is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objectives {
    /// Recovery time: from the breach to the confirmed rollback; detection counts.
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub rto: Option<Duration>,
    /// Recovery point: how much written data may be lost.
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Duration>,
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Duration>,
    /// From the breach to the confirmed end: in the report it replaces the goal of the incident's severity.
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Duration>,
}

impl Objectives {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A stage of the migration, as `backfill`, `cutover` or `soak`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub expected: Option<Duration>,
}

/// Whether a trigger, rule or step counts in a phase. Without `during` it counts in all of them, also where the phase is not
/// known.
pub fn counts_during(during: &[Name], phase: Option<&str>) -> bool {
    during.is_empty() || phase.is_some_and(|phase| during.iter().any(|name| name == phase))
}

/// Something observable. `kind` is the sensor's key in the plan (`alarm`, `metric`, `http`, ...); `spec` is the whole
/// entry in normal form, without `aws`; for example `{"alarm": "checkout-5xx", "missing": "unknown"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    pub kind: String,
    pub spec: Value,
    #[serde(default)]
    pub aws: AwsTarget,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    pub when: Condition,
    /// Dwell: how long the condition must hold.
    #[serde(default, rename = "for", with = "duration_text")]
    pub dwell: Duration,
    pub severity: Severity,
    pub scope: TriggerScope,
    pub fix: Fix,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_unknown: Option<IfUnknown>,
    pub red_at_arm: RedAtArm,
    /// A name that rules match on.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub problem: Option<Name>,
    /// Set where the plan says so; see [`Trigger::is_customer_facing`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_facing: Option<bool>,
    /// The phases in which it is awake; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub during: Vec<Name>,
}

impl Trigger {
    /// Whether customers feel it.
    pub fn is_customer_facing(&self) -> bool {
        self.customer_facing.unwrap_or(self.scope == TriggerScope::SystemWide)
    }
}

/// Earlier versions read notices and sent none: what their plans say of them has no meaning.
fn lenient_notify<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Arc<Notify>, D::Error> {
    Ok(Arc::new(serde_json::from_value(Value::deserialize(deserializer)?).unwrap_or_default()))
}

/// What was reserved in earlier versions may hold anything in their journals: it had no meaning, and has none now.
fn lenient<'de, D: serde::Deserializer<'de>, T: serde::de::DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

/// What is gathered when an incident opens, beside the history of the plan's alarms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// So far back CloudTrail is asked what was changed.
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub cloudtrail: Option<Duration>,
    /// The X-Ray group whose service graph is asked for; the group `Default` is all that is traced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xray: Option<String>,
    /// Whether DevOps Guru is asked for its insights.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub devops_guru: bool,
}

/// A condition over signals: true when signals are unhealthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    Signal(Name),
    Any(Vec<Condition>),
    All(Vec<Condition>),
    AtLeast { n: u32, of: Vec<Condition> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Critical,
    Major,
    Minor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerScope {
    SystemWide,
    Isolated,
}

/// The expected time to fix the cause instead of rolling back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fix {
    Short,
    Medium,
    Long,
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IfUnknown {
    #[serde(with = "duration_text")]
    pub after: Duration,
    #[serde(rename = "do")]
    pub then: UnknownPolicy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPolicy {
    Alert,
    RollBack,
    Ignore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedAtArm {
    Refuse,
    WaitForGreen,
}

/// Which answer an incident gets. `rules` is never empty: the default matrix stands in where the plan has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub rules: Vec<Rule>,
    #[serde(default)]
    pub authority: Authority,
    /// True when the plan wrote rules of its own.
    #[serde(default)]
    pub custom: bool,
}

/// The matrix of a plan that writes none.
impl Default for Decision {
    fn default() -> Self {
        let half_an_hour = Duration::from_secs(30 * 60);
        Self {
            rules: vec![
                Rule {
                    severity: Some(Severity::Critical),
                    scope: Some(TriggerScope::Isolated),
                    fix: Some(Fix::Short),
                    timebox: Some(half_an_hour),
                    ..Rule::always(Answer::FixFirst)
                },
                Rule { severity: Some(Severity::Critical), ..Rule::always(Answer::RollBack) },
                Rule {
                    severity: Some(Severity::Major),
                    scope: Some(TriggerScope::SystemWide),
                    ..Rule::always(Answer::RollBack)
                },
                Rule::always(Answer::FixForward),
            ],
            authority: Authority::default(),
            custom: false,
        }
    }
}

/// Who may decide an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Authority {
    /// Any one person with one of these roles; empty: an operator.
    AnyOf(Vec<Name>),
    /// One person of each role.
    AllOf { all: Vec<Name> },
}

impl Default for Authority {
    fn default() -> Self {
        Self::AnyOf(Vec::new())
    }
}

impl Authority {
    pub fn roles(&self) -> &[Name] {
        match self {
            Self::AnyOf(roles) | Self::AllOf { all: roles } => roles,
        }
    }
}

/// One row of the matrix; what is left out matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<TriggerScope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub during: Vec<Name>,
    #[serde(rename = "do")]
    pub answer: Answer,
    /// How long people have, for [`Answer::FixFirst`] and [`Answer::Decide`].
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub timebox: Option<Duration>,
    /// What follows at the end of the timebox; none: the rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Answer>,
    /// None: that of the whole decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<Authority>,
}

impl Rule {
    /// A row that matches everything.
    pub fn always(answer: Answer) -> Self {
        Self {
            problem: None,
            severity: None,
            scope: None,
            fix: None,
            during: Vec::new(),
            answer,
            timebox: None,
            then: None,
            authority: None,
        }
    }

    pub fn is_catch_all(&self) -> bool {
        self.problem.is_none()
            && self.severity.is_none()
            && self.scope.is_none()
            && self.fix.is_none()
            && self.during.is_empty()
    }

    pub fn matches(&self, situation: &Situation<'_>) -> bool {
        self.problem.as_deref().is_none_or(|problem| situation.problem == Some(problem))
            && self.severity.is_none_or(|severity| severity == situation.severity)
            && self.scope.is_none_or(|scope| scope == situation.scope)
            && self.fix.is_none_or(|fix| fix == situation.fix)
            && counts_during(&self.during, situation.phase)
    }
}

/// What rules are held against: a trigger, and the phase in which it fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation<'p> {
    pub problem: Option<&'p str>,
    pub severity: Severity,
    pub scope: TriggerScope,
    pub fix: Fix,
    pub phase: Option<&'p str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    RollBack,
    /// People fix it; when the timebox is over and it still holds, it is rolled back.
    FixFirst,
    /// People decide; when the timebox is over, the rule's `then` follows.
    Decide,
    FixForward,
}

impl Answer {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RollBack => "roll_back",
            Self::FixFirst => "fix_first",
            Self::Decide => "decide",
            Self::FixForward => "fix_forward",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub point_of_no_return: Option<Duration>,
    pub past: PastWindow,
    /// Nothing starts by itself before.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub opens: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PastWindow {
    RequireApproval,
    Refuse,
}

/// One thing to put back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub action: String,
    /// The action's own settings, in normal form.
    #[serde(default)]
    pub with: Value,
    #[serde(default)]
    pub aws: AwsTarget,
    pub to: Target,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<Others>,
    /// What this step acts on, for example `route53:Z0123456789ABC/checkout.example.com/A`: two armed migrations may
    /// not share one. Empty where the action touches nothing outside Belay.
    #[serde(default)]
    pub resource: String,
    #[serde(default)]
    pub needs: Vec<Name>,
    #[serde(default)]
    pub require: Vec<Gate>,
    #[serde(default)]
    pub verify: Vec<Gate>,
    /// From observing to settled.
    #[serde(with = "duration_text")]
    pub timeout: Duration,
    pub retry: Retry,
    pub on_failure: OnFailure,
    #[serde(default)]
    pub loses_data: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<Approve>,
    /// The steps that lose data and are safe behind this one, since it stops the writers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fences: Vec<Name>,
    /// The phases in which it is carried out; empty: all. In another one it is skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub during: Vec<Name>,
    /// The parts in which traffic moves, in percent of the way, rising to 100; empty: all at once. Between them `verify`
    /// has to hold.
    #[serde(default, deserialize_with = "stages", skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<u32>,
    /// The state between the cutover and a rollback, in the action's normal form; none: as it was captured after the cutover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Value>,
    /// When somebody has changed the resource since then.
    #[serde(default, deserialize_with = "on_drift", skip_serializing_if = "OnDrift::is_default")]
    pub on_drift: OnDrift,
    /// As its action has it. None: it was pinned by a version that did not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nature: Option<Nature>,
    /// As its action has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual: Option<Usual>,
}

/// What the steps of an action do to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nature {
    /// They move shares of traffic between destinations.
    Traffic,
    /// They replace data by an earlier state of it: what was written since is lost.
    Data,
    /// They set something that is no traffic: targets of a group, the writer of a cluster.
    State,
    /// They run something whose effect the plan does not name.
    Job,
    /// A person acts.
    Person,
    /// Time passes.
    Wait,
}

/// How long a step usually takes from its first call to the last effect, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usual {
    pub least_s: u32,
    pub usual_s: u32,
    pub most_s: u32,
}

impl Usual {
    pub const fn seconds(least_s: u32, usual_s: u32, most_s: u32) -> Self {
        Self { least_s, usual_s, most_s }
    }
}

/// What a resource that is not as expected means for its step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDrift {
    /// The rollback comes first.
    #[default]
    Proceed,
    /// A person agrees before anything of it is overwritten.
    Halt,
}

impl OnDrift {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Step {
    /// Whether this stage, counted from 0, gets to the target. Without stages the first one does.
    pub fn is_last_stage(&self, stage: usize) -> bool {
        stage + 1 >= self.stages.len()
    }
}

/// The same of drift.
fn on_drift<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<OnDrift, D::Error> {
    let written = Value::deserialize(deserializer)?;
    Ok(OnDrift::deserialize(written).unwrap_or_default())
}

/// Plans of versions that did not execute stages may have anything there: they were never run.
fn stages<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    let written = Value::deserialize(deserializer)?;
    Ok(Vec::deserialize(written).unwrap_or_default())
}

/// The state to return to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// What was observed before the cutover.
    Baseline,
    /// Named in the plan, in the action's normal form, for example `{"blue": 100, "green": 0}`.
    Explicit(Value),
    /// The action names its own target (`rds.restore` by its `from`, `manual`, `wait`).
    Own,
}

/// What happens to members that `to` does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Others {
    Keep,
    Zero,
}

/// A signal that has to be healthy without a break for `hold`, before `within` has run out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gate {
    #[schema(value_type = String)]
    pub signal: Name,
    #[serde(with = "duration_text")]
    #[schema(value_type = String)]
    pub within: Duration,
    #[serde(rename = "for", with = "duration_text")]
    #[schema(value_type = String)]
    pub hold: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Sends of one change, the first included; at least 1.
    pub attempts: u32,
    #[serde(with = "duration_text")]
    pub backoff_min: Duration,
    #[serde(with = "duration_text")]
    pub backoff_max: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    Halt,
    Continue,
    Fallback(Name),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approve {
    pub role: Name,
    pub quorum: u32,
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
    pub otherwise: Otherwise,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    Halt,
    Skip,
}
