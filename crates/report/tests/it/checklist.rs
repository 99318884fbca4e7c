//! What the checklist ticks, and what it leaves to people.

use belay_core::input::Input;
use belay_plan::model::{AwsTarget, Condition, Plan, Signal};
use belay_report::{model::CheckItem, report};
use serde_json::{Value, json};

use crate::{
    common::{gate, plan, step},
    measures::rolled_back,
    story::begun,
};

/// With these signals, all of which the confirmation wants to be healthy.
fn confirmed_by(signals: &[(&str, &str, Value)]) -> Plan {
    let mut plan = plan(vec![("dns", step(&[]))]);
    for (name, kind, spec) in signals {
        let signal = Signal { kind: (*kind).to_owned(), spec: spec.clone(), aws: AwsTarget::default() };
        plan.signals.insert((*name).to_owned(), signal);
        plan.confirm.push(gate(name, 600, 0));
    }
    plan
}

fn errors_and_latency(plan: &Plan, healthy: &str) -> CheckItem {
    errors_and_latency_of(plan, "errors", healthy)
}

fn errors_and_latency_of(plan: &Plan, unhealthy: &str, healthy: &str) -> CheckItem {
    let (stage, run) = rolled_back(plan, unhealthy, healthy);
    let report = report(&stage.journal, &run).expect("it can be folded").expect("the run is there");
    report.checklist.into_iter().find(|item| item.id.as_str() == "confirmation").expect("every rollback has it")
}

#[test]
fn errors_and_latency_are_ticked_where_signals_compared_both() {
    let alb = |name: &str, more: Value| {
        let mut metric = json!({ "namespace": "AWS/ApplicationELB", "name": name, "dimensions": {} });
        metric.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "metric": metric, "healthy": "< 1" })
    };
    let page = json!({ "http": { "url": "https://shop.example.com/", "status": [200], "within": "800ms" } });
    let quantile = "histogram_quantile(0.99, rate(http_request_duration_seconds_bucket[1m]))";
    let both = [
        [
            ("customers", "alarm", json!({ "alarm": "checkout-5xx" })),
            ("speed", "metric", alb("TargetResponseTime", json!({ "stat": "p99" }))),
        ],
        [
            ("share", "prometheus", json!({ "prometheus": { "query": "rate(requests{code=~\"5..\"}[1m])" } })),
            ("speed", "prometheus", json!({ "prometheus": { "query": quantile } })),
        ],
        [("front", "metric", alb("HTTPCode_Target_5XX_Count", json!({ "stat": "Sum" }))), ("page", "http", page)],
        [
            (
                "api",
                "http",
                json!({ "http": { "url": "https://x.example.com/", "body_json": { "$.error_rate": "< 1" } } }),
            ),
            ("latency", "alarm", json!({ "alarm": "a" })),
        ],
    ];
    for signals in both {
        let names = signals.each_ref().map(|(name, ..)| *name);
        let item = errors_and_latency(&confirmed_by(&signals), &format!("errors {}", names.join(" ")));
        assert!(item.done, "{item:?}");
        let wanted = format!(
            "errors: the confirmation has held ({}). Latency: the confirmation has held ({})",
            names[0], names[1]
        );
        assert_eq!(item.note.as_str(), wanted);
    }
}

#[test]
fn a_confirmation_that_measures_neither_errors_nor_latency_ticks_nothing() {
    let page = json!({ "http": { "url": "https://shop.example.com/errors", "status": [200] } });
    for (kind, spec) in [
        ("http", page),
        ("rds_status", json!({ "rds_status": { "instance": "shop-errors", "status": "available" } })),
        ("target_health", json!({ "target_health": { "target_group": "latency", "at_least": 2 } })),
        ("alarm", json!({ "alarm": "shop-cpu-by-default" })),
    ] {
        let mut plan = confirmed_by(&[("shop", kind, spec)]);
        plan.signals["errors"].kind = "tcp".to_owned();
        let item = errors_and_latency(&plan, "shop");
        assert!(!item.done, "{item:?}");
        let note = item.note.as_str();
        assert!(
            note.starts_with("the confirmation has held (shop), which measures neither errors nor latency"),
            "{note}"
        );
    }
}

#[test]
fn latency_that_nothing_measures_is_left_to_people() {
    let plan = confirmed_by(&[("errors", "alarm", json!({ "alarm": "checkout-5xx" }))]);
    let item = errors_and_latency(&plan, "errors");
    assert!(!item.done, "{item:?}");
    let note = item.note.as_str();
    assert_eq!(
        note,
        "errors: the confirmation has held (errors). Latency: no signal of the confirmation or of a trigger measures it: look at it"
    );
}

#[test]
fn a_signal_of_the_trigger_counts_by_its_last_reading() {
    let mut plan = confirmed_by(&[("errors", "alarm", json!({ "alarm": "checkout-5xx" }))]);
    plan.triggers["hurt"].when =
        Condition::Any(["errors", "latency"].map(|name| Condition::Signal(name.to_owned())).into());
    let item = errors_and_latency(&plan, "errors");
    let note = item.note.as_str();
    assert!(item.done && note.ends_with(". Latency: healthy at the last reading (latency)"), "{item:?}");

    let item = errors_and_latency_of(&plan, "errors latency", "errors");
    assert!(!item.done, "{item:?}");
    assert_eq!(item.note.as_str(), "at the last reading latency is unhealthy: look again");
}

#[test]
fn without_a_confirmation_that_held_nothing_is_as_before() {
    let mut plan = plan(vec![("dns", step(&[]))]);
    plan.triggers["hurt"].when =
        Condition::Any(["errors", "latency"].map(|name| Condition::Signal(name.to_owned())).into());
    let item = errors_and_latency(&plan, "errors");
    assert!(!item.done && item.note.as_str().starts_with("the plan has no confirmation"), "{item:?}");
}

/// A mail server takes a mail for some of its recipients.
#[test]
fn who_was_refused_by_a_mail_server_was_not_told() {
    let mut story = begun();
    let notice = story.stage.state.outbox.waiting.keys().next().expect("somebody is to be told").clone();
    let answer = "250 OK; refused for gone@example.com (550 5.1.1 no such user)".to_owned();
    story.stage.feed(Input::Noticed { notice, result: Ok(answer) }).unwrap();
    let report = report(&story.stage.journal, &story.run).unwrap().unwrap();
    let item = report.checklist.iter().find(|item| item.id.as_str() == "notices").unwrap();
    let refused = "gone@example.com (550 5.1.1 no such user)";
    assert!(!item.done && item.note.as_str().contains(refused), "{item:?}");
    let badly: Vec<&str> = report.postmortem.went_badly.iter().map(belay_report::Shown::as_str).collect();
    assert!(badly.iter().any(|line| line.ends_with(&format!("the receiver refused {refused}"))), "{badly:?}");
    let refusals = report.notices.items.iter().filter(|notice| notice.refused.is_some());
    assert_eq!(refusals.count(), 1);
}
