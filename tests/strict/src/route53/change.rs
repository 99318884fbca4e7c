//! Changes of record sets: one batch is carried out as a whole, or refused as a whole.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Change, Route53, normal};
use crate::{
    answer::{Answered, Refusal},
    input::Input,
};

/// What a record set may have (API reference, ResourceRecordSet).
const KNOWN: &str = "AliasTarget CidrRoutingConfig Failover GeoLocation GeoProximityLocation HealthCheckId \
                     MultiValueAnswer Name Region ResourceRecords SetIdentifier TTL TrafficPolicyInstanceId Type Weight";

impl Route53 {
    pub(super) fn change(&mut self, now: Timestamp, input: Input<'_>) -> Answered {
        let answer = self.change_sets(now, input);
        answer.map_err(|refusal| Refusal { bare: self.refuses_bare && refusal.code == "InvalidChangeBatch", ..refusal })
    }

    fn change_sets(&mut self, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("Id ChangeBatch")?;
        let id = input.wanted("Id")?;
        let zone = self.zone(id)?;
        if zone.busy_until.is_some_and(|until| now < until) {
            return Err(Refusal::bad(
                "PriorRequestNotComplete",
                "The request was rejected because Route 53 was still processing a prior request.",
            ));
        }
        let changes = match &input.0["ChangeBatch"]["Changes"]["Change"] {
            Value::Array(changes) => changes.clone(),
            Value::Null => return Err(Refusal::bad("InvalidInput", "The batch has no changes.")),
            one => vec![one.clone()],
        };
        let mut sets = zone.sets.clone();
        for change in &changes {
            apply(&mut sets, change, &zone.name)?;
        }
        check(&sets)?;
        let made = Change { id: format!("C{:012}STRICT", self.changes.len() + 1), submitted: now };
        let shown = self.shown_change(&made, now);
        self.changes.push(made);
        let busy_until = Some(now + self.processes);
        if let Some(zone) = self.zones.iter_mut().find(|zone| zone.id == id) {
            (zone.sets, zone.busy_until) = (sets, busy_until);
        }
        Ok(json!({ "ChangeInfo": shown }))
    }
}

fn invalid(message: String) -> Refusal {
    Refusal::bad("InvalidChangeBatch", format!("[{message}]"))
}

fn apply(sets: &mut Vec<Value>, change: &Value, zone: &str) -> Result<(), Refusal> {
    let set = &change["ResourceRecordSet"];
    Input(set).only(KNOWN)?;
    let text = |key: &str| set[key].as_str().unwrap_or_default();
    let (name, kind, id) = (text("Name"), text("Type"), text("SetIdentifier"));
    let described = format!("[name='{name}', type='{kind}', set-identifier='{id}']");
    if !normal(name).ends_with(&normal(zone)) {
        return Err(invalid(format!("RRSet with DNS name {name} is not permitted in zone {zone}")));
    }
    let mut set = set.clone();
    set["Name"] = json!(format!("{}.", normal(name)));
    // One value or several look the same once they are listed.
    if let Some(one) = set["ResourceRecords"].get("ResourceRecord").filter(|one| one.is_object()).cloned() {
        set["ResourceRecords"]["ResourceRecord"] = json!([one]);
    }
    for key in ["ResourceRecords", "AliasTarget"] {
        if set[key].is_null() {
            set.as_object_mut().expect("a record set is an object").remove(key);
        }
    }
    let same = |found: &Value| {
        found["Name"] == set["Name"] && found["Type"] == kind && found["SetIdentifier"] == set["SetIdentifier"]
    };
    let at = sets.iter().position(same);
    match (change["Action"].as_str(), at) {
        (Some("CREATE"), Some(_)) => {
            return Err(invalid(format!("Tried to create resource record set {described} but it already exists")));
        }
        (Some("CREATE" | "UPSERT"), None) => sets.push(set),
        (Some("UPSERT"), Some(at)) => sets[at] = set,
        (Some("DELETE"), Some(at)) if sets[at] == set => drop(sets.remove(at)),
        (Some("DELETE"), Some(_)) => {
            let why = "but the values provided do not match the current values";
            return Err(invalid(format!("Tried to delete resource record set {described} {why}")));
        }
        (Some("DELETE"), None) => {
            return Err(invalid(format!("Tried to delete resource record set {described} but it was not found")));
        }
        (other, _) => return Err(Refusal::bad("InvalidInput", format!("Invalid action: {other:?}"))),
    }
    Ok(())
}

/// What has to hold of all record sets together.
fn check(sets: &[Value]) -> Result<(), Refusal> {
    for set in sets {
        let name = set["Name"].as_str().unwrap_or_default();
        let number = |key: &str| set[key].as_str().and_then(|text| text.parse::<i64>().ok());
        // API reference, `Weight`: 0 to 255.
        if number("Weight").is_some_and(|weight| !(0..=255).contains(&weight)) {
            let message =
                "Value at 'weight' failed to satisfy constraint: Member must have value less than or equal to 255";
            return Err(Refusal::bad("InvalidInput", format!("1 validation error detected: {message}")));
        }
        let weighted = |set: &Value| !set["Weight"].is_null();
        let others = || sets.iter().filter(|other| other["Name"] == set["Name"] && *other != set);
        for other in others().filter(|other| other["Type"] == set["Type"]) {
            if weighted(set) != weighted(other) {
                let kind = &set["Type"];
                let why = "is not permitted because a conflicting RRSet with the same DNS name already exists";
                return Err(invalid(format!("RRSet of type {kind} with DNS name {name} {why} in zone")));
            }
            // API reference, `TTL`: all of a group of weighted record sets have the same.
            if weighted(set) && !set["TTL"].is_null() && !other["TTL"].is_null() && set["TTL"] != other["TTL"] {
                return Err(invalid(format!("The TTL of the weighted RRSets with DNS name {name} must be the same")));
            }
        }
        if set["Type"] == "CNAME" && others().any(|other| other["Type"] != "CNAME") {
            let why = "is not permitted as it conflicts with other records with the same DNS name";
            return Err(invalid(format!("RRSet of type CNAME with DNS name {name} {why}")));
        }
    }
    Ok(())
}
