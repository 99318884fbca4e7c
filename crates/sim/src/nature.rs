//! What a step does to the world, as far as a rehearsal needs to know it.

use belay_plan::{
    builtin::{MANUAL, WAIT},
    model::{Nature, Step, Target},
};
use serde_json::Value;

/// What the step's action says of its steps. A step that loses data by the plan's word replaces data, whatever it is else.
pub(crate) fn of(step: &Step) -> Nature {
    match step.nature {
        _ if step.loses_data => Nature::Data,
        Some(nature) => nature,
        None => guessed(step),
    }
}

/// Of a plan that was pinned before actions said it.
fn guessed(step: &Step) -> Nature {
    match (step.action.as_str(), &step.to) {
        (MANUAL, _) => Nature::Person,
        (WAIT, _) => Nature::Wait,
        (_, Target::Baseline) => Nature::Traffic,
        (_, Target::Explicit(Value::Object(members))) if !members.is_empty() && members.values().all(Value::is_u64) => {
            Nature::Traffic
        }
        (_, Target::Explicit(_)) => Nature::State,
        (_, Target::Own) => Nature::Job,
    }
}

/// Whether a rollback is not whole without it.
pub(crate) fn acts(step: &Step) -> bool {
    !matches!(of(step), Nature::Person | Nature::Wait)
}

/// Beginnings of words in a step's name, document, instructions or target that say that it keeps writers away.
const FENCES: [&str; 24] = [
    "stop",
    "fence",
    "fencing",
    "freez",
    "frozen",
    "quiesc",
    "pause",
    "suspend",
    "readonly",
    "drain",
    "disabl",
    "maintenance",
    "sorry",
    "zero",
    "revok",
    "shut",
    "block",
    "lock",
    "offline",
    "close",
    "halt",
    "isolat",
    "cordon",
    "evict",
];

/// The same in two words.
const FENCES_OF_TWO: [[&str; 2]; 3] = [["read", "only"], ["scale", "down"], ["scaling", "down"]];

/// Whether a step keeps writers away from what `data` replaces: the plan says so (`fences`), or else its texts do.
pub(crate) fn is_fence(name: &str, step: &Step, data: Option<&str>) -> bool {
    let members = match &step.to {
        Target::Explicit(Value::Object(members)) => members.keys().any(|member| keeps_away(member)),
        _ => false,
    };
    let named = data.is_none_or(|data| step.fences.iter().any(|fenced| fenced == data)) && !step.fences.is_empty();
    let speaks = step.fences.is_empty() && (keeps_away(name) || members || texts(&step.with).any(keeps_away));
    step.action != WAIT && !step.loses_data && (named || speaks)
}

fn keeps_away(text: &str) -> bool {
    let words = words(text);
    let begins = |word: &String| FENCES.iter().any(|stem| word.starts_with(stem));
    let two = |pair: &[String]| FENCES_OF_TWO.iter().any(|[one, two]| pair[0] == *one && pair[1] == *two);
    words.iter().any(begins) || words.windows(2).any(two)
}

/// `ScaleWorkersToZero` and `scale-workers-to-zero` are the same words.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut was_lower = false;
    for letter in text.chars() {
        let begins = words.is_empty() || (letter.is_uppercase() && was_lower);
        match (letter.is_alphanumeric(), words.last_mut()) {
            (false, Some(last)) if !last.is_empty() => words.push(String::new()),
            (false, _) => {}
            (true, Some(last)) if !begins => last.extend(letter.to_lowercase()),
            (true, _) => words.push(letter.to_lowercase().collect()),
        }
        was_lower = letter.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn texts(value: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match value {
        Value::String(text) => Box::new(std::iter::once(text.as_str())),
        Value::Array(items) => Box::new(items.iter().flat_map(texts)),
        Value::Object(fields) => Box::new(fields.values().flat_map(texts)),
        _ => Box::new(std::iter::empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::keeps_away;

    #[test]
    fn what_keeps_writers_away_is_told_by_words() {
        for text in
            ["Shop-StopWriters", "scaleWorkersToZero", "set the table read-only", "scale_down", "/opt/fence", "sorry"]
        {
            assert!(keeps_away(text), "{text}");
        }
        for text in
            ["start_workers", "unlock", "Scale the workers up again.", "nonstop", "clock", "restore orders by hand"]
        {
            assert!(!keeps_away(text), "{text}");
        }
    }
}
