//! What occurs more than once in a schema becomes a definition, so that the schema grows by what is new in it only.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

/// A reference takes this much, and so do a few short keywords.
const WORTH_SHARING: usize = 80;

/// Keywords whose value is a schema, a list of schemas, or schemas by name.
const ONE: [&str; 7] = ["additionalProperties", "else", "if", "items", "not", "propertyNames", "then"];
const LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const NAMED: [&str; 2] = ["$defs", "properties"];

/// Keywords that may stand beside a reference: what is the same but for them is shared without them.
const BESIDE: [&str; 3] = ["description", "default", "required"];

/// The same schema, with each part that it has more than once under `$defs`.
pub(super) fn share(schema: &Value) -> Value {
    let mut counts = HashMap::new();
    for (_, part) in parts(schema) {
        count(part, &mut counts);
    }
    let own = schema["$defs"].as_object().cloned().unwrap_or_default();
    let mut sharing = Sharing { counts, names: HashMap::new(), definitions: own.clone() };
    let mut shared = sharing.inside(schema);
    // `inside` has rewritten the schema's own definitions where they stand; what it shared came to lie beside them.
    for name in own.keys() {
        sharing.definitions[name] = shared["$defs"][name].clone();
    }
    if !sharing.definitions.is_empty() {
        shared["$defs"] = sharing.definitions.into();
    }
    shared
}

/// The schemas in a schema, each with the word that says best what it is.
fn parts(schema: &Value) -> Vec<(&str, &Value)> {
    let Value::Object(object) = schema else { return Vec::new() };
    let each = object.iter().flat_map(|(keyword, value)| match (keyword.as_str(), value) {
        ("if", _) => Vec::new(), // a short condition, best read where it stands
        (one, Value::Object(_)) if ONE.contains(&one) => vec![(word(schema, one), value)],
        (list, Value::Array(items)) if LISTS.contains(&list) => items.iter().map(|item| ("form", item)).collect(),
        (named, Value::Object(entries)) if NAMED.contains(&named) => {
            entries.iter().map(|(name, entry)| (name.as_str(), entry)).collect()
        }
        _ => Vec::new(),
    });
    each.collect()
}

/// What follows from a tag is called by the tag's word.
fn word<'v>(schema: &'v Value, keyword: &'v str) -> &'v str {
    let tags = schema["if"]["properties"].as_object();
    let tag = tags.and_then(|tags| tags.values().next()).and_then(|tag| tag["const"].as_str());
    match keyword {
        "then" => tag.unwrap_or(keyword),
        "items" => "item",
        "propertyNames" => "key",
        "additionalProperties" => "entry",
        other => other,
    }
}

/// A part without what may stand beside a reference to it.
fn core(part: &Value) -> Option<Value> {
    let object = part.as_object()?;
    let mut core = object.clone();
    core.retain(|keyword, _| !BESIDE.contains(&keyword.as_str()));
    (core.len() < object.len()).then(|| core.into())
}

/// What lies in a part that is there already is not counted again: it will stand in the one definition.
fn count(part: &Value, counts: &mut HashMap<String, usize>) {
    let text = part.to_string();
    if text.len() < WORTH_SHARING {
        return;
    }
    let times = counts.entry(text).or_default();
    *times += 1;
    if *times > 1 {
        return;
    }
    match core(part) {
        Some(core) => count(&core, counts),
        None => parts(part).into_iter().for_each(|(_, inner)| count(inner, counts)),
    }
}

struct Sharing {
    counts: HashMap<String, usize>,
    names: HashMap<String, String>,
    definitions: Map<String, Value>,
}

impl Sharing {
    fn part(&mut self, word: &str, part: &Value) -> Value {
        let text = part.to_string();
        if self.counts.get(&text).is_none_or(|times| *times < 2) {
            return self.beside(word, part);
        }
        let name = match self.names.get(&text) {
            Some(name) => name.clone(),
            None => {
                let name = self.free_name(word);
                self.names.insert(text, name.clone());
                self.definitions.insert(name.clone(), Value::Null);
                self.definitions[&name] = self.beside(word, part);
                name
            }
        };
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    /// The part with its core shared, or else with the parts in it shared.
    fn beside(&mut self, word: &str, part: &Value) -> Value {
        let Some(core) = core(part) else { return self.inside(part) };
        let mut shared = self.part(word, &core);
        if shared.get("$ref").is_none() {
            return self.inside(part);
        }
        for keyword in BESIDE.iter().filter(|keyword| part.get(keyword).is_some()) {
            shared[keyword] = part[keyword].clone();
        }
        shared
    }

    /// The schema with the parts in it shared.
    fn inside(&mut self, schema: &Value) -> Value {
        let Value::Object(object) = schema else { return schema.clone() };
        let keywords = object.iter().map(|(keyword, value)| {
            let value = match (keyword.as_str(), value) {
                ("if", value) => value.clone(),
                (one, Value::Object(_)) if ONE.contains(&one) => self.part(word(schema, one), value),
                (list, Value::Array(items)) if LISTS.contains(&list) => {
                    items.iter().map(|item| self.part("form", item)).collect()
                }
                // A definition stays where it is: its name is known outside.
                ("$defs", Value::Object(entries)) => {
                    entries.iter().map(|(name, entry)| (name.clone(), self.inside(entry))).collect::<Map<_, _>>().into()
                }
                ("properties", Value::Object(entries)) => entries
                    .iter()
                    .map(|(name, entry)| (name.clone(), self.part(name, entry)))
                    .collect::<Map<_, _>>()
                    .into(),
                _ => value.clone(),
            };
            (keyword.clone(), value)
        });
        keywords.collect::<Map<_, _>>().into()
    }

    fn free_name(&self, word: &str) -> String {
        let numbered = (1..).map(|number| if number == 1 { word.to_owned() } else { format!("{word}-{number}") });
        numbered.into_iter().find(|name| !self.definitions.contains_key(name)).expect("numbers do not end")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_occurs_twice_is_defined_once_and_the_rest_stays() {
        let long =
            json!({ "type": "string", "description": "a text that is long enough to be worth a name of its own" });
        let object = json!({ "type": "object", "properties": { "inner": long, "flag": { "type": "boolean" } } });
        let schema = json!({ "properties": { "one": object, "two": object, "three": { "type": "boolean" } } });
        let shared = share(&schema);
        assert_eq!(shared["properties"]["one"], json!({ "$ref": "#/$defs/one" }));
        assert_eq!(shared["properties"]["two"], shared["properties"]["one"]);
        assert_eq!(shared["properties"]["three"], json!({ "type": "boolean" }));
        // The text occurs only in what is shared now.
        assert_eq!(shared["$defs"], json!({ "one": object }));
    }
}
