//! What happened between two looks at a run: for where its events cannot be heard.

use belay_narrate::{Line, Tone};

use crate::{document::Run, text};

pub(super) fn lines(last: Option<&Run>, run: &Run) -> Vec<Line> {
    let last = last.filter(|last| last.id == run.id);
    let changed = run.steps.iter().filter(|(name, step)| {
        let before = last.and_then(|last| last.steps.get(*name));
        let same = before.is_some_and(|before| before.phase == step.phase && before.why == step.why);
        !same && (before.is_some() || step.phase != "pending")
    });
    let line = |(name, step): (&String, &crate::document::Step)| {
        let tone = match step.phase.as_str() {
            "done" | "unchanged" => Tone::Good,
            "failed" | "blocked" => Tone::Bad,
            "awaiting_approval" | "skipped" => Tone::Warn,
            _ => Tone::Plain,
        };
        let what = step.what();
        let colon = if what.is_empty() { "" } else { ": " };
        let text = format!("{}{colon}{what}", text::words(&step.phase));
        Line { at: step.ended.unwrap_or(step.since), subject: name.clone(), text, tone }
    };
    changed.map(line).collect()
}
