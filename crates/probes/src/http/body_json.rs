//! `body_json`: what values in a JSON body have to be, by their paths.
//!
//! A path is a singular query of JSONPath (RFC 9535, 2.3.5.1): names and indices only, so it leads to one value, and takes
//! no longer than it is long.

use belay_plan::{
    catalogue::{Finding, pointer},
    comparison::Comparison,
    decimal::Decimal,
    shape::{Shape, Text, boolean, filled_map, one_of, pattern},
};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use super::KEY;
use crate::outcome::Limit;

const PATH: Text = Text::new(
    "a path such as `$.queue.depth`, `$.shards[0].state` or `$['a b']`",
    Some("^[$]([.][A-Za-z_][A-Za-z0-9_-]*|\\[[0-9]{1,9}\\]|\\['[^'\\\\]+'\\])+$"),
);

/// How much of a value evidence shows.
const VALUE_CHARS_MAX: usize = 100;

/// What stands under `body_json`.
pub(super) fn shape() -> Shape {
    let what = "a comparison such as `< 100` or `== \"up\"`, or true or false";
    filled_map(PATH, one_of(what, [boolean(), pattern(what, "^(<|<=|>|>=|==|!=) ?.+$")]))
}

/// What the shape cannot say.
pub(super) fn check(http: &Value) -> Vec<Finding> {
    let wanted = http["body_json"].as_object().into_iter().flatten();
    let wrong = wanted.filter(|(_, wanted)| Wanted::parse(wanted).is_none());
    let finding = |(path, _): (&String, &Value)| {
        let finding = Finding::new(pointer(&[KEY, "body_json", path]), "this compares with nothing that JSON has");
        finding.help("numbers: `< 100`; texts in double quotes: `== \"up\"`, `!= \"down\"`; else `== true`, `== null`")
    };
    wrong.map(finding).collect()
}

/// What one value has to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    /// As the plan has it.
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Number(Comparison),
    Same(Value),
    Different(Value),
}

impl Wanted {
    fn parse(from: &Value) -> Option<Self> {
        let text = match from {
            Value::Bool(wanted) => format!("== {wanted}"),
            from => from.as_str()?.to_owned(),
        };
        let kind = match Comparison::parse(&text).filter(|comparison| !comparison.is_percent) {
            Some(comparison) => Kind::Number(comparison),
            None => {
                let (kind, rest): (fn(Value) -> Kind, &str) = match (text.strip_prefix("=="), text.strip_prefix("!=")) {
                    (Some(rest), _) => (Kind::Same, rest),
                    (None, rest) => (Kind::Different, rest?),
                };
                kind(serde_json::from_str(rest).ok().filter(|value: &Value| !value.is_array() && !value.is_object())?)
            }
        };
        Some(Self { text, kind })
    }

    /// Whether the value at a path is as wanted; if not, what is wrong with it.
    pub(super) fn judge(&self, path: &str, body: &Value) -> Result<String, String> {
        let text = &self.text;
        let value = body.pointer(&pointer_of(path)).ok_or_else(|| format!("its body has no {path}, wanted {text}"))?;
        let holds = match (&self.kind, value) {
            (Kind::Number(comparison), Value::Number(number)) => {
                Decimal::parse(&number.to_string()).is_some_and(|number| comparison.holds_exactly(&number))
            }
            (Kind::Number(_), _) => {
                return Err(format!("{path} is {}, which is no number, wanted {text}", shown(value)));
            }
            (Kind::Same(wanted), value) => value == wanted,
            (Kind::Different(unwanted), value) => value != unwanted,
        };
        match holds {
            true => Ok(format!("{path} is {}", shown(value))),
            false => Err(format!("{path} is {}, wanted {text}", shown(value))),
        }
    }
}

impl Wanted {
    /// The number at a path, where one is compared.
    pub(super) fn measured(&self, path: &str, body: &Value) -> Option<(f64, Limit)> {
        let Kind::Number(comparison) = &self.kind else { return None };
        Some((body.pointer(&pointer_of(path))?.as_f64()?, comparison.into()))
    }
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        Self::parse(&value).ok_or_else(|| D::Error::custom(format!("{value} is not a comparison")))
    }
}

/// The JSON pointer (RFC 6901) of a path.
fn pointer_of(path: &str) -> String {
    let mut pointer = String::new();
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    while let Some(begin) = rest.chars().next() {
        let (part, after) = match begin {
            '.' => {
                let after = &rest[1..];
                after.split_at(after.find(['.', '[']).unwrap_or(after.len()))
            }
            _ if rest.starts_with("['") => rest[2..].split_once("']").unwrap_or((&rest[2..], "")),
            _ => rest[1..].split_once(']').unwrap_or((&rest[1..], "")),
        };
        pointer.push('/');
        pointer.push_str(&part.replace('~', "~0").replace('/', "~1"));
        rest = after;
    }
    pointer
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Array(items) => return format!("a list of {}", items.len()),
        Value::Object(_) => return "an object".to_owned(),
        value => value.to_string(),
    };
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_to_one_value() {
        for (path, pointer) in [
            ("$.queue.depth", "/queue/depth"),
            ("$.shards[0].state", "/shards/0/state"),
            ("$['a.b/c~'][12]['d']", "/a.b~1c~0/12/d"),
        ] {
            assert_eq!(pointer_of(path), pointer, "{path}");
        }
    }

    #[test]
    fn values_are_compared() {
        let body = json!({ "depth": 7, "sum": 9_007_199_254_740_993_u64, "ratio": 0.1, "state": "up", "ok": true, "none": null, "list": [1, 2], "big": "x".repeat(200) });
        let judged = |path: &str, wanted: Value| Wanted::parse(&wanted).unwrap().judge(path, &body);
        assert_eq!(judged("$.depth", json!("< 100")), Ok("$.depth is 7".to_owned()));
        assert_eq!(judged("$.depth", json!("> 7")), Err("$.depth is 7, wanted > 7".to_owned()));
        assert_eq!(judged("$.depth", json!("==7.0")), Ok("$.depth is 7".to_owned()));
        assert_eq!(judged("$.state", json!("== \"up\"")), Ok("$.state is \"up\"".to_owned()));
        assert_eq!(judged("$.state", json!("!= \"up\"")), Err("$.state is \"up\", wanted != \"up\"".to_owned()));
        assert_eq!(
            judged("$.state", json!("< 1")),
            Err("$.state is \"up\", which is no number, wanted < 1".to_owned())
        );
        assert_eq!(judged("$.ok", json!(true)), Ok("$.ok is true".to_owned()));
        assert_eq!(judged("$.ok", json!(false)), Err("$.ok is true, wanted == false".to_owned()));
        assert_eq!(judged("$.sum", json!("== 9007199254740993")), Ok("$.sum is 9007199254740993".to_owned()));
        assert_eq!(
            judged("$.sum", json!("== 9007199254740992")),
            Err("$.sum is 9007199254740993, wanted == 9007199254740992".to_owned())
        );
        assert_eq!(judged("$.ratio", json!("<= 0.10")), Ok("$.ratio is 0.1".to_owned()));
        assert_eq!(judged("$.none", json!("== null")), Ok("$.none is null".to_owned()));
        assert_eq!(judged("$.list[1]", json!(">= 2")), Ok("$.list[1] is 2".to_owned()));
        assert_eq!(
            judged("$.list", json!("== 2")),
            Err("$.list is a list of 2, which is no number, wanted == 2".to_owned())
        );
        assert_eq!(judged("$.gone", json!("== 2")), Err("its body has no $.gone, wanted == 2".to_owned()));
        assert!(judged("$.big", json!("== \"y\"")).unwrap_err().len() < 150);
    }

    #[test]
    fn what_compares_with_nothing_is_found() {
        let of = |wanted: Value| check(&json!({ "body_json": { "$.a": wanted } })).len();
        for wanted in [json!("< x"), json!("== up"), json!("== [1]"), json!("< 5%"), json!("< \"a\"")] {
            assert_eq!(of(wanted.clone()), 1, "{wanted}");
        }
        for wanted in [json!("< 5"), json!("== \"up\""), json!(true), json!("!= null"), json!("== -1.5e3")] {
            assert_eq!(of(wanted.clone()), 0, "{wanted}");
        }
    }
}
