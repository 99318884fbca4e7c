use std::{fs, path::PathBuf, sync::Arc};

use anyhow::Context;
use belay_aws::session::Access;
use belay_core::change::Baseline;
use belay_engine::CaptureError;
use belay_journal::MemoryJournal;
use serde_json::json;

use crate::{
    assembly::{catalogue, gate, ports},
    exit::{Exit, Failure},
    output::Output,
    plan_file::{self, Overlay},
    problem::account_failure,
    text,
};

/// Observe what is there now, and write it to a file: the baseline that a rollback returns to
///
/// Do it before the cutover, and review the file. `belay arm` captures by itself; this is for `belay run`, and for a
/// second pair of eyes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  belay capture checkout.yaml -o checkout.baseline.json
  belay run checkout.yaml --baseline checkout.baseline.json --reason \"errors\"")]
pub(crate) struct Args {
    plan: PathBuf,
    #[command(flatten)]
    overlay: Overlay,
    /// Write to this file instead of standard output; a file with something in it is not written over
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// One JSON document on standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let loaded = plan_file::load(&self.plan, &self.overlay, &catalogue(), output)?;
        self.refuse_to_overwrite()?;
        let ports =
            ports(Access::ReadOnly, Arc::new(MemoryJournal::default()), Arc::new(()), gate(output)?.only_listed());
        let baseline = belay_engine::capture(&ports, &loaded.plan, &loaded.sha256).await.map_err(failure)?;
        match &self.output {
            Some(path) => self.write(path, &baseline, output),
            None => {
                output.document(&baseline);
                Ok(Exit::Done)
            }
        }
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

fn failure(error: CaptureError) -> Failure {
    match error {
        CaptureError::Account(error) => account_failure(error),
        CaptureError::Unknown(error) => Failure::new(Exit::Usage, error),
        error @ CaptureError::Unreadable { .. } => Failure::new(Exit::Unexpected, error)
            .help("half a baseline is none: correct the step or the permissions, then capture again"),
    }
}
