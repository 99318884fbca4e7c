//! A drill for real, in the foreground.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use belay_core::{
    change::{Effect, Proof, Share},
    event::{DrillVerdict, FailureCode, Record},
    id::RunId,
    input::{Asked, Verb},
};
use belay_engine::{
    ArmError, Arming, DrillReport, Engine, Handle, Injection, Measured, Options, RunError, Sampler, arm, drill_report,
    measured, standing, undo,
};
use belay_plan::{Loaded, PlanPlaces, model::Plan};
use belay_ports::{Access, Ports};
use belay_sim::rehearsal::script::is_before_cutover;
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::broadcast::Receiver,
};

use super::report;
use crate::{
    assembly::{State, actor, catalogue, gate, open_to_write, ports},
    aws::built_in,
    commands::arm::read_baseline,
    document::Run,
    exit::{Exit, Failure},
    follow::{Approvals, Ending, Screen, await_run, follow_engine, show_summary},
    interrupt::interrupted,
    output::{Output, can_ask},
    plan_file::{self, Overlay},
    problem::{account_failure, command_failure, deserted},
    text,
};

/// How often signals are read, and the world is looked at while the cutover is waited for.
const POLL: Duration = Duration::from_secs(2);

const WHEN_HALTED: &str =
    "  next: when the cause is gone, `belay run` with the same plan and overlay goes on where it stopped.
  To override an interlock or to skip a step: belay serve, then belay override or belay skip.";

const AGAIN: &str = "the journal is complete: run the same command again to go on";

#[derive(Debug, clap::Args)]
pub(super) struct Staged {
    /// The trigger to fire; left out, the rollback begins without one
    #[arg(long, value_name = "TRIGGER", value_parser = NonEmptyStringValueParser::new())]
    pub(super) fire: Option<String>,
    /// The phase of the plan to drill in; left out: `cutover`, or else the last one. For real, a phase before `cutover` is
    /// drilled without the mark of the cutover
    #[arg(long)]
    pub(super) phase: Option<String>,
    /// Why; goes on record
    #[arg(long, value_parser = crate::given::reason, required_unless_present = "simulate")]
    reason: Option<String>,
    /// A baseline that `belay capture` wrote, instead of what the journal keeps, or what is there now
    #[arg(long, value_name = "FILE", conflicts_with = "simulate")]
    baseline: Option<PathBuf>,
    /// Put the world back as it was before the drill, without asking; with a run, only that, for a drill that is over.
    /// It stands for an override of destinations that nothing proves healthy; one that is unhealthy gets no traffic
    #[arg(long, value_name = "RUN", num_args = 0..=1, require_equals = true, conflicts_with = "simulate")]
    put_back: Option<Option<String>>,
    #[command(flatten)]
    pub(super) state: State,
}

impl Staged {
    pub(super) async fn run(&self, path: &Path, overlay: &Overlay, output: Output) -> Result<Exit, Failure> {
        let loaded = plan_file::load_for_drill(path, overlay, &catalogue(), output)?;
        self.refuse_unknown_trigger(&loaded.plan)?;
        built_in()?;
        if overlay.is_empty() {
            let account = loaded.plan.aws.account.as_deref().unwrap_or("of the credentials");
            output.note(format_args!(
                "no overlay is chosen: the drill acts as the plan is written, in account {account}"
            ));
        }
        let phase = plan_file::chosen_phase(&loaded.plan, self.phase.as_deref())?;
        let places = loaded.places(&path.display().to_string(), &catalogue());
        let mut drill = Drill::open(self, (loaded, places), phase, output).await?;
        let again = format!("belay drill {}{}{}", path.display(), overlay.typed(), self.state.typed());
        let exit = match &self.put_back {
            Some(Some(run)) => drill.put_back(&RunId(run.clone())).await.map(|run| run.exit()),
            put_back => drill.drill(put_back.is_some(), &again).await,
        };
        drill.screen.finish();
        drill.handle.shutdown().await;
        exit
    }

    pub(super) fn refuse_unknown_trigger(&self, plan: &Plan) -> Result<(), Failure> {
        match self.fire.as_ref().filter(|name| !plan.triggers.contains_key(*name)) {
            None => Ok(()),
            Some(name) => Err(Failure::message(Exit::Usage, format!("the plan has no trigger {name}"))
                .help(format!("its triggers are: {}", plan.triggers.keys().cloned().collect::<Vec<_>>().join(", ")))),
        }
    }
}

struct Drill<'a> {
    args: &'a Staged,
    plan: Arc<Plan>,
    places: PlanPlaces,
    /// What is drilled; none where the plan has no phases.
    phase: Option<String>,
    sha256: String,
    ports: Ports,
    handle: Handle,
    /// What the steps took before.
    measured: Measured,
    records: Receiver<Arc<Record>>,
    screen: Screen,
    output: Output,
}

/// The journal that a daemon uses is not that of the drill.
fn beside_a_daemon(failure: Failure) -> Failure {
    if failure.exit != Exit::Refused {
        return failure;
    }
    let own = "beside a daemon, a drill keeps a journal of its own: `--state sqlite:drill.db`; the daemon's readiness then does not \
               count this drill";
    let help = failure.help.as_ref().map_or_else(|| own.to_owned(), |help| format!("{help}; {own}"));
    failure.help(help)
}

impl<'a> Drill<'a> {
    async fn open(
        args: &'a Staged,
        (loaded, places): (Loaded, PlanPlaces),
        phase: Option<String>,
        output: Output,
    ) -> Result<Self, Failure> {
        let journal = Arc::new(open_to_write(&args.state.url).map_err(beside_a_daemon)?);
        let injection = Injection::default();
        let mut ports = ports(Access::ReadWrite, journal, Arc::new(injection.clone()), gate(output)?)?;
        ports.sensors = injection.before(ports.sensors.clone(), ports.clock.clone());
        let sampler = Sampler::start(ports.sensors.clone(), ports.clock.clone(), ports.observer.clone(), POLL);
        let options = Options { sampler, belay_version: env!("CARGO_PKG_VERSION").to_owned(), readiness: None };
        let handle = Engine::open(ports.clone(), &loaded.plan.migration, options).await?;
        let snapshot = handle.snapshot();
        let measured = measured(&loaded.plan, &snapshot.state, snapshot.relatives.iter().map(AsRef::as_ref));
        let (plan, records) = (Arc::new(loaded.plan), handle.records());
        Ok(Self {
            args,
            plan,
            places,
            phase,
            sha256: loaded.sha256,
            ports,
            handle,
            measured,
            records,
            screen: Screen::new(output, None),
            output,
        })
    }

    fn asked(&self) -> Asked {
        Asked::new(actor(), self.args.reason.clone().unwrap_or_default())
    }

    async fn command(&self, verb: Verb) -> Result<Vec<Record>, Failure> {
        self.handle.command(self.asked().command(verb)).await.map_err(command_failure)
    }

    /// Everything, and the exit code that says how it went. `again`: the command, as far as it is the same next time.
    async fn drill(&mut self, put_back: bool, again: &str) -> Result<Exit, Failure> {
        let run = self.find_its_run().await?;
        let run = self.follow(&run).await?;
        let report = self.measure().await?;
        self.command(Verb::DrillOver { verdict: report.verdict, report: json!(report) }).await?;
        let exit = match report.verdict {
            DrillVerdict::Within => Exit::Done,
            DrillVerdict::Outside => Exit::No,
            DrillVerdict::Halted | DrillVerdict::Aborted => Exit::NotRolledBack,
        };
        self.stop_drawing();
        show_summary(&run, None, None, self.output);
        report::show(&report, self.output);
        let command = format!("{again} --put-back={} --reason {}", run.id, text::shell_word("after the drill"));
        let undoable = self.undoable(&run.id);
        let mut document = json!(report);
        document["put_back"] = match (undoable, undoable && (put_back || self.wants_it_back(&report).await)) {
            (_, true) => {
                let undone = match self.put_back(&RunId(run.id.clone())).await {
                    Ok(undone) => undone,
                    Err(failure) => {
                        self.end(&document, Value::Null); // the drill itself is over, and on record
                        return Err(failure);
                    }
                };
                let done = json!({ "run": undone.id, "state": undone.state, "left": undone.left });
                if undone.exit() != Exit::Done {
                    self.end(&document, done);
                    return Ok(undone.exit());
                }
                done
            }
            (true, false) => {
                self.output
                    .line(format_args!("  to put it back as it was: {}", self.output.accent().apply_to(&command)));
                json!({ "command": command })
            }
            (false, false) => Value::Null,
        };
        if run.state == "halted" {
            WHEN_HALTED.lines().for_each(|line| self.output.line(line));
        }
        let put_back = document["put_back"].take();
        self.end(&document, put_back);
        Ok(exit)
    }

    fn end(&self, report: &Value, put_back: Value) {
        if self.output.json {
            let mut document = report.clone();
            document["put_back"] = put_back;
            self.output.json_line(&document);
        }
    }

    /// Arms, waits for the cutover, begins the breach, and waits for the run that comes of it.
    async fn find_its_run(&mut self) -> Result<RunId, Failure> {
        let state = self.handle.snapshot().state.clone();
        match (&state.drill, state.open_run()) {
            (Some(_), run) => {
                self.screen.note("the journal shows a drill that is not over: it goes on");
                if let Some(run) = run.filter(|run| run.state == belay_core::run::RunState::Held) {
                    self.command(Verb::Resume { run: run.id.clone() }).await?;
                }
            }
            (None, Some(run)) => {
                let what = format!("run {} of {} is {}", run.id, state.name, run.state.as_str());
                return Err(Failure::message(Exit::Refused, what)
                    .help("`belay run` with the same plan and overlay goes on with it; then drill again"));
            }
            (None, None) => {
                let baseline =
                    self.args.baseline.as_ref().map(|path| read_baseline(path, &self.plan.migration)).transpose()?;
                // Staging rarely has every alarm of production, and the drill injects the breach itself.
                let places = self.places.clone();
                let arming = Arming { baseline, accept_unknown: true, places, ..Arming::default() };
                let asked = self.asked();
                let armed = arm(&self.handle, &self.ports, self.plan.clone(), &self.sha256, arming, &asked).await;
                for warning in armed.map_err(arm_failure)?.warnings {
                    self.screen.note(&format!("warning: {warning}"));
                }
                self.cut_over().await?;
                // The mark begins the phase `cutover`, so the phase of the drill begins after it.
                let begun = self.handle.snapshot().state.phase_name().map(str::to_owned);
                if let Some(phase) = self.phase.clone().filter(|phase| begun.as_ref() != Some(phase)) {
                    self.command(Verb::Phase { phase }).await?;
                }
                self.command(Verb::Drill { trigger: self.args.fire.clone() }).await?;
            }
        }
        let found =
            await_run(&self.handle, &mut self.records, &*self.ports.clock, &mut self.screen, interrupted()).await?;
        found.ok_or_else(|| self.interrupted())
    }

    /// Waits until the world differs from what a rollback returns to, and nobody is in the middle of making it so.
    async fn cut_over(&mut self) -> Result<(), Failure> {
        let stop = interrupted();
        tokio::pin!(stop);
        let (mut told, mut last) = (false, None);
        loop {
            let state = self.handle.snapshot().state.clone();
            let now = standing(&self.ports, &self.plan, state.baseline.as_deref()).await.map_err(|(step, error)| {
                let what = anyhow::Error::new(error).context(format!("step {step} cannot be observed"));
                Failure::new(Exit::Unexpected, what).help("correct the step or the permissions, then drill again")
            })?;
            let settled = !now.away.is_empty() && last.as_ref() == Some(&now.seen);
            if !now.tells || settled || state.incident.is_some() {
                break;
            }
            if now.away.is_empty() && !told {
                self.screen.note(
                    "the baseline is captured, and the world is still as it says: make the cutover of staging now; the \
                     drill goes on when it sees it",
                );
                told = true;
            }
            last = Some(now.seen);
            tokio::select! {
                () = self.ports.clock.sleep(POLL) => {}
                () = &mut stop => return Err(self.interrupted()),
            }
        }
        let marks = !is_before_cutover(&self.plan, self.phase.as_deref());
        if marks && self.handle.snapshot().state.cutover.is_none() {
            self.command(Verb::Cutover).await?;
        }
        Ok(())
    }

    async fn follow(&mut self, run: &RunId) -> Result<Run, Failure> {
        let approvals = Approvals::new(run, &actor());
        let clock = self.ports.clock.clone();
        let ending = follow_engine(
            &self.handle,
            &mut self.records,
            &run.0,
            clock.as_ref(),
            &mut self.screen,
            Some(approvals),
            interrupted(),
        )
        .await?;
        match ending {
            Ending::Stopped(run) => Ok(run),
            Ending::Interrupted => Err(self.interrupted()),
            Ending::Deserted(step) => Err(deserted(&step, run)
                .help("nobody's answer is on record, and the step waits on: run the same command again in a terminal")),
        }
    }

    fn interrupted(&self) -> Failure {
        Failure::message(Exit::NotRolledBack, "the drill was interrupted").help(AGAIN)
    }

    async fn measure(&self) -> Result<DrillReport, Failure> {
        let migration = self.handle.migration();
        drill_report(&*self.ports.journal, migration, &self.measured)
            .await?
            .ok_or_else(|| Failure::message(Exit::Unexpected, "the journal shows no drill that has ended").help(AGAIN))
    }

    fn undoable(&self, run: &str) -> bool {
        let state = self.handle.snapshot().state.clone();
        let found = state.find_run(&RunId(run.to_owned()));
        let verbs = found.map(|run| belay_core::possible::of_run(&state, run)).unwrap_or_default();
        verbs.contains(&belay_core::possible::VerbWord::Undo)
    }

    /// Asks, where there is somebody to ask.
    async fn wants_it_back(&self, report: &DrillReport) -> bool {
        if !self.output.terminal || !can_ask() {
            return false;
        }
        self.output.note("");
        self.output.note("? put the world back as it was before the drill? yes or no:");
        if !report.stays.is_empty() {
            self.output.note(format_args!("  this would stay: {}", report.stays.join("; ")));
        }
        let answer = BufReader::new(tokio::io::stdin()).lines().next_line().await.ok().flatten();
        matches!(answer.as_deref().map(str::trim), Some("yes" | "y"))
    }

    /// What the drill's run changed goes back to what was there before it.
    async fn put_back(&mut self, run: &RunId) -> Result<Run, Failure> {
        let undo = undo(&self.handle, &self.ports, run.clone(), &self.asked()).await.map_err(|error| match error {
            RunError::Account(error) => account_failure(error),
            RunError::Command(error) => command_failure(error),
            error => Failure::new(Exit::Usage, error),
        })?;
        self.screen = Screen::new(self.output, None);
        let mut undone = self.follow(&undo).await?;
        while undone.state == "halted" && self.take_responsibility(&undo).await? {
            undone = self.follow(&undo).await?;
        }
        self.stop_drawing();
        show_summary(&undone, None, None, self.output);
        Ok(undone)
    }

    /// Who asks for the world back asks for traffic where it was: what nothing proves healthy is overridden by name. What
    /// is seen to be unhealthy is not. False when there is nothing to override.
    async fn take_responsibility(&self, undo: &RunId) -> Result<bool, Failure> {
        let state = self.handle.snapshot().state.clone();
        let steps = state.find_run(undo).into_iter().flat_map(|run| &run.steps);
        let mut overridden = false;
        for (step, state) in steps.filter(|(_, step)| step.failure == Some(FailureCode::Unproven)) {
            let effects = state.planned.iter().flat_map(|change| &change.effects);
            let shares = effects.flat_map(|effect| match effect {
                Effect::Traffic { shares } => shares.as_slice(),
                _ => &[],
            });
            let unproven = |share: &&Share| share.after > share.before && matches!(share.proof, Proof::None { .. });
            let new = |share: &&Share| !state.overrides.contains(&share.destination);
            if let Some(share) = shares.filter(unproven).find(new) {
                let (run, step, subject) = (undo.clone(), step.clone(), share.destination.clone());
                self.command(Verb::Override { run, step, subject }).await?;
                overridden = true;
            }
        }
        Ok(overridden)
    }

    /// The last picture stays; what follows is written below it.
    fn stop_drawing(&mut self) {
        std::mem::replace(&mut self.screen, Screen::silent(self.output)).finish();
    }
}

fn arm_failure(error: ArmError) -> Failure {
    match error {
        ArmError::Account(error) => account_failure(error),
        ArmError::Command(error) => command_failure(error),
        error @ (ArmError::Unknown(_) | ArmError::OtherBaseline { .. }) => Failure::new(Exit::Usage, error),
        error @ ArmError::UnreadableSignals { .. } => {
            Failure::new(Exit::Refused, error).help("correct the plan or the permissions, then drill again")
        }
        error @ ArmError::UnusableChannels { .. } => {
            Failure::new(Exit::Refused, error).help("correct the plan or the secret, then drill again")
        }
        error @ ArmError::MissingPermissions { .. } => {
            Failure::new(Exit::Refused, error).help("attach what `belay iam PLAN` prints to the role, then drill again")
        }
        error @ (ArmError::AfterCutover { .. } | ArmError::Impossible { .. }) => Failure::new(Exit::Refused, error)
            .help("give a baseline from before the cutover with --baseline FILE, or correct the plan"),
        error @ (ArmError::Capture(_) | ArmError::Unreadable { .. }) => {
            Failure::new(Exit::Unexpected, error).help("correct the step or the permissions, then drill again")
        }
    }
}
