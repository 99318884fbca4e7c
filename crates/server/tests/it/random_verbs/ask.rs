//! What a person may ask for: every verb, of the right thing and of the wrong one, in good words and in bad ones.

use belay_sim::Chance;
use serde_json::{Value, json};

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) who: &'static str,
    pub(super) path: String,
    pub(super) body: String,
}

const OF_MIGRATION: [&str; 4] = ["arm", "disarm", "cutover", "rollback"];
const OF_RUN: [&str; 4] = ["hold", "resume", "abort", "undo"];
const OF_STEP: [&str; 4] = ["approve", "override", "retry", "skip"];

/// A verb on what it is for, in good words. `run`: another one than the last. `reason` tells this request from all others.
/// None where there is nothing that it could be said to.
pub(super) fn offered(
    verb: &str,
    run: Option<&str>,
    step: Option<&str>,
    migration: &Value,
    reason: &str,
    chance: &mut Chance,
) -> Option<Ask> {
    let run = run.or(migration["run"]["id"].as_str()).unwrap_or_default();
    let of_step = |step: &str| format!("/v1/runs/{run}/steps/{step}/{verb}");
    let path = match verb {
        "decide" => format!("/v1/incidents/{}/decide", migration["incident"]["id"].as_str()?),
        verb if OF_RUN.contains(&verb) => format!("/v1/runs/{run}/{verb}"),
        verb if OF_STEP.contains(&verb) => of_step(step?),
        verb => format!("/v1/migrations/checkout/{verb}"),
    };
    let mut body = json!({ "reason": reason });
    match verb {
        "decide" => body["decision"] = json!(*chance.pick(&["roll_back", "fix_forward"])?),
        "approve" => body["answer"] = json!(if chance.per_mille(800) { "approve" } else { "deny" }),
        "override" => body["signal"] = json!(chance.pick(&what_holds_up(&migration["run"]["steps"][step?]))?),
        "rollback" if chance.per_mille(150) => body["only"] = json!(["dns"]),
        _ => {}
    }
    Some(Ask { who: who_may(verb, &migration["run"], step, chance), path, body: body.to_string() })
}

/// What can be overridden on a step: its interlocks' signals, and the destinations of its changes.
pub(super) fn what_holds_up(step: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let signals = list(&step["require"]).into_iter().map(|gate| gate["signal"].clone());
    let effects = list(&step["changes"]).into_iter().flat_map(|change| list(&change["effects"]));
    let shares =
        effects.flat_map(|effect| list(&effect["shares"]).into_iter().chain(list(&effect["traffic"]["shares"])));
    let destinations = shares.map(|share| share["destination"].clone());
    signals.chain(destinations).filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Any verb, on anything, in any words. `runs`: all there have been.
pub(super) fn any(migration: &Value, runs: &[String], reason: &str, chance: &mut Chance) -> Ask {
    let words: Vec<&str> = OF_MIGRATION.iter().chain(&OF_RUN).chain(&OF_STEP).chain(&["decide"]).copied().collect();
    let verb = *chance.pick(&words).unwrap_or(&"hold");
    let known = migration["run"]["id"].as_str().unwrap_or("none").to_owned();
    let run = match chance.below(10) {
        0 => "nonsense".to_owned(),
        1 => chance.pick(runs).cloned().unwrap_or(known),
        _ => known,
    };
    let steps: Vec<&str> = super::play::STEPS.into_iter().chain(["nonsense"]).collect();
    let step = *chance.pick(&steps).unwrap_or(&"dns");
    let path = match verb {
        "decide" => format!("/v1/incidents/{}/decide", migration["incident"]["id"].as_str().unwrap_or("none")),
        verb if OF_RUN.contains(&verb) => format!("/v1/runs/{run}/{verb}"),
        verb if OF_STEP.contains(&verb) => format!("/v1/runs/{run}/steps/{step}/{verb}"),
        verb if chance.per_mille(50) => format!("/v1/migrations/nonsense/{verb}"),
        verb => format!("/v1/migrations/checkout/{verb}"),
    };
    let who = chance.pick(&["ann", "bob", "op", "op", "eve"]).copied().unwrap_or("op");
    Ask { who, path, body: any_body(verb, reason, chance) }
}

/// Somebody whom the plan lets say it, and who has not said it yet; of those who approve together, nobody who has asked for
/// the run.
fn who_may(verb: &str, run: &Value, step: Option<&str>, chance: &mut Chance) -> &'static str {
    let approval = step.map(|step| &run["steps"][step]["approval"]);
    let Some(approval) = approval.filter(|approval| verb == "approve" && approval["role"].is_string()) else {
        return chance.pick(&["ann", "op"]).copied().unwrap_or("op");
    };
    let given = approval["given"].to_string();
    let free = ["ann", "bob", "dan"].into_iter().find(|name| !given.contains(name) && run["actor"] != *name);
    free.expect("one has asked, one has said yes")
}

fn any_body(verb: &str, reason: &str, chance: &mut Chance) -> String {
    let mut body = json!({ "reason": reason });
    match verb {
        "decide" => body["decision"] = json!("roll_back"),
        "approve" => body["answer"] = json!("approve"),
        "override" => {
            body["signal"] = json!(*chance.pick(&["blue_ready", "errors", "blue", "green", "x"]).unwrap_or(&""))
        }
        "rollback" => {
            if chance.per_mille(200) {
                body["dry_run"] = json!(true);
            }
            if chance.per_mille(200) {
                body["only"] = json!(["nonsense"]);
            }
        }
        _ => {}
    }
    match chance.below(16) {
        0 => "{".to_owned(),
        1 => "[]".to_owned(),
        2 => String::new(),
        3 => {
            body["nonsense"] = json!(1);
            body.to_string()
        }
        4 => {
            body["reason"] = json!(7);
            body.to_string()
        }
        _ => body.to_string(),
    }
}
