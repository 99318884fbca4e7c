//! What the pages and the help texts print as a command is tried on the parser: nobody is answered with the usage for what they
//! copied.

use std::{fs, path::Path};

use clap::{Command, error::ErrorKind};

use crate::cli::command;

const PAGES: [&str; 13] = [
    "README.md",
    "config/README.md",
    "config/database-moves.md",
    "config/jobs.md",
    "config/scenarios/README.md",
    "crates/ARCHITECTURE.md",
    "crates/aws/AWS.md",
    "crates/channels/TEXTS.md",
    "crates/core/VERBS.md",
    "crates/sim/EXPLORE.md",
    "deploy/README.md",
    "deploy/observability.md",
    "deploy/pipelines/README.md",
];

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The commands of this program in a line of a shell, each with its words.
fn commands(program: &Command, line: &str) -> Vec<Vec<String>> {
    let known = |word: &String| word == "help" || program.find_subcommand(word).is_some();
    let words = shlex::split(line).unwrap_or_default();
    let starts = (0..words.len()).filter(|at| words[*at] == "belay" && words.get(at + 1).is_some_and(known));
    let rest = starts.map(|at| words[at..].iter());
    rest.map(|rest| rest.take_while(|word| !["&&", "|", ">", "<", "&"].contains(&word.as_str())).cloned().collect())
        .collect()
}

/// The lines of all blocks of code, one that goes on after a backslash as one.
fn blocks(page: &str) -> Vec<String> {
    let parts = page.split("```").skip(1).step_by(2);
    parts.flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_command_that_is_printed_is_understood() {
    let program = command();
    let helps = program.get_subcommands().filter_map(|command| Some(command.get_after_help()?.to_string()));
    let helps = helps.flat_map(|help| help.lines().map(str::to_owned).collect::<Vec<_>>());
    let mut tried = 0;
    for line in PAGES.iter().flat_map(|name| blocks(&page(name))).chain(helps) {
        for words in commands(&program, &line) {
            tried += 1;
            if let Err(error) = program.clone().try_get_matches_from(&words) {
                panic!("{line}\n{error}");
            }
        }
    }
    assert!(tried > 80, "only {tried} commands were found");
}

/// In a sentence a command may stand without what it needs, but not with what it does not know.
#[test]
fn no_sentence_names_a_command_or_an_option_that_is_unknown() {
    let program = command();
    let mut tried = 0;
    for name in PAGES {
        let page = page(name);
        let prose: String = page.split("```").step_by(2).collect();
        for quoted in
            prose.split('`').skip(1).step_by(2).filter(|quoted| quoted.starts_with("belay ") && *quoted != "belay VERB")
        {
            tried += 1;
            let [words] = &commands(&program, quoted)[..] else { panic!("{name}: `{quoted}` is no command") };
            let Err(error) = program.clone().try_get_matches_from(words) else { continue };
            let unknown = [ErrorKind::UnknownArgument, ErrorKind::InvalidValue];
            assert!(!unknown.contains(&error.kind()), "{name}: `{quoted}`\n{error}");
        }
    }
    assert!(tried > 50, "only {tried} commands were found");
}
