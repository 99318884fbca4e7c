//! Why there is no plan, and what to type instead.

use belay_draft::{
    choice::{Candidate, Choice, Trouble},
    inventory::Inventory,
    text::draft,
};
use belay_plan::{catalogue::Catalogue, diagnostic::Diagnostic};

use crate::{
    board::Act,
    exit::{Exit, Failure},
    output::Output,
    text,
};

/// How many candidates are told.
const LISTED_MAX: usize = 20;

/// `typed`: the flags that were given.
pub(super) fn failure(troubles: &[Trouble], inventory: &Inventory, typed: &str, output: Output) -> Failure {
    for note in &inventory.notes {
        output.note(format_args!("note: {note}"));
    }
    let messages: Vec<String> = troubles.iter().map(ToString::to_string).collect();
    let mut failure = Failure::message(Exit::Usage, messages.join("; "));
    let acts = |kind: belay_draft::choice::Kind, candidates: &[Candidate], typed: &str| {
        let act = |candidate: &Candidate| Act {
            label: candidate.detail.clone(),
            command: format!("belay init{typed} {} {}", kind.flag(), text::shell_word(&candidate.label)),
        };
        candidates.iter().take(LISTED_MAX).map(act).collect::<Vec<_>>()
    };
    let mut left_out = Vec::new();
    let mut more = 0;
    for trouble in troubles {
        match trouble {
            Trouble::Open(question) => {
                failure.acts.extend(acts(question.kind, &question.candidates, typed));
                more += question.candidates.len().saturating_sub(LISTED_MAX);
                left_out.push(format!("`{} none`", question.kind.flag()));
            }
            Trouble::NoSuch { kind, wanted, candidates } => {
                // The flag that is wrong gives way.
                let wrong = format!(" {} {}", kind.flag(), text::shell_word(wanted));
                failure.acts.extend(acts(*kind, candidates, &typed.replacen(&wrong, "", 1)));
                more += candidates.len().saturating_sub(LISTED_MAX);
            }
            Trouble::Unfit { .. } | Trouble::Nothing => {}
        }
    }
    let mut help = Vec::new();
    if !failure.acts.is_empty() {
        let others = if more > 0 { format!(" ({more} more are not listed)") } else { String::new() };
        help.push(format!("name what is meant{others}; flags may be repeated"));
    }
    if !left_out.is_empty() {
        help.push(format!("{} leaves it out", left_out.join(", ")));
    }
    if troubles.contains(&Trouble::Nothing) {
        help.push(
            "name what the migration moves: a listener that forwards to one target group (`--listener LOAD_BALANCER:PORT`), a \
             database (`--db NAME`), or another account or region (AWS_PROFILE, `--region`)"
                .to_owned(),
        );
    }
    failure.help(help.join("; "))
}

pub(super) fn nothing_to_restore_from(inventory: &Inventory, choice: &Choice) -> Failure {
    let names = choice.databases.iter().map(|index| inventory.databases[*index].name.clone());
    let names = names.collect::<Vec<_>>().join(", ");
    let what =
        format!("{names}: there is nothing to restore from: automated backups are off, and there is no snapshot");
    Failure::message(Exit::Usage, what).help("take a snapshot (`aws rds create-db-snapshot`), then run it again")
}

/// Names which part of the choice has made the plan invalid.
pub(super) fn invalid(errors: &[Diagnostic], inventory: &Inventory, choice: &Choice, catalogue: &Catalogue) -> Failure {
    let alone = |part: Choice| {
        let errors = belay_plan::load("plan.yaml", &draft(inventory, &part, Some("part"))?.text, catalogue).err()?;
        Some(errors.into_iter().next()?.message)
    };
    let records = choice.records.iter().map(|index| {
        let part = Choice { records: vec![*index], ..Choice::default() };
        (inventory.records[*index].label().to_owned(), part)
    });
    let forwarders = choice.forwarders.iter().map(|index| {
        let part = Choice { forwarders: vec![*index], ..Choice::default() };
        (inventory.forwarders[*index].label(), part)
    });
    let databases = choice.databases.iter().map(|index| {
        let part = Choice { databases: vec![*index], ..Choice::default() };
        (inventory.databases[*index].name.clone(), part)
    });
    let found = records.chain(forwarders).chain(databases).find_map(|(label, part)| Some((label, alone(part)?)));
    match found {
        Some((label, why)) => Failure::message(Exit::Usage, format!("{label} cannot be part of a plan: {why}"))
            .help("leave it out: the flags choose what the plan is about"),
        None => {
            let why = errors.first().map_or("no reason is known", |error| error.message.as_str());
            Failure::message(Exit::Usage, format!("what was found cannot be written as a plan: {why}"))
                .help("leave alarms out (`--alarm none`), or choose others")
        }
    }
}
