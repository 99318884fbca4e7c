use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    client::Daemon,
    commands::sent::of_migration,
    exit::{Exit, Failure},
    output::Output,
    text,
};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Decision {
    #[value(alias = "roll_back")]
    RollBack,
    #[value(alias = "fix_forward")]
    FixForward,
}

/// Decide an open incident: roll back, or fix forward
///
/// Fixing forward leaves the incident open until its trigger has healed; to change your mind, decide again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  belay decide fix-forward --reason \"the cause is found, the fix is out\"")]
pub(crate) struct Args {
    #[arg(value_enum)]
    decision: Decision,
    /// Why; goes on record
    #[arg(long, value_parser = crate::given::reason)]
    reason: String,
    /// Needed only where several are open
    #[arg(long, value_name = "ID")]
    incident: Option<String>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let decision = match self.decision {
            Decision::RollBack => "roll_back",
            Decision::FixForward => "fix_forward",
        };
        let client = self.daemon.client()?;
        let incident = client.incident(self.incident.as_deref()).await?;
        let body = json!({ "decision": decision, "reason": self.reason });
        let answer = match client.post(&format!("incidents/{incident}/decide"), &body).await {
            Ok(answer) => answer,
            Err(failure) => {
                let of = client.get(&format!("incidents/{incident}")).await.unwrap_or_default();
                let migration = of["migration"].as_str().unwrap_or_default();
                return Err(of_migration(failure, &client, migration).await);
            }
        };
        if output.json {
            output.document(&answer);
        } else {
            let words = text::words(decision);
            match answer["decision"] == decision {
                true => output.line(format_args!("incident {incident} is decided: {words}")),
                false => {
                    output.line(format_args!("your word is on record: {words}. It takes {}", who(&answer["authority"])))
                }
            }
            if let Some(run) = answer["run"].as_str() {
                let watch = client.commands().line(&format!("watch {run}"));
                output.line(format_args!("  run {run} has begun; {} shows it", output.accent().apply_to(watch)));
            }
        }
        Ok(Exit::Done)
    }
}

/// Whose words it takes, of an authority as the daemon says it.
fn who(authority: &Value) -> String {
    let roles = |list: &Value, between: &str| {
        let roles: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        roles.join(between)
    };
    match &authority["all"] {
        Value::Null => format!("the role {}", roles(authority, " or ")),
        all => format!("one person of each of the roles {}, who say the same", roles(all, " and ")),
    }
}
