//! SIGKILL at each append of a night in which people are asked: from the first start to the end of what they were asked
//! about. Whatever the moment, the same follows as without it, once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::json;

use crate::night::Night;
use crate::stage::Stage;

/// Worlds side by side: most of the time a night waits.
const LANES: u64 = 3;
/// The start, the incident, the question and its answer, the run and its end are appends of their own.
const APPENDS_MIN: u64 = 4;

const PLAN: &str = r#"
belay: 1
migration: $name
aws: { account: "$account", region: $region }
signals:
  shop: { http: { url: "$shop", status: 200 } }
  rows: { http: { url: "$rows", status: 200 } }
  page: { http: { url: "$page", status: 200 } }
triggers:
  slow: { when: shop, for: 0s, severity: major, problem: performance }
  lost: { when: rows, for: 0s, severity: critical, problem: data_integrity }
decision:
  authority: [incident_commander]
  rules: [$rules]
steps:
  dns_back:
    action: route53.weights
    with: { zone: $zone, record: $record, type: A }
    to: { $blue_set: 100, $green_set: 0 }
    require: [page]
confirm: [{ signal: page, within: 1m }]
"#;

/// What happens in a night, and what has to come of it.
struct Story {
    name: &'static str,
    rules: &'static str,
    play: fn(&mut Night),
    /// The decisions on record, in order.
    expected: &'static [&'static str],
    rolled_back: bool,
    /// The dead process is started again only after the time that people had.
    late: bool,
}

/// Plays the night with a kill at each of its appends, until one gets through unharmed.
#[track_caller]
fn kill_at_each_append(story: &Story) {
    let (next, unharmed) = (AtomicU64::new(1), AtomicU64::new(u64::MAX));
    thread::scope(|scope| {
        for lane in 0..LANES {
            let (next, unharmed) = (&next, &unharmed);
            scope.spawn(move || {
                let mut stage = Stage::cut_over(&format!("{}{lane}", story.name.replace('_', "")), &[]);
                loop {
                    let append = next.fetch_add(1, Ordering::SeqCst);
                    if append > unharmed.load(Ordering::SeqCst) {
                        return;
                    }
                    if !is_killed_in(&mut stage, story, append) {
                        unharmed.fetch_min(append, Ordering::SeqCst);
                        return;
                    }
                }
            });
        }
    });
    let appends = unharmed.into_inner() - 1;
    assert!(appends >= APPENDS_MIN, "{}: only {appends} appends", story.name);
}

/// Plays the night once. False: it had fewer appends.
fn is_killed_in(stage: &mut Stage, story: &Story, append: u64) -> bool {
    let moment = format!("{}, killed at append {append}", story.name);
    let plan = PLAN.replace("$rules", story.rules);
    let mut night = Night::begin(stage, &plan, &["shop", "rows"]);
    night.kill_at(append, story.late);
    (story.play)(&mut night);
    let killed = night.end();
    assert_eq!(night.decisions(), story.expected, "{moment}");
    let sent: Vec<String> = stage.proxy.mutating_calls().into_iter().map(|call| call.action).collect();
    let expected: &[&str] = if story.rolled_back { &["ChangeResourceRecordSets"] } else { &[] };
    assert_eq!(sent, expected, "{moment}");
    assert_eq!(stage.weights()[0], if story.rolled_back { (100, 0) } else { (0, 100) }, "{moment}");
    let audit = stage.belay.run(&["audit", "--json"]);
    assert_eq!((audit.code, &audit.json()["intact"]), (0, &json!(true)), "{moment}: {audit}");
    killed
}

// --- the nights --------------------------------------------------------------------------------------------------------

const ROLL_BACK: Story = Story {
    name: "roll_back",
    rules: "{ do: decide, timebox: 10m, then: fix_forward }",
    play: |night| {
        night.breach("shop");
        assert_eq!(night.says("dora", "roll_back").status, 200);
        night.wait_for_rollback();
    },
    expected: &[
        "slow opens",
        "decide, then fix_forward",
        "dora: roll_back",
        "roll_back",
        "run",
        "rolled_back",
        "closed: rolled_back",
    ],
    rolled_back: true,
    late: false,
};

const FIX_FORWARD: Story = Story {
    name: "fix_forward",
    rules: "{ do: decide, timebox: 10m, then: roll_back }",
    play: |night| {
        night.breach("shop");
        assert_eq!(night.says("carl", "fix_forward").status, 200);
        night.heal("shop");
    },
    expected: &["slow opens", "decide, then roll_back", "carl: fix_forward", "fix_forward", "closed: recovered"],
    rolled_back: false,
    late: false,
};

const ONE_OF_EACH: Story = Story {
    name: "one_of_each",
    rules: "{ do: decide, timebox: 10m, then: fix_forward, authority: { all: [incident_commander, tech_lead] } }",
    play: |night| {
        night.breach("shop");
        assert_eq!(night.says("carl", "roll_back").status, 200);
        assert_eq!(night.says("dora", "roll_back").status, 200, "two with the same role are not one of each");
        assert_eq!(night.says("lea", "fix_forward").status, 200, "she disagrees");
        assert_eq!(night.migration()["incident"]["answer"], "decide");
        assert_eq!(night.says("lea", "roll_back").status, 200);
        night.wait_for_rollback();
    },
    expected: &[
        "slow opens",
        "decide, then fix_forward",
        "carl: roll_back",
        "dora: roll_back",
        "lea: fix_forward",
        "lea: roll_back",
        "roll_back",
        "run",
        "rolled_back",
        "closed: rolled_back",
    ],
    rolled_back: true,
    late: false,
};

const FIX_FIRST: Story = Story {
    name: "fix_first",
    rules: "{ do: fix_first, timebox: 3s }",
    play: |night| {
        night.breach("shop");
        night.wait_for_rollback();
    },
    expected: &["slow opens", "fix_first, then roll_back", "roll_back", "run", "rolled_back", "closed: rolled_back"],
    rolled_back: true,
    late: false,
};

const THEN_FIX_FORWARD: Story = Story {
    name: "then_forward",
    rules: "{ do: decide, timebox: 3s, then: fix_forward }",
    play: |night| {
        night.breach("shop");
        night.wait_for("the time to be over", |migration| migration["incident"]["answer"] == "fix_forward");
        night.heal("shop");
    },
    expected: &["slow opens", "decide, then fix_forward", "fix_forward", "closed: recovered"],
    rolled_back: false,
    late: false,
};

const JOINED: Story = Story {
    name: "joined",
    rules: "{ problem: data_integrity, do: decide, timebox: 3s, then: roll_back }, { do: decide, timebox: 10m, then: fix_forward }",
    play: |night| {
        night.breach("shop");
        night.set_healthy("rows", false);
        night.wait_for_rollback();
    },
    expected: &[
        "slow opens",
        "decide, then fix_forward",
        "lost joins",
        "decide, then roll_back",
        "roll_back",
        "run",
        "rolled_back",
        "closed: rolled_back",
    ],
    rolled_back: true,
    late: false,
};

const MUTED: Story = Story {
    name: "muted",
    rules: "{ do: decide, timebox: 10m, then: roll_back }",
    play: |night| {
        night.must("carl", "mute", json!({ "for": "3s" }));
        night.breach("shop");
        assert_eq!(night.says("carl", "roll_back").status, 200);
        night.wait_for_rollback();
    },
    expected: &[
        "muted",
        "unmuted",
        "slow opens",
        "decide, then roll_back",
        "carl: roll_back",
        "roll_back",
        "run",
        "rolled_back",
        "closed: rolled_back",
    ],
    rolled_back: true,
    late: false,
};

#[test]
fn a_word_for_a_rollback_survives_a_kill_at_each_append() {
    kill_at_each_append(&ROLL_BACK);
}

#[test]
fn a_word_to_fix_forward_survives_a_kill_at_each_append() {
    kill_at_each_append(&FIX_FORWARD);
}

#[test]
fn words_of_one_person_of_each_role_survive_a_kill_at_each_append() {
    kill_at_each_append(&ONE_OF_EACH);
}

#[test]
fn the_end_of_a_timebox_survives_a_kill_at_each_append() {
    kill_at_each_append(&FIX_FIRST);
    kill_at_each_append(&THEN_FIX_FORWARD);
}

#[test]
fn a_timebox_that_ends_while_nobody_is_there_ends_the_same() {
    kill_at_each_append(&Story { late: true, name: "late_first", ..FIX_FIRST });
    kill_at_each_append(&Story { late: true, name: "late_forward", ..THEN_FIX_FORWARD });
}

#[test]
fn a_stricter_question_survives_a_kill_at_each_append() {
    kill_at_each_append(&JOINED);
    kill_at_each_append(&Story { late: true, name: "late_joined", ..JOINED });
}

#[test]
fn a_mute_over_a_breach_survives_a_kill_at_each_append() {
    kill_at_each_append(&MUTED);
}
