//! What goes wrong with calls: which one, and how.

use crate::answer::Refusal;

/// What befalls a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blow {
    /// AWS says no, and nothing happens.
    Refuse(Refusal),
    Throttle,
    /// 500 `InternalFailure`, and nothing happens.
    Fail,
    /// 500 `InternalFailure`, and the call takes effect all the same.
    FailAfter,
    /// The connection breaks before AWS has seen the call.
    Lose,
    /// The call takes effect, and its answer is lost.
    LoseAnswer,
    /// The call does not arrive, and no answer comes.
    Silence,
    /// The process dies before the call leaves.
    KillBefore,
    /// The call takes effect, and the process dies before the answer.
    KillAfter,
}

/// Which calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The n-th of this operation, from 1.
    Nth(String, usize),
    /// Every one of this operation.
    Every(String),
    /// The n-th call of all that can change anything, from 1.
    Send(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    which: Which,
    blow: Blow,
    seen: usize,
}

impl Rule {
    pub(crate) fn new(which: Which, blow: Blow) -> Self {
        Self { which, blow, seen: 0 }
    }

    /// Counts a call, and says what befalls it.
    pub(crate) fn strikes(&mut self, operation: &str, mutates: bool) -> Option<Blow> {
        let concerned = match &self.which {
            Which::Nth(of, _) | Which::Every(of) => of == operation,
            Which::Send(_) => mutates,
        };
        self.seen += usize::from(concerned);
        let strikes = concerned
            && match self.which {
                Which::Nth(_, nth) | Which::Send(nth) => self.seen == nth,
                Which::Every(_) => true,
            };
        strikes.then(|| self.blow.clone())
    }
}

/// One call, as it was asked and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub at: jiff::Timestamp,
    pub service: crate::Service,
    pub operation: String,
    /// The parameters, in the names of the API.
    pub input: serde_json::Value,
    pub outcome: Outcome,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Refused(Refusal),
    /// It took effect, and the caller was not told.
    DoneUntold,
    /// It never arrived.
    Lost,
}

impl Call {
    /// Whether it can change anything.
    pub fn mutates(&self) -> bool {
        mutates(&self.operation)
    }

    /// Whether it has changed anything.
    pub fn took_effect(&self) -> bool {
        self.mutates() && matches!(self.outcome, Outcome::Done | Outcome::DoneUntold)
    }

    /// A parameter as text: `call.text("DBInstanceIdentifier")`.
    pub fn text(&self, name: &str) -> &str {
        self.input[name].as_str().unwrap_or_default()
    }
}

/// By its name: what is not known to be a read counts as mutating.
pub(crate) fn mutates(operation: &str) -> bool {
    !["Describe", "Get", "List"].iter().any(|read| operation.starts_with(read))
}
