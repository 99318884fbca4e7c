//! Every event that was ever journaled is put into words. `goldens/words.txt` shows all of them, to be read: a line each, with its
//! audience and tone, as the log has it. `UPDATE_GOLDEN=1` writes it anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use belay_core::event::{Event, Record};
use belay_narrate::{Audience, Context, Narrator, Told, line_of_event, narrate};
use jiff::Timestamp;
use serde_json::{Value, json};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../journal/tests/journal/samples.jsonl");
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/goldens/words.txt");

/// Characters of a text at most, with the words that show how much was cut.
const CHARS_MAX: usize = 1_000 + 40;

fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

fn samples() -> Vec<Value> {
    let text = fs::read_to_string(SAMPLES).expect("the journal keeps its samples");
    let mut samples: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a sample")).collect();
    let plan = json!({ "migration": "checkout", "steps": {} });
    let baseline =
        json!({ "migration": "checkout", "captured": "2026-01-01T00:00:00Z", "plan_sha256": "", "steps": {} });
    // The journal's samples of these are there for their length alone.
    samples.extend([
        json!({ "type": "plan_pinned", "plan": plan, "plan_sha256": "3f1c9a2b7d10e5f6" }),
        json!({
            "type": "undo_started", "run": "r2", "undoes": "r1", "reason": "a false alarm", "plan": plan, "baseline": baseline,
            "left": ["db_back lost data"],
        }),
        json!({ "type": "rehearsed", "run": "r3", "reason": "", "plan": plan, "plan_sha256": "", "report": {} }),
        json!({ "type": "readiness_changed", "from": null, "verdict": "go", "findings": [] }),
        json!({ "type": "decided", "trigger": "hurt", "answer": "roll_back", "why": "customers cannot pay" }),
        json!({ "type": "decided", "trigger": "hurt", "answer": "roll_back", "why": "hurt is critical: roll back" }),
        json!({ "type": "armed", "waits_for_green": [] }),
        json!({ "type": "step", "step": "db", "did": "planned", "changes": [] }),
        json!({ "type": "step", "step": "db", "did": "started", "fallback_for": null }),
        json!({ "type": "step", "step": "db", "did": "settled", "changed": true }),
        json!({ "type": "step", "step": "db", "did": "failed", "code": "refused", "why": "x".repeat(5_000) }),
    ]);
    samples
}

fn told(event: &Event) -> Told {
    narrate(event, &Context { actor: "ada", plan: None, clock: &clock })
}

fn read(sample: &Value) -> Event {
    serde_json::from_value(sample.clone()).unwrap_or_else(|error| panic!("{error}: {sample}"))
}

#[test]
fn every_event_has_words_that_follow_the_same_rules() {
    for sample in samples() {
        let told = told(&read(&sample));
        for text in [&told.text, &told.brief] {
            assert!(!text.is_empty() && text.chars().count() <= CHARS_MAX, "{sample}: {text:?}");
            assert!(!text.chars().any(char::is_control), "{sample}: {text:?}");
            assert!(!text.ends_with(['.', ':', ';', ' ']) || text.ends_with("..."), "{sample}: {text:?}");
            // What is said goes on behind the subject, and does not repeat it.
            let begins = text.chars().next().is_some_and(|first| first.is_lowercase() || first.is_ascii_digit());
            let loud = ["FIRED", "FAILED", "Belay "].iter().any(|word| text.starts_with(word));
            assert!(begins || loud, "{sample}: {text:?}");
            assert!(told.subject.is_empty() || !text.starts_with(&format!("{}:", told.subject)), "{sample}: {text:?}");
        }
    }
}

#[test]
fn log_terminal_and_followers_have_the_same_words() {
    for (index, sample) in samples().into_iter().enumerate() {
        let event = read(&sample);
        let told = told(&event);
        let record = Record {
            stream: "checkout".to_owned(),
            seq: index as u64 + 1,
            version: 1,
            at: Timestamp::UNIX_EPOCH,
            actor: "ada".to_owned(),
            event,
            prev: String::new(),
            hash: String::new(),
        };
        let line = Narrator::default().line(&record, &clock);
        assert_eq!(line.is_some(), told.audience >= Audience::Followers, "{sample}");
        // The daemon sends a plan and a baseline as their hash alone.
        let mut sent = sample.clone();
        for document in ["plan", "baseline", "report"] {
            if !sent[document].is_null() && sent["type"] != "step" {
                sent[document] = json!({ "sha256": "00", "bytes": 2 });
            }
        }
        assert_eq!(line_of_event(record.at, &record.actor, &sent, &clock), line, "{sample}");
        let Some(line) = line else { continue };
        let colon = if line.subject.is_empty() { "" } else { ": " };
        let shown = format!("{}{colon}{}", line.subject, line.text);
        assert_eq!(told.to_string(), shown);
        assert!(told.in_log().starts_with(&shown), "{}", told.in_log());
    }
}

#[test]
fn what_nobody_reads_as_a_line_is_told_elsewhere() {
    let machines = samples().into_iter().filter(|sample| told(&read(sample)).audience == Audience::Machines);
    let machines: BTreeSet<String> = machines.map(|sample| sample["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(Vec::from_iter(machines), ["notice_due", "readings_kept"]);
}

#[test]
fn a_dwell_and_a_role_are_named_where_the_plan_is_known() {
    let mut narrator = Narrator::default();
    let plan = json!({
        "migration": "shop",
        "triggers": { "hurt": {
            "when": { "signal": "errors" }, "for": "5m", "severity": "critical", "scope": "system_wide", "fix": "unknown",
            "red_at_arm": "refuse",
        } },
        "steps": { "db": {
            "action": "manual", "to": "baseline", "timeout": "5m", "on_failure": "halt",
            "retry": { "attempts": 1, "backoff_min": "1s", "backoff_max": "1s" },
            "approve": { "role": "dba", "quorum": 2, "otherwise": "halt" },
        } },
    });
    let mut line = |event: Value| {
        let record = json!({
            "stream": "shop", "seq": 1, "version": 1, "at": "2026-01-01T00:00:00Z", "actor": "ada", "event": event,
            "prev": "", "hash": "",
        });
        narrator.line(&serde_json::from_value(record).unwrap(), &clock).unwrap().text
    };
    let dwell = json!({ "type": "dwell_started", "trigger": "hurt" });
    let awaited =
        json!({ "type": "step", "step": "db", "did": "approval_awaited", "why": "it loses data", "by_hand": false });
    assert_eq!(line(dwell.clone()), "the condition holds; it fires if that lasts");
    assert_eq!(line(awaited.clone()), "waits for a person: it loses data");
    line(json!({ "type": "plan_pinned", "plan": plan, "plan_sha256": "" }));
    assert_eq!(line(dwell), "the condition holds; it fires if that lasts for 5m");
    assert_eq!(line(awaited), "waits for 2 people with the role dba: it loses data");
}

#[test]
fn all_words_are_in_the_file() {
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for sample in samples().into_iter().filter(|sample| sample.to_string().len() < 2_000) {
        let told = told(&read(&sample));
        let part = |name: &str| sample[name].as_str().map_or(String::new(), |word| format!(" {word}"));
        let event = format!("{}{}{}", sample["type"].as_str().unwrap(), part("did"), part("gate"));
        let line = format!("  [{:?}, {:?}] {}", told.audience, told.tone, told.in_log());
        let known = lines.entry(event).or_default();
        if !known.contains(&line) {
            known.push(line);
        }
    }
    let text: String = lines.iter().map(|(event, lines)| format!("{event}\n{}\n", lines.join("\n"))).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(GOLDEN, &text).unwrap();
    }
    let golden = fs::read_to_string(GOLDEN).unwrap_or_default();
    assert!(text == golden, "the words have changed: `UPDATE_GOLDEN=1` writes them, and they are to be read");
}
