use std::ops::ControlFlow;

use belay_core::id::{IncidentId, RunId};
use belay_journal::StateUrl;
use belay_ports::{Journal, each_record};
use belay_report::{Gathering, RunReport, html, markdown};
use serde::Serialize;

use crate::{
    assembly::open_to_read,
    client::{Client, Daemon},
    exit::{Exit, Failure},
    output::Output,
    paint,
};

/// Write the report of a run or an incident: what happened, who decided, what was measured, who was told
///
/// Made of the journal alone, for whoever reviews the incident: summary, timeline, evidence, decisions, steps, times against
/// the objectives, the checklist after a rollback, and a post-mortem to fill in. Of a run or an incident that is not over, it
/// shows what is known so far. The report of an incident that was rolled back is that of its run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay report 0kf3x9a2mq71 > report.md
  belay report 0kf3x9a2mq71 --format html > report.html   # one file
  belay report 0kf3x9a2mq71 --state sqlite:belay.db          # without a daemon")]
pub(crate) struct Args {
    /// The id of a run, or of an incident
    #[arg(value_name = "ID")]
    id: String,
    /// How it is written
    #[arg(long, value_enum, default_value = "md", value_name = "FORMAT")]
    format: Format,
    /// Read this journal, and ask no daemon
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    state: Option<StateUrl>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Md,
    Html,
    Json,
}

impl Args {
    /// Whether the answer is for a program.
    pub(crate) fn wants_json(&self) -> bool {
        self.daemon.json || self.format == Format::Json
    }

    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let text = match &self.state {
            Some(url) => {
                let found = self.in_journal(url).await?;
                match self.format {
                    _ if output.json => return Ok(shown(&found, output)),
                    Format::Html => html(&found),
                    _ => markdown(&found),
                }
            }
            None => {
                let client = &self.daemon.client()?;
                match self.format {
                    _ if output.json => {
                        let found = client
                            .of_either(&self.id, |of| async move { client.get(&format!("{of}/report")).await })
                            .await?;
                        return Ok(shown(&found, output));
                    }
                    Format::Html => self.text(client, "html").await?,
                    _ => self.text(client, "md").await?,
                }
            }
        };
        output.raw(&paint::drawn(&text));
        Ok(Exit::Done)
    }

    async fn text(&self, client: &Client, format: &str) -> Result<String, Failure> {
        client.of_either(&self.id, |of| async move { client.text(&format!("{of}/report?format={format}")).await }).await
    }

    async fn in_journal(&self, url: &StateUrl) -> Result<RunReport, Failure> {
        let journal = open_to_read(url)?;
        let (run, incident) = (RunId(self.id.clone()), IncidentId(self.id.clone()));
        for stream in journal.streams().await? {
            let (of_run, of_incident) = (Gathering::of_run(&stream, &run), Gathering::of_incident(&stream, &incident));
            let [of_run, of_incident] = gathered(&journal, &stream, [of_run, of_incident]).await?;
            let found = match of_incident.rolled_back() {
                Some(run) => {
                    let [of_run] = gathered(&journal, &stream, [Gathering::of_run(&stream, run)]).await?;
                    of_run.report()
                }
                None => of_run.report().or_else(|| of_incident.report()),
            };
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Err(Failure::message(Exit::Usage, format!("there is no run or incident {run} in this journal"))
            .help("`belay status` lists runs; an id has twelve characters"))
    }
}

/// All records of a stream go to each of them.
async fn gathered<const N: usize>(
    journal: &dyn Journal,
    stream: &str,
    mut gatherings: [Gathering; N],
) -> Result<[Gathering; N], Failure> {
    each_record(journal, stream, 0, |record| {
        for gathering in &mut gatherings {
            gathering.take(record.clone()).map_err(|corrupt| Failure::new(Exit::No, corrupt))?;
        }
        Ok::<_, Failure>(ControlFlow::Continue(()))
    })
    .await?;
    Ok(gatherings)
}

fn shown(report: &impl Serialize, output: Output) -> Exit {
    output.document(report);
    Exit::Done
}
