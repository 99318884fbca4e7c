use std::{
    fs,
    path::{Path, PathBuf},
};

use belay_core::change::Baseline;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    client::Daemon,
    commands::sent::of_migration,
    exit::{Exit, Failure},
    output::Output,
    text,
};

/// Arm a migration: capture the baseline, and watch from now on
///
/// Arm before the cutover: what is observed now is what a rollback returns to. The plan is pinned as it is; arm again
/// after editing it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  belay arm\n  belay arm checkout-cutover --reason \"change 4711\"")]
pub(crate) struct Args {
    /// Needed only where the daemon has several
    migration: Option<String>,
    /// A baseline that `belay capture` wrote, instead of what is there now
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Arm although a trigger is red: it fires only after it has been green. `belay rollback` works at once
    #[arg(long)]
    wait_for_green: bool,
    /// Arm although signals cannot be read (an alarm does not exist, access is denied; their triggers cannot fire), channels cannot be
    /// used or permissions are missing
    #[arg(long)]
    accept_unknown: bool,
    /// Arm only if the plan file has this SHA-256: that of the plan that was reviewed
    #[arg(long, value_name = "SHA256")]
    plan_sha256: Option<String>,
    /// Why; goes on record
    #[arg(long, value_parser = crate::given::reason)]
    reason: Option<String>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let client = self.daemon.client()?;
        let migration = client.migration(self.migration.as_deref()).await?;
        let mut body = json!({ "reason": self.reason.as_deref().unwrap_or("armed at the command line") });
        if let Some(path) = &self.baseline {
            body["baseline"] = json!(read_baseline(path, &migration)?);
        }
        if self.wait_for_green {
            body["wait_for_green"] = json!(true);
        }
        if self.accept_unknown {
            body["accept_unknown"] = json!(true);
        }
        if let Some(sha256) = &self.plan_sha256 {
            body["plan_sha256"] = json!(sha256);
        }
        let before = client.get(&format!("migrations/{migration}")).await?;
        let answer = client.post(&format!("migrations/{migration}/arm"), &body).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => return Err(of_migration(failure, &client, &migration).await),
        };
        if output.json {
            output.document(&answer);
        } else {
            output.line(format_args!("{migration} is {}", output.good().apply_to("armed")));
            let watched = [count(&answer["triggers"], "trigger"), count(&answer["signals"], "signal")];
            output.line(format_args!("  {} are watched from now on", watched.join(" and ")));
            let phase = |document: &Value| document["phase"].as_str().map(str::to_owned);
            if let Some(begun) = phase(&answer) {
                output.line(format_args!("  the phase is {begun}"));
                if let Some(left) = phase(&before).filter(|left| *left != begun) {
                    let other = client.commands().line(&format!("phase NAME {migration} --reason \"...\""));
                    output.line(format_args!(
                        "  {} it was in phase {left}, which this plan does not have; {other} begins another",
                        output.warn().apply_to("warning:")
                    ));
                }
            }
            output.line(format_args!("  {}", baseline(&before, &answer)));
            for detour in answer["detours"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                output.line(format_args!("  {} {detour}", output.warn().apply_to("note:")));
            }
            for warning in answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                output.line(format_args!("  {} {warning}", output.warn().apply_to("warning:")));
            }
            if answer["cutover"].is_null() {
                let next = client.commands().line(&format!("cutover {migration}"));
                output.line(format_args!("  next: {} when the cutover begins", output.accent().apply_to(next)));
            }
        }
        Ok(Exit::Done)
    }
}

/// Which state a rollback returns to.
fn baseline(before: &Value, now: &Value) -> String {
    let captured = |document: &Value| document["baseline"]["captured"].as_str()?.parse::<Timestamp>().ok();
    let steps = now["baseline"]["steps"].as_array().map_or(0, Vec::len);
    match (captured(before), captured(now)) {
        (_, None) => "no step needs a baseline: each names its target".to_owned(),
        (Some(kept), Some(at)) if kept == at => {
            format!("the baseline of {} is kept: it was captured at {at:.0}", text::count(steps, "step"))
        }
        (_, Some(at)) => format!("the baseline of {} is new: captured at {at:.0}", text::count(steps, "step")),
    }
}

fn count(of: &Value, noun: &str) -> String {
    text::count(of.as_object().map_or(0, |members| members.len()), noun)
}

/// The baseline of a migration, from a file that `belay capture` wrote.
pub(crate) fn read_baseline(path: &Path, migration: &str) -> Result<Baseline, Failure> {
    let read = || -> anyhow::Result<Baseline> { Ok(serde_json::from_str(&fs::read_to_string(path)?)?) };
    let baseline = read().map_err(|error| {
        Failure::new(Exit::Usage, error.context(format!("the baseline {} cannot be read", path.display())))
            .help("`belay capture PLAN -o FILE` writes one")
    })?;
    if baseline.migration != migration {
        let file = path.display();
        let what = format!("the baseline in {file} is of the migration {}, not of {migration}", baseline.migration);
        return Err(
            Failure::message(Exit::Refused, what).help("give the file that `belay capture` wrote for this plan")
        );
    }
    Ok(baseline)
}
