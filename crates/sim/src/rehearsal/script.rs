//! What is going to happen in a rehearsal, with every name of the plan found.

use std::time::Duration;

use belay_core::{decision::may_roll_back, elapsed::is_own, watch::signals_of};
use belay_plan::model::{Name, Plan};

use crate::{chance::Chance, condition::Condition, spread::Spread};

/// How long the cutover looks fine, where nobody says.
pub const CALM: Duration = Duration::from_secs(2 * 60);

/// A person answers after this, where nobody says.
pub const ANSWER: Duration = Duration::from_secs(60);

/// A daemon that was killed is back after this, where nobody says.
pub const DOWN: Duration = Duration::from_secs(30);

/// Whatever is not over after this (the plan's own waits apart) is said not to be.
pub const HORIZON: Duration = Duration::from_secs(24 * 60 * 60);

/// A duration, or anything in between two, as the seed has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: Duration,
    pub to: Duration,
}

impl Span {
    pub const fn exactly(time: Duration) -> Self {
        Self { from: time, to: time }
    }

    /// In whole milliseconds, each as likely.
    pub(crate) fn draw(self, chance: &mut Chance) -> Duration {
        let width_ms = self.to.saturating_sub(self.from).as_millis();
        self.from + Duration::from_millis(chance.below(u64::try_from(width_ms).unwrap_or(u64::MAX).saturating_add(1)))
    }

    pub fn spread(self) -> Spread {
        Spread::between(self.from, self.to)
    }
}

/// A scenario for one plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// How it is called: the file, or nothing for the usual case.
    pub name: String,
    pub summary: String,
    /// From the cutover to the breach.
    pub calm: Span,
    /// So much of the traffic is cut over by then, in percent.
    pub share: u32,
    /// Whose signals turn unhealthy at the breach. None: nobody watches, and a person notices.
    pub trigger: Option<Name>,
    /// The phase in which it goes wrong; None: the plan has none.
    pub phase: Option<Name>,
    /// From the cutover.
    pub horizon: Duration,
    /// The first that fits answers for a step; of those who decide, each who fits.
    pub people: Vec<Person>,
    /// What people do after a halt, one after the other.
    pub halted: Vec<Act>,
    pub cues: Vec<Cue>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    pub says: Says,
    /// After the question, or the beginning of the incident.
    pub after: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Says {
    /// What the people answer who are asked about some steps; None: about all, and what the migration itself asks.
    Steps {
        steps: Option<Vec<Name>>,
        /// Of each of a quorum in turn; the last of them is that of all who follow.
        answers: Vec<Answer>,
    },
    Incident(Decides),
}

/// What one person says to incidents.
#[derive(Debug, Clone, PartialEq)]
pub struct Decides {
    pub word: Word,
    /// None: a role that the question asks for.
    pub role: Option<Name>,
    /// Only in incidents of this trigger.
    pub trigger: Option<Name>,
    /// Only in this one, counted from 1.
    pub incident: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    RollBack,
    FixForward,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Approve,
    Deny,
    Nothing,
}

/// What a person does after a halt.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    pub what: ActWord,
    /// The first of these that has failed; None: of all.
    pub steps: Option<Vec<Name>>,
    /// After the halt, or the act before.
    pub after: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActWord {
    Resume,
    Retry,
    Skip,
    Override { subject: String },
    Abort,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Cue {
    pub at: Moment,
    /// None: to the end.
    pub lasts: Option<Duration>,
    /// It comes again after so long.
    pub every: Option<Duration>,
    pub what: Event,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Moment {
    /// From the breach.
    Time(Span),
    /// After the first call for one of these steps.
    Sent { steps: Vec<Name>, after: Span },
    /// After one of these steps has been put back.
    Done { steps: Vec<Name>, after: Span },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Begin(Condition),
    /// Signals show what has changed so much later.
    Lag {
        signals: Vec<Name>,
        time: Span,
    },
    /// The process dies, and another one starts after a while; with another journal, where that is lost.
    Kill {
        down: Span,
        loses_journal: bool,
    },
    /// Another process takes the journal, and goes on after a while.
    Lease {
        down: Span,
    },
    /// Somebody else changes what these steps put back.
    Undo {
        steps: Vec<Name>,
    },
    /// A person asks for something.
    Ask(Ask),
}

/// What a person asks for of their own accord.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Of these steps and what they need; none named: of all.
    Rollback {
        only: Vec<Name>,
    },
    Cutover,
    Phase(Name),
    Mute(Duration),
    Unmute,
}

impl Event {
    /// As scenarios write it.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Begin(Condition::Slow { .. }) => "slow",
            Self::Begin(Condition::Takes { .. }) => "takes",
            Self::Begin(Condition::Fails { .. }) => "fail",
            Self::Begin(Condition::Shows { .. }) => "signal",
            Self::Begin(Condition::Lags { .. }) | Self::Lag { .. } => "lag",
            Self::Begin(Condition::Targets { .. }) => "targets",
            Self::Kill { .. } => "kill",
            Self::Lease { .. } => "lease",
            Self::Undo { .. } => "change",
            Self::Ask(Ask::Rollback { .. }) => "rollback",
            Self::Ask(Ask::Cutover) => "cutover",
            Self::Ask(Ask::Phase(_)) => "phase",
            Self::Ask(Ask::Mute(_)) => "mute",
            Self::Ask(Ask::Unmute) => "unmute",
        }
    }
}

impl Script {
    /// The usual case: the cutover turns out to be bad after a while, and everything works as it should. `trigger`: the one
    /// that sees it; left out, the first that rolls back by itself.
    pub fn usual(plan: &Plan, trigger: Option<&str>) -> Self {
        Self::usual_in(plan, trigger, plan.usual_phase())
    }

    /// The same in a phase of the plan.
    pub fn usual_in(plan: &Plan, trigger: Option<&str>, phase: Option<&str>) -> Self {
        Self {
            name: String::new(),
            summary: "everything works as it usually does".to_owned(),
            calm: Span::exactly(CALM),
            share: 100,
            trigger: trigger.map(str::to_owned).or_else(|| usual_trigger(plan, phase)),
            phase: phase.map(str::to_owned),
            horizon: horizon(plan),
            people: Vec::new(),
            halted: Vec::new(),
            cues: Vec::new(),
        }
    }

    /// How the person answers who is asked about a step after so many others, or (None) about the migration, and after how
    /// long; with the number of the entry that says so.
    pub(crate) fn answer(&self, step: Option<&str>, others: usize) -> (Option<usize>, Answer, Span) {
        let fits = |(number, person): (usize, &Person)| match (&person.says, step) {
            (Says::Steps { steps: Some(_), .. }, None) | (Says::Incident(_), _) => None,
            (Says::Steps { steps: Some(steps), .. }, Some(step)) if !steps.iter().any(|name| name == step) => None,
            (Says::Steps { answers, .. }, _) => {
                let answer = answers.get(others).or(answers.last()).copied().unwrap_or(Answer::Approve);
                Some((Some(number), answer, person.after))
            }
        };
        let found = self.people.iter().enumerate().find_map(fits);
        found.unwrap_or((None, Answer::Approve, Span::exactly(ANSWER)))
    }

    /// The longest that a signal takes to show what has changed, where the scenario says so.
    pub(crate) fn longest_lag(&self) -> Duration {
        let lag = |cue: &Cue| match &cue.what {
            Event::Lag { time, .. } => Some(time.to),
            _ => None,
        };
        self.cues.iter().filter_map(lag).max().unwrap_or_default()
    }

    /// Whether the breach comes before the cutover.
    pub(crate) fn is_before_cutover(&self, plan: &Plan) -> bool {
        is_before_cutover(plan, self.phase.as_deref())
    }
}

/// Whether the phase comes before the one that the cutover begins.
pub fn is_before_cutover(plan: &Plan, phase: Option<&str>) -> bool {
    let place = |phase: &str| plan.phases.get_index_of(phase);
    phase.and_then(place).zip(place("cutover")).is_some_and(|(phase, cutover)| phase < cutover)
}

/// The first trigger that rolls back by itself in this phase, or else the first that counts in it.
pub(crate) fn usual_trigger(plan: &Plan, phase: Option<&str>) -> Option<Name> {
    let plan = &plan.in_phase(phase);
    let is_read = |signal: &&Name| !plan.signals.get(*signal).is_some_and(is_own);
    let rolls_back = |name: &&Name| {
        let trigger = &plan.triggers[*name];
        may_roll_back(plan, trigger) && signals_of(&trigger.when).iter().any(is_read)
    };
    plan.triggers.keys().find(rolls_back).or_else(|| plan.triggers.keys().next()).cloned()
}

/// Long enough for the plan's own waits.
pub(crate) fn horizon(plan: &Plan) -> Duration {
    let waits = plan.steps.values().filter_map(|step| {
        let time = step.with["for"].as_str().filter(|_| step.action == belay_plan::builtin::WAIT)?;
        belay_plan::duration::parse(time).ok()
    });
    HORIZON + waits.sum::<Duration>()
}
