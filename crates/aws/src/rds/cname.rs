//! The Route 53 record that clients connect to, where the restored database keeps a name of its own.

use std::time::Duration;

use aws_sdk_route53::{
    Client,
    error::BuildError,
    types::{Change as SdkChange, ChangeAction, ChangeBatch, ChangeStatus, ResourceRecord, ResourceRecordSet, RrType},
};
use belay_aws_catalogue::route53::Zone;
use belay_core::{
    change::{Effect, Receipt},
    input::ErrorClass,
};
use belay_ports::{ApplyError, ReadError, Scope};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{calls::Call, spec::Cname};
use crate::{errors, place, route53::zone};

pub(super) const POINT: &str = "point_cname";
pub(super) const CHANGE_RECORDS: &str = "route53:ChangeResourceRecordSets";
pub(super) const LIST_RECORDS: &str = "route53:ListResourceRecordSets";
pub(super) const LIST_ZONES: &str = "route53:ListHostedZonesByName";
pub(super) const GET_CHANGE: &str = "route53:GetChange";

/// Of a record that is made anew, in seconds: as short as RDS has it for its own endpoints.
const TTL_S: i64 = 5;

/// One record set of the plan's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    #[serde(rename = "type")]
    pub kind: String,
    /// Seconds. An alias has none.
    pub ttl_s: Option<i64>,
    pub values: Vec<String>,
    /// Whether it is one of several of the name and type (weighted, by latency, ...).
    pub one_of_several: bool,
}

/// What is found of the plan's record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The id of the hosted zone, which the plan may give by its name.
    #[serde(default)]
    pub zone: Option<String>,
    pub records: Vec<Record>,
    /// Whether the last change is not at all name servers yet.
    pub pending: bool,
}

/// What remains to be done about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pointing {
    There,
    /// The name servers are still being told.
    Spreading,
    /// `before`: where it points now.
    Elsewhere {
        before: Option<String>,
        ttl_s: i64,
    },
    Refused {
        why: String,
    },
}

impl Found {
    /// `endpoint`: where the record should point; None before it is known.
    pub(super) fn against(&self, cname: &Cname, endpoint: Option<&str>) -> Pointing {
        let name = &cname.record;
        let refused =
            |what: &str| Pointing::Refused { why: format!("{name} {what}; name a plain CNAME record, or a new name") };
        // Besides a CNAME record a name has no other.
        match self.records.as_slice() {
            [] => Pointing::Elsewhere { before: None, ttl_s: TTL_S },
            [record] if record.kind != "CNAME" => refused(&format!("has a record of type {}", record.kind)),
            [record] if record.one_of_several => {
                refused("has several CNAME records (weighted or the like), which `route53.weights` shifts")
            }
            [record] => match (record.ttl_s, record.values.first()) {
                (Some(_), Some(value)) if endpoint.is_some_and(|endpoint| same_name(value, endpoint)) => {
                    if self.pending { Pointing::Spreading } else { Pointing::There }
                }
                (Some(ttl_s), before) => Pointing::Elsewhere { before: before.cloned(), ttl_s },
                (None, _) => refused("is an alias"),
            },
            [record, ..] => refused(&format!("has several records, the first of type {}", record.kind)),
        }
    }
}

/// Route 53 answers with a trailing dot, and names know no case.
fn same_name(one: &str, other: &str) -> bool {
    one.trim_end_matches('.').eq_ignore_ascii_case(other.trim_end_matches('.'))
}

fn zone_arn(scope: &Scope, zone: &str) -> String {
    format!("arn:{}:route53:::hostedzone/{zone}", place::partition(&scope.aws))
}

/// All records of the name, and whether the last change of this step has spread. `busy`: the restored database is there and not
/// available, so what was found before will do: a restore takes hours, and Route 53 has one quota for the whole account.
pub(super) async fn observe(
    client: &Client,
    scope: &Scope,
    cname: &Cname,
    receipts: &[Receipt],
    busy: bool,
) -> Result<Found, ReadError> {
    let earlier = [&scope.previous, &scope.before].into_iter().flatten();
    let earlier = earlier.filter_map(|doc| Found::deserialize(&doc["cname"]).ok()).next();
    if let Some(found) = earlier.clone().filter(|_| busy) {
        return Ok(found);
    }
    // A name is looked up once a run.
    let known = earlier.and_then(|found| found.zone).filter(|_| scope.run.is_some());
    let zone = match (Zone::of(&cname.zone), known) {
        (Zone::Id(id), _) | (Zone::Name(_), Some(id)) => id,
        (Zone::Name(name), None) => zone::find(client, &name, None).await?,
    };
    let listed = client.list_resource_record_sets().hosted_zone_id(&zone).start_record_name(&cname.record).send();
    let listed = listed.await.map_err(|error| errors::read(error, LIST_RECORDS, &zone_arn(scope, &zone)))?;
    // They come in order, and a name that a CNAME record may have has at most a page of them.
    let of_name = listed.resource_record_sets().iter().take_while(|set| same_name(set.name(), &cname.record));
    let records = of_name.map(|set| Record {
        kind: set.r#type().as_str().to_owned(),
        ttl_s: set.ttl(),
        values: set.resource_records().iter().map(|record| record.value().to_owned()).collect(),
        one_of_several: set.set_identifier().is_some(),
    });
    let records = records.collect();
    let sent = receipts.iter().rev().find(|receipt| receipt.change == POINT);
    let pending = match sent.and_then(|receipt| receipt.body["change_id"].as_str()) {
        Some(id) => is_pending(client, scope, id).await?,
        None => false,
    };
    Ok(Found { zone: Some(zone), records, pending })
}

async fn is_pending(client: &Client, scope: &Scope, change_id: &str) -> Result<bool, ReadError> {
    let id = change_id.trim_start_matches("/change/");
    match client.get_change().id(id).send().await {
        Ok(answer) => Ok(answer.change_info.is_some_and(|info| info.status == ChangeStatus::Pending)),
        // Route 53 forgets changes after a while; by then they are long in sync.
        Err(error) if errors::code(&error) == Some("NoSuchChange") => Ok(false),
        Err(error) => {
            let arn = format!("arn:{}:route53:::change/{id}", place::partition(&scope.aws));
            Err(errors::read(error, GET_CHANGE, &arn))
        }
    }
}

/// A change of the record as a person reads it.
pub(super) struct Words {
    pub(super) title: String,
    pub(super) before: Value,
    pub(super) after: Value,
    /// Clients that have kept the old answer write to the database that is replaced as long as it lives.
    pub(super) effects: Vec<Effect>,
}

/// `endpoint`: None before `restored` has one; `before`: where the record points now.
pub(super) fn change(
    cname: &Cname,
    found: Option<&Found>,
    restored: &str,
    endpoint: Option<String>,
    before: Option<String>,
    ttl_s: i64,
) -> (Call, Words) {
    let record = &cname.record;
    let to = endpoint.clone().unwrap_or_else(|| format!("the endpoint of {restored}"));
    let ttl_before_s = before.as_ref().map(|_| ttl_s);
    let lives = before.as_ref().filter(|_| cname.wait_ttl).and_then(|_| u64::try_from(ttl_s).ok());
    let effects = lives.map(|seconds| Effect::Drains { time: Duration::from_secs(seconds) }).into_iter().collect();
    let words = Words {
        title: format!("point {record} at {to} (until now {})", before.as_deref().unwrap_or("nothing")),
        before: json!({ "record": record, "type": "CNAME", "ttl_s": ttl_before_s, "value": before }),
        after: json!({ "record": record, "type": "CNAME", "ttl_s": ttl_s, "value": to }),
        effects,
    };
    let call = Call::PointCname {
        zone: found.and_then(|found| found.zone.as_ref()).unwrap_or(&cname.zone).clone(),
        record: record.clone(),
        ttl_s,
        endpoint: endpoint.unwrap_or_default(),
    };
    (call, words)
}

/// Points the record, in one UPSERT, once.
pub(super) async fn point(
    client: &Client,
    scope: &Scope,
    zone: &str,
    record: &str,
    ttl_s: i64,
    endpoint: &str,
) -> Result<Value, ApplyError> {
    let never_sent = |error: BuildError| ApplyError::NoEffect {
        why: format!("{CHANGE_RECORDS} on {record}: {error}"),
        class: ErrorClass::Permanent,
    };
    let batch = batch(record, ttl_s, endpoint).map_err(never_sent)?;
    let sent = client.change_resource_record_sets().hosted_zone_id(zone).change_batch(batch).send().await;
    let answer = sent.map_err(|error| errors::apply(error, CHANGE_RECORDS, &zone_arn(scope, zone)))?;
    Ok(json!({ "change_id": answer.change_info.map(|info| info.id) }))
}

fn batch(record: &str, ttl_s: i64, endpoint: &str) -> Result<ChangeBatch, BuildError> {
    let set = ResourceRecordSet::builder()
        .name(record)
        .r#type(RrType::Cname)
        .ttl(ttl_s)
        .resource_records(ResourceRecord::builder().value(endpoint).build()?)
        .build()?;
    let change = SdkChange::builder().action(ChangeAction::Upsert).resource_record_set(set).build()?;
    ChangeBatch::builder().changes(change).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cname() -> Cname {
        Cname { zone: "Z1".to_owned(), record: "db.example.com".to_owned(), wait_ttl: true }
    }

    fn record(kind: &str, value: &str) -> Record {
        Record { kind: kind.to_owned(), ttl_s: Some(60), values: vec![value.to_owned()], one_of_several: false }
    }

    fn against(records: Vec<Record>, pending: bool) -> Pointing {
        Found { zone: None, records, pending }.against(&cname(), Some("new.rds.amazonaws.com"))
    }

    #[test]
    fn a_plain_record_is_pointed_and_keeps_its_ttl() {
        let old = record("CNAME", "old.rds.amazonaws.com");
        let before = Some("old.rds.amazonaws.com".to_owned());
        assert_eq!(against(vec![old], false), Pointing::Elsewhere { before, ttl_s: 60 });
        assert_eq!(against(vec![], false), Pointing::Elsewhere { before: None, ttl_s: TTL_S });
        let there = || vec![record("CNAME", "New.RDS.amazonaws.com.")];
        assert_eq!(against(there(), false), Pointing::There);
        assert_eq!(against(there(), true), Pointing::Spreading);
    }

    #[test]
    fn old_answers_are_waited_for_unless_the_plan_says_otherwise() {
        let effects = |cname: &Cname, before: Option<&str>| {
            change(cname, None, "new", None, before.map(ToOwned::to_owned), 60).1.effects
        };
        assert_eq!(effects(&cname(), Some("old")), [Effect::Drains { time: Duration::from_secs(60) }]);
        assert_eq!(effects(&cname(), None), [], "nobody has kept what was not there");
        assert_eq!(effects(&Cname { wait_ttl: false, ..cname() }, Some("old")), []);
    }

    #[test]
    fn records_that_mean_something_else_are_left_alone() {
        let refused = |records| match against(records, false) {
            Pointing::Refused { why } => why,
            other => panic!("{other:?}"),
        };
        assert!(refused(vec![record("A", "192.0.2.1")]).contains("has a record of type A"));
        assert!(refused(vec![Record { one_of_several: true, ..record("CNAME", "a") }]).contains("route53.weights"));
        assert!(refused(vec![Record { ttl_s: None, ..record("CNAME", "a") }]).contains("is an alias"));
        assert!(refused(vec![record("A", "192.0.2.1"), record("TXT", "x")]).contains("several records"));
    }
}
