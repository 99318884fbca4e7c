//! The query protocol of RDS, load balancing and STS: a form, answered in XML.

use serde_json::{Map, Value};

use super::xml;
use crate::answer::Refusal;

/// The operation and its parameters.
pub(super) fn read(body: &[u8]) -> Option<(String, Value)> {
    let mut input = Map::new();
    for (key, value) in form_urlencoded::parse(body) {
        insert(&mut input, &key, value.into_owned());
    }
    let Some(Value::String(operation)) = input.remove("Action") else { return None };
    input.remove("Version")?;
    Some((operation, listed(Value::Object(input))))
}

fn insert(into: &mut Map<String, Value>, path: &str, value: String) {
    match path.split_once('.') {
        None => drop(into.insert(path.to_owned(), Value::String(value))),
        Some((first, rest)) => {
            let inner = into.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// Turns `{"1": a, "2": b}` into a list.
fn listed(value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    let numbered = !map.is_empty() && map.keys().all(|key| key.parse::<usize>().is_ok());
    let values = map.into_iter().map(|(key, value)| (key, listed(value)));
    match numbered {
        true => values.map(|(_, value)| value).collect(),
        false => Value::Object(values.collect()),
    }
}

pub(super) fn answer(operation: &str, namespace: &str, output: Value, request_id: &str) -> Vec<u8> {
    let mut result = String::new();
    xml::element(&mut result, &format!("{operation}Result"), &output);
    let text = format!(
        "<{operation}Response xmlns=\"{namespace}\">{result}<ResponseMetadata><RequestId>{request_id}</RequestId>\
         </ResponseMetadata></{operation}Response>"
    );
    text.into_bytes()
}

pub(super) fn refusal(refusal: &Refusal, request_id: &str) -> Vec<u8> {
    let mut error = String::new();
    if refusal.bare {
        let value = serde_json::json!({ "Messages": { "Message": [refusal.message] }, "RequestId": request_id });
        xml::element(&mut error, &refusal.code, &value);
        return error.into_bytes();
    }
    let side = if refusal.status < 500 { "Sender" } else { "Receiver" };
    let value = serde_json::json!({ "Type": side, "Code": refusal.code, "Message": refusal.message });
    xml::element(&mut error, "Error", &value);
    format!("<ErrorResponse>{error}<RequestId>{request_id}</RequestId></ErrorResponse>").into_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_and_structures_are_read() {
        let form = b"Action=Do&Version=1&Tags.Tag.1.Key=a&Tags.Tag.1.Value=b+c&Tags.Tag.2.Key=d&Ids.member.1=x&No=";
        let (operation, input) = read(form).unwrap();
        assert_eq!(operation, "Do");
        let expected = json!({
            "Tags": { "Tag": [{ "Key": "a", "Value": "b c" }, { "Key": "d" }] }, "Ids": { "member": ["x"] }, "No": "",
        });
        assert_eq!(input, expected);
    }

    #[test]
    fn answers_are_xml() {
        let output = json!({ "Things": { "Thing": [{ "Name": "a&b" }, { "On": true }] }, "Marker": null });
        let text = String::from_utf8(answer("Do", "ns", output, "r-1")).unwrap();
        assert!(text.starts_with("<DoResponse xmlns=\"ns\"><DoResult><Things><Thing><Name>a&amp;b</Name></Thing>"));
        assert!(
            text.contains("<Thing><On>true</On></Thing></Things></DoResult>") && !text.contains("Marker"),
            "{text}"
        );
    }
}
