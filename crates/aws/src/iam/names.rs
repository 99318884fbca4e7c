//! What policies are called, by the rules of IAM, Terraform and CloudFormation.

use std::collections::BTreeSet;

use belay_ports::Permission;
use indexmap::IndexMap;

use super::principal::Principal;

/// Of a managed policy's name.
const NAME_MAX: usize = 128;

/// What tells the policies of one principal apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Suffix {
    /// `watch`, `act`, `boundary`; empty for the whole.
    pub(super) part: &'static str,
    /// Where one policy has no room for all.
    pub(super) number: Option<usize>,
}

/// `belay-MIGRATION`, and the account and role where the plan has several.
pub(super) fn named(
    migration: &str,
    principal: &Principal,
    all: &IndexMap<Principal, BTreeSet<Permission>>,
    Suffix { part, number }: Suffix,
) -> String {
    let mut end = String::new();
    let mut append = |word: &str| {
        end.push('-');
        end.extend(word.chars().map(|letter| if is_allowed(letter) { letter } else { '-' }));
    };
    if all.len() > 1 {
        append(principal.account.as_deref().unwrap_or("own"));
        if let Some(role) = principal.role_name() {
            append(role);
        }
    }
    if !part.is_empty() {
        append(part);
    }
    if let Some(number) = number {
        append(&number.to_string());
    }
    let start: String = format!("belay-{migration}").chars().take(NAME_MAX.saturating_sub(end.len())).collect();
    start + &end
}

fn is_allowed(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "+=,.@_-".contains(letter)
}

/// As Terraform names resources: `belay_checkout_cutover`.
pub(super) fn labels<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    distinct(
        names
            .map(|name| name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()),
    )
}

/// As CloudFormation names resources: `BelayCheckoutCutover`.
pub(super) fn logical_ids<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    distinct(names.map(|name| {
        let words = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
    }))
}

/// Roles that differ in a hyphen alone would have one name here.
fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut made: Vec<String> = Vec::new();
    for mut name in names {
        while made.contains(&name) {
            name.push('x');
        }
        made.push(name);
    }
    made
}
