//! The JSON Schema (2020-12) of plans and settings, from the same shapes as the decoder.

mod shared;

use serde_json::{Map, Value, json};

use crate::{
    catalogue::Catalogue,
    grammar,
    shape::{Field, MapShape, NAME, Presence, Shape, TaggedShape, Text},
};

/// Units in descending order, each at most once; together with a least length, since each is optional.
const DURATION_PATTERN: &str = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";

/// The schema of a plan file over a catalogue.
pub fn schema(catalogue: &Catalogue) -> Value {
    whole("Belay plan", "One plan guards one migration.", &grammar::plan(catalogue))
}

/// The schema of a file that [`crate::settings::read`] takes.
pub fn settings_schema(title: &str, description: &str, shape: &Shape) -> Value {
    let mut schema = whole(title, description, shape);
    // A file in which everything is commented out.
    schema["type"] = json!(["object", "null"]);
    schema
}

fn whole(title: &str, description: &str, root: &Shape) -> Value {
    let mut definitions = Definitions::default();
    let root = Writer { definitions: &mut definitions, parts: false }.shape(root);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
    });
    merge(&mut schema, root);
    if !definitions.is_empty() {
        merge(&mut schema, json!({ "$defs": definitions }));
    }
    shared::share(&schema)
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

type Definitions = Map<String, Value>;

struct Writer<'d> {
    definitions: &'d mut Definitions,
    /// Parts of a whole: nothing is required, down to where values replace each other whole.
    parts: bool,
}

impl Writer<'_> {
    fn shape(&mut self, shape: &Shape) -> Value {
        match shape {
            Shape::Object(object) => self.fields(&object.fields),
            Shape::Tagged(tagged) => self.tagged(tagged),
            Shape::Map(map) => self.map(map),
            Shape::List { item, least } => {
                let items = Writer { definitions: self.definitions, parts: false }.shape(item);
                let mut list = json!({ "type": "array", "items": items });
                if *least > 0 {
                    merge(&mut list, json!({ "minItems": least }));
                }
                list
            }
            Shape::Text(text) if text.pattern == NAME.pattern => self.defined("name", || plain_text(&NAME)),
            Shape::Text(text) => plain_text(text),
            Shape::Integer { least, most } if least == most => json!({ "const": least }),
            Shape::Integer { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
            Shape::Number => json!({ "type": "number" }),
            Shape::Boolean => json!({ "type": "boolean" }),
            Shape::Duration => {
                self.defined("duration", || json!({ "type": "string", "pattern": DURATION_PATTERN, "minLength": 2 }))
            }
            Shape::Words(words) => json!({ "enum": words }),
            Shape::OneOf { forms, .. } => any_of(forms.iter().map(|form| self.shape(form)).collect()),
            Shape::Recursive { name, shape: inner } => {
                if !self.definitions.contains_key(*name) {
                    self.definitions.insert((*name).to_owned(), Value::Null);
                    let definition = Writer { definitions: self.definitions, parts: false }.shape(&inner());
                    self.definitions.insert((*name).to_owned(), definition);
                }
                reference(name)
            }
            Shape::Patch(whole) => {
                let parts = Writer { definitions: self.definitions, parts: true }.shape(whole);
                self.defined("overlay", || parts.clone())
            }
            Shape::Any => json!({}),
        }
    }

    fn defined(&mut self, name: &str, definition: impl Fn() -> Value) -> Value {
        self.definitions.entry(name).or_insert_with(definition);
        reference(name)
    }

    fn fields(&mut self, fields: &[Field]) -> Value {
        let mut object = json!({
            "type": "object",
            "properties": self.properties(fields),
            "additionalProperties": false,
        });
        self.require(&mut object, fields.iter().filter(|field| is_required(field)).map(|field| field.key.as_str()));
        object
    }

    fn properties(&mut self, fields: &[Field]) -> Map<String, Value> {
        fields.iter().map(|field| (field.key.clone(), self.property(field))).collect()
    }

    fn require<'k>(&self, object: &mut Value, keys: impl Iterator<Item = &'k str>) {
        let keys: Vec<&str> = keys.collect();
        if !keys.is_empty() && !self.parts {
            merge(object, json!({ "required": keys }));
        }
    }

    fn property(&mut self, field: &Field) -> Value {
        let mut property = if field.doc.is_empty() { json!({}) } else { json!({ "description": field.doc }) };
        let value = self.shape(&field.shape);
        match &field.presence {
            Presence::OptionalSection => merge(&mut property, json!({ "anyOf": [value, { "type": "null" }] })),
            Presence::Default(default) => {
                merge(&mut property, value);
                merge(&mut property, json!({ "default": default }));
            }
            Presence::Required | Presence::Optional => merge(&mut property, value),
        }
        property
    }

    /// All keys that any variant has are known to the object; what each variant makes of them hangs on the tag.
    fn tagged(&mut self, tagged: &TaggedShape) -> Value {
        let mut object = self.fields(&tagged.common);
        let tags =
            tagged.variants.iter().map(|variant| json!({ "const": variant.name, "description": variant.summary }));
        object["properties"][tagged.tag] = json!({ "description": tagged.doc, "oneOf": tags.collect::<Vec<_>>() });
        let mut cases = Vec::new();
        for variant in &tagged.variants {
            let mut properties = self.properties(&variant.fields);
            for key in properties.keys() {
                object["properties"][key] = json!({});
            }
            properties.extend(variant.refused.iter().map(|(key, _)| ((*key).to_owned(), json!(false))));
            let mut then = json!({ "properties": properties });
            let required = variant.fields.iter().filter(|field| is_required(field));
            self.require(&mut then, required.map(|field| field.key.as_str()));
            cases.push(json!({
                "if": { "properties": { tagged.tag: { "const": variant.name } }, "required": [tagged.tag] },
                "then": then,
            }));
        }
        if self.parts {
            cases.push(json!({ "if": { "not": { "required": [tagged.tag] } }, "then": self.any_variant(tagged) }));
        } else {
            self.require(&mut object, [tagged.tag].into_iter().chain(required_of(&tagged.common)));
        }
        merge(&mut object, json!({ "allOf": cases }));
        object
    }

    /// The tag stands in the whole that the parts are laid over: each key is as some variant has it.
    fn any_variant(&mut self, tagged: &TaggedShape) -> Value {
        let mut keys: Map<String, Value> = Map::new();
        for field in tagged.variants.iter().flat_map(|variant| &variant.fields) {
            let (known, own) = (keys.get(&field.key).cloned(), self.property(field));
            keys.insert(field.key.clone(), known.map_or_else(|| own.clone(), |known| either(known, own.clone())));
        }
        json!({ "properties": keys })
    }

    fn map(&mut self, map: &MapShape) -> Value {
        let mut object = json!({
            "type": "object",
            "propertyNames": plain_text(&map.keys),
            "additionalProperties": self.shape(&map.value),
        });
        if !map.own.is_empty() {
            let own: Map<String, Value> =
                map.own.iter().map(|field| (field.key.clone(), self.property(field))).collect();
            merge(&mut object, json!({ "properties": own }));
        }
        // Weights stand for the whole of what they replace.
        if map.least > 0 && (!self.parts || map.not_all_zero.is_some()) {
            merge(&mut object, json!({ "minProperties": map.least }));
        }
        if let Some(most) = map.most {
            merge(&mut object, json!({ "maxProperties": most }));
        }
        if map.not_all_zero.is_some() {
            let all_zero = json!({ "minProperties": 1, "additionalProperties": { "const": 0 } });
            merge(&mut object, json!({ "not": all_zero }));
        }
        object
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn is_required(field: &Field) -> bool {
    matches!(field.presence, Presence::Required)
}

fn required_of(fields: &[Field]) -> impl Iterator<Item = &str> {
    fields.iter().filter(|field| is_required(field)).map(|field| field.key.as_str())
}

fn any_of(forms: Vec<Value>) -> Value {
    json!({ "anyOf": forms })
}

/// Two objects become one with the keys of both; of other values, either will do.
fn either(one: Value, other: Value) -> Value {
    if one == other {
        return one;
    }
    match (one["properties"].as_object(), other["properties"].as_object()) {
        (Some(keys), Some(others)) => {
            let mut keys = keys.clone();
            for (key, value) in others {
                let value = match keys.get(key) {
                    Some(known) => either(known.clone(), value.clone()),
                    None => value.clone(),
                };
                keys.insert(key.clone(), value);
            }
            json!({ "type": "object", "properties": keys, "additionalProperties": false })
        }
        _ => {
            let mut forms = match one["anyOf"].as_array() {
                Some(forms) => forms.clone(),
                None => vec![one],
            };
            let others = match other["anyOf"].as_array() {
                Some(forms) => forms.clone(),
                None => vec![other],
            };
            forms.extend(others);
            let mut distinct: Vec<Value> = Vec::new();
            for form in forms {
                if !distinct.contains(&form) {
                    distinct.push(form);
                }
            }
            any_of(distinct)
        }
    }
}

fn plain_text(text: &Text) -> Value {
    match text.pattern {
        Some(pattern) => json!({ "type": "string", "pattern": pattern }),
        None => json!({ "type": "string", "minLength": 1 }),
    }
}
