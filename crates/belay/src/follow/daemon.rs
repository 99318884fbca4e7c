//! Following a run of a daemon, over HTTP.

use std::time::Duration;

use crate::{
    client::Client,
    exit::{Exit, Failure},
    follow::{Line, Run, Screen, line::Tone},
    output::Output,
    text,
};

const POLL: Duration = Duration::from_millis(500);
/// A daemon that is restarted goes on with its runs; for so many polls it may be away.
const AWAY_MAX: u32 = 120;

/// Until the run is over, or waits for a person.
pub(crate) async fn follow(client: &Client, id: &str, screen: &mut Screen, output: Output) -> Result<Run, Failure> {
    let mut last: Option<Run> = None;
    let mut away = 0;
    loop {
        match client.get(&format!("runs/{id}")).await {
            Ok(document) => {
                away = 0;
                let run = Run::read(document)?;
                show(last.as_ref(), &run, screen, output);
                if run.has_stopped() {
                    return Ok(run);
                }
                last = Some(run);
            }
            Err(failure) if failure.exit == Exit::Unreachable && away < AWAY_MAX => {
                if away == 0 {
                    screen.note("the daemon does not answer; the run is safe in its journal, trying again");
                }
                away += 1;
            }
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(POLL).await;
    }
}

fn show(last: Option<&Run>, run: &Run, screen: &mut Screen, output: Output) {
    if output.json {
        if last.is_none_or(|last| last.document != run.document) {
            output.json_line(&run.document);
        }
        return;
    }
    for (name, step) in &run.steps {
        let before = last.and_then(|last| last.steps.get(name));
        let same = before.is_some_and(|before| before.phase == step.phase && before.why == step.why);
        if same || (before.is_none() && step.phase == "pending") {
            continue;
        }
        let tone = match step.phase.as_str() {
            "done" | "unchanged" => Tone::Good,
            "failed" | "blocked" => Tone::Bad,
            "awaiting_approval" | "skipped" => Tone::Warn,
            _ => Tone::Plain,
        };
        let what = step.what();
        let colon = if what.is_empty() { "" } else { ": " };
        let text = format!("{}{colon}{what}", text::words(&step.phase));
        screen.line(&Line { at: step.ended.unwrap_or(step.since), subject: name.clone(), text, tone });
    }
    screen.run(run);
}
