use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::Context;
use belay_core::event::Event;
use belay_engine::unfit_snapshot;
use belay_journal::{AuditFailure, AuditReport, audit, head_at};
use belay_ports::{Head, Journal, ReadFailure, each_record};
use serde_json::{Value, json};

use crate::{
    assembly::{State, open_to_read},
    commands::capture::baselines,
    exit::{Exit, Failure},
    output::Output,
};

/// Verify the journal: no record was changed, and none is missing
///
/// A chain of hashes shows every change. That its end was cut off, or that a whole migration was removed, shows only against
/// a head noted before: the daemon logs the head over all migrations as `journal_head`, and sends it with each heartbeat.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay audit
  belay audit --heads heads.txt   # also: nothing noted there was changed
  belay audit checkout-cutover --head 3f1c...  # also: nothing is cut off")]
pub(crate) struct Args {
    /// The migration to verify; all, if left out
    migration: Option<String>,
    /// The hash of a record that must still be there
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
    /// A file with heads over all migrations, each a line `POSITION HASH`, that must still hold
    #[arg(long, value_name = "FILE", conflicts_with = "migration")]
    heads: Option<PathBuf>,
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
        let mut kept = Vec::new();
        for stream in &streams {
            match audit(&journal, stream, self.head.as_deref()).await {
                Ok(report) => {
                    good(&report, output).iter().for_each(|line| output.line(line));
                    drilled.extend(drills(&journal, stream, output).await?);
                    kept.extend(kept_baselines(&journal, stream, output).await?);
                    if let Some(seq) = unfit_snapshot(&journal, stream).await? {
                        let why = format!(
                            "the snapshot at record {seq} is not what the records up to there come to, and the next start would \
                             go by it: somebody has written to the file"
                        );
                        output.line(format_args!("{} {stream}: {why}", output.bad().apply_to("broken")));
                        broken.push(json!({ "stream": stream, "why": why }));
                    }
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
        let mut head = None;
        if self.migration.is_none() {
            let noted = self.heads.as_deref().map(noted).transpose()?.unwrap_or_default();
            let (last, lost) = held(&journal, noted).await?;
            for why in lost {
                output.line(format_args!("{} {why}", output.bad().apply_to("broken")));
                broken.push(json!({ "why": why }));
            }
            output.line(format_args!("all: head {last}"));
            head = Some(last.to_string());
        }
        let exit = if broken.is_empty() { Exit::Done } else { Exit::No };
        if output.json {
            output.document(
                &json!({ "intact": broken.is_empty(), "head": head, "streams": reports, "drills": drilled, "baselines": kept, "broken": broken }),
            );
        } else if streams.is_empty() {
            output.line("the journal is empty");
        }
        Ok(exit)
    }
}

/// The heads in a file, the earliest first.
fn noted(file: &Path) -> Result<Vec<Head>, Failure> {
    let usage = |error: anyhow::Error| {
        let help = "each line is a head as the daemon logs it (`journal_head`): `POSITION HASH`";
        Failure::new(Exit::Usage, error).help(help)
    };
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()));
    let text = text.map_err(usage)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let heads = lines.map(|(number, line)| {
        Head::parse(line).with_context(|| format!("line {} of {} is no head", number + 1, file.display()))
    });
    let mut heads = heads.collect::<Result<Vec<_>, _>>().map_err(usage)?;
    if heads.is_empty() {
        return Err(usage(anyhow::anyhow!("{} holds no heads", file.display())));
    }
    heads.sort_by_key(|head| head.position);
    Ok(heads)
}

/// The head over all streams, and which of those that were noted do not hold.
async fn held(journal: &dyn Journal, noted: Vec<Head>) -> Result<(Head, Vec<String>), Failure> {
    let mut head = Head::of_nothing();
    let mut lost = Vec::new();
    for noted in noted {
        head = head_at(journal, &head, noted.position).await?;
        if head.position < noted.position {
            lost.push(format!(
                "the journal ends at {}, before the noted head {noted}: its end is missing",
                head.position
            ));
        } else if head != noted {
            lost.push(format!("the noted head {noted} does not hold: a record up to there was changed or removed"));
        }
    }
    Ok((head_at(journal, &head, u64::MAX).await?, lost))
}

/// The drills of a stream that holds: who, when, over which plan, and how it went.
async fn drills(journal: &dyn Journal, stream: &str, output: Output) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    each_record(journal, stream, 0, |record| {
        let Event::DrillEnded { run, verdict, report } = &record.event else { return Ok(ControlFlow::Continue(())) };
        let (at, actor, plan) = (record.at, &record.actor, report["plan_sha256"].as_str().unwrap_or_default());
        let plan_short = plan.get(..12).unwrap_or(plan);
        output.line(format_args!("  drill {run} by {actor} at {at:.0}: {} (plan {plan_short})", verdict.as_str()));
        found.push(json!({
            "stream": stream, "seq": record.seq, "at": at, "by": actor, "run": run, "verdict": verdict, "plan_sha256": plan,
            "trigger": report["trigger"], "overlaid": report["overlaid"],
        }));
        Ok::<_, ReadFailure>(ControlFlow::Continue(()))
    })
    .await?;
    Ok(found)
}

/// The baselines of a stream that holds: `belay capture --on-record` writes one of them.
async fn kept_baselines(journal: &dyn Journal, stream: &str, output: Output) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    for baseline in baselines(journal, stream).await? {
        let steps: Vec<&str> = baseline.steps.keys().map(String::as_str).collect();
        output.line(format_args!("  baseline of {:.0}: {}", baseline.captured, steps.join(", ")));
        found.push(json!({ "stream": stream, "captured": baseline.captured, "steps": steps }));
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
