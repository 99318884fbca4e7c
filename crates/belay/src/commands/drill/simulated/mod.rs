//! `drill --simulate`: nothing of it leaves this process.

mod bars;
mod many;
mod one;
mod plot;
mod svg;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    num::NonZero,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use belay_engine::measured;
use belay_plan::{
    Loaded,
    model::{Name, Objectives, Plan, Target},
};
use belay_sim::{
    Spread,
    rehearsal::{Distribution, PlayError, Played, Rehearsal, Report, distribution, play_all, script::Script},
    scenario,
};
use clap::value_parser;
use serde::Serialize;

use crate::{
    assembly::catalogue,
    commands::{drill::staged::Staged, dry_run::on_record},
    exit::{Exit, Failure},
    output::Output,
    plan_file::{self, Overlay},
    text,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Simulated {
    /// Play it in a simulated world
    #[arg(long)]
    simulate: bool,
    /// What goes wrong; given several times, each is played by itself. config/scenarios has some to start from
    #[arg(long, value_name = "FILE", requires = "simulate")]
    scenario: Vec<PathBuf>,
    /// What chance decides: the same seed, plan and scenario give the same journal to the byte
    #[arg(long, value_name = "N", default_value = "1", requires = "simulate")]
    seed: u64,
    /// Play it this often, with as many seeds, and show the distribution
    #[arg(long, value_name = "N", default_value = "1", requires = "simulate", value_parser = value_parser!(u64).range(1..=1_000_000))]
    runs: u64,
    /// Draw when how many of the runs had recovered, and when each step was under way, into this file (with --runs)
    #[arg(long, value_name = "FILE", requires = "simulate")]
    svg: Option<PathBuf>,
    /// Write the journal of the run into this file, as JSON lines (with one scenario and one run)
    #[arg(long, value_name = "FILE", requires = "simulate")]
    journal: Option<PathBuf>,
}

/// The whole answer.
#[derive(Serialize)]
struct Document<'d> {
    migration: &'d str,
    plan_sha256: &'d str,
    objectives: &'d Objectives,
    within_objectives: bool,
    warnings: &'d [String],
    rehearsals: &'d [Act],
}

/// One scenario, played.
#[derive(Serialize)]
struct Act {
    /// The file; none for the usual case.
    scenario: Option<String>,
    summary: String,
    #[serde(flatten)]
    came: Came,
    #[serde(skip)]
    reports: Vec<Report>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Came {
    Report(Box<Report>),
    Distribution(Box<Distribution>),
}

impl Act {
    fn unmet(&self) -> &[String] {
        match &self.came {
            Came::Report(report) => &report.unmet,
            Came::Distribution(found) => &found.unmet,
        }
    }

    /// The scenario, where a message names it.
    fn called(&self) -> String {
        self.scenario.as_ref().map_or_else(String::new, |name| format!("{name}: "))
    }

    fn within_objectives(&self) -> bool {
        match &self.came {
            Came::Report(report) => report.verdict.within_objectives,
            Came::Distribution(found) => found.within_objectives == found.runs,
        }
    }
}

impl Simulated {
    pub(super) fn is_wanted(&self) -> bool {
        self.simulate
    }

    pub(super) async fn run(
        &self,
        path: &Path,
        overlay: &Overlay,
        staged: &Staged,
        output: Output,
    ) -> Result<Exit, Failure> {
        self.refuse_what_does_not_go_together()?;
        let loaded = plan_file::load(path, overlay, &catalogue(), output)?;
        let phase = plan_file::chosen_phase(&loaded.plan, staged.phase.as_deref())?;
        staged.refuse_unknown_trigger(&loaded.plan)?;
        let (kept, relatives) = on_record(&staged.state.url, &loaded.plan).await?;
        let measured = measured(&loaded.plan, &kept, relatives.iter().map(AsRef::as_ref));
        let measured: BTreeMap<Name, Spread> = measured
            .into_iter()
            .filter_map(|(step, times)| Some((step, spread(times.into_iter().map(|took| took.time).collect())?)))
            .collect();
        let fire = staged.fire.as_deref();
        let scripts = self.scripts(&loaded.plan, fire, phase.as_deref(), output)?;
        let again = format!(
            "belay drill {}{}{}{} --simulate",
            path.display(),
            overlay.typed(),
            fire.map_or(String::new(), |trigger| format!(" --fire {trigger}")),
            staged.phase.as_ref().map_or(String::new(), |phase| format!(" --phase {phase}")),
        );
        let phases: BTreeSet<Option<&str>> = scripts.iter().map(|script| script.phase.as_deref()).collect();
        for phase in phases.iter().copied().flatten() {
            output.note(format_args!("in phase {phase}; `--phase`, or `breach.phase` of a scenario, names another"));
        }
        let mut acts = Vec::new();
        let mut warnings: Vec<String> =
            phases.into_iter().flat_map(|phase| warnings(&loaded.plan.in_phase(phase))).collect();
        warnings.dedup();
        for script in scripts {
            let rehearsal =
                Rehearsal::new(&loaded.plan, &loaded.sha256, script, measured.clone(), env!("CARGO_PKG_VERSION"));
            let act = self.act(&again, &loaded, &rehearsal, output)?;
            warnings.extend(act.unmet().iter().map(|what| format!("{}{what}", act.called())));
            acts.push(act);
        }
        many::matrix(&loaded.plan, &acts, output);
        for warning in &warnings {
            output.line(format_args!("{} {warning}", output.warn().apply_to("warning:")));
        }
        if let Some(file) = &self.svg {
            write(file, &svg::ecdf(&loaded.plan, &acts))?;
        }
        let within_objectives = acts.iter().all(Act::within_objectives);
        if output.json {
            output.document(&Document {
                migration: &loaded.plan.migration,
                plan_sha256: &loaded.sha256,
                objectives: &loaded.plan.objectives,
                within_objectives,
                warnings: &warnings,
                rehearsals: &acts,
            });
        }
        Ok(if within_objectives { Exit::Done } else { Exit::No })
    }

    fn refuse_what_does_not_go_together(&self) -> Result<(), Failure> {
        let usage = |what: &str, help: &str| Err(Failure::message(Exit::Usage, what).help(help));
        if self.svg.is_some() && self.runs == 1 {
            return usage("--svg draws a distribution, and there is only one run", "add for example --runs 1000");
        }
        if self.journal.is_some() && (self.runs > 1 || self.scenario.len() > 1) {
            return usage("--journal writes the journal of one run", "leave --runs out, and give one --scenario");
        }
        Ok(())
    }

    fn scripts(
        &self,
        plan: &Plan,
        fire: Option<&str>,
        phase: Option<&str>,
        output: Output,
    ) -> Result<Vec<Script>, Failure> {
        if self.scenario.is_empty() {
            return Ok(vec![Script::usual_in(plan, fire, phase)]);
        }
        let mut errors = 0;
        let mut scripts = Vec::new();
        for path in &self.scenario {
            let text = fs::read_to_string(path).map_err(|error| {
                let what = anyhow::Error::new(error).context(format!("the scenario {} cannot be read", path.display()));
                Failure::new(Exit::Usage, what).help("give the path of a scenario file; `config/scenarios/` has some")
            })?;
            match scenario::load(&path.display().to_string(), &text, plan, fire, phase) {
                Ok(script) => scripts.push(script),
                Err(found) => {
                    errors += found.len();
                    plan_file::show_errors(&found, output);
                }
            }
        }
        if errors > 0 {
            let what = format!("the scenario does not fit: {}", text::count(errors, "error"));
            return Err(Failure::message(Exit::Usage, what)
                .help("correct what is marked above; config/scenarios/README.md has the whole language"));
        }
        Ok(scripts)
    }

    fn act(&self, again: &str, loaded: &Loaded, rehearsal: &Rehearsal, output: Output) -> Result<Act, Failure> {
        let script = rehearsal.script();
        let scenario = Some(script.name.clone()).filter(|name| !name.is_empty());
        let (summary, plan) = (script.summary.clone(), &loaded.plan);
        heading(loaded, &summary, output);
        if self.runs == 1 {
            let Played { report, records } = on_its_own(|| rehearsal.play(self.seed)).map_err(failure)?;
            if let Some(file) = &self.journal {
                write(
                    file,
                    &records.iter().map(|record| serde_json::json!(record).to_string() + "\n").collect::<String>(),
                )?;
            }
            one::show(plan, &report, &records, output);
            let came = Came::Report(Box::new(report));
            return Ok(Act { scenario, summary, came, reports: Vec::new() });
        }
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let reports = play_all(rehearsal, self.seed, self.runs, threads).map_err(failure)?;
        let found = distribution(&reports);
        let replay = |seed: u64| {
            let scenario = scenario.iter().map(|name| format!(" --scenario {name}")).collect::<String>();
            format!("{again}{scenario} --seed {seed}")
        };
        many::show(plan, &found, &reports, replay, |step| rehearsal.source(step), output);
        Ok(Act { scenario, summary, came: Came::Distribution(Box::new(found)), reports })
    }
}

/// A runtime cannot be started in another one's thread.
fn on_its_own<T: Send>(play: impl FnOnce() -> T + Send) -> T {
    // A thread that panicked has found a bug: the panic goes on here.
    thread::scope(|scope| scope.spawn(play).join().unwrap_or_else(|bug| std::panic::resume_unwind(bug)))
}

/// What was measured a few times says how much it varies.
fn spread(mut times: Vec<Duration>) -> Option<Spread> {
    times.sort_unstable();
    Some(Spread::new(*times.first()?, times[times.len() / 2], *times.last()?))
}

fn heading(loaded: &Loaded, summary: &str, output: Output) {
    output.line(format_args!(
        "{} {}  {}",
        output.bold().apply_to("rehearsal of"),
        output.bold().apply_to(&loaded.plan.migration),
        output.dim().apply_to(format_args!("plan {}", loaded.sha256.get(..12).unwrap_or_default())),
    ));
    output.line(output.accent().apply_to(summary));
    output.line("");
}

/// What a simulated world cannot know.
fn warnings(plan: &Plan) -> Vec<String> {
    // A target that names no weights, as a writer, gives no traffic.
    let gives = |to: &Target| match to {
        Target::Own => false,
        Target::Baseline => true,
        Target::Explicit(to) => to.as_object().is_some_and(|to| to.values().all(serde_json::Value::is_u64)),
    };
    let trusting =
        plan.steps.iter().filter(|(_, step)| gives(&step.to) && step.require.is_empty() && !step.resource.is_empty());
    let warning = |name: &String| {
        format!(
            "{name} gives traffic and has no `require`: its destinations are taken for healthy here, and on AWS only what \
             the action itself sees of them proves it"
        )
    };
    trusting.map(|(name, _)| warning(name)).collect()
}

fn failure(error: PlayError) -> Failure {
    let help = match &error {
        PlayError::Arm(_) => "the reason stands above; `belay validate` and `belay explore` look at the plan itself",
        _ => "this should not happen: please report it with the plan, the scenario and the seed",
    };
    Failure::new(Exit::Unexpected, error).help(help)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| {
        Failure::new(
            Exit::Unexpected,
            anyhow::Error::new(error).context(format!("{} cannot be written", path.display())),
        )
    })
}

/// Whether a time keeps an objective, in words: `within the rto of 15m`.
fn held(time: Option<Duration>, name: &str, objective: Option<Duration>) -> Option<(bool, String)> {
    let (time, objective) = (time?, objective?);
    let within = time <= objective;
    let word = if within { "within" } else { "more than" };
    Some((within, format!("{word} the {name} of {}", text::duration(objective))))
}
