use std::{path::PathBuf, sync::Arc, time::Duration};

use belay_core::{
    event::RunKind,
    input::{Asked, RefusalKind},
};
use belay_engine::{CommandError, Engine, Handle, Options, Request, RunError, Sampler, run_foreground};
use belay_journal::StateUrl;
use belay_plan::model::Plan;
use belay_ports::{Access, Ports};

use crate::{
    assembly::{State, actor, catalogue, gate, open_to_write, ports},
    aws::built_in,
    commands::arm::read_baseline,
    exit::{Exit, Failure},
    follow::{Approvals, Ending, Screen, follow_engine, show_summary},
    interrupt::interrupted,
    output::Output,
    plan_file::{self, Overlay},
    problem::{account_failure, command_failure, deserted, no_baseline},
    text,
};

/// How often signals are read: a person watches, and the run is short.
const POLL: Duration = Duration::from_secs(2);

/// Notices that are on their way when the run is over get so long.
const TELLING_MAX: Duration = Duration::from_secs(10);

/// Roll back now, in the foreground, without a daemon
///
/// Steps that wait for a person are asked about on this terminal. Ctrl-C stops in order: the journal is complete, and
/// the same command goes on where it stopped. It takes the same lease on the journal as the daemon, so the two never
/// act at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay run checkout.yaml --reason \"errors after the cutover\"
  belay run checkout.yaml --baseline checkout.baseline.json --reason \"errors\"
  belay run checkout.yaml --only dns_back --reason \"only the traffic\" --json")]
pub(crate) struct Args {
    plan: PathBuf,
    #[command(flatten)]
    overlay: Overlay,
    /// Why; goes on record
    #[arg(long, value_parser = crate::given::reason)]
    reason: String,
    /// These steps and the ones that they need
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// The phase that the migration is in, where the journal does not know it
    #[arg(long)]
    phase: Option<String>,
    /// A baseline that `belay capture` wrote, instead of the one that the journal keeps
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    #[command(flatten)]
    state: State,
    /// JSON lines on standard output, and nothing else: each record as it happens, the run itself as the last
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let loaded = plan_file::load(&self.plan, &self.overlay, &catalogue(), output)?;
        self.refuse_unknown_steps(&loaded.plan)?;
        built_in()?;
        let baseline = self.baseline.as_ref().map(|path| read_baseline(path, &loaded.plan.migration)).transpose()?;
        let StateUrl::Sqlite(path) = &self.state.url;
        let is_new = !path.exists();
        let journal = Arc::new(open_to_write(&self.state.url)?);
        if is_new {
            output.note(format_args!(
                "new journal {}: it knows nothing of what was armed or run before. If a daemon guards {}, name its journal with \
                 --state or BELAY_STATE",
                path.display(),
                loaded.plan.migration
            ));
        }
        let ports = ports(Access::ReadWrite, journal, Arc::new(()), gate(output)?)?;
        let sampler = Sampler::start(ports.sensors.clone(), ports.clock.clone(), ports.observer.clone(), POLL);
        let options = Options { sampler, belay_version: env!("CARGO_PKG_VERSION").to_owned(), readiness: None };
        let handle = Engine::open(ports.clone(), &loaded.plan.migration, options).await?;
        let mut records = handle.records();
        let objective = loaded.plan.objectives.rto;
        let request = Request {
            plan: Arc::new(loaded.plan),
            plan_sha256: loaded.sha256,
            kind: RunKind::Real,
            baseline,
            only: self.only.clone(),
            phase: self.phase.clone(),
            asked: Asked::new(actor(), self.reason.clone()),
        };
        let started =
            run_foreground(&handle, &ports, request).await.map_err(|error| failure(error, &self.state.url))?;
        let mut screen = Screen::new(output, None);
        if started.continued {
            screen.note("the journal shows a run that is not over: it goes on, with the plan that it began with");
        }
        let approvals = Approvals::new(&started.run, &actor());
        let id = started.run.to_string();
        let clock = ports.clock.as_ref();
        let ending =
            follow_engine(&handle, &mut records, &id, clock, &mut screen, Some(approvals), interrupted()).await;
        screen.finish();
        let untold = tell_the_rest(&handle, &ports).await;
        handle.shutdown().await;
        if untold > 0 {
            let them = text::count(untold, "notice");
            output
                .note(format_args!("{them} not sent yet; a daemon on this journal sends the rest: {}", self.daemon()));
        }
        match ending? {
            Ending::Stopped(run) => {
                if output.json {
                    output.json_line(&run.document);
                }
                show_summary(&run, objective, None, output);
                if run.state == "halted" {
                    let again =
                        "  next: when the cause is gone, run the same command again: it goes on where it stopped.";
                    output.line(again);
                    output.line("  To override an interlock or to skip a step, let a daemon take the run over:");
                    output.line(format_args!("    {}", self.daemon()));
                    output.line("    belay status          # in another terminal: shows the commands");
                }
                Ok(run.exit())
            }
            Ending::Interrupted => Err(Failure::message(Exit::NotRolledBack, format!("run {id} was interrupted"))
                .help("the journal is complete: run the same command again to go on")),
            Ending::Deserted(step) => {
                let daemon = self.daemon();
                Err(deserted(&step, &started.run).help(format!(
                    "nobody's answer is on record, and the step goes on waiting. Run the same command again in a terminal, or \
                     let a daemon take the run over: `{daemon}`, then `belay approve {step} --reason \"...\"`"
                )))
            }
        }
    }
}

/// People are told of the end, too, if they can be told soon. How many notices are left.
async fn tell_the_rest(handle: &Handle, ports: &Ports) -> usize {
    let mut snapshots = handle.watch();
    tokio::select! {
        biased;
        _ = snapshots.wait_for(|snapshot| snapshot.state.outbox.waiting.is_empty()) => {}
        () = ports.clock.sleep(TELLING_MAX) => {}
    }
    handle.snapshot().state.outbox.waiting.len()
}

impl Args {
    /// The daemon that would go on with this run.
    fn daemon(&self) -> String {
        let StateUrl::Sqlite(path) = &self.state.url;
        let state = text::shell_word(&format!("sqlite:{}", path.display()));
        format!("BELAY_STATE={state} belay serve --plan {}", text::shell_word(&self.plan.display().to_string()))
    }

    /// A run that goes on takes no other steps, but a name that means nothing is a mistake all the same.
    fn refuse_unknown_steps(&self, plan: &Plan) -> Result<(), Failure> {
        match self.only.iter().find(|step| !plan.steps.contains_key(*step)) {
            None => Ok(()),
            Some(step) => Err(Failure::message(Exit::Usage, format!("the plan has no step {step}"))
                .help(format!("its steps are: {}", plan.steps.keys().cloned().collect::<Vec<_>>().join(", ")))),
        }
    }
}

fn failure(error: RunError, state: &StateUrl) -> Failure {
    match error {
        RunError::Account(error) => account_failure(error),
        RunError::Command(CommandError::Refused(refusal)) if refusal.kind == RefusalKind::NoBaseline => {
            no_baseline(refusal, state)
        }
        RunError::Command(error) => command_failure(error),
        error @ RunError::Unknown(_) => Failure::new(Exit::Usage, error),
        error @ RunError::OtherBaseline { .. } => Failure::new(Exit::Refused, error),
        error @ RunError::CutoverUnmarked { .. } => Failure::new(Exit::Refused, error)
            .help("name the time of the cutover in the plan, or roll back the other steps: `--only STEP,STEP`"),
    }
}
