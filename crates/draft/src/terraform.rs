//! A Terraform state as a source: a state file of version 4, or what `terraform show -json` prints. AWS is not asked. Pure.
//!
//! Only the attributes that are named here are looked at, and none that the state marks as sensitive; no error and no note contains
//! a value of the state but names and addresses.

mod resources;
mod state;

use std::collections::BTreeSet;

use serde_json::Value;

use self::resources::Collected;
use crate::inventory::{Inventory, Source};

/// Why a file is not read as a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("line {line}, column {column}: it is not JSON: {why}")]
    NotJson { line: usize, column: usize, why: &'static str },
    #[error("it is not a Terraform state: {why}")]
    NotAState { why: &'static str },
    #[error("it is a Terraform state of version {found}, and Belay reads version 4")]
    Version { found: String },
    #[error("it is encrypted")]
    Encrypted,
    #[error("it is the configuration of a backend, not the state that the backend keeps")]
    Backend,
    #[error("it is a Terraform plan, not a state")]
    Plan,
    #[error("it contains resources in several regions: {}", regions.join(", "))]
    Regions { regions: Vec<String> },
    #[error("it contains resources of several accounts: {}", accounts.join(", "))]
    Accounts { accounts: Vec<String> },
}

impl StateError {
    /// What would be right.
    pub fn help(&self) -> &'static str {
        match self {
            Self::NotJson { .. } | Self::NotAState { .. } | Self::Plan => {
                "give a file that `terraform state pull` or `terraform show -json` has written"
            }
            Self::Version { .. } | Self::Backend => {
                "`terraform state pull > state.json` writes one, with Terraform 0.12 or newer"
            }
            Self::Encrypted => "`tofu show -json > state.json` writes it in the clear",
            Self::Regions { .. } => "choose one with `--region`",
            Self::Accounts { .. } => "a plan acts in one account: give a state that has the resources of one",
        }
    }
}

/// Reads a state. `file`: what it is called; `region`: where resources have to be, where the state has several.
///
/// # Errors
/// [`StateError`].
pub fn read(file: &str, text: &str, region: Option<&str>) -> Result<Inventory, StateError> {
    let root: Value = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    let mut collected = Collected::default();
    for resource in state::resources(&root)? {
        collected.take(&resource);
    }
    let Collected { mut inventory, places, caller, own_region, .. } = collected.finished();
    if let Some(region) = region {
        inventory.forwarders.retain(|forwarder| region_of(&forwarder.arn) == Some(region));
        inventory.balancers.retain(|balancer| region_of(&balancer.arn) == Some(region));
    }
    let places: Vec<_> = places.into_iter().filter(|(_, of)| region.is_none_or(|region| of == region)).collect();
    let each = |part: fn(&(String, String)) -> &String| {
        places.iter().map(part).cloned().collect::<BTreeSet<String>>().into_iter().collect::<Vec<String>>()
    };
    let (accounts, regions) = (each(|place| &place.0), each(|place| &place.1));
    if regions.len() > 1 {
        return Err(StateError::Regions { regions });
    }
    if accounts.len() > 1 {
        return Err(StateError::Accounts { accounts });
    }
    inventory.account = accounts.into_iter().next().or(caller);
    inventory.region = region.map(str::to_owned).or_else(|| regions.into_iter().next()).or(own_region);
    inventory.source = Source::Terraform { file: file.to_owned() };
    Ok(inventory)
}

/// Without what it found there: a broken file may be cut in the middle of a secret.
fn not_json(error: &serde_json::Error) -> StateError {
    let why = if error.is_eof() { "it ends too early" } else { "something else is expected here" };
    StateError::NotJson { line: error.line(), column: error.column(), why }
}

/// `arn:PARTITION:SERVICE:REGION:ACCOUNT:...`
fn place_of(arn: &str) -> Option<(String, String)> {
    let mut parts = arn.strip_prefix("arn:")?.split(':').skip(2);
    let (region, account) = (parts.next()?, parts.next()?);
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    (is_account && !region.is_empty()).then(|| (account.to_owned(), region.to_owned()))
}

fn region_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(3)
}
