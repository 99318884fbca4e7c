//! Trees as XML and back. An array is an element that is there several times, so that a list stands below the name of its
//! elements.

use std::fmt::Write as _;

use aws_smithy_xml::decode::{Document, ScopedDecoder, XmlDecodeError, try_data};
use serde_json::{Map, Value};

/// Appends an element. What is null is left out.
pub(super) fn element(out: &mut String, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| element(out, name, item)),
        Value::Object(children) => {
            let _ = write!(out, "<{name}>");
            children.iter().for_each(|(name, child)| element(out, name, child));
            let _ = write!(out, "</{name}>");
        }
        Value::String(text) => {
            let _ = write!(out, "<{name}>{}</{name}>", escaped(text));
        }
        Value::Bool(_) | Value::Number(_) => {
            let _ = write!(out, "<{name}>{value}</{name}>");
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What stands inside of the root element.
pub(super) fn read(text: &str) -> Option<Value> {
    let mut document = Document::new(text);
    let mut root = document.root_element().ok()?;
    content(&mut root).ok()
}

fn content(element: &mut ScopedDecoder<'_, '_>) -> Result<Value, XmlDecodeError> {
    let mut children = Map::new();
    while let Some(mut tag) = element.next_tag() {
        let name = tag.start_el().local().to_owned();
        let value = match is_leaf(&name) {
            true => Value::String(try_data(&mut tag)?.into_owned()),
            false => content(&mut tag)?,
        };
        add(&mut children, name, value);
    }
    Ok(Value::Object(children))
}

/// The elements of Route 53's requests that hold others; the decoder wants to know beforehand.
fn is_leaf(name: &str) -> bool {
    const INNER: [&str; 9] = [
        "ChangeBatch",
        "Changes",
        "Change",
        "ResourceRecordSet",
        "ResourceRecords",
        "ResourceRecord",
        "AliasTarget",
        "GeoLocation",
        "CidrRoutingConfig",
    ];
    !INNER.contains(&name)
}

/// A name that comes again makes a list of it.
fn add(children: &mut Map<String, Value>, name: String, value: Value) {
    match children.get_mut(&name) {
        None => drop(children.insert(name, value)),
        Some(Value::Array(items)) => items.push(value),
        Some(one) => *one = Value::Array(vec![one.take(), value]),
    }
}
