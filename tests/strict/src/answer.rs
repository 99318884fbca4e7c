//! What AWS answers.

use serde_json::Value;

use crate::wire;

/// What comes of a request.
#[derive(Debug, Clone)]
pub enum Reply {
    Answer(wire::Answer),
    /// The connection breaks, before any of the answer.
    Cut,
    /// No answer at all, for longer than anybody waits.
    Silence,
    /// The caller is to be killed: it has no answer.
    Kill,
}

/// An error as AWS answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
    /// Answered as the API reference shows `InvalidChangeBatch`: with the code as the root element.
    pub(crate) bare: bool,
}

pub(crate) type Answered = Result<Value, Refusal>;

impl Refusal {
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), bare: false }
    }

    /// 400: what most refusals are.
    pub fn bad(code: &str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    pub fn missing(code: &str, message: impl Into<String>) -> Self {
        Self::new(404, code, message)
    }
}
