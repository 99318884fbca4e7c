use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    client::Daemon,
    commands::sent::of_migration,
    exit::{Exit, Failure},
    output::Output,
};

/// Disarm a migration: it is not watched any more
///
/// Once the cutover is marked, this ends the attempt: arming again takes what is there then as the known-good state.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay disarm --reason \"the cutover holds\"")]
pub(crate) struct Args {
    /// Needed only where the daemon has several
    migration: Option<String>,
    /// Why; goes on record
    #[arg(long, value_parser = crate::given::reason)]
    reason: String,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let client = self.daemon.client()?;
        let migration = client.migration(self.migration.as_deref()).await?;
        let before = client.get(&format!("migrations/{migration}")).await?;
        let answer = client.post(&format!("migrations/{migration}/disarm"), &json!({ "reason": self.reason })).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => return Err(of_migration(failure, &client, &migration).await),
        };
        if output.json {
            output.document(&answer);
        } else {
            output.line(format_args!("{migration} is {}: nothing watches it", output.warn().apply_to("disarmed")));
            let next = client.commands().line(&format!("arm {migration}"));
            match ended_with_it(&before, &answer) {
                None => output.line(format_args!("  {} guards it again", output.accent().apply_to(next))),
                Some(captured) => {
                    output.page(format_args!(
                        "  {} the cutover was marked, so its baseline of {captured:.0} ends with it",
                        output.warn().apply_to("warning:")
                    ));
                    output.page(format_args!(
                        "  {} takes what is there NOW as the known-good state; where that is not what a rollback should go \
                         back to, give the state from before the cutover with --baseline FILE, which \
                         `belay capture PLAN --on-record {captured:.0} -o FILE` writes from the journal",
                        output.accent().apply_to(next)
                    ));
                }
            }
        }
        Ok(Exit::Done)
    }
}

/// When the baseline was captured that the next arming does not keep.
fn ended_with_it(before: &Value, now: &Value) -> Option<Timestamp> {
    let captured = |document: &Value| document["baseline"]["captured"].as_str()?.parse::<Timestamp>().ok();
    captured(before).filter(|_| captured(now).is_none())
}
