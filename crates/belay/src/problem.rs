//! What the engine refuses, as failures with their exit codes.

use belay_core::{id::RunId, input::RefusalKind};
use belay_engine::CommandError;
use belay_journal::StateUrl;
use belay_ports::AccountError;

use crate::exit::{Exit, Failure};

pub(crate) fn account_failure(error: AccountError) -> Failure {
    match error {
        error @ AccountError::Wrong { .. } => Failure::new(Exit::Refused, error)
            .help("nothing else was read; use a profile or role of that account, or correct `aws.account` in the plan"),
        error @ AccountError::Unverified { .. } => Failure::new(Exit::Refused, error)
            .help("nothing else was read; check the credentials and the region: `aws sts get-caller-identity`"),
    }
}

pub(crate) fn command_failure(error: CommandError) -> Failure {
    match error {
        CommandError::Refused(refusal) => {
            let exit = match refusal.kind {
                RefusalKind::NotFound => Exit::Usage,
                _ => Exit::Refused,
            };
            let help = refusal.help.clone();
            Failure::new(exit, refusal).help(help)
        }
        error @ CommandError::Stopped { .. } => Failure::new(Exit::Unexpected, error),
    }
}

/// A step that waits for a person where there is none.
pub(crate) fn deserted(step: &str, run: &RunId) -> Failure {
    let what = format!("step {step} of run {run} waits for a person, and nobody can be asked");
    Failure::message(Exit::NotRolledBack, format!("{what}: standard input is no terminal, or has ended"))
}

/// Where a baseline was looked for: the journal.
pub(crate) fn looked_in(state: &StateUrl) -> String {
    let StateUrl::Sqlite(path) = state;
    let file = path.display();
    if path.exists() { format!("the journal {file} has none") } else { format!("there is no journal {file}") }
}

/// `state`: the journal that was looked at.
pub(crate) fn no_baseline(error: impl std::error::Error + Send + Sync + 'static, state: &StateUrl) -> Failure {
    let journal = looked_in(state);
    Failure::new(Exit::Refused, error).help(format!(
        "{journal}. If a daemon has armed the plan, it keeps the baseline: ask it with `belay rollback --dry-run`, or name its \
         journal with --state or BELAY_STATE. If `belay capture` wrote a file before the cutover, give it with --baseline FILE. \
         Before a cutover, `belay capture PLAN -o FILE` takes one; after it that would take what is there now, so name the \
         target in the plan instead: `to: {{...}}`"
    ))
}
