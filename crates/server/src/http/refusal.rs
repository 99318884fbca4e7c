//! Why something was refused, as a problem: its kind, the state it was refused in, and what is possible there.

use belay_core::{
    id::RunId,
    input::{Refusal, RefusalKind},
    migration::Migration,
    possible,
};
use belay_engine::{ArmError, CaptureError, CommandError, DryRunError, RunError};
use belay_ports::AccountError;
use serde_json::json;

use crate::operate::OperateError;

use super::{kind::Kind, problem::Problem};

/// What was to be moved.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a> {
    Migration,
    Run(&'a RunId),
    Step(&'a RunId, &'a str),
}

/// `state`: as it is after the refusal.
pub(crate) fn problem(error: OperateError, state: &Migration, subject: Subject<'_>) -> Problem {
    let detail = error.to_string();
    match error {
        OperateError::Command(error) => of_command(error, state, subject),
        OperateError::Run(RunError::Command(error)) => of_command(error, state, subject),
        OperateError::Run(RunError::Account(error)) => of_account(&error),
        OperateError::Run(RunError::Unknown(_) | RunError::OtherBaseline { .. }) => unsupported(detail),
        OperateError::Run(RunError::CutoverUnmarked { .. }) => Problem::new(Kind::CutoverUnmarked, detail).help(
            "name the time of the cutover in the plan, arm it, and roll back; or roll back the other steps: `belay rollback --only STEP,STEP`",
        ),
        OperateError::Arm(error) => of_arming(error, detail, state),
        OperateError::DryRun(error) => of_dry_run(error, detail),
        OperateError::PlanFile { .. } => {
            Problem::new(Kind::PlanFile, detail).help("`belay validate` shows every error")
        }
        OperateError::NotPermitted { .. } => Problem::new(Kind::NotPermitted, detail)
            .help("review the plan; then list what it may do in the daemon's configuration, and send SIGHUP"),
        OperateError::OtherPlan { found, .. } => Problem::new(Kind::OtherPlan, detail)
            .help("if the daemon's file is out of date, copy the reviewed plan over it; else review it as it is now, and give its hash (`sha256sum` shows it)")
            .with("plan_sha256", found),
        OperateError::ResourceTaken { resource, other } => Problem::new(Kind::ResourceTaken, detail)
            .help(format!("disarm {other} first, or let one plan do what both do"))
            .with("resource", resource)
            .with("migration", other),
        OperateError::NeedsRoles { roles, .. } => Problem::new(Kind::NeedsRoles, detail).help(format!(
            "give the roles under `tokens` in the daemon's configuration (`{}`), each under the name of another person, and \
             send SIGHUP; or correct the plan",
            roles.join("`, `")
        )),
        OperateError::Busy => Problem::new(Kind::Busy, detail).help("ask again when one of them has ended"),
        OperateError::Report(_) => Problem::unavailable(detail),
    }
}

fn of_command(error: CommandError, state: &Migration, subject: Subject<'_>) -> Problem {
    match error {
        CommandError::Stopped { .. } => {
            Problem::unavailable(error.to_string()).help("`belay status` and the daemon's log say more")
        }
        CommandError::Refused(refusal) => of_refusal(refusal, state, subject),
    }
}

fn of_refusal(refusal: Refusal, state: &Migration, subject: Subject<'_>) -> Problem {
    let Refusal { kind, why, help } = refusal;
    let problem = match kind {
        RefusalKind::WrongState => Problem::wrong_state(why),
        RefusalKind::AlreadyRunning { run } => Problem::new(Kind::AlreadyRunning, why).with("run", run.0),
        RefusalKind::NotAllowed { role } => {
            return Problem::forbidden(why).help(help).with("role", role);
        }
        RefusalKind::NoBaseline => no_baseline(why),
        RefusalKind::RedAtArm => Problem::new(Kind::RedAtArm, why),
        RefusalKind::NotFound => return Problem::not_found(why).help(help),
    };
    with_state(problem.help(help), state, subject)
}

/// Not possible, for what the migration is like now.
pub(super) fn of_state(why: String, state: &Migration) -> Problem {
    with_state(Problem::wrong_state(why), state, Subject::Migration)
}

fn no_baseline(detail: String) -> Problem {
    Problem::new(Kind::NoBaseline, detail)
}

fn unsupported(detail: String) -> Problem {
    // The request is fine, and so may the plan be: it is this version that refuses.
    Problem::new(Kind::UnsupportedPlan, detail)
}

fn of_arming(error: ArmError, detail: String, state: &Migration) -> Problem {
    match error {
        ArmError::Command(error) => of_command(error, state, Subject::Migration),
        ArmError::Account(error) => of_account(&error),
        ArmError::Unknown(_) => unsupported(detail),
        ArmError::Capture(error) => of_capture(error, detail),
        ArmError::OtherBaseline { .. } => Problem::new(Kind::OtherBaseline, detail),
        ArmError::AfterCutover { .. } => {
            let help = "give the baseline that was captured before the cutover: `belay arm --baseline FILE`; `belay capture PLAN --on-record TIME \
                        -o FILE` writes one that the journal has, and `belay audit` lists those";
            with_state(no_baseline(detail).help(help), state, Subject::Migration)
        }
        ArmError::Unreadable { .. } => unreadable(detail),
        ArmError::UnreadableSignals { .. } => Problem::new(Kind::UnreadableSignals, detail)
            .help("correct the plan or the permissions; to arm all the same: `belay arm --accept-unknown`"),
        ArmError::UnusableChannels { .. } => Problem::new(Kind::UnusableChannels, detail)
            .help("correct the plan or the secret; to arm all the same: `belay arm --accept-unknown`"),
        ArmError::MissingPermissions { permissions } => Problem::new(Kind::MissingPermissions, detail)
            .help("attach what `belay iam PLAN` prints to the role; to arm all the same: `belay arm --accept-unknown`")
            .with("permissions", permissions),
        ArmError::Impossible { .. } => {
            Problem::new(Kind::ImpossibleStep, detail).help("`belay dry-run` shows every step as it would go now")
        }
    }
}

fn of_capture(error: CaptureError, detail: String) -> Problem {
    match error {
        CaptureError::Account(error) => of_account(&error),
        CaptureError::Unknown(_) => unsupported(detail),
        CaptureError::Unreadable { .. } => unreadable(detail),
    }
}

fn of_dry_run(error: DryRunError, detail: String) -> Problem {
    match error {
        DryRunError::Account(error) => of_account(&error),
        DryRunError::Unknown(_) => unsupported(detail),
        DryRunError::NoSuchStep { .. } | DryRunError::NoSuchPhase { .. } => Problem::not_found(detail),
    }
}

fn of_account(error: &AccountError) -> Problem {
    let detail = error.to_string();
    match error {
        AccountError::Wrong { .. } => Problem::new(Kind::WrongAccount, detail)
            .help("give the daemon credentials of the plan's account, or the plan a `role` there"),
        AccountError::Unverified { .. } => Problem::new(Kind::AccountUnverified, detail)
            .help("the daemon's credentials and its way to AWS STS are where to look"),
    }
}

fn unreadable(detail: String) -> Problem {
    Problem::new(Kind::Unreadable, detail).help("`belay dry-run` shows every step, and which of them could not be read")
}

/// The state of what was to be moved, and the verbs that are possible there.
fn with_state(problem: Problem, state: &Migration, subject: Subject<'_>) -> Problem {
    let run = match subject {
        Subject::Migration => None,
        Subject::Run(id) | Subject::Step(id, _) => state.find_run(id),
    };
    let step = match (run, subject) {
        (Some(run), Subject::Step(_, name)) if !run.state.is_over() => run.steps.get(name),
        _ => None,
    };
    let (word, possible) = match (run, step) {
        (Some(run), Some(step)) => (json!(step.phase), possible::of_step(run, step)),
        (Some(run), None) => (json!(run.state), possible::of_run(state, run)),
        (None, _) => {
            let possible = match state.open_run() {
                Some(run) => possible::of_run(state, run),
                None => possible::of_migration(state),
            };
            (json!(state.state()), possible)
        }
    };
    problem.with("state", word).with("possible", json!(possible))
}
