use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{
    assembly::catalogue,
    exit::{Exit, Failure},
    output::Output,
    plan_file::{self, Overlay},
    text,
};

/// Check plans, offline
///
/// Every error of a plan is shown at once, with its place and what would be right; of a valid plan, what is to be known of its
/// signals, as how late a metric shows a breach. Nothing is asked of AWS.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay validate config/examples/*.yaml
  belay validate checkout.yaml --overlay staging")]
pub(crate) struct Args {
    /// Plan files
    #[arg(required = true, value_name = "PLAN")]
    plans: Vec<PathBuf>,
    #[command(flatten)]
    overlay: Overlay,
    /// One JSON document on standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    pub(crate) fn run(&self, output: Output) -> Result<Exit, Failure> {
        let catalogue = catalogue();
        let mut documents = Vec::new();
        let mut exit = Exit::Done;
        for path in &self.plans {
            let file = path.display();
            match plan_file::check(path, &self.overlay, &catalogue) {
                Err(failure) => {
                    exit = Exit::Usage;
                    // The others are checked all the same; with --json it stands in the answer.
                    if !output.json {
                        output.failure(&failure);
                    }
                    let why = failure.causes().join(": ");
                    documents.push(json!({
                        "file": file.to_string(), "valid": false,
                        "errors": [{ "message": failure.error.to_string(), "why": why, "help": failure.help }],
                    }));
                }
                Ok(Ok(loaded)) => {
                    let plan = &loaded.plan;
                    output.line(format_args!(
                        "{} {file}: {} ({}, {}, {})",
                        output.good().apply_to("valid"),
                        plan.migration,
                        text::count(plan.steps.len(), "step"),
                        text::count(plan.triggers.len(), "trigger"),
                        text::count(plan.signals.len(), "signal"),
                    ));
                    let remarks = belay_plan::remarks(&file.to_string(), &loaded.text, plan, &catalogue);
                    for remark in &remarks {
                        let shown = remark.render_as_note(output.colour);
                        output.drawing(format_args!("{}\n", text::wrap_remark(&shown, output.page_width())));
                    }
                    documents.push(json!({
                        "file": file.to_string(), "valid": true, "migration": plan.migration,
                        "plan_sha256": loaded.sha256, "overlaid": plan.overlaid, "errors": [], "remarks": remarks,
                    }));
                }
                Ok(Err(errors)) => {
                    exit = Exit::Usage;
                    if !output.json {
                        plan_file::show_errors(&errors, output);
                        output.note(format_args!("not valid: {file} ({})", text::count(errors.len(), "error")));
                    }
                    documents.push(json!({ "file": file.to_string(), "valid": false, "errors": errors }));
                }
            }
        }
        if output.json {
            output.document(&json!({ "valid": exit == Exit::Done, "plans": Value::Array(documents) }));
        }
        Ok(exit)
    }
}
