//! The names by which a plan calls its resources: a call of the same service that was made for one of them is one on the plan's
//! resources. A name counts as a whole, where a call names what it is for: one that stands in a user's name, a policy or a longer
//! name proves nothing.

use std::collections::BTreeSet;

use aws_sdk_cloudtrail::types::Event;
use belay_plan::model::{Plan, Step, Target};
use serde_json::Value;

use crate::{
    cloudwatch, elbv2, route53,
    services::{self, Service},
};

/// The settings that name a resource of Route 53, whatever the action is: a restored database can be led to by a record.
const RECORD_KEYS: [&str; 2] = ["zone", "record"];

/// Names, each with the service whose calls can be for it.
pub(super) struct Names(BTreeSet<(String, String)>);

/// A call as CloudTrail has recorded it.
pub(super) struct Record {
    service: Option<String>,
    pub(super) detail: Value,
    /// What it was made for: whole values, and the parts of ARNs and paths.
    subjects: BTreeSet<String>,
}

impl Record {
    pub(super) fn of(event: &Event) -> Self {
        let detail: Value =
            event.cloud_trail_event().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let mut subjects = BTreeSet::new();
        let mut note = |text: &str| {
            subjects.insert(normal(text));
            subjects.extend(text.split(['/', ':']).map(normal));
        };
        event.resources().iter().filter_map(|resource| resource.resource_name()).for_each(&mut note);
        texts(&detail["requestParameters"], &mut note);
        detail["resources"].as_array().into_iter().flatten().filter_map(|one| one["ARN"].as_str()).for_each(&mut note);
        let service = event.event_source().or(detail["eventSource"].as_str());
        let service = service.map(|source| source.split('.').next().unwrap_or_default().to_owned());
        Self { service, detail, subjects }
    }

    pub(super) fn is_refused(&self) -> bool {
        self.detail["errorCode"].is_string()
    }
}

impl Names {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut names: BTreeSet<_> = plan.steps.values().flat_map(|step| Self::of_resource(step).0).collect();
        for step in plan.steps.values().filter(|step| step.action.starts_with("alb.")) {
            // There, the members are target groups; in Route 53 anything can be called `blue`.
            if let Target::Explicit(Value::Object(members)) = &step.to {
                members.keys().for_each(|name| note(&mut names, elbv2::SERVICE.source, name));
            }
        }
        let alarms = plan.signals.values().filter_map(|signal| signal.spec["alarm"].as_str());
        alarms.for_each(|name| note(&mut names, cloudwatch::SERVICE.source, name));
        Self(names)
    }

    /// What a step is about, without where its traffic goes.
    pub(super) fn of_resource(step: &Step) -> Self {
        let mut names = BTreeSet::new();
        let kind = step.action.split_once('.').map_or("", |(kind, _)| kind);
        let of_kind =
            |service: &&Service| Some((service.source, service.actions.as_ref().filter(|of| of.prefix == kind)?.keys));
        if let Some(service) = services::ALL.iter().find_map(of_kind) {
            named(&step.with, service, &mut |service, name| note(&mut names, service, name));
        }
        Self(names)
    }

    /// The longest first: an ARN tells more than a part of it.
    pub(super) fn longest_first(&self) -> Vec<&str> {
        let names: BTreeSet<&str> = self.0.iter().map(|(_, name)| name.as_str()).collect();
        let mut names: Vec<&str> = names.into_iter().collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.chars().count()));
        names
    }

    /// The name of the plan's resource that a call was made for.
    pub(super) fn find(&self, record: &Record) -> Option<&str> {
        let of_service = |service: &String| record.service.as_ref().is_none_or(|known| known == service);
        let mut names = self.0.iter().filter(|(service, _)| of_service(service));
        names.find(|(_, name)| record.subjects.contains(&normal(name))).map(|(_, name)| name.as_str())
    }
}

fn note(names: &mut BTreeSet<(String, String)>, service: &str, name: &str) {
    names.insert((service.to_owned(), name.to_owned()));
    // A function, an alarm or a state machine: calls name it by its ARN or its last part.
    let last = name.strip_prefix("arn:").and_then(|arn| arn.rsplit(':').next());
    names.extend(last.filter(|last| !last.contains('/')).map(|last| (service.to_owned(), last.to_owned())));
}

/// DNS names are told with a dot at the end, and names of databases in lower case.
fn normal(text: &str) -> String {
    text.trim_end_matches('.').to_ascii_lowercase()
}

/// The values under the keys that name a resource of the service.
fn named(value: &Value, (service, keys): (&str, &[&str]), note: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::String(text) if RECORD_KEYS.contains(&key.as_str()) => note(route53::SERVICE.source, text),
                    Value::String(text) if keys.contains(&key.as_str()) => note(service, text),
                    value => named(value, (service, keys), note),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| named(item, (service, keys), note)),
        _ => {}
    }
}

fn texts(value: &Value, note: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => note(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, note)),
        Value::Object(entries) => entries.values().for_each(|value| texts(value, note)),
        _ => {}
    }
}
