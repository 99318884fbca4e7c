use belay_core::{
    event::RunKind,
    id::{IncidentId, RunId},
    input::CommandKey,
};
use serde_json::json;

use super::*;

const BEGIN: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// What is on record, each so many seconds after the beginning.
type Entries = Vec<(i64, Event)>;

type Change<'c> = &'c dyn Fn(&mut Entries);

fn plan() -> Arc<Plan> {
    let step = json!({ "action": "sim.job", "to": "own", "resource": "sim:job", "timeout": "10m", "retry": { "attempts": 1, "backoff_min": "1s", "backoff_max": "1s" }, "on_failure": "halt" });
    let trigger = |severity| json!({ "when": { "signal": "errors" }, "for": "1m", "severity": severity, "scope": "system_wide", "fix": "unknown", "red_at_arm": "refuse" });
    let plan = json!({
        "migration": "m", "steps": { "job": step },
        "signals": { "errors": { "kind": "alarm", "spec": {} } },
        "triggers": { "bad": trigger("major"), "worse": trigger("critical") },
        "decision": { "authority": ["commander"], "rules": [
            { "severity": "major", "do": "decide", "timebox": "10m", "then": "fix_forward" },
            { "do": "decide", "timebox": "20m", "then": "roll_back" },
        ] },
    });
    Arc::new(serde_json::from_value(plan).unwrap())
}

fn asks(rule: usize, ends_s: Option<i64>, then: Option<Answer>) -> Option<Question> {
    let timebox_ends = ends_s.map(|seconds| BEGIN + SignedDuration::from_secs(seconds));
    let authority = Authority::AnyOf(vec!["commander".to_owned()]);
    Some(Question { rule, problem: None, timebox_ends, then, authority })
}

fn decided(trigger: &str, answer: Answer, asks: Option<Question>, settled: bool) -> Event {
    Event::Decided { trigger: trigger.to_owned(), answer, why: String::new(), asks, settled }
}

/// One trigger opens the incident, another joins it, nobody decides, and it is rolled back.
fn journal() -> Entries {
    let signal = || Event::SignalTurned {
        signal: "errors".to_owned(),
        from: belay_core::reading::Health::Healthy,
        to: belay_core::reading::Health::Unhealthy,
        evidence: String::new(),
        source: String::new(),
        unreadable: false,
    };
    let fired = |trigger: &str| Event::TriggerFired { trigger: trigger.to_owned(), evidence: Vec::new() };
    let run = Event::RunStarted {
        run: RunId("r".to_owned()),
        kind: RunKind::Real,
        reason: String::new(),
        only: Vec::new(),
        incident: None,
        phase: None,
    };
    vec![
        (0, Event::PlanPinned { plan: plan(), plan_sha256: String::new() }),
        (60, signal()),
        (120, fired("bad")),
        (120, Event::IncidentOpened { incident: IncidentId("i".to_owned()), trigger: "bad".to_owned() }),
        (120, decided("bad", Answer::Decide, asks(0, Some(720), Some(Answer::FixForward)), false)),
        (180, fired("worse")),
        (180, Event::IncidentJoined { trigger: "worse".to_owned() }),
        (180, decided("worse", Answer::Decide, asks(1, Some(720), Some(Answer::RollBack)), false)),
        (720, decided("worse", Answer::RollBack, asks(1, None, None), false)),
        (720, run),
    ]
}

fn problems(journal: Entries) -> Vec<String> {
    let mut decisions = Decisions::default();
    let record = |(at, event)| Record {
        stream: "m".to_owned(),
        seq: 1,
        version: 1,
        at: BEGIN + SignedDuration::from_secs(at),
        actor: "belay".to_owned(),
        event,
        prev: String::new(),
        hash: String::new(),
    };
    let mut found: Vec<String> = journal.into_iter().flat_map(|entry| decisions.record(&record(entry))).collect();
    found.extend(decisions.at_rest(BEGIN + SignedDuration::from_secs(7200)));
    found
}

#[test]
fn what_is_promised_is_seen_to_be_broken() {
    assert_eq!(problems(journal()), Vec::<String>::new());
    let changed = |change: Change<'_>| {
        let mut journal = journal();
        change(&mut journal);
        problems(journal).join("; ")
    };
    let mute = Event::Muted { until: BEGIN + SignedDuration::from_secs(600), by: String::new(), reason: String::new() };
    let word = |who: &str, role: &str| Event::WordGiven {
        who: who.to_owned(),
        roles: vec![role.to_owned()],
        word: Answer::RollBack,
        reason: String::new(),
    };
    let key: Option<CommandKey> = None;
    let command =
        Event::Commanded { verb: "decide".to_owned(), reason: String::new(), detail: json!({}), key: key.clone() };
    let cases: [(Change<'_>, &str); 19] = [
        (&|journal| journal.insert(1, (30, mute.clone())), "an incident opens while it is muted"),
        (
            &|journal| {
                journal[7].1 = decided("worse", Answer::Decide, asks(1, Some(1380), Some(Answer::RollBack)), false)
            },
            "the timebox is extended",
        ),
        (
            &|journal| {
                journal[4].1 = decided("bad", Answer::Decide, asks(0, Some(900), Some(Answer::FixForward)), false)
            },
            "people have longer",
        ),
        (
            &|journal| journal[4].1 = decided("bad", Answer::Decide, asks(1, Some(720), Some(Answer::RollBack)), false),
            "not the first that fits",
        ),
        (
            &|journal| journal[7].1 = decided("worse", Answer::FixForward, asks(1, None, None), false),
            "makes the answer looser",
        ),
        (&|journal| journal[8].0 = 700, "passed over before their time is over"),
        (&|journal| journal.truncate(8), "its time is over, a trigger holds, and nothing follows"),
        (&|journal| journal.truncate(5), "people are still asked"),
        (&|journal| journal.truncate(9), "none begins"),
        (
            &|journal| {
                journal.remove(8);
            },
            "nobody asked for it",
        ),
        (&|journal| journal.insert(8, (700, word("fay", "visitor"))), "fay has no say"),
        (
            &|journal| {
                journal.truncate(8);
                journal.push((700, word("ana", "commander")));
            },
            "agree, and nothing is decided",
        ),
        (
            &|journal| {
                journal[8].1 = decided("worse", Answer::RollBack, asks(1, None, None), true);
                journal.insert(8, (700, command.clone()));
            },
            "settled by nobody",
        ),
        (
            &|journal| {
                for trigger in ["bad", "worse"] {
                    journal.insert(8, (300, Event::HealingStarted { trigger: trigger.to_owned() }));
                }
            },
            "nothing holds",
        ),
        (
            &|journal| {
                journal.insert(8, (300, Event::HealingStarted { trigger: "worse".to_owned() }));
                journal.insert(9, (360, Event::TriggerHealed { trigger: "worse".to_owned() }));
                journal.insert(10, (400, Event::CutoverMarked));
            },
            "nothing holds",
        ),
        (
            &|journal| {
                journal.truncate(8);
                journal.push((300, Event::HealingStarted { trigger: "worse".to_owned() }));
                journal.push((360, Event::TriggerHealed { trigger: "worse".to_owned() }));
                journal
                    .push((360, decided("bad", Answer::Decide, asks(0, Some(720), Some(Answer::FixForward)), false)));
                journal.push((480, Event::TriggerFired { trigger: "worse".to_owned(), evidence: Vec::new() }));
            },
            "worse has fired again since it had healed, and nobody is asked",
        ),
        (
            &|journal| journal.insert(8, (240, Event::IncidentJoined { trigger: "worse".to_owned() })),
            "worse is in the incident already",
        ),
        (
            &|journal| {
                let joins = journal.drain(5..).take(2).collect::<Vec<_>>();
                let mut word = word("ana", "commander");
                if let Event::WordGiven { word, .. } = &mut word {
                    *word = Answer::FixForward;
                }
                journal.push((150, word));
                journal.push((150, decided("bad", Answer::FixForward, asks(0, None, None), true)));
                journal.extend(joins);
                journal.push((200, Event::CutoverMarked));
            },
            "worse has fired, and its rule says nothing",
        ),
        (
            &|journal| {
                let resumed =
                    Event::WatchResumed { belay_version: String::new(), outage_s: 0, asleep: false, clock_set_s: 0 };
                journal.insert(3, (120, resumed));
            },
            "nobody has looked since the last start",
        ),
    ];
    for (change, expected) in cases {
        let found = changed(change);
        assert!(found.contains(expected), "{expected}\nis not in\n{found}");
    }
}
