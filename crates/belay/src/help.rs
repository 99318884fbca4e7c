//! What `--help` says beside what clap knows: the commands in groups, and what each answers and listens to.

use std::fmt::Write as _;

use clap::{Command, builder::Styles};

use crate::text;

/// Commands by what they are for, in the order in which one meets them.
const GROUPS: [(&str, &[&str]); 7] = [
    ("See it work", &["demo"]),
    ("Plans", &["init", "validate", "graph", "schema", "capture", "check", "dry-run", "iam"]),
    ("Rehearse", &["explore", "drill", "notify"]),
    (
        "Guard a cutover",
        &["serve", "guard", "arm", "cutover", "phase", "mute", "unmute", "disarm", "status", "watch", "checklist"],
    ),
    (
        "Roll back",
        &["rollback", "decide", "approve", "override", "hold", "resume", "retry", "skip", "abort", "undo", "run"],
    ),
    ("Afterwards", &["report", "postmortem", "audit", "journal"]),
    ("Set up", &["token", "completions", "man"]),
];

/// What is left for a sentence beside the name, on a terminal of 80 columns.
const ABOUT: usize = 65;

const AFTER: &str = "\
Try it without AWS and without any set-up:
  belay demo

Draft a plan from what the account contains:
  belay init -o checkout.yaml

Guard a cutover:
  belay serve --plan checkout.yaml
  belay arm && belay cutover
  belay watch

When a run waits for you, status shows the commands that move it:
  belay status

Roll back right now, without a daemon:
  belay dry-run checkout.yaml
  belay run checkout.yaml --reason \"errors after the cutover\"";

const CODES: [(u8, &str); 8] = [
    (0, "done"),
    (1, "unexpected"),
    (2, "usage or invalid plan"),
    (
        3,
        "negative result: not ready, a dry run that would be stopped, a counter-example, objectives missed, audit broken",
    ),
    (4, "the rollback halted, failed or was aborted"),
    (5, "refused (wrong account, not allowed, wrong state, no baseline, lease held)"),
    (6, "the daemon cannot be reached"),
    (130, "Ctrl-C while --wait waited: the run goes on"),
];

/// Adds to every command what it lacks.
pub(crate) fn complete(program: Command) -> Command {
    let template = template(&program);
    let names: Vec<String> = program.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let program = names.into_iter().fold(program, |program, name| {
        program.mut_subcommand(&name, |command| {
            let examples = command.get_after_help().map_or(String::new(), |help| format!("{help}\n\n"));
            let after = format!("{examples}{}{}", codes(codes_of(&name)), environment(&command));
            command.after_help(after)
        })
    });
    program.help_template(template).after_help(format!("{AFTER}\n\n{}", codes(&[0, 1, 2, 3, 4, 5, 6, 130])))
}

fn template(program: &Command) -> String {
    let styles = Styles::styled();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut groups = String::new();
    for (title, names) in GROUPS {
        // Writing into a string cannot fail, here and below.
        let _ = writeln!(groups, "{header}{title}:{header:#}");
        for name in names {
            let about = program.find_subcommand(name).and_then(Command::get_about);
            let about = about.map_or(String::new(), ToString::to_string);
            let rows = text::rows(&about, ABOUT);
            let mut rows = rows.iter().map(String::as_str);
            let _ = writeln!(groups, "  {literal}{name:<12}{literal:#} {}", rows.next().unwrap_or_default());
            for row in rows {
                let _ = writeln!(groups, "{:15}{row}", "");
            }
        }
        groups.push('\n');
    }
    format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}{header}Options:{header:#}\n{{options}}\n{{after-help}}\n"
    )
}

fn codes_of(command: &str) -> &'static [u8] {
    match command {
        "validate" | "graph" | "schema" | "completions" | "man" | "token" | "serve" => &[0, 1, 2],
        "iam" | "init" => &[0, 1, 2, 5],
        "capture" | "check" | "dry-run" => &[0, 1, 2, 3, 5],
        "audit" | "explore" | "notify" => &[0, 1, 2, 3],
        "demo" => &[0, 1, 4],
        "run" => &[0, 1, 2, 4, 5],
        "drill" => &[0, 1, 2, 3, 4, 5],
        "status" | "watch" | "arm" | "disarm" | "cutover" | "phase" | "mute" | "unmute" | "decide" | "hold"
        | "postmortem" | "checklist" => &[0, 1, 2, 5, 6],
        "report" => &[0, 1, 2, 3, 5, 6],
        "guard" | "rollback" => &[0, 1, 2, 3, 4, 5, 6, 130],
        _ => &[0, 1, 2, 4, 5, 6, 130],
    }
}

fn codes(wanted: &[u8]) -> String {
    let lines = CODES.iter().filter(|(code, _)| wanted.contains(code));
    let lines = lines.map(|(code, meaning)| format!("\n  {code} {meaning}"));
    format!("Exit codes:{}", lines.collect::<String>())
}

fn environment(command: &Command) -> String {
    let talks = command.get_arguments().any(|argument| argument.get_long() == Some("url"));
    if !talks {
        return String::new();
    }
    "\n\nEnvironment:\n  BELAY_URL    where the daemon listens\n  BELAY_TOKEN  the token, if the daemon wants one\n  \
     NO_COLOR     no colours"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::cli;

    use super::*;

    #[test]
    fn every_command_stands_in_one_group() {
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let program = cli::command();
        let known: BTreeSet<&str> = program.get_subcommands().map(Command::get_name).collect();
        assert_eq!(grouped.iter().copied().collect::<BTreeSet<&str>>(), known);
        assert_eq!(grouped.len(), known.len());
    }

    /// What a terminal of 80 columns would break cannot be copied.
    #[test]
    fn examples_and_the_overview_fit_eighty_columns() {
        let long =
            |text: String| text.lines().filter(|line| line.chars().count() > 80).map(str::to_owned).collect::<Vec<_>>();
        let program = cli::command();
        let examples = program.get_subcommands().filter_map(|command| {
            let help = command.get_after_help()?.to_string();
            Some(help.split("Exit codes:").next().unwrap_or_default().to_owned())
        });
        assert_eq!(examples.flat_map(long).collect::<Vec<_>>(), Vec::<String>::new());
        let overview = cli::command().term_width(80).render_help().to_string();
        assert_eq!(long(overview), Vec::<String>::new());
    }

    #[test]
    fn help_is_a_command_too() {
        for words in [vec!["belay", "help"], vec!["belay", "help", "arm"]] {
            let shown = cli::command().try_get_matches_from(words).unwrap_err();
            assert_eq!(shown.kind(), clap::error::ErrorKind::DisplayHelp);
        }
    }

    #[test]
    fn every_command_shows_an_example_and_its_exit_codes() {
        for command in cli::command().get_subcommands().filter(|command| command.get_name() != "demo") {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example") && help.contains("Exit codes:"), "{}: {help}", command.get_name());
            assert!(help.contains(&format!("belay {}", command.get_name())), "{}", command.get_name());
        }
    }
}
