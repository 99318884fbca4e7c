//! The permissions boundary: the most that a role can do, whatever else is attached to it later.

use std::collections::BTreeSet;

use belay_plan::model::AwsTarget;
use belay_ports::{Condition, Permission};
use indexmap::IndexMap;

use super::{
    names::{Suffix, named},
    policy::{Effect, Only, Policy, SIZE_MAX, Statement, size, statements},
    principal::principals,
};

const CHANGE_RECORDS: &str = "route53:ChangeResourceRecordSets";

/// The boundary of each principal: the plan's own statements, and on top of them no deletion. A role has one boundary, so
/// where they have no room in one policy, the actions are allowed on every resource, and the policies alone narrow them.
pub fn boundaries(
    migration: &str,
    needed: &IndexMap<AwsTarget, BTreeSet<Permission>>,
    only: Option<Only>,
) -> Vec<Policy> {
    let principals = principals(needed);
    let mut found = Vec::new();
    for (principal, permissions) in &principals {
        let kept: BTreeSet<&Permission> =
            permissions.iter().filter(|permission| only.is_none_or(|only| only.keeps(permission))).collect();
        if kept.is_empty() {
            continue;
        }
        let denied = denied(&kept);
        let mut exact = statements(kept.iter().copied());
        exact.extend(denied.iter().cloned());
        let statements = if size(&exact) <= SIZE_MAX { exact } else { widened(&kept, denied) };
        let name = named(migration, principal, &principals, Suffix { part: "boundary", number: None });
        found.push(Policy { name, principal: principal.clone(), statements });
    }
    found
}

/// The same actions on every resource.
fn widened(permissions: &BTreeSet<&Permission>, denied: Vec<Statement>) -> Vec<Statement> {
    let everywhere: BTreeSet<Permission> = permissions
        .iter()
        // The values of conditions are names of the plan's resources, but for the services that a role is handed to.
        .map(|permission| Permission {
            resource: "*".to_owned(),
            conditions: match permission.action.as_str() {
                CHANGE_RECORDS => Vec::new(),
                _ => permission.conditions.clone(),
            },
            ..(*permission).clone()
        })
        .collect();
    let mut allowed = statements(everywhere.iter());
    allowed.extend(denied);
    allowed
}

/// Nothing of Belay deletes, in any service that it changes something of. Route 53 deletes by the call that writes.
fn denied(permissions: &BTreeSet<&Permission>) -> Vec<Statement> {
    let services: BTreeSet<&str> = permissions
        .iter()
        .filter(|permission| permission.mutates)
        .filter_map(|permission| permission.action.split(':').next())
        .collect();
    let deny = |sid: &str, actions: Vec<String>, conditions: Vec<Condition>| Statement {
        sid: sid.to_owned(),
        effect: Effect::Deny,
        actions,
        resources: vec!["*".to_owned()],
        conditions,
    };
    let mut denied = Vec::new();
    if !services.is_empty() {
        let deletions = services.iter().map(|service| format!("{service}:Delete*")).collect();
        denied.push(deny("NoDeletion", deletions, Vec::new()));
    }
    if permissions.iter().any(|permission| permission.action == CHANGE_RECORDS) {
        let not_upsert = Condition {
            operator: "ForAnyValue:StringNotEquals".to_owned(),
            key: format!("{CHANGE_RECORDS}Actions"),
            value: "UPSERT".to_owned(),
        };
        denied.push(deny("NoDeletionOfRecords", vec![CHANGE_RECORDS.to_owned()], vec![not_upsert]));
    }
    denied
}
