use belay_core::event::Event;
use belay_journal::{AuditFailure, AuditReport, audit};
use belay_ports::{Journal, ReadFailure};
use serde_json::{Value, json};

use crate::{
    assembly::{State, open_to_read},
    exit::{Exit, Failure},
    output::Output,
};

/// Verify the journal: no record was changed, and none is missing
///
/// A chain of hashes shows every change. That its end was cut off shows only against a hash noted before: keep the
/// `head` that an audit prints, and give it to a later one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay audit
  belay audit checkout-cutover --head 3f1c...  # also: the end is not cut off behind this record")]
pub(crate) struct Args {
    /// The migration to verify; all, if left out
    migration: Option<String>,
    /// The hash of a record that must still be there
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
    #[command(flatten)]
    state: State,
    /// One JSON document on standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let journal = open_to_read(&self.state.url)?;
        let streams = match &self.migration {
            Some(migration) => vec![migration.clone()],
            None => journal.streams().await?,
        };
        if streams.len() > 1 && self.head.is_some() {
            return Err(Failure::message(Exit::Usage, "a hash belongs to one migration")
                .help(format!("name it: {}", streams.join(", "))));
        }
        let mut reports = Vec::new();
        let mut broken = Vec::new();
        let mut drilled = Vec::new();
        for stream in &streams {
            match audit(&journal, stream, self.head.as_deref()).await {
                Ok(report) => {
                    good(&report, output).iter().for_each(|line| output.line(line));
                    drilled.extend(drills(&journal, stream, output).await?);
                    reports.push(report);
                }
                Err(failure @ AuditFailure::NoStream { .. }) => {
                    return Err(
                        Failure::new(Exit::Usage, failure).help("`belay audit` without a name verifies them all")
                    );
                }
                Err(AuditFailure::Read(failure @ ReadFailure::Unreadable { .. })) => return Err(failure.into()),
                Err(failure) => {
                    output.line(format_args!("{} {stream}: {failure}", output.bad().apply_to("broken")));
                    broken.push(json!({ "stream": stream, "why": failure.to_string() }));
                }
            }
        }
        let exit = if broken.is_empty() { Exit::Done } else { Exit::No };
        if output.json {
            output.document(
                &json!({ "intact": broken.is_empty(), "streams": reports, "drills": drilled, "broken": broken }),
            );
        } else if streams.is_empty() {
            output.line("the journal is empty");
        }
        Ok(exit)
    }
}

/// The drills of a stream that holds: who, when, over which plan, and how it went.
async fn drills(journal: &dyn Journal, stream: &str, output: Output) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    for record in journal.read(stream, 0).await? {
        let Event::DrillEnded { run, verdict, report } = &record.event else { continue };
        let (at, actor, plan) = (record.at, &record.actor, report["plan_sha256"].as_str().unwrap_or_default());
        let plan_short = plan.get(..12).unwrap_or(plan);
        output.line(format_args!("  drill {run} by {actor} at {at:.0}: {} (plan {plan_short})", verdict.as_str()));
        found.push(json!({
            "stream": stream, "seq": record.seq, "at": at, "by": actor, "run": run, "verdict": verdict, "plan_sha256": plan,
            "trigger": report["trigger"], "overlaid": report["overlaid"],
        }));
    }
    Ok(found)
}

fn good(report: &AuditReport, output: Output) -> Vec<String> {
    let AuditReport { stream, records, head, first_at, last_at, clock_steps_back } = report;
    let intact = output.good().apply_to("intact");
    let mut lines = vec![
        format!("{intact} {stream}: {records} records from {first_at:.0} to {last_at:.0}"),
        format!("  head {head}"),
    ];
    if *clock_steps_back > 0 {
        lines.push(format!("  the clock went back {clock_steps_back} times"));
    }
    lines
}
