//! `belay guard`: a command of a pipeline, with the safety net below it.

mod beat;
mod child;
mod end;
mod ready;
mod session;
mod signals;
mod soak;
mod tell;
mod watch;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use belay_plan::{duration, model::Plan};
use clap::ValueEnum;

use self::{
    end::{End, Report, Stop},
    session::Session,
    signals::Signals,
    tell::Tell,
};
use crate::{
    assembly::catalogue,
    client::Address,
    exit::{Exit, Failure},
    output::Output,
    plan_file::{Overlay, load},
};

/// The phase that `belay cutover` begins where a plan has it.
const CUTOVER: &str = "cutover";

/// Run the command of a migration with Belay below it: for pipelines
///
/// Checks that the net would hold, arms the plan in the daemon, runs CMD, marks the cutover, and watches for the time of the
/// soak. When CMD fails, or a trigger fires, it is rolled back. CMD has the standard streams for itself; the lines of guard go
/// to standard error and begin with `belay:`. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on to CMD; when
/// CMD is gone, they end guard. The daemon does not need guard: however guard ends, it watches on until it is disarmed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay guard checkout.yaml -- ./shift-the-traffic.sh
  belay guard checkout.yaml --soak 1h -- terraform apply -auto-approve plan.out
  belay guard checkout.yaml --on-failure alert --report g.json -- make cutover

What the exit code means:
  0 CMD ended with 0, the soak is over, and all is well
  3 not ready, so CMD was not started; or not all is well at the end of the soak
  4 it was rolled back, or the rollback halted or was aborted
  5 refused before CMD was started: a run is open, another plan is armed, ...
  6 the daemon cannot be reached: CMD was not started, or its end is not known
  126 and 127: CMD could not be started
  128 and more: a signal ended CMD, or guard after it; --report tells them apart
  CMD's own code where it failed and was not rolled back (--on-failure alert,
  or guard was told to end)")]
pub(crate) struct Args {
    /// The plan, as the daemon has it: arming it is refused when the two differ
    plan: PathBuf,
    /// A baseline that `belay capture` wrote, instead of what is there now
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// How long it is watched after the cutover
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = soak)]
    soak: Duration,
    /// What follows when CMD fails. With `alert`, the daemon watches on, and nothing is rolled back for it
    #[arg(long, value_enum, default_value = "roll_back", value_name = "ANSWER")]
    on_failure: OnFailure,
    /// When the cutover is marked. Left out: before CMD where a step of the plan loses data or a phase is called `cutover`,
    /// since those count from the mark; else after CMD has ended with 0
    #[arg(long, value_enum, value_name = "WHEN")]
    cutover: Option<Mark>,
    /// Go on although some of the readiness is unknown, signals cannot be read (their triggers cannot fire), channels cannot be used or
    /// permissions are missing
    #[arg(long)]
    accept_unknown: bool,
    /// Write how it went into this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Why; goes on record
    #[arg(long, value_parser = crate::given::reason)]
    reason: Option<String>,
    #[command(flatten)]
    daemon: Address,
    /// The command of the migration, and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum OnFailure {
    RollBack,
    Alert,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mark {
    Before,
    After,
}

fn soak(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

impl Args {
    fn reason<'a>(&'a self, usual: &'a str) -> &'a str {
        self.reason.as_deref().unwrap_or(usual)
    }

    /// The mark stands before the command where a rollback counts from it: what would be restored is the state before the mark,
    /// and the triggers of a phase are asleep outside of it.
    fn mark(&self, plan: &Plan) -> Mark {
        let counts = plan.phases.contains_key(CUTOVER) || plan.steps.values().any(|step| step.loses_data);
        self.cutover.unwrap_or(if counts { Mark::Before } else { Mark::After })
    }

    /// The exit code.
    pub(crate) async fn run(&self, output: Output) -> u8 {
        let tell = Tell::new(output);
        let mut report = Report::default();
        let end = match self.guard(tell, output, &mut report).await {
            Ok(end) => end,
            Err(Stop::Failed(failure)) => {
                tell.failure(&failure);
                End::failed(&failure)
            }
            Err(Stop::Signalled(caught)) => End::signalled(caught),
            Err(Stop::Over(end)) => end,
        };
        end.say(tell, &report);
        if let Some(file) = &self.report
            && let Err(failure) = report.write(file, &end)
        {
            tell.failure(&failure);
        }
        end.code
    }

    async fn guard(&self, tell: Tell, output: Output, report: &mut Report) -> Result<End, Stop> {
        if let Some(file) = &self.report {
            report.create(file)?; // it is too late for that when the command has run
        }
        // From now on a signal ends nothing by itself.
        let signals = Signals::catch().map_err(|error| {
            Failure::new(Exit::Unexpected, anyhow::Error::new(error).context("signals cannot be caught"))
        })?;
        let loaded = load(&self.plan, &Overlay::default(), &catalogue(), output)?;
        let client = self.daemon.client()?;
        Session::new(self, loaded, client, tell, signals, report).guard().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soak_is_a_duration() {
        assert_eq!(soak("30m"), Ok(Duration::from_secs(1800)));
        assert_eq!(soak("0s"), Ok(Duration::ZERO));
        assert!(soak("soon").is_err());
    }
}
