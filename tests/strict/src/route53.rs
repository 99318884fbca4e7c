//! Route 53: hosted zones, weighted records, changes that take their time, health checks.

mod build;
mod change;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use self::build::{HealthCheck, Record, Zone};
use crate::{
    answer::{Answered, Refusal},
    input::Input,
    world::Place,
};

/// Zones, record sets and health checks of an account.
#[derive(Debug, Clone)]
pub struct Route53 {
    /// Until a change is on all name servers (developer guide, GetChange: "generally within 60 seconds").
    pub spreads: Duration,
    /// For so long after a change its zone takes no other (API reference: `PriorRequestNotComplete`).
    pub processes: Duration,
    /// Whether `InvalidChangeBatch` is answered as the API reference shows it, with the code as the root element, and not
    /// as all other errors are.
    pub refuses_bare: bool,
    zones: Vec<HostedZone>,
    checks: Vec<Check>,
    changes: Vec<Change>,
}

impl Default for Route53 {
    fn default() -> Self {
        Self {
            spreads: Duration::from_secs(30),
            processes: Duration::from_secs(2),
            refuses_bare: false,
            zones: Vec::new(),
            checks: Vec::new(),
            changes: Vec::new(),
        }
    }
}

#[derive(Debug, Clone)]
struct HostedZone {
    id: String,
    /// With its last dot.
    name: String,
    private: bool,
    /// As lists show them.
    sets: Vec<Value>,
    busy_until: Option<Timestamp>,
}

#[derive(Debug, Clone)]
struct Check {
    id: String,
    config: Value,
    /// So many of its 16 checkers reach the endpoint.
    healthy: usize,
}

#[derive(Debug, Clone)]
struct Change {
    id: String,
    submitted: Timestamp,
}

/// How many checkers report, as a rule.
const CHECKERS: usize = 16;

impl Route53 {
    pub(crate) fn answer(&mut self, place: &Place, now: Timestamp, operation: &str, input: &Value) -> Answered {
        let input = Input(input);
        match operation {
            "ListHostedZonesByName" => self.list_zones(place, input),
            "ListResourceRecordSets" => self.list_sets(place, input),
            "ChangeResourceRecordSets" => self.change(now, input),
            "GetChange" => self.get_change(now, input),
            "GetHealthCheck" => {
                let check = self.check(input.wanted("Id")?)?;
                let config = &check.config;
                Ok(json!({
                    "HealthCheck": {
                        "Id": check.id, "CallerReference": "strict", "HealthCheckConfig": config, "HealthCheckVersion": 1,
                    },
                }))
            }
            "GetHealthCheckStatus" => self.check_status(now, input),
            "ListHealthChecks" => {
                let checks = self.checks.iter().map(|check| {
                    json!({ "Id": check.id, "CallerReference": "strict", "HealthCheckConfig": check.config,
                            "HealthCheckVersion": 1 })
                });
                Ok(json!({
                    "HealthChecks": { "HealthCheck": checks.collect::<Vec<_>>() }, "IsTruncated": false, "Marker": "",
                    "MaxItems": "100",
                }))
            }
            _ => Err(Refusal::bad("InvalidAction", format!("the stand-in has no route53:{operation}"))),
        }
    }

    /// The weights of a record, by set identifier.
    pub fn weights(&self, zone: &str, name: &str) -> Vec<(String, i64)> {
        let Some(zone) = self.zones.iter().find(|found| found.id == zone) else { return Vec::new() };
        let text = |set: &Value, key: &str| set[key].as_str().unwrap_or_default().to_owned();
        let of = zone.sets.iter().filter(|set| normal(&text(set, "Name")) == normal(name));
        of.map(|set| (text(set, "SetIdentifier"), text(set, "Weight").parse().unwrap_or_default())).collect()
    }

    /// Somebody gives the sets of a record other weights.
    pub fn shift(&mut self, zone: &str, name: &str, weights: &[(&str, u32)]) {
        let sets = self.zones.iter_mut().filter(|found| found.id == zone).flat_map(|found| &mut found.sets);
        for set in sets.filter(|set| normal(set["Name"].as_str().unwrap_or_default()) == normal(name)) {
            if let Some((_, weight)) = weights.iter().find(|(id, _)| set["SetIdentifier"] == *id) {
                set["Weight"] = json!(weight.to_string());
            }
        }
    }

    /// So many of the checkers of a health check reach its endpoint from now on.
    pub fn checkers_reach(&mut self, check: &str, healthy: usize) {
        if let Some(found) = self.checks.iter_mut().find(|found| found.id == check) {
            found.healthy = healthy;
        }
    }

    fn zone(&self, id: &str) -> Result<&HostedZone, Refusal> {
        let missing = || Refusal::missing("NoSuchHostedZone", format!("No hosted zone found with ID: {id}"));
        self.zones.iter().find(|zone| zone.id == id).ok_or_else(missing)
    }

    fn check(&self, id: &str) -> Result<&Check, Refusal> {
        let missing = || Refusal::missing("NoSuchHealthCheck", format!("A health check with id {id} does not exist."));
        self.checks.iter().find(|check| check.id == id).ok_or_else(missing)
    }

    /// In the order of their names, from `dnsname` on; all zones of the account follow.
    fn list_zones(&self, place: &Place, input: Input<'_>) -> Answered {
        let input = input.only("dnsname hostedzoneid maxitems")?;
        let (from, id) = (input.text("dnsname").map(order), input.text("hostedzoneid").unwrap_or_default());
        let mut zones: Vec<&HostedZone> = self.zones.iter().collect();
        zones.sort_by_key(|zone| (order(&zone.name), zone.id.clone()));
        let key = |zone: &HostedZone| (order(&zone.name), zone.id.clone());
        zones.retain(|zone| from.as_ref().is_none_or(|from| key(zone) >= (from.clone(), id.to_owned())));
        let most = input.number("maxitems").and_then(|most| usize::try_from(most).ok()).unwrap_or(place.page);
        let next = zones.get(most.min(place.page)).copied();
        let shown: Vec<Value> = zones
            .iter()
            .take(most.min(place.page))
            .map(|zone| {
                json!({
                    "Id": format!("/hostedzone/{}", zone.id), "Name": zone.name, "CallerReference": zone.id,
                    "Config": { "PrivateZone": zone.private }, "ResourceRecordSetCount": zone.sets.len(),
                })
            })
            .collect();
        Ok(json!({
            "HostedZones": { "HostedZone": shown }, "DNSName": input.text("dnsname"), "IsTruncated": next.is_some(),
            "NextDNSName": next.map(|zone| &zone.name), "NextHostedZoneId": next.map(|zone| &zone.id),
            "MaxItems": most.to_string(),
        }))
    }

    /// Ordered by reversed name, type, and set identifier (API reference, ListResourceRecordSets).
    fn list_sets(&self, place: &Place, input: Input<'_>) -> Answered {
        let input = input.only("Id name type identifier maxitems")?;
        let zone = self.zone(input.wanted("Id")?)?;
        if input.text("type").is_some() && input.text("name").is_none() {
            return Err(Refusal::bad("InvalidInput", "A type can be given only with a name."));
        }
        if input.text("identifier").is_some() && input.text("type").is_none() {
            return Err(Refusal::bad("InvalidInput", "An identifier can be given only with a name and a type."));
        }
        let mut sets: Vec<&Value> = zone.sets.iter().collect();
        sets.sort_by_key(|set| place_of(set));
        let from = (
            input.text("name").map_or_else(Vec::new, order),
            input.text("type").unwrap_or_default().to_owned(),
            input.text("identifier").unwrap_or_default().to_owned(),
        );
        sets.retain(|set| place_of(set) >= from);
        let most = input.number("maxitems").and_then(|most| usize::try_from(most).ok()).unwrap_or(place.page);
        let size = most.min(place.page).max(1);
        let next = sets.get(size).copied().cloned().unwrap_or_default();
        let shown: Vec<&Value> = sets.iter().take(size).copied().collect();
        Ok(json!({
            "ResourceRecordSets": { "ResourceRecordSet": shown }, "IsTruncated": !next.is_null(),
            "NextRecordName": next["Name"], "NextRecordType": next["Type"],
            "NextRecordIdentifier": next["SetIdentifier"], "MaxItems": size.to_string(),
        }))
    }

    fn get_change(&self, now: Timestamp, input: Input<'_>) -> Answered {
        let id = input.only("Id")?.wanted("Id")?;
        let missing = || Refusal::missing("NoSuchChange", format!("Could not find resource with ID: {id}"));
        let change = self.changes.iter().find(|change| change.id == id).ok_or_else(missing)?;
        Ok(json!({ "ChangeInfo": self.shown_change(change, now) }))
    }

    fn shown_change(&self, change: &Change, now: Timestamp) -> Value {
        let status = if now < change.submitted + self.spreads { "PENDING" } else { "INSYNC" };
        json!({
            "Id": format!("/change/{}", change.id), "Status": status, "SubmittedAt": change.submitted.to_string(),
        })
    }

    /// Only checks of an endpoint have checkers: routing controls, calculated checks and alarms have none (API reference,
    /// GetHealthCheckStatus).
    fn check_status(&self, now: Timestamp, input: Input<'_>) -> Answered {
        let check = self.check(input.only("Id")?.wanted("Id")?)?;
        let kind = check.config["Type"].as_str().unwrap_or_default();
        if ["CALCULATED", "CLOUDWATCH_METRIC", "RECOVERY_CONTROL"].contains(&kind) {
            let message = format!("Health checks of type {kind} have no checkers.");
            return Err(Refusal::bad("InvalidInput", message));
        }
        let observations: Vec<Value> = (0..CHECKERS)
            .map(|number| {
                let status = match number < check.healthy {
                    true => "Success: HTTP Status Code 200, OK",
                    false => "Failure: The health checker could not establish a connection within the timeout limit.",
                };
                json!({
                    "Region": "eu-west-1", "IPAddress": format!("203.0.113.{number}"),
                    "StatusReport": { "Status": status, "CheckedTime": now.to_string() },
                })
            })
            .collect();
        Ok(json!({ "HealthCheckObservations": { "HealthCheckObservation": observations } }))
    }
}

/// The labels of a name in the order in which Route 53 sorts.
fn order(name: &str) -> Vec<String> {
    normal(name).split('.').rev().map(ToOwned::to_owned).collect()
}

/// Small letters, no last dot, and `*` as Route 53 writes it.
fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase().replace('*', "\\052")
}

fn place_of(set: &Value) -> (Vec<String>, String, String) {
    let text = |key: &str| set[key].as_str().unwrap_or_default();
    (order(text("Name")), text("Type").to_owned(), text("SetIdentifier").to_owned())
}
