//! The two forms of a state: what resources it has, without what is sensitive.

use serde_json::Value;

use super::StateError;

/// One resource, or data source.
#[derive(Debug)]
pub(super) struct Resource {
    /// `module.shop.aws_lb.web[0]`
    pub(super) address: String,
    /// `aws_lb`
    pub(super) kind: String,
    /// Its attributes, but for what is sensitive.
    pub(super) values: Value,
}

pub(super) fn resources(root: &Value) -> Result<Vec<Resource>, StateError> {
    if !root.is_object() {
        return Err(StateError::NotAState { why: "it holds no object" });
    }
    if root.get("encrypted_data").is_some() {
        return Err(StateError::Encrypted);
    }
    if root.get("planned_values").is_some() || root.get("resource_changes").is_some() {
        return Err(StateError::Plan);
    }
    match (root.get("version"), root.get("format_version")) {
        (Some(version), _) if version.as_u64() == Some(4) => of_file(root),
        (Some(_), _) if root.get("backend").is_some() => Err(StateError::Backend),
        (Some(version), _) => Err(StateError::Version { found: number(version) }),
        (None, Some(_)) => Ok(of_show(root)),
        (None, None) => Err(StateError::NotAState { why: "it has neither `version` nor `format_version`" }),
    }
}

/// A version for people: what is no number is not repeated.
fn number(version: &Value) -> String {
    version.as_u64().map_or_else(|| "that is not known".to_owned(), |version| version.to_string())
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

/// A state file of version 4.
fn of_file(root: &Value) -> Result<Vec<Resource>, StateError> {
    if !root["resources"].is_array() {
        return Err(StateError::NotAState { why: "it has no list `resources`" });
    }
    let mut found = Vec::new();
    for resource in list(root, "resources") {
        let module = resource["module"].as_str().map(|module| format!("{module}.")).unwrap_or_default();
        let data = if text(resource, "mode") == "data" { "data." } else { "" };
        let kind = text(resource, "type");
        for instance in list(resource, "instances").filter(|instance| instance.get("deposed").is_none()) {
            let index = instance.get("index_key").map(|key| format!("[{key}]")).unwrap_or_default();
            let mut values = instance["attributes"].clone();
            for path in list(instance, "sensitive_attributes") {
                let steps = path.as_array().map_or(&[][..], Vec::as_slice);
                remove(&mut values, steps);
            }
            let address = format!("{module}{data}{kind}.{}{index}", text(resource, "name"));
            found.push(Resource { address, kind: kind.to_owned(), values });
        }
    }
    Ok(found)
}

/// Takes away what a path leads to, `[{ "type": "get_attr", "value": "password" }]`; where a step is not understood, all that may be
/// behind it.
fn remove(values: &mut Value, steps: &[Value]) {
    let [step, rest @ ..] = steps else {
        *values = Value::Null;
        return;
    };
    // The key of an index is wrapped once more.
    let key = if step["value"].is_object() { &step["value"]["value"] } else { &step["value"] };
    let inner = match (key.as_str(), key.as_u64().and_then(|index| usize::try_from(index).ok())) {
        (Some(key), _) => values.get_mut(key),
        (None, Some(index)) => values.get_mut(index),
        (None, None) => {
            *values = Value::Null;
            return;
        }
    };
    if let Some(inner) = inner {
        remove(inner, rest);
    }
}

/// What `terraform show -json` prints.
fn of_show(root: &Value) -> Vec<Resource> {
    let mut found = Vec::new();
    let mut modules = vec![&root["values"]["root_module"]];
    while let Some(module) = modules.pop() {
        modules.extend(list(module, "child_modules"));
        for resource in list(module, "resources") {
            let mut values = resource["values"].clone();
            hide(&mut values, &resource["sensitive_values"]);
            found.push(Resource {
                address: text(resource, "address").to_owned(),
                kind: text(resource, "type").to_owned(),
                values,
            });
        }
    }
    found
}

/// Takes away what `sensitive` marks with `true` at the same place.
fn hide(values: &mut Value, sensitive: &Value) {
    match sensitive {
        Value::Bool(true) => *values = Value::Null,
        Value::Object(marks) => {
            for (key, mark) in marks {
                if let Some(inner) = values.get_mut(key) {
                    hide(inner, mark);
                }
            }
        }
        Value::Array(marks) => {
            for (index, mark) in marks.iter().enumerate() {
                if let Some(inner) = values.get_mut(index) {
                    hide(inner, mark);
                }
            }
        }
        _ => {}
    }
}
