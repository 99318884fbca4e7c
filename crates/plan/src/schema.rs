//! The JSON Schema (2020-12) of plans and settings, from the same shapes as the decoder.

use serde_json::{Map, Value, json};

use crate::{
    catalogue::Catalogue,
    grammar,
    shape::{Field, MapShape, Presence, Shape, TaggedShape, Text},
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
    let mut definitions = Map::new();
    let root = shape(root, &mut definitions);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
    });
    merge(&mut schema, root);
    if !definitions.is_empty() {
        merge(&mut schema, json!({ "$defs": definitions }));
    }
    schema
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

fn shape(shape_: &Shape, definitions: &mut Map<String, Value>) -> Value {
    match shape_ {
        Shape::Object(object) => fields(&object.fields.iter().collect::<Vec<_>>(), definitions),
        Shape::Tagged(tagged) => tagged_object(tagged, definitions),
        Shape::Map(map) => map_object(map, definitions),
        Shape::List { item, least: 0 } => json!({ "type": "array", "items": shape(item, definitions) }),
        Shape::List { item, least } => {
            json!({ "type": "array", "items": shape(item, definitions), "minItems": least })
        }
        Shape::Text(text) => plain_text(text),
        Shape::Integer { least, most } if least == most => json!({ "const": least }),
        Shape::Integer { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Number => json!({ "type": "number" }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Duration => json!({ "type": "string", "pattern": DURATION_PATTERN, "minLength": 2 }),
        Shape::Words(words) => json!({ "enum": words }),
        Shape::OneOf { forms, .. } => {
            json!({ "anyOf": forms.iter().map(|form| shape(form, definitions)).collect::<Vec<_>>() })
        }
        Shape::Recursive { name, shape: inner } => {
            if !definitions.contains_key(*name) {
                definitions.insert((*name).to_owned(), Value::Null);
                let definition = shape(&inner(), definitions);
                definitions.insert((*name).to_owned(), definition);
            }
            json!({ "$ref": format!("#/$defs/{name}") })
        }
        Shape::Patch(parts) => shape(parts, definitions),
        Shape::Any => json!({}),
    }
}

fn plain_text(text: &Text) -> Value {
    match text.pattern {
        Some(pattern) => json!({ "type": "string", "pattern": pattern }),
        None => json!({ "type": "string", "minLength": 1 }),
    }
}

fn fields(fields: &[&Field], definitions: &mut Map<String, Value>) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.key.clone(), property(field, definitions))).collect();
    let required: Vec<&str> = fields
        .iter()
        .filter(|field| matches!(field.presence, Presence::Required))
        .map(|field| field.key.as_str())
        .collect();
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        merge(&mut object, json!({ "required": required }));
    }
    object
}

fn property(field: &Field, definitions: &mut Map<String, Value>) -> Value {
    let mut property = json!({ "description": field.doc });
    let value = shape(&field.shape, definitions);
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
fn tagged_object(tagged: &TaggedShape, definitions: &mut Map<String, Value>) -> Value {
    let common: Vec<&Field> = tagged.common.iter().collect();
    let mut object = fields(&common, definitions);
    let tags = tagged.variants.iter().map(|variant| json!({ "const": variant.name, "description": variant.summary }));
    object["properties"][tagged.tag] = json!({ "description": tagged.doc, "oneOf": tags.collect::<Vec<_>>() });
    let mut cases = Vec::new();
    for variant in &tagged.variants {
        let mut properties = Map::new();
        for field in &variant.fields {
            object["properties"][&field.key] = json!({});
            properties.insert(field.key.clone(), property(field, definitions));
        }
        for (key, _) in &variant.refused {
            properties.insert((*key).to_owned(), json!(false));
        }
        let required: Vec<&str> = variant
            .fields
            .iter()
            .filter(|field| matches!(field.presence, Presence::Required))
            .map(|field| field.key.as_str())
            .collect();
        cases.push(json!({
            "if": { "properties": { tagged.tag: { "const": variant.name } }, "required": [tagged.tag] },
            "then": { "properties": properties, "required": required },
        }));
    }
    merge(&mut object, json!({ "required": [tagged.tag], "allOf": cases }));
    object
}

fn map_object(map: &MapShape, definitions: &mut Map<String, Value>) -> Value {
    let mut object = json!({
        "type": "object",
        "propertyNames": plain_text(&map.keys),
        "additionalProperties": shape(&map.value, definitions),
    });
    if map.least > 0 {
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
