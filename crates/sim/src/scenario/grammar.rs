//! The grammar of scenarios: from it come the decoder, the JSON Schema and the lists in error messages.

use belay_plan::shape::{
    Field, Shape, duration, field, filled_list, integer, list, name, number, object, one_of, pattern, text, words,
};

/// The keys of an event, of which each has exactly one.
pub(crate) const EVENTS: [&str; 14] = [
    "slow", "takes", "fail", "signal", "lag", "targets", "change", "kill", "lease", "rollback", "cutover", "phase",
    "mute", "unmute",
];

pub(crate) fn scenario() -> Shape {
    object([
        field("scenario", integer(1, 1), "The version of the scenario language."),
        field("summary", text("a short text"), "What goes wrong, in a sentence."),
        field("breach", breach(), "When the cutover goes wrong, and what shows it.").optional_section(),
        field("horizon", duration(), "What is not over so long after the cutover is said not to be.").optional(),
        field(
            "people",
            list(person()),
            "Who answers what, the first entry that fits, and who decides incidents; left out: yes, after 1m.",
        )
        .optional_section(),
        field("halted", list(act()), "What people do after a halt, one entry after the other.").optional_section(),
        field("events", list(event()), "What happens.").optional_section(),
    ])
}

fn breach() -> Shape {
    object([
        field("after", span(), "How long the cutover looks fine.").or("2m"),
        field(
            "phase",
            name(),
            "The phase of the plan; one before `cutover`: nothing is cut over yet. Left out: `cutover`, or the last.",
        )
        .optional(),
        field("share", percent(), "So much of the traffic is cut over when it goes wrong.").or("100%"),
        field("trigger", name(), "Whose signals turn unhealthy; left out: the first that rolls back.").optional(),
    ])
}

fn person() -> Shape {
    object([
        field("steps", steps(), "Asked about these; left out: about everything.").optional(),
        field("after", span(), "How long they take to answer.").or("1m"),
        field("answer", answer(), "What they say; a list: of a quorum, one after the other. Left out: approve.")
            .optional(),
        field("decide", words(["roll_back", "fix_forward", "nothing"]), "What one person says to an incident.")
            .optional(),
        field("role", name(), "The role of who decides; left out: one that the rule asks for.").optional(),
        field("trigger", name(), "Only in incidents of this trigger.").optional(),
        field("incident", integer(1, 1000), "Only in this one, counted from 1; left out: in each.").optional(),
    ])
}

fn answer() -> Shape {
    let words = || words(["approve", "deny", "nothing"]);
    one_of("`approve`, `deny`, `nothing`, or a list of them", [words(), filled_list(words())])
}

fn act() -> Shape {
    object([
        field("do", words(["resume", "retry", "skip", "override", "abort"]), "What they do."),
        field("steps", steps(), "The first of these that has failed; left out: of all.").optional(),
        field("subject", text("a signal, or a destination"), "What `override` is about.").optional(),
        field("after", span(), "How long after the halt, or after the entry before.").or("10m"),
    ])
}

fn event() -> Shape {
    let keys: Vec<String> = EVENTS.iter().map(|key| format!("`{key}`")).collect();
    one_of(
        format!("an object with exactly one of {}", keys.join(", ")),
        [
            lasting(field("slow", slow(), "Changes take so many times as long.")),
            lasting(field("takes", takes(), "Steps take this long, all their changes together.")),
            lasting(field("fail", fail(), "Calls for steps fail, looks as well as changes.")),
            lasting(field("signal", signal(), "Signals show this, whatever the state.")),
            lasting(field("lag", lag(), "Signals show what has changed only so much later.")),
            lasting(field("targets", targets(), "The health of the destinations that steps give traffic to.")),
            object([at(), every(), field("change", of_steps(), "Somebody else changes what steps put back.")]),
            object([at(), every(), field("kill", kill(), "The daemon dies, and another one starts after a while.")]),
            object([
                at(),
                every(),
                field("lease", lease(), "Another process takes the journal, and goes on after a while."),
            ]),
            object([at(), field("rollback", rollback(), "A person calls the rollback, whatever signals show.")]),
            object([at(), field("cutover", object([]), "A person makes the cutover, and marks it.")]),
            object([at(), field("phase", name(), "A person begins this phase.")]),
            object([at(), field("mute", duration(), "A person mutes for so long.")]),
            object([at(), field("unmute", object([]), "A person ends the mute.")]),
        ],
    )
}

fn lasting(what: Field) -> Shape {
    object([at(), field("for", duration(), "How long it lasts; left out: to the end.").optional(), every(), what])
}

fn every() -> Field {
    field("every", duration(), "It comes again after so long, and again.").optional()
}

fn at() -> Field {
    field("at", Shape::Recursive { name: "moment", shape: moment }, "When.").or("0s")
}

fn moment() -> Shape {
    let after = |key, doc| object([field(key, steps(), doc), field("after", span(), "So long after that.").or("0s")]);
    one_of(
        "a time from the breach (`10m`, or `1m..20m`: the seed chooses), { sent: STEPS, after } or { done: STEPS, after }",
        [
            duration(),
            range(),
            after("sent", "After the first call for one of these steps."),
            after("done", "After one of these steps is put back."),
        ],
    )
}

fn slow() -> Shape {
    object([steps_field(), field("times", number(), "How many times as long, from 0.01 to 1000.")])
}

fn takes() -> Shape {
    object([steps_field(), field("time", span(), "A time, or a range: `20m..40m`.")])
}

fn fail() -> Shape {
    let how = words(["throttled", "expired", "denied", "broken", "unanswered", "answer_lost", "verdict"]);
    object([
        steps_field(),
        field("how", how, "What the API answers, or that it does not."),
        field("share", percent(), "Only so many of the calls.").or("100%"),
    ])
}

fn signal() -> Shape {
    let shows = words(["healthy", "unhealthy", "missing", "unreadable"]);
    object([field("signals", signals(), "Which."), field("shows", shows, "What they show.")])
}

fn lag() -> Shape {
    object([field("signals", signals(), "Which."), field("time", span(), "A time, or a range: `5m..20m`.")])
}

/// By name, so that the schema says it once.
fn signals() -> Shape {
    Shape::Recursive { name: "signals", shape: signals_forms }
}

fn signals_forms() -> Shape {
    let of_kind = one_of("a kind of signal such as `alarm`, or a list of them", [kind(), filled_list(kind())]);
    one_of(
        "`all`, a signal's name, a list of names, { kind: KIND } or { trigger: NAME }",
        [
            words(["all"]),
            name(),
            filled_list(name()),
            object([field("kind", of_kind, "All of this kind.")]),
            object([field(
                "trigger",
                one_of("`breached`, or a trigger's name", [words(["breached"]), name()]),
                "All that this trigger watches; `breached`: the one of the breach.",
            )]),
        ],
    )
}

fn targets() -> Shape {
    let share = pattern("a part such as `1 of 3`", "^[0-9]{1,4} of [0-9]{1,4}$");
    object([
        steps_field(),
        field("are", words(["healthy", "unhealthy", "unknown"]), "What is seen of them."),
        field("share", share, "Only so many targets of each destination; left out: all.").optional(),
    ])
}

fn of_steps() -> Shape {
    object([steps_field()])
}

fn kill() -> Shape {
    object([
        field("down", span(), "How long until another one starts.").or("30s"),
        field("journal", words(["kept", "lost"]), "Whether the other one finds the journal.").or("kept"),
    ])
}

fn lease() -> Shape {
    object([field("down", span(), "How long until the other process goes on.").or("30s")])
}

fn rollback() -> Shape {
    object([field("only", steps(), "Of these steps and what they need; left out: of all.").optional()])
}

fn percent() -> Shape {
    pattern("a share such as `20%`", "^[0-9]{1,3}%$")
}

fn steps_field() -> Field {
    field("steps", steps(), "Which steps.")
}

/// By name, so that the schema says it once.
fn steps() -> Shape {
    Shape::Recursive { name: "steps", shape: steps_forms }
}

/// A step's name, several, all of an action, or all.
fn steps_forms() -> Shape {
    let action = || pattern("an action such as `route53.weights`", "^[a-z][a-z0-9_.-]*$");
    let of_action = one_of("an action, or a list of them", [action(), filled_list(action())]);
    one_of(
        "`all`, a step's name, a list of names, or { action: ACTION }",
        [words(["all"]), name(), filled_list(name()), object([field("action", of_action, "All of this action.")])],
    )
}

fn kind() -> Shape {
    pattern("a kind of signal such as `alarm`", "^[a-z][a-z0-9_]*$")
}

fn span() -> Shape {
    Shape::Recursive { name: "time", shape: span_forms }
}

fn span_forms() -> Shape {
    one_of("a duration such as `30s` or `1h30m`, or a range such as `1m..5m`", [duration(), range()])
}

fn range() -> Shape {
    pattern("a range such as `1m..5m`", "^([0-9]+(d|h|ms|m|s))+[.][.]([0-9]+(d|h|ms|m|s))+$")
}
