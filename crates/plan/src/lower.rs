//! From the normal form of a file that is free of errors to the [`Plan`].

use serde_json::{Map, Value, json};

use crate::{
    catalogue::{ActionSpec, Catalogue},
    check::entries,
    duration,
    model::{Authority, Decision, Plan, Rule},
    notify::{NoticeKind, TEXTS},
};

/// How long `fix_first` may take where the rule does not say.
const TIMEBOX_DEFAULT: &str = "30m";

/// Gates that are written as a signal's name.
const REQUIRE_WITHIN: &str = "0s";
const VERIFY_WITHIN: &str = "5m";

/// The plan. An error here is a fault of the grammar, not of the file.
pub(crate) fn lower(root: &Value, catalogue: &Catalogue) -> Result<Plan, serde_json::Error> {
    let mut plan = root.as_object().cloned().unwrap_or_default();
    plan.remove("belay");
    plan.remove("overlays");
    let aws = &root["aws"];
    let each = |key: &str, lower: &dyn Fn(&Value) -> Value| -> Value {
        entries(&root[key]).map(|(name, value)| (name.clone(), lower(value))).collect::<Map<_, _>>().into()
    };
    plan.insert("signals".to_owned(), each("signals", &|signal| lower_signal(signal, aws, catalogue)));
    plan.insert("triggers".to_owned(), each("triggers", &lower_trigger));
    plan.insert("phases".to_owned(), each("phases", &Value::clone));
    plan.insert("steps".to_owned(), each("steps", &|step| lower_step(step, aws, catalogue)));
    plan.insert("decision".to_owned(), serde_json::to_value(lower_decision(&root["decision"])?)?);
    plan.insert("confirm".to_owned(), gates(&root["confirm"], VERIFY_WITHIN));
    plan.insert("notify".to_owned(), lower_notify(root, catalogue));
    plan.remove("timezone");
    serde_json::from_value(plan.into())
}

/// What a step or a signal says stands over the plan's. A role is of one account, so it does not follow to another one.
pub(crate) fn merged_aws(plan: &Value, own: &Value) -> Value {
    let mut merged = plan.as_object().cloned().unwrap_or_default();
    if !own["account"].is_null() && own["account"] != plan["account"] {
        merged.remove("role");
    }
    if own["role"].is_string() || !merged.contains_key("role") {
        merged.remove("external_id");
    }
    merged.extend(entries(own).map(|(key, value)| (key.clone(), value.clone())));
    merged.into()
}

/// The rules that a plan writes, each `fix_first` with its timebox; empty where it writes none.
///
/// # Errors
/// A rule that the model does not have: a fault of the grammar. Rules left out would be other decisions.
pub(crate) fn rules_of(decision: &Value) -> Result<Vec<Rule>, serde_json::Error> {
    let rules = decision["rules"].as_array().into_iter().flatten().cloned().map(|mut rule| {
        if rule["do"] == "fix_first" && rule["timebox"].is_null() {
            rule["timebox"] = TIMEBOX_DEFAULT.into();
        }
        rule
    });
    serde_json::from_value(rules.collect())
}

fn lower_decision(decision: &Value) -> Result<Decision, serde_json::Error> {
    let authority = match &decision["authority"] {
        Value::Null => Authority::default(),
        authority => serde_json::from_value(authority.clone())?,
    };
    Ok(match rules_of(decision)? {
        rules if rules.is_empty() => Decision { authority, ..Decision::default() },
        rules => Decision { rules, authority, custom: true },
    })
}

fn lower_signal(signal: &Value, aws: &Value, catalogue: &Catalogue) -> Value {
    let kind = catalogue.signals.iter().find(|spec| !signal[spec.key].is_null()).map(|spec| spec.key);
    let mut spec = signal.as_object().cloned().unwrap_or_default();
    let own = spec.remove("aws").unwrap_or_default();
    json!({ "kind": kind, "spec": spec, "aws": merged_aws(aws, &own) })
}

fn lower_notify(root: &Value, catalogue: &Catalogue) -> Value {
    let channels = entries(&root["notify"]).filter(|(name, _)| *name != TEXTS);
    let channels: Map<String, Value> =
        channels.map(|(name, entry)| (name.clone(), lower_channel(entry, &root["aws"], catalogue))).collect();
    let texts = entries(&root["notify"][TEXTS]).map(|(kind, texts)| (kind.clone(), texts.clone()));
    let texts: Map<String, Value> = texts.collect();
    match channels.is_empty() {
        true => json!({}), // nobody is told: how is no part of the plan
        false => json!({ "channels": channels, "texts": texts, "timezone": root["timezone"] }),
    }
}

fn lower_channel(entry: &Value, aws: &Value, catalogue: &Catalogue) -> Value {
    let known = catalogue.channels.iter().find(|spec| !entry[spec.key].is_null());
    let kind = known.map(|spec| spec.key);
    let mut spec = entry.as_object().cloned().unwrap_or_default();
    let mut take = |key: &str| spec.remove(key).unwrap_or_default();
    let (events, when) = (take("events"), take("when"));
    let (within, after, every) = (take("within"), take("after"), take("every"));
    let of_incidents = ![&when, &after, &every].iter().all(|value| value.is_null());
    let events = match (events, of_incidents) {
        (Value::Null, true) => json!([NoticeKind::Incident, NoticeKind::Finished, NoticeKind::Recovered]),
        (Value::Null, false) => json!(known.map(|spec| spec.events.as_slice()).unwrap_or_default()),
        (events, _) => events,
    };
    json!({
        "kind": kind, "spec": spec, "aws": merged_aws(aws, &Value::Null), "events": events,
        "customer_facing": when == "customer_facing", "within": within, "after": after, "every": every,
    })
}

fn lower_trigger(trigger: &Value) -> Value {
    let mut trigger = trigger.clone();
    trigger["when"] = condition(&trigger["when"]);
    trigger
}

fn condition(written: &Value) -> Value {
    let each = |list: &Value| -> Value { list.as_array().into_iter().flatten().map(condition).collect() };
    match written {
        Value::Object(object) => entries(written)
            .map(|(key, value)| match object.get("at_least") {
                Some(_) => (key.clone(), json!({ "n": value["n"], "of": each(&value["of"]) })),
                None => (key.clone(), each(value)),
            })
            .collect::<Map<_, _>>()
            .into(),
        name => json!({ "signal": name }),
    }
}

fn gates(list: &Value, within: &str) -> Value {
    let gates = list.as_array().into_iter().flatten();
    gates
        .map(|gate| match gate {
            Value::String(signal) => json!({ "signal": signal, "within": within, "for": "0s" }),
            gate => gate.clone(),
        })
        .collect()
}

fn lower_step(step: &Value, aws: &Value, catalogue: &Catalogue) -> Value {
    let spec = step["action"].as_str().and_then(|action| catalogue.action(action));
    let mut lowered = step.clone();
    lowered["aws"] = merged_aws(aws, &step["aws"]);
    lowered["require"] = gates(&step["require"], REQUIRE_WITHIN);
    lowered["verify"] = gates(&step["verify"], VERIFY_WITHIN);
    lowered["retry"] = retry(&step["retry"]);
    if let Some(spec) = spec {
        from_spec(&mut lowered, step, spec);
    }
    lowered
}

fn from_spec(lowered: &mut Value, step: &Value, spec: &ActionSpec) {
    lowered["resource"] = (spec.resource)(&step["with"]).into();
    lowered["loses_data"] = (spec.loses_data() || step["loses_data"] == true).into();
    lowered["nature"] = json!(spec.nature);
    lowered["usual"] = json!(spec.usual);
    lowered["to"] = match (&spec.to, &step["to"]) {
        (None, _) => "own".into(),
        (Some(_), Value::String(_)) => "baseline".into(),
        (Some(_), target) => json!({ "explicit": target }),
    };
    if step["timeout"].is_null() {
        lowered["timeout"] = duration::format(spec.default_timeout).into();
    }
}

fn retry(retry: &Value) -> Value {
    let (least, most) = retry["backoff"].as_str().and_then(|text| text.split_once("..")).unwrap_or_default();
    json!({ "attempts": retry["attempts"], "backoff_min": least, "backoff_max": most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_model_does_not_have_is_an_error_and_no_default() {
        let rule = json!({ "severity": "critical", "do": "roll_back" });
        let sound = json!({ "rules": [rule], "authority": ["lead"] });
        assert_eq!(lower_decision(&sound).unwrap().rules.len(), 1);
        assert!(lower_decision(&json!({ "rules": [rule, { "do": "pray" }] })).is_err());
        assert!(lower_decision(&json!({ "authority": "lead" })).is_err());
        assert!(!lower_decision(&Value::Null).unwrap().custom);
    }
}
