//! Who needs permissions: the daemon's own role, and each role that the plan names.

use std::collections::BTreeSet;

use belay_plan::model::AwsTarget;
use belay_ports::{Condition, Permission};
use indexmap::IndexMap;

/// Whoever makes the calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Principal {
    /// None: the plan does not name it.
    pub account: Option<String>,
    /// The ARN of a role that is assumed. None: the identity that Belay runs as.
    pub role: Option<String>,
}

impl Principal {
    fn of(target: &AwsTarget) -> Self {
        let account = target.role.as_deref().and_then(account_of).or_else(|| target.account.clone());
        Self { account, role: target.role.clone() }
    }

    /// The name of the role, without its path.
    pub(super) fn role_name(&self) -> Option<&str> {
        self.role.as_deref()?.rsplit('/').next()
    }
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.role, &self.account) {
            (Some(role), _) => write!(f, "{role}"),
            (None, Some(account)) => write!(f, "the identity that Belay runs as, in account {account}"),
            (None, None) => f.write_str("the identity that Belay runs as"),
        }
    }
}

fn account_of(arn: &str) -> Option<String> {
    arn.split(':').nth(4).filter(|account| !account.is_empty()).map(ToOwned::to_owned)
}

/// What each of them needs. A region is no difference: a role is of its account. Belay's own identity assumes the others.
pub(super) fn principals(
    needed: &IndexMap<AwsTarget, BTreeSet<Permission>>,
) -> IndexMap<Principal, BTreeSet<Permission>> {
    let mut found: IndexMap<Principal, BTreeSet<Permission>> = IndexMap::new();
    for (target, permissions) in needed {
        found.entry(Principal::of(target)).or_default().extend(permissions.iter().cloned());
    }
    let assumed: BTreeSet<Permission> = needed.keys().filter_map(assume).collect();
    if !assumed.is_empty() {
        let own = found.keys().find(|principal| principal.role.is_none()).cloned().unwrap_or_default();
        found.entry(own).or_default().extend(assumed);
    }
    found
}

/// What it takes to act in the role of a target.
fn assume(target: &AwsTarget) -> Option<Permission> {
    let external_id = target.external_id.as_ref().map(|id| Condition {
        operator: "StringEquals".to_owned(),
        key: "sts:ExternalId".to_owned(),
        value: id.clone(),
    });
    Some(Permission {
        action: "sts:AssumeRole".to_owned(),
        resource: target.role.clone()?,
        mutates: false,
        conditions: external_id.into_iter().collect(),
    })
}
