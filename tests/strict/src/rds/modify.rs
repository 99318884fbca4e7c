//! Modifications: what RDS refuses, what of them is in force at once, later, or through a status of its own, and renames.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Rds,
    database::{Database, Due, Kind},
    parameters::{MODIFY_CLUSTER, MODIFY_INSTANCE, STORAGE, Way, attribute, pending_name, way},
};
use crate::{
    answer::{Answered, Refusal},
    input::Input,
    world::Place,
};

/// In the words of RDS, which the Terraform provider waits for.
const CONFIGURING: &str = "RDS is configuring Enhanced Monitoring or Performance Insights for this DB instance. Try your \
                           request later.";

/// A modification, by how it comes into force.
#[derive(Debug, Default)]
struct Change {
    at_once: Map<String, Value>,
    late: Map<String, Value>,
    stages: Vec<Stage>,
    pending: Map<String, Value>,
    /// Parameters that wait for the maintenance window.
    queued: Map<String, Value>,
    /// It grows or changes the storage, which is optimized afterwards.
    storage: bool,
}

#[derive(Debug)]
struct Stage {
    status: &'static str,
    lasts: Duration,
    attributes: Map<String, Value>,
    pending: Vec<String>,
}

impl Rds {
    pub(super) fn modify(&mut self, place: &Place, now: Timestamp, kind: Kind, input: Input<'_>) -> Answered {
        let (known, new_name) = match kind {
            Kind::Instance => (MODIFY_INSTANCE, "NewDBInstanceIdentifier"),
            Kind::Cluster => (MODIFY_CLUSTER, "NewDBClusterIdentifier"),
        };
        let input = input.only(known)?;
        let name = input.wanted(&format!("{}Identifier", kind.word()))?;
        let found = self.found(kind, name, now)?;
        self.refuse_by_state(found, input, now)?;
        self.known.check(input, found.text("Engine"), found.text("EngineVersion"))?;
        refuse_by_value(found, input)?;
        let new_name = input.text(new_name).map(str::to_ascii_lowercase);
        if let Some(new) = &new_name {
            self.refuse_rename(found, new)?;
        }
        let id = found.id.clone();

        // `ApplyImmediately`: "the modifications in this request and any pending modifications are asynchronously applied
        // as soon as possible" (API reference, ModifyDBInstance).
        let immediately = input.is_on("ApplyImmediately");
        let mut asked = input.0.clone();
        if immediately && let (Some(asked), Some(found)) = (asked.as_object_mut(), self.by_id(&id)) {
            let queued = std::mem::take(&mut found.queued).into_iter();
            asked.extend(queued.filter(|(name, _)| input.text(name).is_none()));
        }
        let found = self.databases.iter().find(|found| found.id == id).expect("it was found just now");
        let change = self.change(found, Input(&asked), immediately, place);
        self.carry_out(&id, now, change, new_name.filter(|_| immediately));
        let kind_of_answer = kind.word();
        let shown = match kind {
            Kind::Instance => self.shown_instance(place, now, &id),
            Kind::Cluster => self.shown_cluster(place, now, &id),
        };
        Ok(json!({ kind_of_answer: shown }))
    }

    /// Sorts what is asked for by how it comes into force, and queues what waits for the maintenance window.
    fn change(&self, found: &Database, input: Input<'_>, immediately: bool, place: &Place) -> Change {
        let mut change = Change::default();
        let secret = place.arn("secretsmanager", &format!("secret:rds!{}-{}", found.id, self.made));
        for name in input.0.as_object().into_iter().flat_map(|input| input.keys()) {
            let Some((shown, value)) = attribute(found.kind, name, input, &found.attributes, &secret) else { continue };
            if found.attributes[&shown] == value {
                continue;
            }
            match way(name) {
                Way::AtOnce => drop(change.at_once.insert(shown, value)),
                Way::Late => drop(change.late.insert(shown, value)),
                Way::Through(status, lasts) => {
                    let pending = pending_name(found.kind, name);
                    change.pending.extend(pending.map(|pending| (pending.to_owned(), input.0[name].clone())));
                    if !immediately {
                        change.queued.insert(name.clone(), input.0[name].clone());
                        continue;
                    }
                    change.storage |= STORAGE.contains(&name.as_str());
                    let lasts = lasts(&self.pace);
                    let stage = match change.stages.iter_mut().find(|stage| stage.status == status) {
                        Some(stage) => stage,
                        None => {
                            let empty = Stage { status, lasts, attributes: Map::new(), pending: Vec::new() };
                            change.stages.push(empty);
                            change.stages.last_mut().expect("it was pushed just now")
                        }
                    };
                    if self.pace.shows_first && pending.is_none() {
                        change.at_once.insert(shown.clone(), value.clone());
                    }
                    stage.attributes.insert(shown, value);
                    stage.pending.extend(pending.map(ToOwned::to_owned));
                }
            }
        }
        change
    }

    fn carry_out(&mut self, id: &str, now: Timestamp, change: Change, rename: Option<String>) {
        let pace = self.pace.clone();
        let Some(found) = self.by_id(id) else { return };
        found.set(change.at_once);
        found.pending.extend(change.pending);
        found.queued.extend(change.queued);
        if !change.late.is_empty() {
            found.configuring_until = Some(now + pace.configuring);
        }
        let old_name = found.name.clone().unwrap_or_default();
        if let Some(new) = &rename {
            let shown = format!("{}Identifier", found.kind.word());
            found.pending.insert(shown, json!(new));
            found.holds.push(new.clone());
        }
        if !change.late.is_empty() {
            let due = Due::Set { id: id.to_owned(), attributes: change.late, no_longer_pending: Vec::new() };
            self.agenda.at(now + pace.settings_show, due);
        }
        if change.stages.is_empty() && rename.is_none() {
            return;
        }
        let mut at = now + pace.begins;
        for stage in change.stages {
            self.agenda.at(at, Due::Status { id: id.to_owned(), status: stage.status.to_owned() });
            at += stage.lasts;
            let (attributes, no_longer_pending) = (stage.attributes, stage.pending);
            self.agenda.at(at, Due::Set { id: id.to_owned(), attributes, no_longer_pending });
        }
        if let Some(new) = rename {
            at = self.schedule_rename(id, old_name, new, at);
        }
        if change.storage {
            // User guide, "Modifying ... storage": storage-optimization takes hours, and the instance is usable.
            self.agenda.at(at, Due::RestAs { id: id.to_owned(), status: "storage-optimization".to_owned() });
            let done = at + pace.optimize_storage;
            self.agenda.at(done, Due::RestAs { id: id.to_owned(), status: "available".to_owned() });
        }
        self.agenda.at(at, Due::Rest { id: id.to_owned() });
        if let Some(found) = self.by_id(id) {
            found.busy_until = Some(at);
        }
    }

    /// User guide, "Renaming a DB instance": it reboots, the endpoint changes, and its DNS comes later.
    fn schedule_rename(&mut self, id: &str, old: String, new: String, mut at: Timestamp) -> Timestamp {
        let pace = self.pace.clone();
        let id = || id.to_owned();
        self.agenda.at(at, Due::Status { id: id(), status: "renaming".to_owned() });
        at += pace.renaming;
        self.agenda.at(at, Due::Vanish { id: id() });
        at += pace.rename_gap;
        let kind = self.by_id(&id()).map_or(Kind::Instance, |found| found.kind);
        self.agenda.at(at, Due::Appear { id: id(), name: new });
        let no_longer_pending = vec![format!("{}Identifier", kind.word())];
        self.agenda.at(at, Due::Set { id: id(), attributes: Map::new(), no_longer_pending });
        self.agenda.at(at + pace.name_freed, Due::Free { id: id(), name: old });
        if kind == Kind::Instance {
            self.agenda.at(at, Due::Status { id: id(), status: "rebooting".to_owned() });
        }
        at + pace.reboot
    }

    fn refuse_by_state(&self, found: &Database, input: Input<'_>, now: Timestamp) -> Result<(), Refusal> {
        if found.configuring_until.is_some_and(|until| now < until) {
            return Err(found.kind.wrong_state(CONFIGURING));
        }
        let wants = input.0.as_object().into_iter().flat_map(|input| input.keys()).map(String::as_str);
        let wants: Vec<&str> =
            wants.filter(|name| *name != "ApplyImmediately" && !name.ends_with("Identifier")).collect();
        let renames = input.0.get(format!("New{}Identifier", found.kind.word()).as_str()).is_some();
        let only = |taken: &[&str]| !renames && wants.iter().all(|name| taken.contains(name));
        // User guide, "Viewing Amazon RDS DB instance status"; "Stopping an Amazon RDS DB instance": a stopped one cannot be
        // modified; "Amazon RDS DB instance running out of storage": only storage can be added.
        let takes = match found.status.as_str() {
            "available" | "storage-initialization" => true,
            "storage-optimization" => wants.iter().all(|name| !STORAGE.contains(name)),
            "storage-full" => only(&["AllocatedStorage", "MaxAllocatedStorage", "StorageType", "Iops"]),
            "incompatible-parameters" => only(&["DBParameterGroupName"]),
            "incompatible-option-group" => only(&["OptionGroupName"]),
            "insufficient-capacity" => only(&["DBInstanceClass"]),
            _ => false,
        };
        let busy = found.busy_until.is_some_and(|until| now < until);
        match takes && !busy {
            true => Ok(()),
            false => {
                let word = if found.kind == Kind::Instance { "Database instance" } else { "DB cluster" };
                let status = if busy && takes { "being modified" } else { found.status.as_str() };
                let name = found.called();
                Err(found.kind.wrong_state(format!("{word} {name} is not in available state: it is {status}.")))
            }
        }
    }

    fn refuse_rename(&self, found: &Database, new: &str) -> Result<(), Refusal> {
        if let Some(refusal) = &found.no_rename {
            return Err(refusal.clone());
        }
        self.refuse_in_deployment(found)?;
        if new.len() > 63 || !new.starts_with(|first: char| first.is_ascii_alphabetic()) || new.contains("--") {
            return Err(Refusal::bad(
                "InvalidParameterValue",
                format!("The parameter {new} is not a valid identifier."),
            ));
        }
        match self.is_taken(found.kind, new) {
            true => Err(found.kind.taken()),
            false => Ok(()),
        }
    }
}

/// What no state makes right.
fn refuse_by_value(found: &Database, input: Input<'_>) -> Result<(), Refusal> {
    let number = |name: &str| found.text(name).parse::<i64>().ok();
    let storage = input.number("AllocatedStorage").or(number("AllocatedStorage"));
    refuse_storage(found.text("Engine"), number("AllocatedStorage"), input)?;
    refuse_autoscaling(storage, input)?;
    let given = |name: &str| !input.0[name].is_null();
    if ["io1", "io2"].contains(&found.text("StorageType")) && given("Iops") != given("AllocatedStorage") {
        // As RDS answers it (Cloud Custodian, issue 8725).
        return Err(Refusal::bad(
            "InvalidParameterCombination",
            "You must specify both the storage size and iops when modifying the storage size or iops on a DB instance that \
             has iops.",
        ));
    }
    refuse_monitoring(input, !found.text("MonitoringRoleArn").is_empty())?;
    let cluster = if found.kind == Kind::Instance { found.cluster.as_ref() } else { None };
    for name in ["BackupRetentionPeriod", "DeletionProtection", "AllocatedStorage", "MultiAZ", "StorageType"] {
        if cluster.is_some() && !input.0[name].is_null() {
            let message =
                format!("The requested DB Instance will be a member of a DB Cluster. Set {name} for the DB Cluster.");
            return Err(Refusal::bad("InvalidParameterCombination", message));
        }
    }
    Ok(())
}

/// API reference, `AllocatedStorage`: "the value supplied must be at least 10% greater than the current value".
pub(super) fn refuse_storage(engine: &str, has: Option<i64>, input: Input<'_>) -> Result<(), Refusal> {
    let (Some(has), Some(wanted)) = (has, input.number("AllocatedStorage")) else { return Ok(()) };
    let grows = wanted * 10 >= has * 11;
    match wanted == has || grows || engine.starts_with("aurora") {
        true => Ok(()),
        false if wanted < has => {
            let message =
                format!("Invalid storage size for engine name {engine}: {wanted}. Storage cannot be reduced.");
            Err(Refusal::bad("InvalidParameterValue", message))
        }
        false => {
            let message = format!("Invalid storage size {wanted}: the increase must be at least 10% of {has}.");
            Err(Refusal::bad("InvalidParameterCombination", message))
        }
    }
}

/// User guide, "Managing capacity automatically with ... storage autoscaling": at least 10% more than the storage.
pub(super) fn refuse_autoscaling(storage: Option<i64>, input: Input<'_>) -> Result<(), Refusal> {
    let (Some(storage), Some(most)) = (storage, input.number("MaxAllocatedStorage")) else { return Ok(()) };
    match most * 10 >= storage * 11 {
        true => Ok(()),
        false => {
            let message = format!(
                "Invalid max storage size {most}: it must be at least 10 percent above the storage of {storage} GiB."
            );
            Err(Refusal::bad("InvalidParameterCombination", message))
        }
    }
}

/// API reference, `MonitoringRoleArn`: with an interval other than 0 it has to be given.
pub(super) fn refuse_monitoring(input: Input<'_>, has_role: bool) -> Result<(), Refusal> {
    let monitors = input.number("MonitoringInterval").is_some_and(|interval| interval > 0);
    match monitors && input.text("MonitoringRoleArn").is_none() && !has_role {
        true => Err(Refusal::bad(
            "InvalidParameterCombination",
            "A MonitoringRoleARN value is required if you specify a MonitoringInterval value other than 0.",
        )),
        false => Ok(()),
    }
}
