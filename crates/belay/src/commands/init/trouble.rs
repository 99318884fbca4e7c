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

/// A flag as it is typed, with a blank before it: a value with a dash in front would be read as another flag.
pub(super) fn flag(flag: &str, value: &str) -> String {
    let between = if value.starts_with('-') { '=' } else { ' ' };
    format!(" {flag}{between}{}", text::shell_word(value))
}

/// Without this flag, and not without the beginning of a longer one.
fn without(typed: &str, flag: &str) -> String {
    let is_whole = |at: &usize| typed[at + flag.len()..].chars().next().is_none_or(|next| next == ' ');
    match typed.match_indices(flag).map(|(at, _)| at).find(is_whole) {
        Some(at) => format!("{}{}", &typed[..at], &typed[at + flag.len()..]),
        None => typed.to_owned(),
    }
}

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
            command: format!("belay init{typed}{}", flag(kind.flag(), &candidate.label)),
        };
        candidates.iter().take(LISTED_MAX).map(act).collect::<Vec<_>>()
    };
    // Each flag that is wrong gives way, also in the commands that mend another one.
    let wrong = troubles.iter().filter_map(|trouble| match trouble {
        Trouble::NoSuch { kind, wanted, .. } => Some(flag(kind.flag(), wanted)),
        Trouble::Open(_) | Trouble::Unfit { .. } | Trouble::Nothing => None,
    });
    let typed = &wrong.fold(typed.to_owned(), |typed, wrong| without(&typed, &wrong));
    let mut left_out = Vec::new();
    let mut more = 0;
    for trouble in troubles {
        match trouble {
            Trouble::Open(question) => {
                // A flag that fits several gives way to one that fits one.
                let others = question.typed.as_ref().map(|wide| without(typed, &flag(question.kind.flag(), wide)));
                let others = others.as_deref().unwrap_or(typed.as_str());
                failure.acts.extend(acts(question.kind, &question.candidates, others));
                more += question.candidates.len().saturating_sub(LISTED_MAX);
                left_out.push(format!("`{} none`", question.kind.flag()));
            }
            Trouble::NoSuch { kind, candidates, .. } => {
                failure.acts.extend(acts(*kind, candidates, typed));
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
    let databases: Vec<_> = choice.databases.iter().map(|index| &inventory.databases[*index]).collect();
    let names = databases.iter().map(|database| database.name.as_str()).collect::<Vec<_>>().join(", ");
    let command =
        |cluster| if cluster { "`aws rds create-db-cluster-snapshot`" } else { "`aws rds create-db-snapshot`" };
    let mut commands: Vec<_> = databases.iter().map(|database| command(database.cluster)).collect();
    commands.dedup();
    let what =
        format!("{names}: there is nothing to restore from: automated backups are off, and there is no snapshot");
    let help = format!("take a snapshot ({}), then run it again", commands.join(", "));
    Failure::message(Exit::Usage, what).help(help)
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

#[cfg(test)]
mod tests {
    use belay_draft::{
        choice::{Kind, Wanted, choose},
        inventory::{Backups, Database},
    };

    use super::*;

    #[test]
    fn a_flag_gives_way_as_a_whole() {
        let typed = " --listener shop:80 --listener shop --alarm=-dash";
        assert_eq!(without(typed, &flag("--listener", "shop")), " --listener shop:80 --alarm=-dash");
        assert_eq!(without(typed, &flag("--alarm", "-dash")), " --listener shop:80 --listener shop");
        assert_eq!(without(typed, &flag("--db", "orders")), typed);
    }

    #[test]
    fn no_command_keeps_a_flag_that_is_wrong() {
        let no_such = |kind| Trouble::NoSuch {
            kind,
            wanted: "nope".to_owned(),
            candidates: vec![Candidate { label: "orders".to_owned(), detail: String::new() }],
        };
        let troubles = [no_such(Kind::Database), no_such(Kind::Alarm)];
        let typed = " --db nope --alarm nope --listener shop:80";
        let told = failure(&troubles, &Inventory::default(), typed, Output::detect(true));
        let commands: Vec<&str> = told.acts.iter().map(|act| act.command.as_str()).collect();
        assert_eq!(
            commands,
            ["belay init --listener shop:80 --db orders", "belay init --listener shop:80 --alarm orders"]
        );
    }

    #[test]
    fn the_snapshot_of_a_cluster_is_taken_by_its_own_command() {
        for (cluster, command) in
            [(true, "(`aws rds create-db-cluster-snapshot`)"), (false, "(`aws rds create-db-snapshot`)")]
        {
            let database = Database {
                cluster,
                name: "orders".to_owned(),
                engine: "aurora-postgresql".to_owned(),
                status: None,
                unfit: None,
                members: Vec::new(),
                backups: Backups::default(),
            };
            let inventory = Inventory { databases: vec![database], ..Inventory::default() };
            let wanted = Wanted { databases: vec!["orders".to_owned()], ..Wanted::default() };
            let choice = choose(&inventory, &wanted, &mut |_| None).unwrap();
            let failure = nothing_to_restore_from(&inventory, &choice);
            assert!(failure.help.iter().any(|help| help.contains(command)), "{:?}", failure.help);
        }
    }
}
