use std::{path::PathBuf, sync::Arc, time::Duration};

use belay_journal::StateUrl;
use belay_local::permit::Gate;
use belay_ports::{Access, Clock};
use belay_server::{BuildError, Config, ConfigError, Metrics, Parts, PlanFileError, ServeError, Traces};
use tokio::task::JoinSet;

use crate::{
    assembly::{catalogue, open_to_write, ports},
    aws::built_in,
    clock::SystemClock,
    exit::{Exit, Failure},
    logs::Lost,
    output::Output,
    panics,
    plan_file::show_errors,
    soundness::{BESIDE_THE_WATCH, Soundness},
    text,
    threads::Watch,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long the last spans may take on their way, after the daemon has stopped.
const FLUSH_MAX: Duration = Duration::from_millis(400);

/// Run the daemon: watch, and roll back when a trigger or a person says so
///
/// Unix signals: SIGUSR1 rolls back the armed migration, SIGUSR2 dry-runs it, SIGHUP reads configuration and plans anew,
/// SIGTERM and SIGINT stop in order, within 10 s. What is under way goes on at the next start.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay serve --plan checkout.yaml
  belay serve --config /etc/belay/belay.yaml
  BELAY_STATE=sqlite:/var/lib/belay/belay.db belay serve --plan 'plans/*.yaml'

Environment, over the file: BELAY_LISTEN, BELAY_STATE, BELAY_POLL")]
pub(crate) struct Args {
    /// The daemon's configuration; without it the defaults hold
    #[arg(long, env = "BELAY_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// A plan to guard, or a glob of plans; beside those of the configuration
    #[arg(long = "plan", value_name = "PLAN", num_args = 1..)]
    plans: Vec<String>,
}

impl Args {
    pub(crate) async fn run(self, output: Output, traces: Traces, lost: Lost) -> Result<Exit, Failure> {
        let mut config = Config::load(self.config.as_deref()).map_err(|error| config_failure(error, output))?;
        config.more_plans = self.plans;
        let catalogue = catalogue();
        let (plans, unusable) = belay_server::load_all(&config.all_plans(), &catalogue);
        let url = StateUrl::parse(&config.state).map_err(|error| Failure::new(Exit::Usage, error))?;
        let StateUrl::Sqlite(path) = &url;
        if !unusable.is_empty() && !path.exists() {
            return Err(show_unusable(&unusable, output)); // nothing can be live that would need to go on
        }
        built_in()?;
        let journal = Arc::new(open_to_write(&url)?);
        let clock = Arc::new(SystemClock::start());
        let metrics = Metrics::new(VERSION, clock.now());
        panics::count_and_log(metrics.clone());
        let watch = Watch::start().map_err(|error| Failure::new(Exit::Unexpected, error))?;
        let mut beside = JoinSet::new();
        beside.spawn(lost.tell(metrics.clone(), clock));
        let observer = Arc::new((metrics.clone(), traces.clone()));
        let gate = Gate::new(config.permits.clone());
        // The connections to AWS live where they are made.
        let acting = {
            let _within = watch.handle().enter();
            ports(Access::ReadWrite, journal.clone(), observer.clone(), gate.clone())?
        };
        let parts = Parts {
            ports: acting,
            watch: watch.handle().clone(),
            read_only: ports(Access::ReadOnly, journal, observer, gate.only_listed())?,
            gate,
            catalogue,
            plans,
            unusable,
            belay_version: VERSION.to_owned(),
            metrics,
            traces: traces.clone(),
            readiness: Some(Arc::new(Soundness::within(BESIDE_THE_WATCH))),
        };
        let served = belay_server::run(config, parts).await;
        // Whatever the collector does, the stop stays within its 10 s. An error means that it panicked, and that is logged.
        let _ = tokio::task::spawn_blocking(move || traces.close(FLUSH_MAX)).await;
        served.map_err(|error| failure(error, output))?;
        Ok(Exit::Done)
    }
}

fn show_unusable(errors: &[PlanFileError], output: Output) -> Failure {
    for error in errors {
        match error {
            PlanFileError::Invalid { diagnostics, .. } => show_errors(diagnostics, output),
            other => output.note(other),
        }
    }
    let plans = text::count(errors.len(), "plan file");
    Failure::message(Exit::Usage, format!("{plans} cannot be used"))
        .help("correct what is shown above; `belay validate` checks without starting")
}

pub(crate) fn config_failure(error: ConfigError, output: Output) -> Failure {
    if let ConfigError::Invalid { diagnostics, .. } = &error {
        show_errors(diagnostics, output);
    }
    Failure::new(Exit::Usage, error).help("correct it; `belay schema --daemon` lets an editor check it while you type")
}

fn failure(error: ServeError, output: Output) -> Failure {
    match error {
        ServeError::Config(error) => config_failure(error, output),
        ServeError::Bind { .. } => Failure::new(Exit::Unexpected, error)
            .help("stop who listens there, or choose another port with BELAY_LISTEN"),
        ServeError::Build(BuildError::PlanFiles(errors)) => show_unusable(&errors, output),
        other => Failure::new(Exit::Unexpected, other),
    }
}
