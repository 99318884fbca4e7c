//! Shapes: the grammar of a plan, or of settings, as data.
//!
//! A [`Shape`] says what a value may look like. The same shapes drive the decoder, the JSON Schema and the lists of what
//! is allowed in error messages, so that the three cannot disagree.

use serde_json::Value;

/// What a value may look like.
#[derive(Debug, Clone)]
pub enum Shape {
    /// An object with known keys.
    Object(ObjectShape),
    /// An object whose `tag` field says which further keys it has.
    Tagged(TaggedShape),
    /// An object with free keys.
    Map(MapShape),
    List {
        item: Box<Shape>,
        least: usize,
    },
    Text(Text),
    Integer {
        least: i64,
        most: i64,
    },
    Number,
    Boolean,
    /// `30s`, `15m`, `1h30m`; never longer than [`crate::duration::MAX`].
    Duration,
    /// One of a few words.
    Words(Vec<String>),
    /// One of several forms; `what` names them all for error messages: "a signal's name, or { signal, within, for }".
    OneOf {
        what: String,
        forms: Vec<Shape>,
    },
    /// A shape that contains itself, by name.
    Recursive {
        name: &'static str,
        shape: fn() -> Shape,
    },
    /// Parts of an object that are laid over it before it is decoded: what is in them is judged there. The shape is that of
    /// the whole; in the schema of the parts nothing is required.
    Patch(Box<Shape>),
    /// Anything at all: for words that are reserved and not yet given a meaning.
    Any,
}

#[derive(Debug, Clone)]
pub struct ObjectShape {
    pub fields: Vec<Field>,
}

/// An object with one key, the tag, whose word says which further keys there are.
#[derive(Debug, Clone)]
pub struct TaggedShape {
    pub tag: &'static str,
    pub doc: &'static str,
    pub common: Vec<Field>,
    pub variants: Vec<Variant>,
}

#[derive(Debug, Clone)]
pub struct Variant {
    pub name: String,
    pub summary: &'static str,
    pub fields: Vec<Field>,
    /// Keys that other variants have and this one refuses, each with the reason.
    pub refused: Vec<(&'static str, String)>,
}

#[derive(Debug, Clone)]
pub struct MapShape {
    pub keys: Text,
    pub value: Box<Shape>,
    pub least: usize,
    pub most: Option<usize>,
    /// Set where the values are weights: why not all of them may be zero.
    pub not_all_zero: Option<&'static str>,
    /// Keys with a meaning of their own among the free ones. All are optional.
    pub own: Vec<Field>,
}

/// A text that is not empty and, where there is a pattern, matches it.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// What it is, with its article, for messages: "a name (lower-case letters, ...)".
    pub what: &'static str,
    /// A regular expression, anchored, in the common subset of Rust and ECMA 262.
    pub pattern: Option<&'static str>,
    /// Set where people put secrets: only a reference (`env:`, `file:`) is ever shown.
    pub secret: bool,
}

impl Text {
    pub const fn new(what: &'static str, pattern: Option<&'static str>) -> Self {
        Self { what, pattern, secret: false }
    }
}

/// One key of an object.
#[derive(Debug, Clone)]
pub struct Field {
    pub key: String,
    pub shape: Shape,
    pub presence: Presence,
    pub doc: &'static str,
}

#[derive(Debug, Clone)]
pub enum Presence {
    Required,
    Optional,
    /// Optional, and a key without a value counts as left out: a section whose entries are all commented out.
    OptionalSection,
    /// Filled in when left out.
    Default(Value),
}

/// A required field; see [`Field::optional`] and [`Field::or`].
pub fn field(key: impl Into<String>, shape: Shape, doc: &'static str) -> Field {
    Field { key: key.into(), shape, presence: Presence::Required, doc }
}

impl Field {
    /// May be left out.
    pub fn optional(self) -> Self {
        Self { presence: Presence::Optional, ..self }
    }

    /// May be left out, or be a key without a value.
    pub fn optional_section(self) -> Self {
        Self { presence: Presence::OptionalSection, ..self }
    }

    /// May be left out, and is then `value`, given in normal form.
    pub fn or(self, value: impl Into<Value>) -> Self {
        Self { presence: Presence::Default(value.into()), ..self }
    }
}

/// An object with exactly these keys.
pub fn object(fields: impl IntoIterator<Item = Field>) -> Shape {
    Shape::Object(ObjectShape { fields: fields.into_iter().collect() })
}

/// An object with free keys of one kind, for example signals by their names.
pub fn map(keys: Text, value: Shape) -> Shape {
    Shape::Map(MapShape { keys, value: Box::new(value), least: 0, most: None, not_all_zero: None, own: Vec::new() })
}

/// An object with free keys of one kind and at least one entry.
pub fn filled_map(keys: Text, value: Shape) -> Shape {
    Shape::Map(MapShape { keys, value: Box::new(value), least: 1, most: None, not_all_zero: None, own: Vec::new() })
}

/// An object with free keys of one kind, and among them optional ones with a meaning of their own.
pub fn map_with(keys: Text, value: Shape, own: impl IntoIterator<Item = Field>) -> Shape {
    let own = own.into_iter().collect();
    Shape::Map(MapShape { keys, value: Box::new(value), least: 0, most: None, not_all_zero: None, own })
}

/// Members and their weights, `0..=weight_max`: at least one member, at most `members_max`, not all zero.
pub fn weights(members: Text, weight_max: i64, members_max: Option<usize>) -> Shape {
    Shape::Map(MapShape {
        keys: members,
        value: Box::new(integer(0, weight_max)),
        least: 1,
        most: members_max,
        not_all_zero: Some(
            "Route 53 reads all zero as an equal split, and a load balancer would send traffic nowhere: \
             give at least one member a weight",
        ),
        own: Vec::new(),
    })
}

pub fn list(item: Shape) -> Shape {
    Shape::List { item: Box::new(item), least: 0 }
}

/// A list with at least one entry.
pub fn filled_list(item: Shape) -> Shape {
    Shape::List { item: Box::new(item), least: 1 }
}

/// Any text that is not empty.
pub fn text(what: &'static str) -> Shape {
    Shape::Text(Text::new(what, None))
}

/// A text that matches an anchored regular expression.
pub fn pattern(what: &'static str, pattern: &'static str) -> Shape {
    Shape::Text(Text::new(what, Some(pattern)))
}

pub fn integer(least: i64, most: i64) -> Shape {
    Shape::Integer { least, most }
}

pub fn number() -> Shape {
    Shape::Number
}

pub fn boolean() -> Shape {
    Shape::Boolean
}

pub fn duration() -> Shape {
    Shape::Duration
}

/// One of a few words.
pub fn words<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Shape {
    Shape::Words(words.into_iter().map(Into::into).collect())
}

/// One of several forms; `what` names them all.
pub fn one_of(what: impl Into<String>, forms: impl IntoIterator<Item = Shape>) -> Shape {
    Shape::OneOf { what: what.into(), forms: forms.into_iter().collect() }
}

/// Parts of an object with these keys; see [`Shape::Patch`].
pub(crate) fn patch(fields: impl IntoIterator<Item = Field>) -> Shape {
    Shape::Patch(Box::new(object(fields)))
}

pub fn any() -> Shape {
    Shape::Any
}

/// A name of a signal, trigger, step, role: `[a-z][a-z0-9_-]{0,62}`.
pub const NAME: Text = Text::new(
    "a name (a lower-case letter, then at most 62 of a-z, 0-9, `_` and `-`)",
    Some("^[a-z][a-z0-9_-]{0,62}$"),
);

/// A name, as a value.
pub fn name() -> Shape {
    Shape::Text(NAME)
}

/// A reference to a secret, never the secret itself.
pub fn secret() -> Shape {
    Shape::Text(Text {
        what: "a reference to a secret (`env:NAME` or `file:path`, never the secret itself)",
        pattern: Some("^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"),
        secret: true,
    })
}
