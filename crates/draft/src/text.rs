//! The text of the plan. Pure: the same inventory and choice, the same text.

mod head;
mod signals;
mod steps;
mod targets;
mod words;

use crate::{
    choice::Choice,
    inventory::Inventory,
    names::slug,
    text::{signals::Signals, steps::Steps},
};

/// A plan, and what it does not contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub migration: String,
    /// The plan file.
    pub text: String,
    /// What could not be known, or is for a person to decide: each a sentence.
    pub not_known: Vec<String>,
}

/// The target groups to which a rollback sends traffic, by ARN: their health is worth asking for.
pub fn destinations<'a>(inventory: &'a Inventory, choice: &'a Choice) -> Vec<&'a str> {
    signals::destinations(&Draw { inventory, choice })
}

/// What the sections of the plan are made of.
struct Draw<'a> {
    inventory: &'a Inventory,
    choice: &'a Choice,
}

/// Writes the plan. `name`: of the migration; without it, made of what the plan is about. None: there is no step that could be
/// written, since no chosen database has anything that it could be restored from.
pub fn draft(inventory: &Inventory, choice: &Choice, name: Option<&str>) -> Option<Draft> {
    let draw = Draw { inventory, choice };
    let mut not_known = Vec::new();
    let migration = name.map_or_else(|| migration_name(&draw), str::to_owned);
    let signals = Signals::of(&draw);
    let steps = Steps::of(&draw);
    if steps.is_empty() {
        return None;
    }
    let sections = [
        head::head(&draw, &migration, &steps, &mut not_known),
        signals.section(&draw, &mut not_known),
        signals.triggers(&draw, &mut not_known),
        steps.section(&draw, &signals, &mut not_known),
        signals.confirm(&draw),
    ];
    let sections: Vec<String> = sections.into_iter().filter(|section| !section.is_empty()).collect();
    Some(Draft { migration, text: sections.join("\n"), not_known })
}

fn migration_name(draw: &Draw<'_>) -> String {
    let Draw { inventory, choice } = draw;
    let record = choice.records.first().map(|index| inventory.records[*index].name.clone());
    let forwarder = || choice.forwarders.first().map(|index| inventory.forwarders[*index].label());
    let database = || choice.databases.first().map(|index| inventory.databases[*index].name.clone());
    let about = record.or_else(forwarder).or_else(database).unwrap_or_default();
    Some(slug(&about, '-')).filter(|name| !name.is_empty()).unwrap_or_else(|| "migration".to_owned())
}
