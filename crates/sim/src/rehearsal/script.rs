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
    /// Whose signals turn unhealthy at the breach. None: nobody watches, and a person notices.
    pub trigger: Option<Name>,
    /// From the cutover.
    pub horizon: Duration,
    /// The first that fits has its say.
    pub people: Vec<Person>,
    /// What people do after a halt, one after the other.
    pub halted: Vec<Act>,
    pub cues: Vec<Cue>,
}

/// How the people answer who are asked about some steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// None: all, and what the migration itself asks.
    pub steps: Option<Vec<Name>>,
    pub after: Span,
    pub answer: Answer,
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
    /// The process dies, and another one starts after a while.
    Kill {
        down: Span,
    },
    /// Somebody else changes what these steps put back.
    Undo {
        steps: Vec<Name>,
    },
    /// A person calls the rollback.
    Call,
}

impl Event {
    /// As scenarios write it.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Begin(Condition::Slow { .. }) => "slow",
            Self::Begin(Condition::Takes { .. }) => "takes",
            Self::Begin(Condition::Fails { .. }) => "fail",
            Self::Begin(Condition::Shows { .. }) => "signal",
            Self::Begin(Condition::Targets { .. }) => "targets",
            Self::Kill { .. } => "kill",
            Self::Undo { .. } => "change",
            Self::Call => "rollback",
        }
    }
}

impl Script {
    /// The usual case: the cutover turns out to be bad after a while, and everything works as it should. `trigger`: the one
    /// that sees it; left out, the first that rolls back by itself.
    pub fn usual(plan: &Plan, trigger: Option<&str>) -> Self {
        Self {
            name: String::new(),
            summary: "everything works as it usually does".to_owned(),
            calm: Span::exactly(CALM),
            trigger: trigger.map(str::to_owned).or_else(|| usual_trigger(plan)),
            horizon: horizon(plan),
            people: Vec::new(),
            halted: Vec::new(),
            cues: Vec::new(),
        }
    }

    /// How the people answer who are asked about a step, or (None) about the migration; with the number of the entry that
    /// says so.
    pub(crate) fn person(&self, step: Option<&str>) -> (Option<usize>, Person) {
        let fits = |(_, person): &(usize, &Person)| match (&person.steps, step) {
            (None, _) => true,
            (Some(steps), Some(step)) => steps.iter().any(|name| name == step),
            (Some(_), None) => false,
        };
        let usual = Person { steps: None, after: Span::exactly(ANSWER), answer: Answer::Approve };
        let found = self.people.iter().enumerate().find(fits);
        found.map_or((None, usual), |(number, person)| (Some(number), person.clone()))
    }
}

/// The first trigger that rolls back by itself, or else the first.
pub(crate) fn usual_trigger(plan: &Plan) -> Option<Name> {
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
