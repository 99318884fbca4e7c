//! Before the command: whether the net would hold, and that it is there.

use std::fmt;

use serde::Deserialize;
use serde_json::json;

use super::{Args, tell::Tell};
use crate::{
    client::Client,
    commands::{arm::read_baseline, sent::of_migration},
    document::Migration,
    exit::{Exit, Failure},
    text,
};

/// What arming finds, and refuses: nobody did anything wrong, and the cutover would not be safe now.
const FOUND: [&str; 5] = ["red_at_arm", "impossible_step", "unreadable_signals", "unusable_channels", "unreadable"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Go,
    Warn,
    NoGo,
    Unknown,
}

/// `GET /v1/migrations/{m}/readiness`
#[derive(Debug, Deserialize)]
struct Readiness {
    verdict: Verdict,
    #[serde(default)]
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
struct Check {
    id: String,
    #[serde(default)]
    subject: String,
    verdict: Verdict,
    #[serde(default)]
    found: String,
    #[serde(default)]
    wanted: String,
    #[serde(default)]
    cure: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        let parts = [(" of ", &self.subject), (": ", &self.found), ("; wanted: ", &self.wanted), ("; ", &self.cure)];
        parts.iter().filter(|(_, part)| !part.is_empty()).try_for_each(|(lead, part)| write!(f, "{lead}{part}"))
    }
}

/// What the daemon knows of its readiness; nothing where the daemon has no such checks.
async fn readiness(client: &Client, name: &str) -> Result<Option<Readiness>, Failure> {
    let answer = match client.get(&format!("migrations/{name}/readiness")).await {
        Ok(answer) => answer,
        // The migration is there, so it is the path that is not.
        Err(failure) if failure.refused.as_ref().is_some_and(|refused| refused.kind == "not_found") => return Ok(None),
        Err(failure) => return Err(failure),
    };
    Readiness::deserialize(&answer).map(Some).map_err(|error| {
        let error = anyhow::Error::new(error).context("what the daemon says of its readiness cannot be understood");
        Failure::new(Exit::Unexpected, error).help("the daemon and this command should be of the same version")
    })
}

async fn refuse_unready(client: &Client, name: &str, accept_unknown: bool, tell: Tell) -> Result<(), Failure> {
    let Some(Readiness { verdict, checks }) = readiness(client, name).await? else {
        return Ok(());
    };
    let stops = |verdict| verdict == Verdict::NoGo || verdict == Verdict::Unknown && !accept_unknown;
    for check in checks.iter().filter(|check| check.verdict != Verdict::Go) {
        match stops(check.verdict) {
            true => tell.say(format_args!("{} {check}", tell.output().bad().apply_to("not ready:"))),
            false => tell.warn(check),
        }
    }
    match verdict {
        Verdict::NoGo => Err(Failure::message(Exit::No, format!("{name} is not ready"))
            .help("correct what is listed above, and run this again")),
        Verdict::Unknown if !accept_unknown => {
            Err(Failure::message(Exit::No, format!("whether {name} is ready is not known"))
                .help("correct what is listed above; to go on all the same: --accept-unknown"))
        }
        _ => Ok(()),
    }
}

/// Sees to it that the migration is ready and armed with this very plan.
///
/// # Errors
/// It is not, and the command must not begin.
pub(super) async fn prepare(
    args: &Args,
    client: &Client,
    name: &str,
    sha256: &str,
    tell: Tell,
) -> Result<Migration, Failure> {
    let path = format!("migrations/{name}");
    let migration = Migration::read(&client.get(&path).await?)?;
    refuse_state(&migration, sha256, client, tell)?;
    let baseline = args.baseline.as_deref().map(|file| read_baseline(file, name)).transpose()?;
    refuse_unready(client, name, args.accept_unknown, tell).await?;
    if migration.armed.is_some() && baseline.is_none() {
        tell.say(format_args!("{name} is armed with this plan already: the baseline is kept"));
        return Ok(migration);
    }
    let mut body = json!({ "reason": args.reason("armed by belay guard"), "plan_sha256": sha256 });
    if let Some(baseline) = baseline {
        body["baseline"] = json!(baseline);
    }
    if args.accept_unknown {
        body["accept_unknown"] = json!(true);
    }
    let answer = match client.post(&format!("{path}/arm"), &body).await {
        Ok(answer) => answer,
        Err(failure) => return Err(not_armed(of_migration(failure, client, name).await)),
    };
    for part in ["detours", "warnings"] {
        let texts = answer[part].as_array().into_iter().flatten().filter_map(|text| text.as_str());
        texts.for_each(|text| tell.warn(text));
    }
    Migration::read(&answer)
}

/// Somebody is in the middle of something, or guards with another plan: none of it is to be changed from here.
pub(super) fn refuse_state(migration: &Migration, sha256: &str, client: &Client, tell: Tell) -> Result<(), Failure> {
    let name = &migration.name;
    let commands = client.commands();
    let busy = match (migration.open_run(), &migration.incident) {
        (Some(run), _) => Some((Exit::Refused, format!("run {} of {name} is {}", run.id, text::words(&run.state)))),
        (None, Some(incident)) => {
            let triggers = incident.triggers.join(", ");
            Some((Exit::No, format!("incident {} of {name} is open: {triggers}", incident.id)))
        }
        (None, None) => None,
    };
    if let Some((exit, what)) = busy {
        tell.needs(migration, &commands);
        return Err(Failure::message(exit, what).help("when it is over, run this again"));
    }
    let other = migration.plan_sha256.as_deref().filter(|armed| migration.armed.is_some() && *armed != sha256);
    if let Some(armed) = other {
        let short = |sha256: &str| sha256.get(..12).unwrap_or_default().to_owned();
        let what = format!("{name} is armed with another plan ({}) than this one ({})", short(armed), short(sha256));
        let take_over = commands.line(&format!("arm {name} --plan-sha256 {sha256}"));
        return Err(Failure::message(Exit::Refused, what)
            .help(format!("if nobody guards a cutover with it, `{take_over}` arms this one in its place")));
    }
    Ok(())
}

fn not_armed(failure: Failure) -> Failure {
    let found = failure.refused.as_ref().is_some_and(|refused| FOUND.contains(&refused.kind.as_str()));
    if found { Failure { exit: Exit::No, ..failure } } else { failure }
}
