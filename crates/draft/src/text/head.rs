//! The beginning of the plan: where it comes from, its name, the account, the objectives.

use super::{Draw, steps::Steps, words::time};
use crate::{
    inventory::Source,
    yaml::{comment, scalar},
};

pub(super) fn head(draw: &Draw<'_>, migration: &str, steps: &Steps, not_known: &mut Vec<String>) -> String {
    let inventory = draw.inventory;
    let place = match (&inventory.account, &inventory.region) {
        (Some(account), Some(region)) => format!("account {account}, region {region}"),
        (Some(account), None) => format!("account {account}"),
        _ => "an account that is not known".to_owned(),
    };
    let mut text = match &inventory.source {
        Source::Account { at } => {
            comment(0, &format!("Drafted by `belay init` from {place}, as it was at {}.", time(*at)))
        }
        Source::Terraform { file } => comment(
            0,
            &format!(
                "Drafted by `belay init` from the Terraform state {file} ({place}). It shows what Terraform knew when it was \
                 written; AWS was not asked."
            ),
        ),
    };
    text += &comment(
        0,
        "It contains what was found there and nothing else. A person decides what is marked TODO, and adds what is marked \
         \"not known\".",
    );
    text += &comment(
        0,
        "Then: `belay validate` checks it, `belay explore` searches for bad ends, `belay dry-run` shows what it would do now.",
    );
    if steps.return_to_baseline {
        text +=
            &comment(0, "Arm it BEFORE the cutover: `to: baseline` returns to what is there when the plan is armed.");
    }
    text += &format!("belay: 1\nmigration: {}\n", scalar(migration));
    text += &comment(0, "not known: the summary. What is migrated, from where to where, in a sentence.");
    text.push('\n');
    text += &aws(draw, not_known);
    text.push('\n');
    text += &objectives(steps, not_known);
    text
}

fn aws(draw: &Draw<'_>, not_known: &mut Vec<String>) -> String {
    match (&draw.inventory.account, &draw.inventory.region) {
        (Some(account), Some(region)) => {
            let why = comment(0, "Credentials of another account are refused before anything else is read.");
            format!("{why}aws: {{ account: {}, region: {} }}\n", scalar(account), scalar(region))
        }
        (account, region) => {
            let what = match (account, region) {
                (None, None) => "account and region",
                (None, Some(_)) => "account",
                _ => "region",
            };
            not_known.push(format!(
                "the {what}: the state does not show it, so the plan takes those of the credentials in use. Write \
                 `aws: {{ account, region }}`, and others are refused"
            ));
            let known = account.iter().map(|account| format!("account: {}", scalar(account)));
            let known = known.chain(region.iter().map(|region| format!("region: {}", scalar(region))));
            let known: Vec<String> = known.collect();
            let known = if known.is_empty() { String::new() } else { format!(" Known: {}.", known.join(", ")) };
            comment(
                0,
                &format!(
                    "not known: the {what}. Without `aws: {{ account, region }}` the plan acts wherever the credentials in use \
                     lead.{known}"
                ),
            )
        }
    }
}

fn objectives(steps: &Steps, not_known: &mut Vec<String>) -> String {
    not_known.push(match steps.loses_data {
        true => "the objectives: how long a rollback may take (`rto`), and how much written data it may lose (`rpo`)"
            .to_owned(),
        false => "the objectives: how long a rollback may take (`rto`)".to_owned(),
    });
    let mut text = comment(
        0,
        "not known: the objectives. `rto`: how long a rollback may take, from the breach to its confirmed end.",
    );
    if steps.loses_data {
        text += &comment(
            0,
            "`rpo`: how much written data may be lost; a restore that would lose more then waits for a person to approve it.",
        );
    }
    text + &comment(
        0,
        &format!("objectives: {{ rto: DURATION{} }}", if steps.loses_data { ", rpo: DURATION" } else { "" }),
    )
}
