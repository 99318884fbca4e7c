//! Scenarios: files that say what goes wrong in a rehearsal, read in the same manner as plans are.

mod check;
mod decides;
mod grammar;
mod lower;
mod select;

use belay_plan::{diagnostic::Diagnostic, model::Plan, settings};
use serde_json::Value;

use self::lower::Breach;
use crate::rehearsal::script::Script;

/// Reads a scenario for one plan. `file_name` is what errors call it, and the script is called; `trigger` is the one that sees
/// the breach, and `phase` the one of the plan in which it comes, where the scenario does not say.
///
/// # Errors
/// Everything that is wrong with it at once, in the order of the file: also a step or a signal that the plan does not have, an
/// event that selects nothing, a time that is impossible, and events that contradict each other.
pub fn load(
    file_name: &str,
    text: &str,
    plan: &Plan,
    trigger: Option<&str>,
    phase: Option<&str>,
) -> Result<Script, Vec<Diagnostic>> {
    let of = |scenario: &Value| Breach::of(scenario, plan, trigger, phase);
    let scenario: Value =
        settings::read(file_name, text, &grammar::scenario(), |file| check::check(file, plan, &of(file)))?;
    Ok(lower::lower(file_name, &scenario, plan, of(&scenario)))
}

/// The JSON Schema of scenarios: `config/scenario.schema.json`.
pub fn schema() -> Value {
    settings::schema("Belay scenario", "What goes wrong in a rehearsal.", &grammar::scenario())
}
