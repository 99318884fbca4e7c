//! `statuspage`: an incident on a page of Atlassian Statuspage. It is created, updated and resolved; which of the page's
//! incidents is ours is read off its metadata, so nothing has to be kept, and a notice that was sent before is known by its key.

use belay_core::{notice::Facts, run::RunState};
use belay_plan::{
    catalogue::{ChannelSpec, Finding},
    model::Severity,
    notify::NoticeKind,
    shape::{field, object, pattern, secret},
};
use belay_ports::{NotSent, Notice};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    address::{Address, check_secret, check_url, insecure_field, url_field},
    http::{ANSWER_BYTES_MAX, Answer, Request},
    texts::{Markup, Text},
    way::{Entry, Faults, Shared, Way, later, never},
};

pub(crate) const KEY: &str = "statuspage";

pub(crate) const ADDRESS: &str = "https://api.statuspage.io";
/// A page's open incidents with all their updates.
const LIST_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Open ones and others, the newest first.
const RECENT: &str = "/incidents?limit=50";
/// Ours in an incident's metadata.
const METADATA: &str = "belay";

pub(crate) fn spec() -> ChannelSpec {
    let id = || pattern("an id of Statuspage, such as `kctbh9vrtdwd`", "^[A-Za-z0-9_-]{1,64}$");
    ChannelSpec {
        key: KEY,
        summary: "An incident on a page of Atlassian Statuspage.",
        value: object([
            field("page", id(), "The page's id."),
            field("component", id(), "The component that is affected."),
            field("key", secret(), "An API key that may manage incidents."),
        ]),
        siblings: vec![url_field(), insecure_field()],
        events: crate::texts::kinds(KEY),
        check,
    }
}

fn check(spec: &Value) -> Vec<Finding> {
    check_secret(spec, &["/statuspage/key"]).into_iter().chain(check_url(spec)).collect()
}

/// The host that the key is sent to.
pub(crate) fn host(spec: &Value) -> Option<String> {
    let address = spec["url"].as_str().unwrap_or(ADDRESS);
    Some(Address::parse(address, true).ok()?.host().to_owned())
}

pub(crate) struct Statuspage;

/// The page and the component.
pub(crate) struct Target {
    base: Address,
    component: String,
    key: String,
}

impl Way for Statuspage {
    const KEY: &'static str = KEY;
    const MARKUP: Markup = Markup::Page;
    type Target = Target;

    async fn open(&self, entry: Entry<'_>) -> Result<Target, Faults> {
        let text = |key: &str| entry.spec[KEY][key].as_str().unwrap_or_default().to_owned();
        let (base, key) = entry.service(ADDRESS, &format!("/v1/pages/{}", text("page")), "/statuspage/key").await?;
        Ok(Target { base, component: text("component"), key })
    }

    async fn deliver(&self, shared: &Shared, target: Target, notice: &Notice, text: Text) -> Result<String, NotSent> {
        let api = Api { shared, target };
        if notice.test || notice.facts.drill {
            return api.try_out().await;
        }
        let marker = marker(&notice.facts);
        let found = api.find("/incidents/unresolved", &marker).await?;
        let stage = Stage::of(&notice.facts);
        match (found, stage) {
            (Some(found), _) if found.key == notice.key => Ok(format!("it was on the page already ({})", found.id)),
            // A delayed notice is older than the last update on the page. Clocks are set back; the number of a notice is not.
            (Some(found), _) if number(&found.key) > number(&notice.key) => {
                Ok(format!("the page shows a later update already ({})", found.id))
            }
            (Some(found), _) => api.update(&found, stage, notice, &text).await,
            // A person has resolved it on the page.
            (None, Stage::Resolved) => Ok("no incident is open on the page, so there is nothing to resolve".to_owned()),
            // An incident that Belay or a person has resolved is not opened again.
            (None, _) => match api.find(RECENT, &marker).await? {
                Some(found) => Ok(format!("the page's incident was resolved already ({})", found.id)),
                None => api.create(stage, notice, &text).await,
            },
        }
    }
}

/// The status of an incident on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Statuspage's next one, `identified`, tells customers that the cause is known. Belay guesses at no cause.
    Investigating,
    /// Nothing is wrong by the last readings, or it was rolled back, and nobody has seen that it stays so.
    Monitoring,
    Resolved,
}

impl Stage {
    fn of(facts: &Facts) -> Self {
        match facts.kind {
            // Customers get the all clear only if Belay has observed it.
            NoticeKind::Finished | NoticeKind::Recovered if facts.is_well() => Self::Resolved,
            NoticeKind::Finished if facts.run.as_ref().is_some_and(|run| run.state == RunState::RolledBack) => {
                Self::Monitoring
            }
            _ if facts.incident.as_ref().is_some_and(|incident| incident.healthy) => Self::Monitoring,
            _ => Self::Investigating,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Investigating => "investigating",
            Self::Monitoring => "monitoring",
            Self::Resolved => "resolved",
        }
    }
}

/// The marker in the metadata: the incident, or the run if there is no incident.
fn marker(facts: &Facts) -> String {
    let incident = facts.incident.as_ref().map(|incident| incident.id.to_string());
    let episode = incident.or_else(|| facts.run.as_ref().map(|run| run.id.to_string())).unwrap_or_default();
    format!("{}/{episode}", facts.migration)
}

/// An incident of ours on the page.
struct Found {
    id: String,
    /// The key of the last notice.
    key: String,
}

/// Notices of a migration are numbered, and the number ends their key.
fn number(key: &str) -> Option<u64> {
    key.rsplit('-').next()?.parse().ok()
}

struct Api<'a> {
    shared: &'a Shared,
    target: Target,
}

impl Api<'_> {
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer, NotSent> {
        let target = &self.target;
        let address = target.base.below(path).map_err(never)?;
        let request = Request {
            answer_bytes_max: if method == Method::GET { LIST_BYTES_MAX } else { ANSWER_BYTES_MAX },
            method,
            address: &address,
            headers: vec![("authorization", format!("OAuth {}", target.key))],
            body: body.map(|body| body.to_string()),
            secrets: vec![target.key.clone()],
            clock: &*self.shared.clock,
        };
        self.shared.http.send(request).await
    }

    /// For tests and drills: a page is public, so only the access to it is checked.
    async fn try_out(&self) -> Result<String, NotSent> {
        let answer = self.call(Method::GET, &format!("/components/{}", self.target.component), None).await?;
        Ok(answer.shown("the page and its component were found; nothing was published"))
    }

    async fn find(&self, path: &str, marker: &str) -> Result<Option<Found>, NotSent> {
        let answer = self.call(Method::GET, path, None).await?;
        let incidents: Vec<Value> = serde_json::from_slice(&answer.body)
            .map_err(|_| later("the page's list of incidents cannot be understood, or is longer than 2 MiB"))?;
        let ours = incidents.iter().find(|incident| incident["metadata"][METADATA]["incident"] == marker);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(ours.map(|found| {
            let ours = &found["metadata"][METADATA];
            Found { id: text(&found["id"]), key: text(&ours["notice"]) }
        }))
    }

    async fn create(&self, stage: Stage, notice: &Notice, text: &Text) -> Result<String, NotSent> {
        let mut incident = self.incident(stage, notice, text);
        incident["name"] = json!(text.title);
        let answer = self.call(Method::POST, "/incidents", Some(json!({ "incident": incident }))).await?;
        let created: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok(answer.shown(&format!("{} ({})", created["id"].as_str().unwrap_or_default(), stage.as_str())))
    }

    async fn update(&self, found: &Found, stage: Stage, notice: &Notice, text: &Text) -> Result<String, NotSent> {
        let is_id = found.id.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'));
        if found.id.is_empty() || !is_id {
            return Err(never("the page's incident has an id that is none"));
        }
        let incident = self.incident(stage, notice, text);
        let path = format!("/incidents/{}", found.id);
        let answer = self.call(Method::PATCH, &path, Some(json!({ "incident": incident }))).await?;
        Ok(answer.shown(&format!("{} ({})", found.id, stage.as_str())))
    }

    fn incident(&self, stage: Stage, notice: &Notice, text: &Text) -> Value {
        let component = &self.target.component;
        let status = match (stage, notice.facts.incident.as_ref().map(|incident| incident.severity)) {
            (Stage::Resolved, _) => "operational",
            (_, Some(Severity::Critical)) => "major_outage",
            (_, Some(Severity::Major)) => "partial_outage",
            (_, Some(Severity::Minor)) => "degraded_performance",
            // Whether customers feel anything is not known.
            (_, None) => "under_maintenance",
        };
        json!({
            "status": stage.as_str(),
            "body": text.plain().body,
            "component_ids": [component],
            "components": { component: status },
            "deliver_notifications": true,
            "metadata": { METADATA: { "incident": marker(&notice.facts), "notice": notice.key } },
        })
    }
}
