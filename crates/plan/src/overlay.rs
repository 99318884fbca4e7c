//! What is laid over a plan before it is decoded: an overlay of the file itself, and settings from the command line.
//!
//! Both are merged into the tree by the shapes of the grammar, and keep their own places, so that an error points at the
//! line that is wrong. Objects are merged key by key, and so are sections whose entries are objects (signals, steps); there
//! an entry must be one that the plan has. Lists, weights and other plain values stand for the whole of what they replace.

use crate::{
    argument::Setting,
    decode::{fits, names_form},
    shape::{Field, MapShape, Shape, TaggedShape},
    suggest::instead_of,
    syntax::{Entry, Node, NodeValue, Problem, Span},
};

/// Says what the file is, not what is in it.
const NOT_OVERLAID: [&str; 2] = ["belay", "overlays"];

/// The overlays of a plan, where they are written as such.
pub(crate) fn overlays(root: &Node) -> &[Entry] {
    match root.get("overlays").map(|entry| &entry.value.value) {
        Some(NodeValue::Map(overlays)) => overlays,
        _ => &[],
    }
}

/// The plan with an overlay: a migration of its own, so that what is journaled of the two never mixes.
pub(crate) fn with_overlay(plan: &Shape, root: &Node, overlay: &Entry, problems: &mut Vec<Problem>) -> Node {
    let mut merger = Merger { problems };
    if let NodeValue::Map(entries) = &overlay.value.value {
        for entry in entries.iter().filter(|entry| NOT_OVERLAID.contains(&entry.key.as_str())) {
            let problem = Problem::new(entry.key_span.clone(), format!("an overlay cannot have `{}`", entry.key));
            merger.problems.push(problem.help("it changes what is in the plan: steps, signals, aws and the like"));
        }
    }
    let merged = merger.merge(plan, Some(root), &overlay.value, "the plan");
    named(merged, root, overlay, merger.problems)
}

fn named(mut merged: Node, root: &Node, overlay: &Entry, problems: &mut Vec<Problem>) -> Node {
    let name = |node: &Node| match node.get("migration").map(|entry| &entry.value.value) {
        Some(NodeValue::Text(name)) => Some(name.clone()),
        _ => None,
    };
    let Some(plans_own) = name(root) else { return merged };
    let own = overlay.value.get("migration");
    if let Some(own) = own.filter(|_| name(&overlay.value).as_ref() == Some(&plans_own)) {
        let problem = Problem::new(own.value.span.clone(), "this is the name of the plan without the overlay");
        problems.push(problem.help(format!("leave it out: the migration is then `{plans_own}-{}`", overlay.key)));
    }
    if let (None, NodeValue::Map(entries)) = (own, &mut merged.value) {
        for entry in entries.iter_mut().filter(|entry| entry.key == "migration") {
            let text = NodeValue::Text(format!("{plans_own}-{}", overlay.key));
            entry.value = Node { value: text, span: overlay.key_span.clone() };
        }
    }
    merged
}

/// The plan with one value in another place or form.
///
/// # Errors
/// The path leads nowhere.
pub(crate) fn with_setting(plan: &Shape, root: &Node, setting: &Setting) -> Result<Node, Problem> {
    set(plan, Some(root), &setting.path, &setting.value, "the plan")
}

struct Merger<'p> {
    problems: &'p mut Vec<Problem>,
}

impl Merger<'_> {
    /// `title`: what the value is called in messages.
    fn merge(&mut self, shape: &Shape, base: Option<&Node>, over: &Node, title: &str) -> Node {
        let NodeValue::Map(entries) = &over.value else { return over.clone() };
        let base = base.filter(|base| matches!(base.value, NodeValue::Map(_)));
        match shape {
            Shape::OneOf { forms, .. } => match form(forms, base, |form| names_form(forms, form, over)) {
                Some((form, base)) => self.merge(form, base, over, title),
                None => over.clone(),
            },
            Shape::Object(object) => {
                let fields = object.fields.iter().collect::<Vec<_>>();
                self.entries(&fields, kept(base, &[]), entries, over)
            }
            Shape::Tagged(tagged) => {
                let (fields, dropped) = tagged_fields(tagged, base, Some(over));
                self.entries(&fields, kept(base, &dropped), entries, over)
            }
            Shape::Map(map) if has_named_entries(map) => {
                let mut merged = kept(base, &[]);
                for entry in entries {
                    match merged.iter_mut().find(|known| known.key == entry.key) {
                        Some(known) => {
                            let shape = entry_shape(map, &entry.key);
                            known.value = self.merge(shape, Some(&known.value), &entry.value, &entry.key);
                            known.key_span = entry.key_span.clone();
                        }
                        None => self.problems.push(unknown(&entry.key, entry.key_span.clone(), title, &merged)),
                    }
                }
                Node { value: NodeValue::Map(merged), span: over.span.clone() }
            }
            _ => over.clone(),
        }
    }

    fn entries(&mut self, fields: &[&Field], base: Vec<Entry>, over: &[Entry], node: &Node) -> Node {
        let mut merged = base;
        for entry in over.iter().filter(|entry| !NOT_OVERLAID.contains(&entry.key.as_str())) {
            let shape = fields.iter().find(|field| field.key == entry.key).map_or(&Shape::Any, |field| &field.shape);
            let known = merged.iter().position(|known| known.key == entry.key);
            let value = self.merge(shape, known.map(|index| &merged[index].value), &entry.value, &entry.key);
            let entry = Entry { value, ..entry.clone() };
            match known {
                Some(index) => merged[index] = entry,
                None => merged.push(entry),
            }
        }
        forget_role(fields, &mut merged, over);
        Node { value: NodeValue::Map(merged), span: node.span.clone() }
    }
}

/// A role is of one account, so it does not follow to another one; nor does the external id that it asks for.
fn forget_role(fields: &[&Field], merged: &mut Vec<Entry>, over: &[Entry]) {
    let given = |key: &str| over.iter().any(|entry| entry.key == key);
    if fields.iter().any(|field| field.key == "external_id") && given("account") && !given("role") {
        merged.retain(|entry| !matches!(entry.key.as_str(), "role" | "external_id") || given(&entry.key));
    }
}

fn set(
    shape: &Shape,
    base: Option<&Node>,
    path: &[(String, Span)],
    value: &Node,
    title: &str,
) -> Result<Node, Problem> {
    let Some(((key, span), rest)) = path.split_first() else { return Ok(value.clone()) };
    let map = base.filter(|base| matches!(base.value, NodeValue::Map(_)));
    let with = |fields: &[&Field], mut entries: Vec<Entry>| {
        let shape = fields.iter().find(|field| field.key == *key).map_or(&Shape::Any, |field| &field.shape);
        let known = entries.iter().position(|entry| entry.key == *key);
        let value = set(shape, known.map(|index| &entries[index].value), rest, value, key)?;
        let entry = Entry { key: key.clone(), key_span: span.clone(), value };
        match known {
            Some(index) => entries[index] = entry.clone(),
            None => entries.push(entry.clone()),
        }
        forget_role(fields, &mut entries, &[entry]);
        Ok(Node { value: NodeValue::Map(entries), span: span.clone() })
    };
    match shape {
        Shape::OneOf { forms, .. } => {
            let has = |form: &Shape| matches!(form, Shape::Object(o) if o.fields.iter().any(|field| field.key == *key));
            let required = |form: &Shape| crate::decode::telling_keys(forms, form).contains(&key.as_str());
            let list = |form: &&Shape| matches!(form, Shape::List { .. });
            match form(forms, map, required) {
                _ if base.is_some_and(|base| matches!(base.value, NodeValue::List(_))) => {
                    let form = forms.iter().find(list).unwrap_or(&Shape::Any);
                    set(form, base, path, value, title)
                }
                Some((form, base)) => set(form, base, path, value, title),
                None => match forms.iter().find(|form| has(form)) {
                    Some(form) => set(form, map, path, value, title),
                    None => Err(ends(title, span)),
                },
            }
        }
        Shape::Recursive { shape, .. } => set(&shape(), base, path, value, title),
        Shape::Object(object) => with(&object.fields.iter().collect::<Vec<_>>(), kept(map, &[])),
        Shape::Tagged(tagged) => {
            let (fields, _) = tagged_fields(tagged, map, None);
            with(&fields, kept(map, &[]))
        }
        Shape::Map(shape) => {
            let mut entries = kept(map, &[]);
            let Some(index) = entries.iter().position(|entry| entry.key == *key) else {
                return Err(unknown(key, span.clone(), title, &entries));
            };
            entries[index].value = set(entry_shape(shape, key), Some(&entries[index].value), rest, value, key)?;
            Ok(Node { value: NodeValue::Map(entries), span: span.clone() })
        }
        Shape::List { item, .. } => {
            let mut items = match base.map(|base| &base.value) {
                Some(NodeValue::List(items)) => items.clone(),
                _ => Vec::new(),
            };
            let Some(index) = key.parse::<usize>().ok().filter(|index| *index < items.len()) else {
                let problem = Problem::new(span.clone(), format!("`{title}` has no entry `{key}`"));
                return Err(problem.help(match items.len() {
                    0 => format!("the plan has none there: set the whole list, `{title}=[...]`"),
                    length => format!("its entries are numbered from 0 to {}", length - 1),
                }));
            };
            items[index] = set(item, Some(&items[index]), rest, value, title)?;
            Ok(Node { value: NodeValue::List(items), span: span.clone() })
        }
        // An unknown key: decoding says so, and what was meant.
        Shape::Any => with(&[], kept(map, &[])),
        _ => Err(ends(title, span)),
    }
}

fn ends(title: &str, span: &Span) -> Problem {
    Problem::new(span.clone(), format!("`{title}` is a single value: nothing is below it"))
        .help(format!("end the path at it: `...{title}=VALUE`"))
}

fn unknown(key: &str, span: Span, title: &str, known: &[Entry]) -> Problem {
    let known: Vec<&str> = known.iter().map(|entry| entry.key.as_str()).collect();
    Problem::new(span, format!("the plan's `{title}` have no `{key}`")).help(instead_of(key, "what is there", known))
}

fn kept(base: Option<&Node>, dropped: &[&str]) -> Vec<Entry> {
    match base.map(|base| &base.value) {
        Some(NodeValue::Map(entries)) => {
            entries.iter().filter(|entry| !dropped.contains(&entry.key.as_str())).cloned().collect()
        }
        _ => Vec::new(),
    }
}

/// True for sections such as steps, false for weights.
fn has_named_entries(map: &MapShape) -> bool {
    matches!(*map.value, Shape::Object(_) | Shape::Tagged(_) | Shape::OneOf { .. })
}

fn entry_shape<'s>(map: &'s MapShape, key: &str) -> &'s Shape {
    map.own.iter().find(|field| field.key == key).map_or(&map.value, |field| &field.shape)
}

/// The form that base is in, with the base; without it where the change is `named` to be of another form.
fn form<'s, 'b>(
    forms: &'s [Shape],
    base: Option<&'b Node>,
    named: impl Fn(&Shape) -> bool,
) -> Option<(&'s Shape, Option<&'b Node>)> {
    let old = base.and_then(|base| {
        let fitting = || forms.iter().filter(|form| fits(form, base));
        fitting().find(|form| names_form(forms, form, base)).or_else(|| fitting().next())
    });
    match forms.iter().find(|form| named(form)) {
        Some(new) if old.is_none_or(|old| !named(old)) => Some((new, None)),
        _ => old.map(|old| (old, base)),
    }
}

/// The keys that a tagged object has, and those of base that have no meaning under another tag.
fn tagged_fields<'s>(
    tagged: &'s TaggedShape,
    base: Option<&Node>,
    over: Option<&Node>,
) -> (Vec<&'s Field>, Vec<&'s str>) {
    let word = |node: Option<&Node>| match node?.get(tagged.tag).map(|entry| &entry.value.value) {
        Some(NodeValue::Text(word)) => Some(word.clone()),
        _ => None,
    };
    let fields_of = |word: Option<String>| {
        let variant = tagged.variants.iter().find(|variant| Some(&variant.name) == word.as_ref());
        variant.map_or(&[][..], |variant| &variant.fields)
    };
    let (old, new) = (word(base), word(over));
    let changed = new.is_some() && new != old;
    let dropped =
        if changed { fields_of(old.clone()).iter().map(|field| field.key.as_str()).collect() } else { Vec::new() };
    let own = fields_of(new.or(old));
    (tagged.common.iter().chain(own).collect(), dropped)
}
