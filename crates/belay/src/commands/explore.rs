use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use belay_plan::Loaded;
use belay_ports::Clock;
use belay_sim::explore::{Replay, Report, Verdict, explore_from_triggers};
use indicatif::{HumanCount, ProgressBar};
use serde_json::{Value, json};

use crate::{
    assembly::catalogue,
    clock::SystemClock,
    comparison::Comparison,
    exit::{Exit, Failure},
    exploration,
    output::Output,
    plan_file, text,
};

/// Whoever waits for longer than this is told how far it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// Search every way in which a rollback can go, offline
///
/// From the trigger that fires: who decides, or nobody; then every outcome of every step, every answer of a gate or a person,
/// and a crash at each write to the journal, over the same core that the daemon runs. It says which ends there are and how far each is from rolled back, proves or refutes
/// what must always hold, and advises. Nothing is asked of AWS.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay explore checkout.yaml
  belay explore checkout.yaml --json | jq '.properties[].verdict'
  belay explore checkout.yaml --deny findings --require-complete  # in CI
  belay explore checkout.yaml --write-scenario counter-example.yaml
  belay explore before.yaml after.yaml   # ends and properties gained and lost
  belay explore huge.yaml --max-states 200000 --within 2m")]
pub(crate) struct Args {
    plan: PathBuf,
    /// Another version of the plan: shows what it gains and loses against PLAN, and the exit code is about this one
    new: Option<PathBuf>,
    #[command(flatten)]
    overlay: plan_file::Overlay,
    /// The phase of the plan; left out: `cutover`, or else the last one
    #[arg(long)]
    phase: Option<String>,
    /// Stop after about so many states; what holds until then is called bounded, not proven
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    max_states: u64,
    /// Stop after this time; what holds until then is called bounded, not proven
    #[arg(long, value_name = "TIME", value_parser = belay_plan::duration::parse)]
    within: Option<Duration>,
    /// Exit with 3 when a bound was reached before everything was searched; the default in CI (`CI=true`)
    #[arg(long, env = "CI", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = clap::builder::FalseyValueParser::new(), hide_env_values = true)]
    require_complete: bool,
    /// Exit with 3 when there is a finding that the plan does not accept (`accepts`)
    #[arg(long, value_name = "WHAT")]
    deny: Option<Deny>,
    /// Write the first counter-example into this file, as a scenario for `drill --simulate --scenario`; where all holds, the first
    /// way in which nobody decides and nothing is rolled back
    #[arg(long, value_name = "FILE")]
    write_scenario: Option<PathBuf>,
    /// One JSON document on standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Deny {
    Findings,
}

impl Args {
    pub(crate) fn run(&self, output: Output) -> Result<Exit, Failure> {
        let clock = SystemClock::start();
        let (loaded, report) = self.search(&self.plan, &clock, output)?;
        let Some(new) = &self.new else {
            return self.tell(&self.plan, &loaded, &report, &clock, output);
        };
        let (new_loaded, new_report) = self.search(new, &clock, output)?;
        let comparison = Comparison::of([(&report, &loaded.sha256), (&new_report, &new_loaded.sha256)]);
        if output.json {
            output.document(&comparison);
        } else {
            comparison.show(output);
        }
        self.judge(new, &new_report, output)
    }

    fn search(&self, path: &Path, clock: &SystemClock, output: Output) -> Result<(Loaded, Report), Failure> {
        let mut loaded = plan_file::load(path, &self.overlay, &catalogue(), output)?;
        let whole = loaded.plan.clone();
        let phase = plan_file::keep_phase(&mut loaded.plan, self.phase.as_deref())?;
        let mut told = PATIENCE;
        let bar = ProgressBar::new_spinner();
        let states_max = usize::try_from(self.max_states).unwrap_or(usize::MAX);
        let report = explore_from_triggers(&whole, phase.as_deref(), states_max, &mut |states| {
            let elapsed = clock.monotonic();
            if elapsed >= told {
                let text = format!("searching: {} states", HumanCount(states as u64));
                if bar.is_hidden() {
                    output.note(text)
                } else {
                    bar.set_message(text)
                }
                told = elapsed + PATIENCE;
            }
            self.within.is_none_or(|within| elapsed < within)
        });
        bar.finish_and_clear();
        let report = report.map_err(|refusal| {
            let help = refusal.help.clone();
            Failure::new(Exit::Usage, refusal).help(help)
        })?;
        Ok((loaded, report))
    }

    fn tell(
        &self,
        path: &Path,
        loaded: &Loaded,
        report: &Report,
        clock: &SystemClock,
        output: Output,
    ) -> Result<Exit, Failure> {
        let phase = loaded.plan.phases.keys().next();
        let place = |pointer: &str, what: &str, instead: &str| {
            belay_plan::remark(&path.display().to_string(), &loaded.text, pointer, what, instead)
        };
        if output.json {
            let mut document = document(report, &loaded.sha256, &place);
            if let Some(phase) = phase {
                document["phase"] = phase.as_str().into();
            }
            output.document(&document);
        } else {
            if let Some(phase) = phase {
                output.page(format_args!("in phase {}; `--phase` names another", output.bold().apply_to(phase)));
            }
            exploration::show(report, &loaded.sha256, clock.monotonic(), &place, output);
        }
        self.judge(path, report, output)
    }

    fn judge(&self, path: &Path, report: &Report, output: Output) -> Result<Exit, Failure> {
        if let Some(file) = &self.write_scenario {
            self.write(file, path, report, output)?;
        }
        let incomplete = report.verdict == Verdict::Bounded && self.require_complete;
        if incomplete {
            output.note("the search is bounded, and --require-complete (or CI=true) takes that for a no");
        }
        let findings = report.advice.iter().filter(|advice| advice.is_open()).count();
        let denied = self.deny.is_some() && findings > 0;
        if denied {
            output.note(format_args!("{}, and --deny findings takes that for a no", text::count(findings, "finding")));
        }
        Ok(if report.verdict == Verdict::Refuted || incomplete || denied { Exit::No } else { Exit::Done })
    }

    fn write(&self, file: &Path, plan: &Path, report: &Report, output: Output) -> Result<(), Failure> {
        let refuted = report.properties.iter().find_map(|proof| Some((proof.claim, proof.replay.as_ref()?)));
        let refuted = refuted.map(|(claim, replay)| (format!("refutes: {claim}"), replay));
        let Some((what, replay)) = refuted.or_else(|| undecided(report)) else {
            output.note("there is no counter-example, so no scenario was written");
            return Ok(());
        };
        fs::write(file, &replay.scenario).map_err(|error| {
            let what = anyhow::Error::new(error).context(format!("the scenario {} cannot be written", file.display()));
            Failure::new(Exit::Usage, what).help("give the path of a file in a folder that can be written to")
        })?;
        output.note(format_args!("{} {what}", file.display()));
        for what in &replay.beyond {
            output.note(format_args!("scenarios have no word for it: {what}"));
        }
        output.note(format_args!(
            "to play it: belay drill {}{} --simulate --scenario {}",
            plan.display(),
            self.overlay.typed(),
            file.display()
        ));
        Ok(())
    }
}

/// The shortest way in which nobody decides an incident and nothing is rolled back.
fn undecided(report: &Report) -> Option<(String, &Replay)> {
    let ways = report.incidents.iter().flat_map(|of| of.ways.iter().map(move |way| (of, way)));
    let undecided = ways.filter(|(_, way)| way.end.is_undecided());
    let (of, way) = undecided.min_by_key(|(_, way)| (!way.replay.beyond.is_empty(), way.replay.scenario.len()))?;
    Some((format!("leads from {} to this: {}", of.triggers[0], way.words), &way.replay))
}

/// The report, with the place in the file beside each advice.
fn document(report: &Report, sha256: &str, place: &exploration::Place<'_>) -> Value {
    let mut document = json!(report);
    document["plan_sha256"] = sha256.into();
    let advice = document["advice"].as_array_mut().into_iter().flatten().zip(&report.advice);
    for (written, advice) in advice {
        if let Some(remark) = place(&advice.pointer, &advice.what, &advice.instead) {
            written["file"] = remark.place.file.into();
            written["line"] = remark.place.line.into();
            written["column"] = remark.place.column.into();
        }
    }
    document
}
