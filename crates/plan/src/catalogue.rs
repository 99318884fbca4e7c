//! What a plan can do and see, as data: the binary assembles a [`Catalogue`] from the specs that each system exports.

use std::time::Duration;

use serde_json::Value;

use crate::{
    builtin,
    decode::below,
    model::{Nature, Usual},
    notify::NoticeKind,
    shape::{Field, Shape},
    syntax::{Problem, Span},
};

/// Every action and signal that plans may use.
#[derive(Debug, Clone)]
pub struct Catalogue {
    pub actions: Vec<ActionSpec>,
    pub signals: Vec<SignalSpec>,
    pub channels: Vec<ChannelSpec>,
    /// Why a text of a plan's own cannot be told, with its line; tried with a sample of what there is to tell.
    pub check_text: fn(kind: NoticeKind, channel: &str, source: &str) -> Result<(), String>,
}

impl Catalogue {
    /// What is built in (`manual`, `wait`, `elapsed`) together with what the systems bring.
    pub fn new(actions: impl IntoIterator<Item = ActionSpec>, signals: impl IntoIterator<Item = SignalSpec>) -> Self {
        Self {
            actions: builtin::actions().into_iter().chain(actions).collect(),
            signals: signals.into_iter().chain(builtin::signals()).collect(),
            channels: Vec::new(),
            check_text: |_, _, _| Ok(()),
        }
    }

    /// The ways to reach people, and how to try a plan's own texts.
    #[must_use]
    pub fn with_channels(
        self,
        channels: impl IntoIterator<Item = ChannelSpec>,
        check_text: fn(kind: NoticeKind, channel: &str, source: &str) -> Result<(), String>,
    ) -> Self {
        Self { channels: channels.into_iter().collect(), check_text, ..self }
    }

    pub fn action(&self, name: &str) -> Option<&ActionSpec> {
        self.actions.iter().find(|spec| spec.name == name)
    }

    pub fn signal(&self, key: &str) -> Option<&SignalSpec> {
        self.signals.iter().find(|spec| spec.key == key)
    }

    pub fn channel(&self, key: &str) -> Option<&ChannelSpec> {
        self.channels.iter().find(|spec| spec.key == key)
    }
}

/// What an action takes, and what is known about it without asking AWS.
#[derive(Debug, Clone)]
pub struct ActionSpec {
    /// As plans write it: `route53.weights`.
    pub name: &'static str,
    pub summary: &'static str,
    /// An object shape.
    pub with: Shape,
    /// What `to:` may name besides `baseline`. None: the action names its own target, and `to:` is refused.
    pub to: Option<Shape>,
    /// Whether `others:` has a meaning: the target may leave members unnamed.
    pub others: bool,
    /// Whether `stages:` has a meaning: it moves traffic between members, which can go in parts.
    pub stages: bool,
    /// From observing to settled, where a plan does not say.
    pub default_timeout: Duration,
    /// What its steps do to the world: rehearsals go by it.
    pub nature: Nature,
    /// How long its steps usually take; with its source. None: no source has a figure.
    pub usual: Option<Usual>,
    /// What the step acts on, from its `with`: `route53:Z0123456789ABC/checkout.example.com/A`. Empty: nothing.
    pub resource: fn(with: &Value) -> String,
    /// What the shapes cannot say. Values are in normal form; `to` is None for `baseline`. Pointers are from the
    /// step: `/with/record`, `/to/blue`.
    pub check: fn(with: &Value, to: Option<&Value>) -> Vec<Finding>,
}

impl ActionSpec {
    /// Whether data that was written since the target state is always lost.
    pub fn loses_data(&self) -> bool {
        self.nature == Nature::Data
    }
}

/// What a signal of one kind takes: `{ KEY: value, siblings... }`.
#[derive(Debug, Clone)]
pub struct SignalSpec {
    /// The key that says what kind of signal it is: `alarm`.
    pub key: &'static str,
    pub summary: &'static str,
    /// What stands behind the key.
    pub value: Shape,
    /// The keys beside it (`healthy`, `datapoints`, `missing`); `aws` goes without saying.
    pub siblings: Vec<Field>,
    /// What the shapes cannot say. `spec` is the whole entry in normal form; pointers are from the entry: `/healthy`.
    pub check: fn(spec: &Value) -> Vec<Finding>,
    /// What is to be known of a signal that is valid, as how late it shows a breach. Pointers as for `check`.
    pub remarks: fn(spec: &Value) -> Vec<Finding>,
}

/// What a channel of one kind takes: `{ KEY: value, siblings... }`.
#[derive(Debug, Clone)]
pub struct ChannelSpec {
    /// The key that says what kind of channel it is: `slack`.
    pub key: &'static str,
    pub summary: &'static str,
    /// What stands behind the key.
    pub value: Shape,
    /// The keys beside it (`secret`, `insecure`); `events`, `when`, `within`, `after` and `every` go without saying.
    pub siblings: Vec<Field>,
    /// What it can be told of; a status page knows incidents and nothing else.
    pub events: Vec<NoticeKind>,
    /// What the shapes cannot say. `spec` is the key with its siblings, in normal form; pointers are from the entry:
    /// `/slack`.
    pub check: fn(spec: &Value) -> Vec<Finding>,
}

/// Something wrong at a place in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A JSON pointer.
    pub pointer: String,
    pub message: String,
    pub help: Option<String>,
    /// A secret stands there itself: no error of the file shows it.
    pub secret: bool,
}

impl Finding {
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into(), help: None, secret: false }
    }

    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// At its place in the file.
    pub(crate) fn at(self, span: Span) -> Problem {
        let conceal = if self.secret { vec![span.clone()] } else { Vec::new() };
        Problem { help: self.help, conceal, ..Problem::new(span, self.message) }
    }

    /// What stands there is shown by no error of the file.
    pub fn conceal(self) -> Self {
        Self { secret: true, ..self }
    }
}

/// For specs whose shapes say everything about a signal.
pub fn no_signal_findings(_spec: &Value) -> Vec<Finding> {
    Vec::new()
}

/// For specs whose shapes say everything about an action.
pub fn no_action_findings(_with: &Value, _to: Option<&Value>) -> Vec<Finding> {
    Vec::new()
}

/// A JSON pointer from its parts, for keys that are free text: ARNs hold slashes.
pub fn pointer(parts: &[&str]) -> String {
    parts.iter().fold(String::new(), |pointer, part| below(&pointer, part))
}
