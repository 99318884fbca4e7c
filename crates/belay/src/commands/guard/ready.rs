//! Before the command: whether the net would hold, and that it is there.

use std::{fmt, time::Duration};

use belay_ports::CUTOVER_UNMARKED;
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
const FOUND: [&str; 6] =
    ["red_at_arm", "impossible_step", "unreadable_signals", "unusable_channels", "missing_permissions", "unreadable"];

/// A kept baseline that is older is more likely that of another release than that of this one.
const KEPT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Checks of what `accept_unknown` arms in spite of: signals that cannot be read, channels that cannot be used, and permissions that are
/// missing.
const ACCEPTED: [&str; 3] = ["signal", "channel", "permission"];

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
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
struct Check {
    id: String,
    /// Of the plan: `step dns_back`; empty for the plan as a whole.
    #[serde(default)]
    part: String,
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
        let part = if self.part.is_empty() { "" } else { ": " };
        // `channel team` says it all.
        let repeats = self.part == format!("{} {}", self.id, self.subject);
        let nothing = String::new();
        let (id, subject) = if repeats { (&nothing, &nothing) } else { (&self.id, &self.subject) };
        match repeats {
            true => f.write_str(&self.part)?,
            false => write!(f, "{}{part}{id}", self.part)?,
        }
        let parts = [(" of ", subject), (": ", &self.found), ("; wanted: ", &self.wanted), ("; ", &self.cure)];
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

impl Check {
    /// Whether the command must not begin. What somebody answers for when the plan is armed is answered for here, too.
    fn stops(&self, accept_unknown: bool) -> bool {
        match self.verdict {
            Verdict::Go | Verdict::Warn => false,
            // This command marks the cutover itself.
            Verdict::Unknown => !accept_unknown && self.id != CUTOVER_UNMARKED,
            Verdict::NoGo => !(accept_unknown && ACCEPTED.contains(&self.id.as_str())),
        }
    }
}

/// # Errors
/// It is not ready, or that is not known.
pub(super) async fn refuse_unready(
    client: &Client,
    name: &str,
    accept_unknown: bool,
    tell: Tell,
) -> Result<(), Failure> {
    let Some(Readiness { checks }) = readiness(client, name).await? else { return Ok(()) };
    let (stops, passes): (Vec<_>, Vec<_>) =
        checks.iter().filter(|check| check.verdict != Verdict::Go).partition(|check| check.stops(accept_unknown));
    passes.iter().for_each(|check| tell.warn(check));
    stops.iter().for_each(|check| tell.say(format_args!("{} {check}", tell.output().bad().apply_to("not ready:"))));
    if stops.is_empty() {
        return Ok(());
    }
    let known = stops.iter().any(|check| check.verdict == Verdict::NoGo);
    let (what, help) = match known {
        true => (format!("{name} is not ready"), ""),
        false => (format!("whether {name} is ready is not known"), "; to go on all the same: --accept-unknown"),
    };
    Err(Failure::message(Exit::No, what).help(format!("correct what is listed above, and run this again{help}")))
}

/// The migration as it is before anything is changed.
///
/// # Errors
/// The command must not begin beside what is under way.
pub(super) async fn present(client: &Client, name: &str, sha256: &str, tell: Tell) -> Result<Migration, Failure> {
    let migration = Migration::read(&client.get(&format!("migrations/{name}")).await?)?;
    refuse_state(&migration, sha256, client, tell)?;
    Ok(migration)
}

/// A baseline that would be kept is that of this release, as far as its age shows.
///
/// # Errors
/// It is old: a rollback could go back to a side that is not the known-good one any more.
pub(super) fn refuse_old_baseline(migration: &Migration, client: &Client) -> Result<(), Failure> {
    let Some(baseline) = &migration.baseline else { return Ok(()) };
    let age = text::between(baseline.captured, migration.now);
    if age <= KEPT_MAX {
        return Ok(());
    }
    let name = &migration.name;
    let age = text::duration(age);
    let what =
        format!("the baseline of {name} would be kept, and it is {age} old (captured at {:.0})", baseline.captured);
    let anew = "if what is there now is the known-good state, capture it: `belay capture PLAN -o FILE`, then run this again \
                with `--baseline FILE`";
    let help = match (migration.armed, migration.cutover) {
        (Some(_), Some(cutover)) => {
            let disarm = client.commands().line(&format!("disarm {name} --reason \"...\""));
            format!(
                "its cutover was marked at {cutover:.0}: if that one is done, `{disarm}`, and run this again: arming captures anew"
            )
        }
        _ => anew.to_owned(),
    };
    Err(Failure::message(Exit::Refused, what).help(help))
}

/// Which state a rollback goes back to, and since when that is known.
pub(super) fn tell_baseline(before: &Migration, now: &Migration, client: &Client, tell: Tell) {
    let Some(baseline) = &now.baseline else { return };
    let at = baseline.captured;
    let kept = before.baseline.as_ref().is_some_and(|before| before.captured == at);
    let age = text::duration(text::between(at, now.now));
    match kept {
        true => {
            tell.say(format_args!("a rollback goes back to the baseline that was kept: {age} old, captured at {at:.0}"))
        }
        false => tell.say(format_args!("a rollback goes back to the baseline of {at:.0}")),
    }
    if let Some(cutover) = now.cutover {
        let disarm = client.commands().line(&format!("disarm {} --reason \"...\"", now.name));
        tell.warn(format_args!(
            "the cutover was marked at {cutover:.0}: this goes on with that attempt. If it is another release, stop here, \
             `{disarm}`, and run this again"
        ));
    }
}

/// Arms this very plan.
///
/// # Errors
/// It is refused, and the command must not begin.
pub(super) async fn arm(
    args: &Args,
    client: &Client,
    name: &str,
    sha256: &str,
    tell: Tell,
) -> Result<Migration, Failure> {
    let mut body = json!({ "reason": args.reason("armed by belay guard"), "plan_sha256": sha256 });
    if let Some(file) = &args.baseline {
        body["baseline"] = json!(read_baseline(file, name)?);
    }
    if args.accept_unknown {
        body["accept_unknown"] = json!(true);
    }
    let answer = match client.post(&format!("migrations/{name}/arm"), &body).await {
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
fn refuse_state(migration: &Migration, sha256: &str, client: &Client, tell: Tell) -> Result<(), Failure> {
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
