//! Smithy RPC v2 CBOR, as CloudWatch speaks it. A timestamp is a number with tag 1, in the tree a text in RFC 3339.

use ciborium::Value as Cbor;
use jiff::Timestamp;
use serde_json::Value;

const TIME: u64 = 1;

pub(super) fn read(body: &[u8]) -> Option<Value> {
    if body.is_empty() {
        return Some(Value::Object(serde_json::Map::new()));
    }
    Some(tree(ciborium::from_reader::<Cbor, _>(body).ok()?))
}

fn tree(value: Cbor) -> Value {
    match value {
        Cbor::Map(entries) => {
            let entries = entries.into_iter().filter_map(|(key, value)| Some((key.into_text().ok()?, tree(value))));
            Value::Object(entries.collect())
        }
        Cbor::Array(items) => items.into_iter().map(tree).collect(),
        Cbor::Tag(TIME, seconds) => {
            let seconds = match *seconds {
                Cbor::Float(seconds) => seconds,
                Cbor::Integer(seconds) => i64::try_from(seconds).map_or(0.0, |seconds| seconds as f64),
                _ => 0.0,
            };
            let at = Timestamp::from_millisecond((seconds * 1000.0) as i64).unwrap_or_default();
            Value::String(at.to_string())
        }
        Cbor::Tag(_, inner) => tree(*inner),
        Cbor::Text(text) => text.into(),
        Cbor::Bool(value) => value.into(),
        Cbor::Float(value) => value.into(),
        Cbor::Integer(value) => i64::try_from(value).map_or(Value::Null, Into::into),
        _ => Value::Null,
    }
}

pub(super) fn write(output: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&bytes_of(output), &mut bytes).expect("a tree can be written into memory");
    bytes
}

fn bytes_of(value: &Value) -> Cbor {
    match value {
        Value::Object(entries) => {
            let there = entries.iter().filter(|(_, value)| !value.is_null());
            Cbor::Map(there.map(|(key, value)| (Cbor::Text(key.clone()), bytes_of(value))).collect())
        }
        Value::Array(items) => Cbor::Array(items.iter().map(bytes_of).collect()),
        Value::String(text) => match text.parse::<Timestamp>() {
            Ok(at) => Cbor::Tag(TIME, Box::new(Cbor::Float(at.as_millisecond() as f64 / 1000.0))),
            Err(_) => Cbor::Text(text.clone()),
        },
        Value::Bool(value) => Cbor::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Cbor::Integer(whole.into()),
            None => Cbor::Float(number.as_f64().unwrap_or_default()),
        },
        Value::Null => Cbor::Null,
    }
}
