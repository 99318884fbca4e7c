//! What a step does to the world, as far as a rehearsal needs to know it.

use std::collections::BTreeSet;

use belay_plan::{
    builtin::{MANUAL, WAIT},
    model::{Nature, Plan, Step, Target},
};
use serde_json::Value;

use crate::causes::members;

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

/// Whether what it puts back is to be seen in the world. A job, a person's act or a wait leaves nothing behind that anything follows: where
/// the run goes on without it, nothing waits for it any more.
pub(crate) fn is_seen(step: &Step) -> bool {
    matches!(of(step), Nature::Traffic | Nature::Data | Nature::State)
}

/// Beginnings of words that name a state in which nobody writes: it is entered, or left.
const CLOSED: [&str; 12] = [
    "maintenance",
    "sorry",
    "fence",
    "fencing",
    "freez",
    "frozen",
    "quiesc",
    "readonly",
    "drain",
    "lock",
    "block",
    "offline",
];

/// Beginnings of verbs that keep writers away.
const CLOSES: [&str; 25] = [
    "stop",
    "pause",
    "pausing",
    "suspend",
    "disabl",
    "deactivat",
    "zero",
    "revok",
    "shut",
    "close",
    "halt",
    "isolat",
    "cordon",
    "evict",
    "deny",
    "denied",
    "reject",
    "refus",
    "forbid",
    "prevent",
    "detach",
    "disconnect",
    "kill",
    "terminat",
    "unsubscrib",
];

/// Beginnings of verbs that let them write again.
const OPENS: [&str; 13] = [
    "start",
    "restart",
    "resum",
    "enabl",
    "reenabl",
    "activat",
    "reactivat",
    "reopen",
    "releas",
    "thaw",
    "allow",
    "readmit",
    "reconnect",
];

/// Words before the closed state that is left, beside the verbs above; and words behind it.
const LEAVES: [&str; 6] = ["end", "lift", "leave", "exit", "remove", "clear"];
const IS_LEFT: [&str; 4] = ["off", "end", "ends", "over"];

/// The same in two words.
const CLOSES_OF_TWO: [[&str; 2]; 8] = [
    ["scale", "down"],
    ["scaling", "down"],
    ["scale", "in"],
    ["no", "writes"],
    ["no", "writers"],
    ["turn", "off"],
    ["switch", "off"],
    ["to", "0"],
];
const OPENS_OF_TWO: [[&str; 2]; 5] =
    [["scale", "up"], ["scaling", "up"], ["scale", "out"], ["turn", "on"], ["switch", "on"]];

/// Not `opensearch`.
const OPEN: &str = "open";

/// Words for those who write: a step that stops them and one that starts them may use different ones.
const WRITERS: [&str; 8] = ["write", "worke", "consu", "produ", "inges", "jobs", "queue", "cron"];

/// What a text means for those who write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    KeepsAway,
    LetsIn,
}

/// Whether a step keeps writers away from what `data` replaces: the plan says so (`fences`), or else its texts do.
pub(crate) fn is_fence(name: &str, step: &Step, data: Option<&str>) -> bool {
    if step.action == WAIT || step.loses_data {
        return false;
    }
    if !step.fences.is_empty() {
        return data.is_none_or(|data| step.fences.iter().any(|fenced| fenced == data));
    }
    let keeps_away = |text: &str| meaning(text) == Some(Meaning::KeepsAway);
    // What gets no traffic keeps nobody away.
    members(step, true).into_iter().any(keeps_away)
        || match meaning(name) {
            Some(meaning) => meaning == Meaning::KeepsAway,
            None => texts(&step.with).any(keeps_away),
        }
}

/// Whether a step lets those write again whom `fence` keeps away, told by its name, or else by its settings.
pub(crate) fn lets_in_again(plan: &Plan, (name, step): (&str, &Step), (fence_name, fence): (&str, &Step)) -> bool {
    let says = meaning(name).or_else(|| identifiers(step).find_map(meaning)).or_else(|| {
        // Of what a person reads, only how it begins.
        let first = step.with["instructions"].as_str().and_then(|text| text.split_whitespace().next());
        first.and_then(meaning)
    });
    let about = |name: &str, step: &Step| -> BTreeSet<String> {
        let known = words(&plan.migration);
        let all = std::iter::once(name).chain(identifiers(step)).flat_map(words);
        let all = all.filter(|word| !known.contains(word) && word.len() > 3 && meaning(word).is_none());
        // The singular and the plural are about the same.
        all.map(|word| word.chars().take(5).collect()).collect()
    };
    let (these, those) = (about(name, step), about(fence_name, fence));
    let writers = |words: &BTreeSet<String>| words.iter().any(|word| WRITERS.contains(&word.as_str()));
    let same = these.intersection(&those).count() > 0 || (writers(&these) && writers(&those));
    says == Some(Meaning::LetsIn) && same && step.action != WAIT
}

/// What a step calls by name.
fn identifiers(step: &Step) -> impl Iterator<Item = &str> {
    ["document", "function", "state_machine"].iter().filter_map(|key| step.with[*key].as_str())
}

fn meaning(text: &str) -> Option<Meaning> {
    let mut words = words(text);
    words.retain(|word| word != "the");
    while let Some(at) = words.windows(2).position(|pair| pair[0] == "read" && pair[1] == "only") {
        words.splice(at..at + 2, ["readonly".to_owned()]);
    }
    let begins = |word: &String, stems: &[&str]| stems.iter().any(|stem| word.starts_with(stem));
    let any = |stems: &[&str]| words.iter().any(|word| begins(word, stems));
    let pair = |fits: &dyn Fn(&String, &String) -> bool| words.windows(2).any(|pair| fits(&pair[0], &pair[1]));
    let two = |pairs: &[[&str; 2]]| pair(&|one, two| pairs.iter().any(|both| both[0] == *one && both[1] == *two));
    let undoes = |word: &String| {
        let rest = word.strip_prefix("un");
        rest.is_some_and(|rest| CLOSED.iter().chain(&CLOSES).any(|stem| rest.starts_with(stem)))
    };
    let leaves = |one: &String, two: &String| {
        let verb = begins(one, &CLOSES) || LEAVES.contains(&one.as_str());
        (verb && begins(two, &CLOSED)) || (begins(one, &CLOSED) && IS_LEFT.contains(&two.as_str()))
    };
    match () {
        () if words.iter().any(undoes) || pair(&leaves) => Some(Meaning::LetsIn),
        () if any(&CLOSED) || any(&CLOSES) || two(&CLOSES_OF_TWO) => Some(Meaning::KeepsAway),
        () if any(&OPENS) || two(&OPENS_OF_TWO) || words.iter().any(|word| word == OPEN) => Some(Meaning::LetsIn),
        () => None,
    }
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
    use super::{Meaning, meaning};

    #[test]
    fn what_keeps_writers_away_is_told_by_words() {
        for text in [
            "Shop-StopWriters",
            "scaleWorkersToZero",
            "set the table read-only",
            "scale_down",
            "/opt/fence",
            "sorry",
            "enable_maintenance",
            "deny_writes",
            "detach the queue",
        ] {
            assert_eq!(meaning(text), Some(Meaning::KeepsAway), "{text}");
        }
        for text in ["start_workers", "unlock", "unfreeze_orders", "disable_maintenance", "read_only_off", "scale up"] {
            assert_eq!(meaning(text), Some(Meaning::LetsIn), "{text}");
        }
        for text in ["nonstop", "clock", "restore orders by hand", "page_on"] {
            assert_eq!(meaning(text), None, "{text}");
        }
    }
}
