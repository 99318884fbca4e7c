use std::{fs, ops::ControlFlow, path::PathBuf, sync::Arc};

use anyhow::Context;
use belay_core::{change::Baseline, event::Event};
use belay_engine::CaptureError;
use belay_journal::MemoryJournal;
use belay_ports::{Access, Journal, ReadFailure, each_record};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    assembly::{State, catalogue, gate, open_to_read, ports},
    exit::{Exit, Failure},
    output::Output,
    plan_file::{self, Overlay},
    problem::account_failure,
    text,
};

/// Observe what is there now, and write it to a file: the baseline that a rollback returns to
///
/// Do it before the cutover, and review the file. `belay arm` captures by itself; this is for `belay run`, and for a
/// second pair of eyes. With --on-record it observes nothing, and writes the baseline that the journal had at that time: for
/// `belay arm --baseline FILE` where a new one took its place. `belay audit` lists them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay capture checkout.yaml -o checkout.baseline.json
  belay run checkout.yaml --baseline checkout.baseline.json --reason \"errors\"
  belay capture checkout.yaml --on-record 2026-01-31T22:00:00Z -o before.json")]
pub(crate) struct Args {
    plan: PathBuf,
    #[command(flatten)]
    overlay: Overlay,
    /// Write to this file instead of standard output; a file with something in it is not written over
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The baseline of this time, from the journal
    #[arg(long, value_name = "TIME")]
    on_record: Option<Timestamp>,
    #[command(flatten)]
    state: State,
    /// One JSON document on standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let loaded = plan_file::load(&self.plan, &self.overlay, &catalogue(), output)?;
        self.refuse_to_overwrite()?;
        let baseline = match self.on_record {
            Some(time) => self.kept(&loaded.plan.migration, time).await?,
            None => {
                let nowhere = Arc::new(MemoryJournal::default());
                let ports = ports(Access::ReadOnly, nowhere, Arc::new(()), gate(output)?.only_listed())?;
                belay_engine::capture(&ports, &loaded.plan, &loaded.sha256).await.map_err(failure)?
            }
        };
        match &self.output {
            Some(path) => self.write(path, &baseline, output),
            None => {
                output.document(&baseline);
                Ok(Exit::Done)
            }
        }
    }

    /// The last baseline that was captured by then. Messages show times without their fraction.
    async fn kept(&self, migration: &str, time: Timestamp) -> Result<Baseline, Failure> {
        let found = baselines(&open_to_read(&self.state.url)?, migration).await?;
        let kept = found.iter().rfind(|baseline| baseline.captured.as_second() <= time.as_second());
        kept.map(|baseline| baseline.as_ref().clone()).ok_or_else(|| {
            let known: Vec<String> = found.iter().map(|baseline| format!("{:.0}", baseline.captured)).collect();
            let help = match known.is_empty() {
                true => "the journal has no baseline of it; name another one with --state or BELAY_STATE".to_owned(),
                false => format!("the journal has those of {}", known.join(", ")),
            };
            Failure::message(Exit::No, format!("no baseline of {migration} was captured by {time:.0}")).help(help)
        })
    }

    /// The baseline in it may be the only one from before the cutover.
    fn refuse_to_overwrite(&self) -> Result<(), Failure> {
        let Some(path) = self.output.as_ref().filter(|path| fs::metadata(path).is_ok_and(|file| file.len() > 0)) else {
            return Ok(());
        };
        Err(Failure::message(Exit::Refused, format!("{} is there already", path.display()))
            .help("it may hold the state from before the cutover: move it away first, or name another file"))
    }

    fn write(&self, path: &PathBuf, baseline: &Baseline, output: Output) -> Result<Exit, Failure> {
        fs::write(path, format!("{:#}\n", json!(baseline)))
            .with_context(|| format!("the baseline cannot be written to {}", path.display()))
            .map_err(|error| Failure::new(Exit::Unexpected, error))?;
        if output.json {
            output.document(baseline);
        }
        for (step, entry) in &baseline.steps {
            output.line(format_args!("{}  {}", output.bold().apply_to(step), entry.resource));
        }
        let steps = text::count(baseline.steps.len(), "step");
        output.line(format_args!("the baseline of {steps} is in {}", path.display()));
        Ok(Exit::Done)
    }
}

/// The baselines that a journal has of a migration, the earliest first.
pub(crate) async fn baselines(journal: &dyn Journal, migration: &str) -> Result<Vec<Arc<Baseline>>, Failure> {
    let mut found: Vec<Arc<Baseline>> = Vec::new();
    each_record(journal, migration, 0, |record| {
        if let Event::BaselineCaptured { baseline } = record.event
            && !found.contains(&baseline)
        {
            found.push(baseline);
        }
        Ok::<_, ReadFailure>(ControlFlow::Continue(()))
    })
    .await?;
    found.sort_by_key(|baseline| baseline.captured);
    Ok(found)
}

fn failure(error: CaptureError) -> Failure {
    match error {
        CaptureError::Account(error) => account_failure(error),
        CaptureError::Unknown(error) => Failure::new(Exit::Usage, error),
        error @ CaptureError::Unreadable { .. } => Failure::new(Exit::Unexpected, error)
            .help("half a baseline is none: correct the step or the permissions, then capture again"),
    }
}
