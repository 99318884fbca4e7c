//! Reads a tree against a [`Shape`]: every error at once, and a normal form with the defaults filled in.
//!
//! Where a part is wrong its place in the normal form holds null, so that the checks of meaning can go on with the rest.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::{
    diagnostic::Texts,
    duration,
    shape::{Field, MapShape, ObjectShape, Presence, Shape, TaggedShape, Text},
    suggest::{instead_of, quoted},
    syntax::{Entry, Node, NodeValue, Problem, Span},
};

/// The normal form of a file, and where each part of it stands.
pub(crate) struct Decoded {
    pub(crate) value: Value,
    pub(crate) places: Places,
    pub(crate) problems: Vec<Problem>,
    /// Where values stand that may hold a secret themselves.
    pub(crate) secrets: Vec<Span>,
}

/// JSON pointers to places in the text.
#[derive(Default)]
pub(crate) struct Places {
    values: HashMap<String, Span>,
    keys: HashMap<String, Span>,
    unsound: Vec<String>,
}

impl Places {
    /// Where the value stands; for what a default filled in, where the nearest value around it stands.
    pub(crate) fn value(&self, pointer: &str) -> Span {
        self.nearest(&self.values, pointer)
    }

    /// Where the key of an entry stands.
    pub(crate) fn key(&self, pointer: &str) -> Span {
        self.keys.get(pointer).cloned().unwrap_or_else(|| self.value(pointer))
    }

    /// True when nothing at or below the pointer failed to decode.
    pub(crate) fn is_sound(&self, pointer: &str) -> bool {
        !self
            .unsound
            .iter()
            .any(|unsound| unsound.strip_prefix(pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// True when the value itself was decoded whole: neither it nor what it stands in failed.
    pub(crate) fn is_reliable(&self, pointer: &str) -> bool {
        let within =
            |unsound: &String| pointer.strip_prefix(unsound.as_str()).is_some_and(|rest| rest.starts_with('/'));
        self.is_sound(pointer) && !self.unsound.iter().any(within)
    }

    fn nearest(&self, spans: &HashMap<String, Span>, pointer: &str) -> Span {
        let mut pointer = pointer;
        loop {
            match (spans.get(pointer), pointer.rfind('/')) {
                (Some(span), _) => return span.clone(),
                (None, Some(parent)) => pointer = &pointer[..parent],
                (None, None) => return 0..0,
            }
        }
    }
}

/// Decodes a whole file.
pub(crate) fn decode(shape: &Shape, root: &Node, texts: &Texts) -> Decoded {
    let mut decoder = Decoder::new(texts);
    let value = decoder.value(shape, root, "", &root.span);
    Decoded { value, places: decoder.places, problems: decoder.problems, secrets: decoder.secrets }
}

/// A pointer one level down.
pub fn below(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

struct Decoder<'t> {
    texts: &'t Texts,
    places: Places,
    problems: Vec<Problem>,
    secrets: Vec<Span>,
}

impl<'t> Decoder<'t> {
    fn new(texts: &'t Texts) -> Self {
        Self { texts, places: Places::default(), problems: Vec::new(), secrets: Vec::new() }
    }

    /// `title` is where to complain about the value as a whole: its key, where it has one.
    fn value(&mut self, shape: &Shape, node: &Node, pointer: &str, title: &Span) -> Value {
        self.places.values.insert(pointer.to_owned(), node.span.clone());
        match (shape, &node.value) {
            (Shape::Recursive { shape, .. }, _) => self.value(&shape(), node, pointer, title),
            (Shape::OneOf { what, forms }, _) => self.one_of(what, forms, node, pointer, title),
            (Shape::Any, _) => plain(node),
            (_, NodeValue::Null) => {
                let help = format!("give it {}, or remove the key", describe(shape));
                self.fail(pointer, Problem::new(title.clone(), "there is no value here").help(help))
            }
            (Shape::Object(shape), NodeValue::Map(entries)) => self.object(shape, entries, pointer, title),
            (Shape::Tagged(shape), NodeValue::Map(entries)) => self.tagged(shape, entries, pointer, title),
            (Shape::Map(shape), NodeValue::Map(entries)) => self.map(shape, entries, pointer, title),
            (Shape::List { item, least }, NodeValue::List(nodes)) => {
                if nodes.len() < *least {
                    self.fail(
                        pointer,
                        Problem::new(title.clone(), "the list is empty").help("give at least one entry"),
                    );
                }
                let items = nodes.iter().enumerate();
                items.map(|(index, node)| self.value(item, node, &format!("{pointer}/{index}"), &node.span)).collect()
            }
            (Shape::Text(text), NodeValue::Text(value)) => self.text(text, value, node, pointer),
            // A shell has taken the quotes away.
            (Shape::Text(text), NodeValue::Integer(_) | NodeValue::Float(_) | NodeValue::Boolean(_))
                if node.span.start >= self.texts.arguments() =>
            {
                self.text(text, self.raw(node), node, pointer)
            }
            (Shape::Patch(_), NodeValue::Map(_)) => plain(node),
            (Shape::Words(words), NodeValue::Text(value)) if words.contains(value) => Value::from(value.as_str()),
            (Shape::Words(words), NodeValue::Text(value)) => {
                let help = instead_of(value, "allowed here", words.iter().map(String::as_str));
                self.fail(pointer, Problem::new(node.span.clone(), format!("unknown word `{value}`")).help(help))
            }
            (Shape::Duration, NodeValue::Text(value)) => match duration::parse(value) {
                Ok(duration) => Value::from(duration::format(duration)),
                Err(error) => self.fail(pointer, Problem::new(node.span.clone(), error.to_string())),
            },
            (Shape::Integer { least, most }, NodeValue::Integer(_) | NodeValue::Float(_)) => match whole(&node.value) {
                Some(value) if (*least..=*most).contains(&value) => Value::from(value),
                _ => self.unexpected(shape, node, pointer),
            },
            (Shape::Number, NodeValue::Integer(value)) => Value::from(*value),
            (Shape::Number, NodeValue::Float(value)) => Value::from(*value),
            (Shape::Boolean, NodeValue::Boolean(value)) => Value::from(*value),
            _ => self.unexpected(shape, node, pointer),
        }
    }

    fn raw(&self, node: &Node) -> &'t str {
        self.texts.text().get(node.span.clone()).unwrap_or_default()
    }

    fn fail(&mut self, pointer: &str, problem: Problem) -> Value {
        self.places.unsound.push(pointer.to_owned());
        self.problems.push(problem);
        Value::Null
    }

    fn unexpected(&mut self, shape: &Shape, node: &Node, pointer: &str) -> Value {
        if let Shape::Text(text) = shape
            && text.secret
        {
            return self.no_secret(text, node, pointer);
        }
        if holds_secret(shape) {
            let problem = Problem::new(node.span.clone(), format!("expected {}", describe(shape)));
            return self.fail(pointer, Problem { conceal: node.leaves(), ..problem });
        }
        let raw = self.raw(node);
        let message = format!("expected {}, found {}", describe(shape), found(node, raw));
        let problem = Problem::new(node.span.clone(), message);
        let scalar = !matches!(node.value, NodeValue::List(_) | NodeValue::Map(_));
        let problem = match shape {
            Shape::Text(_) if scalar => problem.help(format!("put it in quotes to make it a text: \"{raw}\"")),
            Shape::Duration if scalar => problem.help(format!("give it a unit: `{raw}s`, `{raw}m`")),
            Shape::List { .. } if scalar => problem.help(format!("make it a list: `[{raw}]`")),
            _ => problem,
        };
        self.fail(pointer, problem)
    }

    fn text(&mut self, text: &Text, value: &str, node: &Node, pointer: &str) -> Value {
        match matches(text, value) {
            true => {
                if text.secret && !is_reference(value) {
                    self.secrets.push(node.span.clone());
                }
                Value::from(value)
            }
            false if text.secret => self.no_secret(text, node, pointer),
            false => {
                let message = match value.is_empty() {
                    true => format!("this is empty; it should be {}", text.what),
                    false => format!("`{value}` is not {}", text.what),
                };
                self.fail(pointer, Problem::new(node.span.clone(), message))
            }
        }
    }

    fn no_secret(&mut self, text: &Text, node: &Node, pointer: &str) -> Value {
        let problem = Problem::new(node.span.clone(), format!("this is not {}", text.what));
        self.fail(pointer, Problem { conceal: node.leaves(), ..problem })
    }

    fn object(&mut self, shape: &ObjectShape, entries: &[Entry], pointer: &str, title: &Span) -> Value {
        let fields: Vec<&Field> = shape.fields.iter().collect();
        for entry in entries.iter().filter(|entry| !fields.iter().any(|field| field.key == entry.key)) {
            self.unknown_key(entry, &fields, pointer);
        }
        Value::Object(self.fields(&fields, entries, pointer, title))
    }

    fn tagged(&mut self, shape: &TaggedShape, entries: &[Entry], pointer: &str, title: &Span) -> Value {
        let tag = Field {
            key: shape.tag.to_owned(),
            shape: Shape::Words(shape.variants.iter().map(|variant| variant.name.clone()).collect()),
            presence: Presence::Required,
            doc: shape.doc,
        };
        let word = entries.iter().find(|entry| entry.key == tag.key).map(|entry| &entry.value.value);
        let variant =
            shape.variants.iter().find(|variant| matches!(word, Some(NodeValue::Text(w)) if *w == variant.name));
        let own = variant.into_iter().flat_map(|variant| &variant.fields);
        let fields: Vec<&Field> = std::iter::once(&tag).chain(&shape.common).chain(own).collect();
        let of_any_variant = |key: &str| shape.variants.iter().flat_map(|v| &v.fields).any(|field| field.key == key);
        for entry in entries.iter().filter(|entry| !fields.iter().any(|field| field.key == entry.key)) {
            let refused = variant.and_then(|variant| variant.refused.iter().find(|(key, _)| *key == entry.key));
            if let Some((key, reason)) = refused {
                let message = format!("`{key}` has no meaning here");
                self.fail(&below(pointer, key), Problem::new(entry.key_span.clone(), message).help(reason));
            } else if variant.is_some() || !of_any_variant(&entry.key) {
                self.unknown_key(entry, &fields, pointer);
            }
        }
        Value::Object(self.fields(&fields, entries, pointer, title))
    }

    fn unknown_key(&mut self, entry: &Entry, fields: &[&Field], pointer: &str) {
        let help = instead_of(&entry.key, "allowed here", fields.iter().map(|field| field.key.as_str()));
        let problem = Problem::new(entry.key_span.clone(), format!("unknown key `{}`", entry.key)).help(help);
        let meant_secret = |field: &&Field| holds_secret(&field.shape) && fits(&field.shape, &entry.value);
        let conceal = if fields.iter().any(meant_secret) { entry.value.leaves() } else { Vec::new() };
        self.fail(&below(pointer, &entry.key), Problem { conceal, ..problem });
    }

    fn fields(&mut self, fields: &[&Field], entries: &[Entry], pointer: &str, title: &Span) -> Map<String, Value> {
        let mut object = Map::new();
        for field in fields {
            let entry = entries.iter().find(|entry| entry.key == field.key).filter(|entry| {
                !(matches!(field.presence, Presence::OptionalSection) && matches!(entry.value.value, NodeValue::Null))
            });
            let value = match (entry, &field.presence) {
                (Some(entry), _) => self.entry(&field.shape, entry, pointer),
                (None, Presence::Default(value)) => value.clone(),
                (None, Presence::Optional | Presence::OptionalSection) => continue,
                (None, Presence::Required) => {
                    let problem = Problem::new(title.clone(), format!("`{}` is missing", field.key));
                    let help = format!("`{}`: {} It is {}.", field.key, field.doc, describe(&field.shape));
                    self.fail(&below(pointer, &field.key), problem.help(help))
                }
            };
            object.insert(field.key.clone(), value);
        }
        object
    }

    fn entry(&mut self, shape: &Shape, entry: &Entry, pointer: &str) -> Value {
        let pointer = below(pointer, &entry.key);
        self.places.keys.insert(pointer.clone(), entry.key_span.clone());
        self.value(shape, &entry.value, &pointer, &entry.key_span)
    }

    fn map(&mut self, shape: &MapShape, entries: &[Entry], pointer: &str, title: &Span) -> Value {
        if entries.len() < shape.least {
            self.fail(pointer, Problem::new(title.clone(), "there is no entry").help("give at least one"));
        }
        if let Some(most) = shape.most.filter(|most| entries.len() > *most) {
            let message = format!("{} entries are too many; there may be at most {most}", entries.len());
            self.fail(pointer, Problem::new(title.clone(), message));
        }
        for entry in entries.iter().filter(|entry| !matches(&shape.keys, &entry.key)) {
            let message = format!("`{}` is not {}", entry.key, shape.keys.what);
            self.fail(&below(pointer, &entry.key), Problem::new(entry.key_span.clone(), message));
        }
        if let Some(why) = shape.not_all_zero
            && !entries.is_empty()
            && entries.iter().all(|entry| whole(&entry.value.value) == Some(0))
        {
            self.fail(pointer, Problem::new(title.clone(), "all weights are zero").help(why));
        }
        let values = entries.iter().map(|entry| {
            let own = shape.own.iter().find(|field| field.key == entry.key);
            let value = own.map_or(&*shape.value, |field| &field.shape);
            (entry.key.clone(), self.entry(value, entry, pointer))
        });
        Value::Object(values.collect())
    }

    /// Takes the form that was meant: by the kind of value, then by the keys that only one form has.
    fn one_of(&mut self, what: &str, forms: &[Shape], node: &Node, pointer: &str, title: &Span) -> Value {
        let fitting: Vec<&Shape> = forms.iter().filter(|form| fits(form, node)).collect();
        let named: Vec<&Shape> = fitting.iter().copied().filter(|form| names_form(forms, form, node)).collect();
        let candidates = if named.is_empty() { fitting } else { named };
        if let [form] = candidates[..]
            && !matches!(form, Shape::Words(_))
        {
            return self.value(form, node, pointer, title);
        }
        // Objects are told apart by their keys above; only short forms are tried out, so nothing is tried in a nest.
        for form in candidates.iter().filter(|form| !matches!(form, Shape::Object(_))) {
            let mut attempt = Decoder::new(self.texts);
            attempt.value(form, node, pointer, title);
            if attempt.problems.is_empty() {
                return self.value(form, node, pointer, title);
            }
        }
        self.no_form(what, forms, &candidates, node, pointer, title)
    }

    fn no_form(
        &mut self,
        what: &str,
        forms: &[Shape],
        candidates: &[&Shape],
        node: &Node,
        pointer: &str,
        title: &Span,
    ) -> Value {
        let raw = self.raw(node);
        let NodeValue::Map(entries) = &node.value else {
            let message = format!("expected {what}, found {}", found(node, raw));
            return self.fail(pointer, Problem::new(node.span.clone(), message));
        };
        let keys: Vec<&str> = candidates.iter().flat_map(|form| telling_keys(forms, form)).collect();
        let given: Vec<&Entry> = entries.iter().filter(|entry| keys.contains(&entry.key.as_str())).collect();
        let misspelt = entries.iter().find_map(|entry| {
            let candidate = crate::suggest::closest(&entry.key, keys.iter().copied())?;
            (candidate != entry.key).then_some((entry, candidate))
        });
        let problem = match (&given[..], misspelt) {
            ([], Some((entry, candidate))) => {
                Problem::new(entry.key_span.clone(), format!("unknown key `{}`", entry.key))
                    .help(format!("did you mean `{candidate}`?"))
            }
            ([_, second, ..], _) => {
                let together = quoted(given.iter().map(|entry| entry.key.as_str()), " and ");
                Problem::new(second.key_span.clone(), format!("{together} do not go together"))
                    .help(format!("expected {what}"))
            }
            _ => Problem::new(title.clone(), format!("expected {what}")),
        };
        let conceal = if candidates.iter().any(|form| holds_secret(form)) { node.leaves() } else { Vec::new() };
        self.fail(pointer, Problem { conceal, ..problem })
    }
}

/// True where people may have written a secret, though perhaps under the wrong key.
fn holds_secret(shape: &Shape) -> bool {
    match shape {
        Shape::Text(text) => text.secret,
        Shape::Object(object) => object.fields.iter().any(|field| holds_secret(&field.shape)),
        _ => false,
    }
}

/// True when the value is of the kind that the shape takes.
pub(crate) fn fits(shape: &Shape, node: &Node) -> bool {
    match shape {
        Shape::Object(_) | Shape::Tagged(_) | Shape::Map(_) | Shape::Patch(_) => {
            matches!(node.value, NodeValue::Map(_))
        }
        Shape::List { .. } => matches!(node.value, NodeValue::List(_)),
        Shape::Text(_) | Shape::Words(_) | Shape::Duration => matches!(node.value, NodeValue::Text(_)),
        Shape::Integer { .. } | Shape::Number => matches!(node.value, NodeValue::Integer(_) | NodeValue::Float(_)),
        Shape::Boolean => matches!(node.value, NodeValue::Boolean(_)),
        Shape::OneOf { forms, .. } => forms.iter().any(|form| fits(form, node)),
        Shape::Recursive { shape, .. } => fits(&shape(), node),
        Shape::Any => true,
    }
}

/// True when the map has a key that tells this form from the others.
pub(crate) fn names_form(forms: &[Shape], form: &Shape, node: &Node) -> bool {
    telling_keys(forms, form).into_iter().any(|key| node.get(key).is_some())
}

/// The keys that only this form requires; where it has none, those that not all objects among the forms require.
pub(crate) fn telling_keys<'s>(forms: &[Shape], form: &'s Shape) -> Vec<&'s str> {
    let objects: Vec<Vec<&str>> =
        forms.iter().filter(|form| matches!(form, Shape::Object(_))).map(required_keys).collect();
    let holders = |key: &str| objects.iter().filter(|keys| keys.contains(&key)).count();
    let of_at_most = |most: usize| -> Vec<&str> {
        required_keys(form).into_iter().filter(|key| objects.len() == 1 || holders(key) <= most).collect()
    };
    let own = of_at_most(1);
    if own.is_empty() { of_at_most(objects.len().saturating_sub(1)) } else { own }
}

fn required_keys(shape: &Shape) -> Vec<&str> {
    match shape {
        Shape::Object(shape) => {
            let required = shape.fields.iter().filter(|field| matches!(field.presence, Presence::Required));
            required.map(|field| field.key.as_str()).collect()
        }
        _ => Vec::new(),
    }
}

/// An anchored pattern that does not compile matches nothing; a test compiles them all.
fn matches(text: &Text, value: &str) -> bool {
    !value.is_empty()
        && text.pattern.is_none_or(|pattern| regex_lite::Regex::new(pattern).is_ok_and(|regex| regex.is_match(value)))
}

/// It names where a secret is, and tells nothing of it.
fn is_reference(value: &str) -> bool {
    value.starts_with("env:") || value.starts_with("file:")
}

/// A float without a fraction is a whole number, as it is in JSON Schema.
fn whole(value: &NodeValue) -> Option<i64> {
    match value {
        NodeValue::Integer(value) => Some(*value),
        NodeValue::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(*value as i64),
        _ => None,
    }
}

fn plain(node: &Node) -> Value {
    match &node.value {
        NodeValue::Null => Value::Null,
        NodeValue::Boolean(value) => Value::from(*value),
        NodeValue::Integer(value) => Value::from(*value),
        NodeValue::Float(value) => Value::from(*value),
        NodeValue::Text(value) => Value::from(value.as_str()),
        NodeValue::List(items) => items.iter().map(plain).collect(),
        NodeValue::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), plain(&entry.value))).collect(),
    }
}

/// What a shape takes, for people.
pub(crate) fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Object(shape) => {
            let keys: Vec<&str> = shape.fields.iter().map(|field| field.key.as_str()).collect();
            format!("an object {{ {} }}", keys.join(", "))
        }
        Shape::Tagged(shape) => format!("an object with `{}`", shape.tag),
        Shape::Map(map) if map.not_all_zero.is_some() => "weights such as { blue: 100, green: 0 }".to_owned(),
        Shape::Map(_) => "an object".to_owned(),
        Shape::List { .. } => "a list".to_owned(),
        Shape::Text(text) => text.what.to_owned(),
        Shape::Integer { least, most } if least == most => format!("the number {least}"),
        Shape::Integer { least, most } => format!("a whole number from {least} to {most}"),
        Shape::Number => "a number".to_owned(),
        Shape::Boolean => "`true` or `false`".to_owned(),
        Shape::Duration => "a duration such as `30s`, `15m` or `1h30m`".to_owned(),
        Shape::Words(words) => quoted(words.iter().map(String::as_str), " or "),
        Shape::OneOf { what, .. } => what.clone(),
        Shape::Recursive { shape, .. } => describe(&shape()),
        Shape::Patch(_) => "the parts of the plan that are different with it".to_owned(),
        Shape::Any => "any value".to_owned(),
    }
}

fn found(node: &Node, raw: &str) -> String {
    match &node.value {
        NodeValue::Null => "nothing".to_owned(),
        NodeValue::Boolean(_) => format!("the truth value `{raw}`"),
        NodeValue::Integer(_) | NodeValue::Float(_) => format!("the number {raw}"),
        NodeValue::Text(text) => format!("the text `{text}`"),
        NodeValue::List(_) => "a list".to_owned(),
        NodeValue::Map(_) => "an object".to_owned(),
    }
}
