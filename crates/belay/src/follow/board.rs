//! The live picture of a run on a terminal: a line a step, and the time that is left.

use std::time::Duration;

use console::truncate_str;
use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{
    follow::run::{Run, Step},
    output::Output,
    text,
};

const TICK: Duration = Duration::from_millis(120);
const BAR: u64 = 1000;

pub(crate) struct Board {
    output: Output,
    bars: MultiProgress,
    steps: IndexMap<String, ProgressBar>,
    footer: ProgressBar,
}

impl Board {
    pub(crate) fn new(output: Output) -> Self {
        let bars = MultiProgress::new();
        bars.set_draw_target(indicatif::ProgressDrawTarget::stdout());
        let footer = bars.add(ProgressBar::new_spinner().with_style(style("{wide_msg}")));
        Self { output, bars, steps: IndexMap::new(), footer }
    }

    pub(crate) fn show(&mut self, run: &Run) {
        let width = run.steps.keys().map(String::len).max().unwrap_or_default();
        for (name, step) in &run.steps {
            let bar = self.steps.entry(name.clone()).or_insert_with(|| {
                let bar = self.bars.insert_before(&self.footer, ProgressBar::new(BAR));
                bar.set_prefix(format!("{name:width$}"));
                bar
            });
            draw(bar, step, self.output);
        }
        self.footer.set_message(footer(run, self.output));
    }

    /// A line above the picture.
    pub(crate) fn line(&self, line: &str) {
        // A terminal that has gone away must not end a rollback.
        let _ = self.bars.println(line);
    }

    /// Takes the picture off while something else has the terminal.
    pub(crate) fn suspend<T>(&self, action: impl FnOnce() -> T) -> T {
        self.bars.suspend(action)
    }

    /// Leaves the last picture of the steps standing.
    pub(crate) fn finish(self) {
        for bar in self.steps.values() {
            bar.abandon();
        }
        self.footer.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
        .progress_chars("━━╌")
}

fn draw(bar: &ProgressBar, step: &Step, output: Output) {
    let (mark, tone) = match step.phase.as_str() {
        "done" | "unchanged" => ("✔", output.good()),
        "failed" => ("✘", output.bad()),
        "blocked" => ("⊘", output.bad()),
        "skipped" => ("↷", output.warn()),
        "pending" => ("·", output.dim()),
        "awaiting_approval" => ("?", output.warn()),
        _ => ("", output.accent()),
    };
    let fraction = step.progress.as_ref().and_then(|progress| progress.fraction).filter(|_| !step.is_over());
    let left = step.progress.as_ref().and_then(|progress| progress.expected_left_s).filter(|_| !step.is_over());
    let lead = if mark.is_empty() { "{spinner}".to_owned() } else { tone.apply_to(mark).to_string() };
    let gauge = if fraction.is_some() { "{bar:16.cyan/dim} " } else { "" };
    bar.set_style(style(&format!("{lead} {{prefix:.bold}}  {gauge}{{wide_msg}}")));
    let took = match (step.started, step.ended) {
        (Some(started), Some(ended)) if step.is_over() => {
            format!(" ({})", text::duration(text::between(started, ended)))
        }
        _ => left.map_or(String::new(), |left| format!(" (about {} left)", text::duration(Duration::from_secs(left)))),
    };
    let what = if step.phase == "pending" { String::new() } else { step.what() };
    let phase = text::words(&step.phase);
    bar.set_message(format!("{}{took}  {}", tone.apply_to(phase), truncate_str(&what, 200, "…")));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
    bar.set_position((fraction.unwrap_or_default().clamp(0.0, 1.0) * 1000.0) as u64);
    match step.is_over() || step.phase == "pending" {
        true => bar.disable_steady_tick(),
        false => bar.enable_steady_tick(TICK),
    }
}

fn footer(run: &Run, output: Output) -> String {
    let left = run
        .expected_left_s
        .map_or(String::new(), |left| format!(", about {} left", text::duration(Duration::from_secs(left))));
    let gates: Vec<String> = run
        .confirm
        .iter()
        .filter(|gate| gate.state != "passed")
        .map(|gate| {
            let hold = text::duration(Duration::from_secs(gate.for_s));
            format!("{} healthy for {hold} ({}{}{})", gate.signal, gate.state, colon(&gate.evidence), gate.evidence)
        })
        .collect();
    let gates = if gates.is_empty() { String::new() } else { format!(": {}", gates.join("; ")) };
    output.dim().apply_to(format!("{}{left}{gates}", text::words(&run.state))).to_string()
}

fn colon(evidence: &str) -> &str {
    if evidence.is_empty() { "" } else { ": " }
}
