mod restore_test;

use std::{path::PathBuf, sync::Arc, time::Duration};

use belay_engine::{Circumstances, HostChecks, Readiness, readiness};
use belay_journal::MemoryJournal;
use belay_plan::model::{Name, Plan};
use belay_ports::{Access, Check, CheckVerdict, Clock, Fut};
use belay_server::auth::Tokens;
use indicatif::ProgressBar;

use self::restore_test::Test;
use crate::{
    assembly::{State, catalogue, configured, ports},
    client::Address,
    commands::{arm::read_baseline, dry_run::on_record},
    exit::{Exit, Failure},
    output::Output,
    plan_file::{self, Overlay},
    soundness::{PATIENT, Soundness},
    text,
};

/// Nobody is told of what takes less.
const PATIENCE: Duration = Duration::from_secs(2);

/// Say whether the net would hold now: would a rollback go through?
///
/// Everything that a rollback needs is looked at, with reads only: the account and its permissions, each step's resource and what it
/// returns to, each signal, interlock and channel, the people that the plan asks for, the expected time, the last drill, and the
/// search of `belay explore`. The answer is no, with exit code 3, when something is not ready or could not be found out.
/// A daemon does the same every five minutes while the migration is armed.
///
/// With --prove-restore it makes a restore test instead: it restores what the step would restore beside production, under a name of its
/// own, waits until the database is available, and asks it the `sql` queries of the step's `verify`. A person deletes it
/// afterwards; the command is shown. The answer is no when it was not restored as the step would, or a query is not healthy. The
/// outcome goes on record with the daemon that holds the journal or is named by --url, else in the journal itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay check checkout.yaml
  belay check checkout.yaml --json | jq '.checks[] | select(.verdict != \"go\")'
  belay check checkout.yaml --prove-restore db_back")]
pub(crate) struct Args {
    plan: PathBuf,
    #[command(flatten)]
    overlay: Overlay,
    /// A baseline that `belay capture` wrote, instead of the one that the journal keeps
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Restore for once what this step would, beside production: it costs money until you delete it
    #[arg(long, value_name = "STEP")]
    prove_restore: Option<Name>,
    /// Do not ask whether it may cost money
    #[arg(long, requires = "prove_restore")]
    yes: bool,
    // With --prove-restore: the daemon that gets the outcome on record.
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    state: State,
    /// One JSON document on standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let loaded = plan_file::load(&self.plan, &self.overlay, &catalogue(), output)?;
        let given = self.baseline.as_ref().map(|path| read_baseline(path, &loaded.plan.migration)).transpose()?;
        let (kept, relatives) = on_record(&self.state.url, &loaded.plan).await?;
        if let Some(step) = &self.prove_restore {
            let baseline = given.as_ref().or(kept.baseline.as_deref());
            let (state, address, yes) = (&self.state.url, &self.address, self.yes);
            return Test { loaded: &loaded, step, kept: &kept, baseline, state, address, yes, output }.run().await;
        }
        let (gate, tokens) = configured(output)?;
        let ports = ports(Access::ReadOnly, Arc::new(MemoryJournal::default()), Arc::new(()), gate.only_listed())?;
        let plan = Arc::new(loaded.plan.clone());
        let known = Circumstances::of(&plan, &kept, &relatives);
        let baseline = given.map(Arc::new).or_else(|| known.baseline.clone());
        let places = loaded.places(&self.plan.display().to_string(), &catalogue());
        let circumstances = Circumstances { baseline, places, ..known };
        let host = Host { tokens, soundness: Soundness::within(PATIENT) };
        let evaluated = readiness(&ports, &host, &plan, &loaded.sha256, &circumstances);
        let found = patiently(ports.clock.as_ref(), evaluated, output).await;
        match output.json {
            true => output.document(&found),
            false => show(&found, output),
        }
        Ok(match found.verdict {
            CheckVerdict::Go | CheckVerdict::Warn => Exit::Done,
            CheckVerdict::Unknown | CheckVerdict::NoGo => Exit::No,
        })
    }
}

/// What this process knows of a plan: the tokens of the daemon's configuration, where there is one.
struct Host {
    tokens: Option<Tokens>,
    soundness: Soundness,
}

impl HostChecks for Host {
    fn checks<'a>(&'a self, plan: &'a Arc<Plan>, phase: Option<&'a str>) -> Fut<'a, Vec<Check>> {
        Box::pin(async move {
            let mut checks = match &self.tokens {
                Some(tokens) => belay_server::people(plan, tokens),
                None => belay_server::people_unknown(plan),
            };
            checks.extend(self.soundness.checks(plan, phase).await);
            checks
        })
    }
}

/// Says after a while that it takes long.
async fn patiently(clock: &dyn Clock, evaluated: impl Future<Output = Readiness>, output: Output) -> Readiness {
    let told = async {
        clock.sleep(PATIENCE).await;
        let bar = ProgressBar::new_spinner().with_message("reading what a rollback needs");
        if bar.is_hidden() {
            output.note("reading what a rollback needs; each part takes a minute at most");
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        let _shown = Shown(bar);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        found = evaluated => found,
        () = told => unreachable!("it is shown until it is dropped"),
    }
}

/// Leaves no trace on the terminal.
struct Shown(ProgressBar);

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn show(found: &Readiness, output: Output) {
    output.page(format_args!(
        "{} {}  {}",
        output.bold().apply_to("readiness of"),
        output.bold().apply_to(&found.migration),
        output.dim().apply_to(format_args!("plan {}", found.plan_sha256.get(..12).unwrap_or_default())),
    ));
    let mut part = None;
    for check in &found.checks {
        if part != Some(&check.part) {
            output.line("");
            let title = if check.part.is_empty() { "the plan" } else { &check.part };
            output.page(output.bold().apply_to(title));
            part = Some(&check.part);
        }
        let style = match check.verdict {
            CheckVerdict::Go => output.good(),
            CheckVerdict::Warn | CheckVerdict::Unknown => output.warn(),
            CheckVerdict::NoGo => output.bad(),
        };
        // In front of wrapping, a mark as wide as the longest verdict.
        let verdict = style.apply_to(format!("{:<7}", check.verdict.word()));
        let repeats = check.part.ends_with(&format!(" {}", check.subject));
        let subject = if repeats { String::new() } else { format!("{}: ", check.subject) };
        output.page(format_args!("  {verdict} {}  {subject}{}", output.dim().apply_to(&check.id), check.found));
        if check.verdict != CheckVerdict::Go {
            for (word, text) in [("wanted", &check.wanted), ("to do", &check.cure)] {
                if !text.is_empty() {
                    output.page(format_args!("          {word}: {text}"));
                }
            }
        }
    }
    output.line("");
    let count = |verdict| found.count(verdict);
    let counts = format!(
        "{}: {} no-go, {} unknown, {}, {} go",
        text::count(found.checks.len(), "check"),
        count(CheckVerdict::NoGo),
        count(CheckVerdict::Unknown),
        text::count(count(CheckVerdict::Warn), "warning"),
        count(CheckVerdict::Go)
    );
    output.page(match found.verdict {
        CheckVerdict::Go => output.good().apply_to(format!("ready ({counts}); nothing was changed")),
        CheckVerdict::Warn => output.warn().apply_to(format!("ready, with warnings ({counts}); nothing was changed")),
        CheckVerdict::Unknown => {
            output.warn().apply_to(format!("not known to be ready ({counts}); nothing was changed"))
        }
        CheckVerdict::NoGo => output.bad().apply_to(format!("not ready ({counts}); nothing was changed")),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "\
belay: 1
migration: shop
steps:
  tell_people:
    action: manual
    with: { instructions: Tell the shops. }
    approve: { role: commander, quorum: 2 }
";

    #[tokio::test]
    async fn without_the_daemons_configuration_the_people_are_unknown() {
        let plan = Arc::new(belay_plan::load("shop.yaml", PLAN, &catalogue()).unwrap().plan);
        let host = Host { tokens: None, soundness: Soundness::within(PATIENT) };
        let checks = host.checks(&plan, None).await;
        let people: Vec<_> = checks.iter().filter(|check| check.id == "people").collect();
        assert_eq!(people.len(), 1, "{checks:?}");
        assert_eq!((people[0].verdict, people[0].subject.as_str()), (CheckVerdict::Unknown, "commander"));
        assert!(people[0].cure.contains("BELAY_CONFIG=FILE"), "{people:?}");
    }
}
