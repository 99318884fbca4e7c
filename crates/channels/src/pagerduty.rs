//! `pagerduty`: the Events API v2. The notices of an incident have one key, so that it is one alert there, too: triggered when
//! it begins, acknowledged when a person decides, resolved when Belay has observed that all is well. What a rollback asks of
//! people has keys beside it: PagerDuty pages nobody for an alert that is acknowledged.
//!
//! An alert is open until it is resolved under its key, so no alert is triggered whose end Belay would not tell of: `readiness`,
//! `blind` and `point_of_no_return` have keys that the notice of their end knows. What informs and asks nobody for anything
//! (`armed`, `phase`, `muted`, `postmortem_due`) is not sent at all: the Events API v2 takes it as a change event, which has no key
//! and notifies nobody, on another path; the other channels are for that.

use belay_core::{notice::Facts, readiness::CheckVerdict};
use belay_plan::{
    catalogue::{ChannelSpec, Finding},
    model::{Name, Severity},
    notify::NoticeKind,
    shape::secret,
    visible,
};
use belay_ports::{NotSent, Notice, PlainText};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    address::{Address, check_secret, check_url, insecure_field, url_field},
    http::{ANSWER_BYTES_MAX, Request},
    texts::{Markup, Text, cleaned, cut},
    way::{Entry, Faults, Shared, Way},
};

pub(crate) const KEY: &str = "pagerduty";

pub(crate) const ADDRESS: &str = "https://events.pagerduty.com";
const PATH: &str = "/v2/enqueue";
/// PagerDuty refuses longer ones.
const SUMMARY_CHARS_MAX: usize = 1024;
const DEDUP_KEY_CHARS_MAX: usize = 255;

/// What somebody is got up for, and what ends it. A rollback that is armed is not an alert that somebody has to resolve.
pub(crate) const EVENTS: [NoticeKind; 10] = [
    NoticeKind::Readiness,
    NoticeKind::Incident,
    NoticeKind::Decision,
    NoticeKind::Approval,
    NoticeKind::PointOfNoReturn,
    NoticeKind::Blind,
    NoticeKind::StepFailed,
    NoticeKind::Halted,
    NoticeKind::Finished,
    NoticeKind::Recovered,
];

pub(crate) fn spec() -> ChannelSpec {
    ChannelSpec {
        key: KEY,
        summary: "A PagerDuty routing key (Events API v2).",
        value: secret(),
        siblings: vec![url_field(), insecure_field()],
        events: EVENTS.to_vec(),
        check,
    }
}

fn check(spec: &Value) -> Vec<Finding> {
    check_secret(spec, &["/pagerduty"]).into_iter().chain(check_url(spec)).collect()
}

/// The host that the key is sent to.
pub(crate) fn host(spec: &Value) -> Option<String> {
    let address = spec["url"].as_str().unwrap_or(ADDRESS);
    Some(Address::parse(address, true).ok()?.host().to_owned())
}

pub(crate) struct PagerDuty;

pub(crate) struct Target {
    address: Address,
    key: String,
}

impl Way for PagerDuty {
    const KEY: &'static str = KEY;
    const MARKUP: Markup = Markup::None;
    type Target = Target;

    async fn open(&self, entry: Entry<'_>) -> Result<Target, Faults> {
        let (address, key) = entry.service(ADDRESS, PATH, "/pagerduty").await?;
        Ok(Target { address, key })
    }

    async fn deliver(&self, shared: &Shared, target: Target, notice: &Notice, text: Text) -> Result<String, NotSent> {
        let plain = text.plain();
        let mut shown: Vec<String> = Vec::new();
        for (action, key) in events(notice) {
            let request = Request {
                method: Method::POST,
                address: &target.address,
                headers: Vec::new(),
                body: Some(event(&target.key, action, &key, notice, &plain).to_string()),
                secrets: vec![target.key.clone()],
                answer_bytes_max: ANSWER_BYTES_MAX,
                clock: &*shared.clock,
            };
            let answer = match shared.http.send(request).await {
                Err(NotSent { why, retry }) if notice.test && action == Action::Resolve => {
                    let why = format!(
                        "the alert of the test is open: it could not be resolved ({why}); its dedup_key is {key}"
                    );
                    return Err(NotSent { why, retry });
                }
                answer => answer?,
            };
            let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            shown.push(answer.shown(&format!(
                "{} ({})",
                said["message"].as_str().unwrap_or_default(),
                action.as_str()
            )));
        }
        // The first one is the incident's.
        Ok(if notice.test { shown.join("; ") } else { shown.into_iter().next().unwrap_or_default() })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Trigger,
    Acknowledge,
    Resolve,
}

/// What a rollback asks of people: an alert of its own for each, and for each of the first steps, beside the incident's.
const ASKS: [NoticeKind; 3] = [NoticeKind::Approval, NoticeKind::StepFailed, NoticeKind::Halted];

/// What a notice comes to, each with its key. All can be repeated: the keys are the same.
fn events(notice: &Notice) -> Vec<(Action, String)> {
    let facts = &notice.facts;
    let episode = episode(notice);
    let main = |action| (action, dedup_key(facts, &episode));
    let asks = |action, kind: NoticeKind, step: Option<&Name>| {
        let step = step.map(|step| format!("/{step}")).unwrap_or_default();
        (action, dedup_key(facts, &format!("{episode}/{kind}{step}")))
    };
    let alerted = facts.run.iter().flat_map(|run| &run.alerted);
    let has_episode = facts.incident.is_some() || facts.run.is_some();
    match facts.kind {
        // A test leaves no alert behind.
        _ if notice.test => vec![main(Action::Trigger), main(Action::Resolve)],
        // An acknowledged alert pages nobody again: the next step gets an alert of its own.
        kind if ASKS.contains(&kind) && has_episode => {
            let step = facts.step.as_ref().map(|step| &step.name).filter(|_| facts.more == 0);
            vec![asks(Action::Trigger, kind, step.filter(|step| alerted.clone().any(|known| known == *step)))]
        }
        // What the plan decides, no person has seen.
        NoticeKind::Decision if facts.by.is_some() => vec![main(Action::Acknowledge)],
        NoticeKind::Finished | NoticeKind::Recovered => {
            // Without an incident nothing was triggered under the key of the run itself.
            let known = facts.is_well() || facts.incident.is_none();
            let end = main(if known { Action::Resolve } else { Action::Trigger });
            // Resolving what is not open changes nothing.
            let asked = ASKS.into_iter().filter(|_| facts.run.is_some()).map(|kind| asks(Action::Resolve, kind, None));
            let of_steps = [NoticeKind::Approval, NoticeKind::StepFailed];
            let of_steps = alerted.flat_map(|step| of_steps.map(|kind| asks(Action::Resolve, kind, Some(step))));
            [end].into_iter().chain(asked).chain(of_steps).collect()
        }
        // When the point has passed there is nothing left to decide before it.
        _ if facts.trouble().is_some() && facts.is_over() => vec![main(Action::Resolve)],
        _ => vec![main(Action::Trigger)],
    }
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Acknowledge => "acknowledge",
            Self::Resolve => "resolve",
        }
    }
}

fn event(routing_key: &str, action: Action, key: &str, notice: &Notice, plain: &PlainText) -> Value {
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": action.as_str(),
        "dedup_key": key,
        "client": "Belay",
    });
    if action == Action::Trigger {
        event["payload"] = json!({
            "summary": cut(&plain.title, SUMMARY_CHARS_MAX),
            "source": notice.facts.migration,
            "severity": severity(notice),
            "timestamp": notice.facts.at,
            "class": notice.facts.kind,
            "custom_details": {
                "text": plain.body,
                "facts": cleaned(serde_json::to_value(&notice.facts).unwrap_or_default()),
            },
        });
        if notice.page.starts_with("https://") || notice.page.starts_with("http://") {
            event["links"] = json!([{ "href": visible::line(&notice.page), "text": "Belay" }]);
        }
    }
    event
}

/// `belay/MIGRATION/INCIDENT`, `belay/MIGRATION/INCIDENT/halted`
fn dedup_key(facts: &Facts, episode: &str) -> String {
    let key = format!("belay/{}/{episode}", facts.migration);
    key.chars().take(DEDUP_KEY_CHARS_MAX).collect()
}

/// One incident of ours is one of theirs. What is of no incident is of its run, or on its own.
fn episode(notice: &Notice) -> String {
    let facts = &notice.facts;
    match (&facts.incident, &facts.run) {
        _ if notice.test => notice.key.clone(),
        // That it can be read again ends nothing but that.
        _ if facts.kind == NoticeKind::Blind => format!("blind/{}", facts.source.as_deref().unwrap_or_default()),
        _ if facts.kind == NoticeKind::Readiness => "readiness".to_owned(),
        _ if facts.kind == NoticeKind::PointOfNoReturn => "point_of_no_return".to_owned(),
        (Some(incident), _) => incident.id.to_string(),
        (None, Some(run)) => run.id.to_string(),
        (None, None) => notice.key.clone(),
    }
}

fn severity(notice: &Notice) -> &'static str {
    let facts = &notice.facts;
    let of_incident = facts.incident.as_ref().map(|incident| incident.severity);
    match (facts.kind, of_incident) {
        _ if notice.test => "info",
        (NoticeKind::Halted, _) | (_, Some(Severity::Critical)) => "critical",
        // It could not be found out whether a rollback would work.
        (NoticeKind::Readiness, _) if facts.readiness == Some(CheckVerdict::Unknown) => "warning",
        (NoticeKind::Blind | NoticeKind::StepFailed | NoticeKind::Readiness, _) | (_, Some(Severity::Major)) => "error",
        (NoticeKind::Approval | NoticeKind::PointOfNoReturn, _) | (_, Some(Severity::Minor)) => "warning",
        (_, None) => "info",
    }
}
