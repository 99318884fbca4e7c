//! What the engine refuses, as failures with their exit codes.

use belay_core::input::RefusalKind;
use belay_engine::CommandError;
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

pub(crate) fn no_baseline(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Exit::Refused, error).help(
        "before a cutover: `belay capture PLAN -o FILE`, then --baseline FILE. After it, name the target in the plan with \
         `to: {...}`",
    )
}
