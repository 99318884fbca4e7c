use std::path::PathBuf;

use belay_plan::graph;
use clap::ValueEnum;

use crate::{
    assembly::catalogue,
    exit::{Exit, Failure},
    output::Output,
    plan_file::{self, Overlay},
};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Mermaid,
    Svg,
}

/// Draw the steps of a plan, offline
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay graph checkout.yaml                       # Mermaid, for a Markdown page
  belay graph checkout.yaml --format svg > checkout.svg")]
pub(crate) struct Args {
    plan: PathBuf,
    #[command(flatten)]
    overlay: Overlay,
    #[arg(long, value_enum, default_value = "mermaid")]
    format: Format,
}

impl Args {
    pub(crate) fn run(&self, output: Output) -> Result<Exit, Failure> {
        let loaded = plan_file::load(&self.plan, &self.overlay, &catalogue(), output)?;
        output.raw(&match self.format {
            Format::Mermaid => graph::mermaid(&loaded.plan),
            Format::Svg => graph::svg(&loaded.plan),
        });
        Ok(Exit::Done)
    }
}
