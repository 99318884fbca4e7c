//! What waits for whom, and the commands that move it.

use super::{Act, Commands, Look, age};
use crate::{
    document::{Approval, Migration, Run, Step, Waiting},
    paint,
};

/// Something that a person can move.
struct Need {
    text: String,
    acts: Vec<Act>,
}

/// Verbs by which a person answers for a step; others are possible at any time.
const ANSWERS: [&str; 2] = ["approve", "override"];

/// Of commands, below what they are for.
const INDENT: usize = 4;

fn of_run(run: &Run, migration: &Migration, commands: &Commands, look: &Look) -> (Vec<Need>, Vec<Act>) {
    let asks = |waiting: &&Waiting| {
        run.has_failed(waiting) || waiting.verbs.iter().any(|verb| ANSWERS.contains(&verb.as_str()))
    };
    let of_step = |waiting: &Waiting| {
        let name = waiting.step.clone()?;
        let step = run.steps.get(&name)?;
        let acts = waiting.verbs.iter().flat_map(|verb| commands.of_step(verb, &run.id, &name, &step.subjects()));
        Some(Need { text: of_step(&name, step, &waiting.reason, migration, look), acts: acts.collect() })
    };
    let steps: Vec<Need> = run.waiting_for.iter().filter(asks).filter_map(of_step).collect();
    // What a confirmation waits for stands in the run's own lines, and why it halted with the step that failed.
    let stands = run.aborting || run.state == "held" || run.state == "halted" && steps.is_empty();
    let whole = run.waiting_for.iter().filter(|waiting| stands && waiting.step.is_none());
    let whole = whole.map(|waiting| Need { text: waiting.reason.clone(), acts: Vec::new() });
    let acts = run.possible.iter().flat_map(|verb| commands.of_run(verb, &run.id)).collect();
    (whole.chain(steps).collect(), acts)
}

/// What a step waits for, and whose word it takes. `reason`: where it waits for something else than a person's word.
pub(crate) fn of_step(name: &str, step: &Step, reason: &str, migration: &Migration, look: &Look) -> String {
    let what = match (step.phase.as_str(), step.action.as_str()) {
        ("awaiting_approval", "manual") => format!("to be done by hand, then say yes: {}", step.why),
        ("awaiting_approval", _) => step.why.clone(),
        _ => reason.to_owned(),
    };
    let who = who(step, migration, look).map_or(String::new(), |who| format!(" ({who})"));
    format!("{name}: {what}{who}")
}

/// Whose word it takes.
fn who(step: &Step, migration: &Migration, look: &Look) -> Option<String> {
    let Approval { role, quorum, given, deadline, otherwise } = step.approval.as_ref()?;
    if role == "operator" && *quorum == 1 && deadline.is_none() {
        return None; // anybody who may act
    }
    let mut text = format!("the role {role}");
    if *quorum > 1 {
        text.push_str(&format!(", {} of {quorum} have said yes", given.len()));
        if !given.is_empty() {
            text.push_str(&format!(": {}", given.join(", ")));
        }
    }
    if let Some(deadline) = deadline {
        let at = look.clock_time(*deadline, migration.now);
        let then = if otherwise == "skip" { "the step is skipped" } else { "the run halts" };
        text.push_str(&format!("; at {at}, in {}, {then}", age(migration.now, *deadline)));
    }
    Some(text)
}

fn of_migration(migration: &Migration, commands: &Commands) -> (Vec<Need>, Vec<Act>) {
    let incident = migration.incident.as_ref().map(|incident| incident.id.as_str());
    let act = |verb: &str| commands.of_migration(verb, &migration.name, incident);
    let need = |waiting: &Waiting| Need {
        text: waiting.reason.clone(),
        // To decide for the rollback is the way to roll back while an incident is open.
        acts: waiting.verbs.iter().filter(|verb| *verb != "rollback").flat_map(|verb| act(verb)).collect(),
    };
    let needs: Vec<Need> = migration.waiting_for.iter().map(need).collect();
    if !needs.is_empty() {
        return (needs, Vec::new());
    }
    let undo = migration.run.iter().flat_map(|run| &run.possible);
    let undo = undo.flat_map(|verb| commands.of_run(verb, migration.run.as_ref().map_or("", |run| &run.id)));
    // To arm again is for a plan file that is not the one that is armed.
    let is_news = |verb: &&String| *verb != "arm" || migration.armed.is_none() || migration.pending_plan.is_some();
    let mut verbs: Vec<&String> = migration.possible.iter().filter(is_news).collect();
    verbs.sort_by_key(|verb| *verb == "disarm"); // what guards no more comes last
    let acts = undo.chain(verbs.into_iter().flat_map(|verb| act(verb))).collect();
    (needs, acts)
}

/// All that waits for a person, and what else can be done with the run or the migration as a whole.
pub(crate) fn draw(migration: &Migration, look: &Look) -> Vec<String> {
    let Some(commands) = &look.commands else { return Vec::new() };
    let (needs, acts) = match migration.open_run() {
        Some(run) => of_run(run, migration, commands, look),
        None => of_migration(migration, commands),
    };
    let output = look.output;
    let width =
        needs.iter().flat_map(|need| &need.acts).chain(&acts).map(|act| act.label.len()).max().unwrap_or_default();
    // An interlock may still turn healthy by itself; for everything else it takes a person.
    let interlock = |waiting: &Waiting| waiting.verbs.iter().any(|verb| verb == "override");
    let open = migration.open_run();
    let stopped = open.is_none_or(|run| run.state != "running" || !run.waiting_for.iter().all(interlock));
    let mut lines = Vec::new();
    if !needs.is_empty() {
        let title = if stopped { "waits for you" } else { "blocked by an interlock; you may override it" };
        lines.push(format!("  {}", output.warn().bold().apply_to(title)));
    }
    for need in &needs {
        lines.extend(look.wrap(2, &format!("{} ", output.warn().apply_to("▸")), &need.text, output.plain()));
        lines.extend(need.acts.iter().flat_map(|act| act_lines(act, width, look)));
    }
    if !acts.is_empty() {
        let well = migration.faults.is_empty() && migration.blind.is_empty();
        let title = match (needs.is_empty(), well) {
            (true, true) => "nothing waits for you; you can",
            (true, false) => "you can",
            (false, _) => "the run as a whole",
        };
        lines.push(format!("  {}", output.dim().apply_to(title)));
        lines.extend(acts.iter().flat_map(|act| act_lines(act, width, look)));
    }
    lines
}

/// A command never loses a part of itself: where it does not fit it goes on in the next line, as shells read it.
fn act_lines(act: &Act, label_width: usize, look: &Look) -> Vec<String> {
    let act = &Act { label: paint::line(&act.label), command: paint::line(&act.command) };
    let command = |part: &str| look.output.accent().apply_to(part).to_string();
    let width = look.width.unwrap_or(usize::MAX);
    if INDENT + label_width + 2 + paint::width(&act.command) <= width {
        let label = look.output.dim().apply_to(format!("{:label_width$}", act.label));
        return vec![format!("{:INDENT$}{label}  {}", "", command(&act.command))];
    }
    let parts = broken(&act.command, width.saturating_sub(INDENT + 6));
    let last = parts.len() - 1;
    let lines = parts.iter().enumerate().map(|(index, part)| {
        let more = if index == last { "" } else { " \\" };
        let further = if index == 0 { 2 } else { 4 };
        format!("{:1$}{2}{more}", "", INDENT + further, command(part))
    });
    let label = format!("{:INDENT$}{}", "", look.output.dim().apply_to(&act.label));
    std::iter::once(label).chain(lines).collect()
}

/// A command in parts that fit, each from one option to another; what is too long for that is broken between its words.
fn broken(command: &str, width: usize) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for (index, part) in command.split(" --").enumerate() {
        let part = if index == 0 { part.to_owned() } else { format!("--{part}") };
        let words: Vec<&str> = if part.len() > width { part.split(' ').collect() } else { vec![&part] };
        for word in words {
            match parts.last_mut() {
                Some(last) if last.len() + word.len() + 3 <= width => *last = format!("{last} {word}"),
                _ => parts.push(word.to_owned()),
            }
        }
    }
    parts
}
