//! The grammar of plans, as one [`Shape`] over a catalogue.

use serde_json::json;

use crate::{
    catalogue::{ActionSpec, Catalogue, ChannelSpec, SignalSpec},
    notify::NoticeKind,
    shape::{
        Field, MapShape, NAME, Shape, TaggedShape, Variant, boolean, duration, field, filled_list, filled_map, integer,
        list, map, map_with, name, object, one_of, patch, pattern, text, words,
    },
};

const STAGES: &str =
    "Moves the traffic in parts, in percent of the way, as `[50, 100]`; after each, `verify` has to hold.";

const EVENTS: &str =
    "What is told; left out: everything, or with `when`, `after` or `every` how an incident begins and ends.";

/// A plan is different in so many places at most.
const OVERLAYS_MAX: usize = 16;

/// The whole plan file.
pub(crate) fn plan(catalogue: &Catalogue) -> Shape {
    let overlay = patch(parts(catalogue));
    let overlays = MapShape {
        keys: NAME,
        value: Box::new(overlay),
        least: 0,
        most: Some(OVERLAYS_MAX),
        not_all_zero: None,
        own: Vec::new(),
    };
    let version = field("belay", integer(1, 1), "The version of the plan language.");
    let overlays = field("overlays", Shape::Map(overlays), "What is different elsewhere, as in staging, by name.");
    object([version].into_iter().chain(parts(catalogue)).chain([overlays.optional_section()]))
}

/// What an overlay can change.
fn parts(catalogue: &Catalogue) -> [Field; 16] {
    [
        field("migration", name(), "The name of the migration that this plan guards."),
        field("summary", text("a short text"), "What is migrated, in a sentence.").optional(),
        field("aws", plan_aws(), "The account and region that the plan acts in.").optional(),
        field("objectives", objectives(), "What a rollback has to achieve; drills measure it.").optional(),
        field("phases", map(NAME, phase()), "The stages of the migration, in order; left out: it has one.")
            .optional_section(),
        field("signals", map(NAME, signal(catalogue)), "What can be observed, by name.").optional_section(),
        field("triggers", map(NAME, trigger()), "What opens an incident, by name.").optional_section(),
        field("decision", decision(), "Which answer an incident gets; left out: the default matrix.").optional(),
        field("window", window(), "How long rolling back is possible.").optional(),
        field("steps", filled_map(NAME, step(catalogue)), "What is put back, by name."),
        field("confirm", list(gate("5m")), "Healthy this long after the last step: rolled back.").optional_section(),
        field("notify", notify(catalogue), "Who is told what, by name.").optional_section(),
        field(
            "evidence",
            evidence(),
            "What is gathered when an incident opens; with `{}`, the history of the alarms alone.",
        )
        .optional(),
        field("timezone", timezone(), "Notices tell times in UTC, and in this zone.").optional(),
        field("checklist", checklist(), "What else people see to, before, during and after the cutover.").optional(),
        field("accepts", list(accept()), "Findings of `belay explore` that are known, and why they stay.").optional(),
    ]
}

fn account() -> Shape {
    pattern("an AWS account (twelve digits, in quotes)", "^[0-9]{12}$")
}

fn region() -> Shape {
    pattern("an AWS region such as `eu-west-1`", "^[a-z]{2,4}(-[a-z]+)+-[0-9]+$")
}

fn role_fields() -> [Field; 2] {
    let role = pattern(
        "the ARN of an IAM role, such as `arn:aws:iam::111122223333:role/belay`",
        "^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$",
    );
    [
        field("role", role, "The role to assume.").optional(),
        field("external_id", text("an external id"), "The external id that the role asks for.").optional(),
    ]
}

fn plan_aws() -> Shape {
    object(
        [
            field("account", account(), "Credentials of another account are refused."),
            field("region", region(), "The region of everything that does not say its own."),
        ]
        .into_iter()
        .chain(role_fields()),
    )
}

/// The `aws:` of a step or a signal: what it says stands over the plan's.
fn own_aws() -> Field {
    let fields = [
        field("account", account(), "Credentials of another account are refused.").optional(),
        field("region", region(), "The region.").optional(),
    ];
    field("aws", object(fields.into_iter().chain(role_fields())), "Stands over the plan's `aws`.").optional()
}

fn accept() -> Shape {
    object([
        field("finding", name(), "The finding, as `belay explore --json` names it: `no_deadline`."),
        field("step", name(), "Of which step; left out: wherever it is.").optional(),
        field("reason", text("a short text"), "Why it stays."),
    ])
}

fn checklist() -> Shape {
    let item = object([
        field("id", name(), "By which it is ticked: `belay checklist --tick ID`."),
        field("text", text("a short text"), "What is to be seen to, as a sentence."),
    ]);
    let part = |key, doc| field(key, list(item.clone()), doc).or(json!([]));
    object([
        part("before", "Before the cutover."),
        part("during", "During the cutover."),
        part("after", "After the cutover."),
        part("after_rollback", "After a rollback."),
    ])
}

fn objectives() -> Shape {
    object([
        field("rto", duration(), "Recovery time: from the breach to the confirmed rollback; detection counts.")
            .optional(),
        field("rpo", duration(), "Recovery point: how much written data may be lost.").optional(),
        field("confidence", duration(), "How long the system has to be stable to be believed.").optional(),
        field("recovery", duration(), "In reports, replaces the severity's goal.").optional(),
    ])
}

fn phase() -> Shape {
    object([field("expected", duration(), "How long it is expected to take.").optional()])
}

/// `during` of a trigger, a rule or a step.
fn during() -> Field {
    field("during", filled_list(name()), "The phases in which it counts; left out: all.").optional()
}

fn signal(catalogue: &Catalogue) -> Shape {
    let form = |spec: &SignalSpec| {
        let key = field(spec.key, spec.value.clone(), spec.summary);
        object([key].into_iter().chain(spec.siblings.iter().cloned()).chain([own_aws()]))
    };
    let keys: Vec<String> = catalogue.signals.iter().map(|spec| format!("`{}`", spec.key)).collect();
    one_of(format!("an object with exactly one of {}", keys.join(", ")), catalogue.signals.iter().map(form))
}

fn trigger() -> Shape {
    let if_unknown = object([
        field("after", duration(), "How long the trigger must be undecidable.").or("5m"),
        field("do", words(["alert", "roll_back", "ignore"]), "What then happens.").or("alert"),
    ]);
    object([
        field("when", condition(), "What must be true of signals: a name is true when the signal is unhealthy."),
        field("for", duration(), "Dwell: how long it must hold.").or("0s"),
        field("severity", severity(), "How bad it is."),
        field("scope", scope(), "How far it reaches.").or("system_wide"),
        field("fix", fix(), "The expected time to fix the cause instead.").or("unknown"),
        field("if_unknown", if_unknown, "What happens when it cannot be decided.")
            .or(json!({"after": "5m", "do": "alert"})),
        field("red_at_arm", words(["refuse", "wait_for_green"]), "When it is already true at arming.").or("refuse"),
        field("problem", name(), "What kind of problem it shows, in a name of yours: rules match on it.").optional(),
        field("customer_facing", boolean(), "Whether customers feel it; left out: when the scope is `system_wide`.")
            .optional(),
        during(),
    ])
}

fn condition() -> Shape {
    Shape::Recursive { name: "condition", shape: condition_forms }
}

fn condition_forms() -> Shape {
    let conditions = || filled_list(condition());
    let at_least =
        object([field("n", integer(1, 1_000), "How many must be true."), field("of", conditions(), "Of which.")]);
    one_of(
        "a signal's name, or one of { any: [...] }, { all: [...] }, { at_least: { n, of: [...] } }",
        [
            name(),
            object([field("any", conditions(), "True when one of them is.")]),
            object([field("all", conditions(), "True when all of them are.")]),
            object([field("at_least", at_least, "True when so many of them are.")]),
        ],
    )
}

fn severity() -> Shape {
    words(["critical", "major", "minor"])
}

fn scope() -> Shape {
    words(["system_wide", "isolated"])
}

fn fix() -> Shape {
    words(["short", "medium", "long", "unknown"])
}

fn decision() -> Shape {
    let rule = object([
        field("problem", name(), "As the trigger names it; left out: any.").optional(),
        field("severity", severity(), "Left out: any.").optional(),
        field("scope", scope(), "Left out: any.").optional(),
        field("fix", fix(), "Left out: any.").optional(),
        during(),
        field("do", words(["roll_back", "fix_first", "decide", "fix_forward"]), "The answer."),
        field("timebox", duration(), "How long people have for `fix_first` (30m unless given) or `decide`.").optional(),
        field("then", words(["roll_back", "fix_forward"]), "What follows when nobody has decided in time.").optional(),
        field("authority", authority(), "Who may decide; left out: as `decision.authority` says.").optional(),
    ]);
    object([
        field("rules", filled_list(rule), "The first that matches decides; the last must match everything.").optional(),
        field("authority", authority(), "The roles that may decide an incident; left out: operators.").or(json!([])),
    ])
}

/// Who may decide.
fn authority() -> Shape {
    one_of(
        "a list of roles (any one of them), or { all: [...] } (one person of each)",
        [list(name()), object([field("all", filled_list(name()), "One person of each.")])],
    )
}

fn window() -> Shape {
    let time = pattern(
        "a time in UTC such as `2026-12-01T22:00:00Z`",
        "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})$",
    );
    object([
        field("point_of_no_return", duration(), "Counted from the cutover mark.").optional(),
        field("past", words(["require_approval", "refuse"]), "What becomes of steps that lose data past it.")
            .or("require_approval"),
        field("opens", time, "Before it nothing starts by itself.").optional(),
    ])
}

fn step(catalogue: &Catalogue) -> Shape {
    Shape::Tagged(TaggedShape {
        tag: "action",
        doc: "What is done.",
        common: step_fields(),
        variants: catalogue.actions.iter().map(action).collect(),
    })
}

fn step_fields() -> Vec<Field> {
    let backoff = pattern("a back-off such as `1s..30s`", "^([0-9]+(d|h|m|s|ms))+[.][.]([0-9]+(d|h|m|s|ms))+$");
    let retry = object([
        field("attempts", integer(1, 100), "Sends of one change with an unknown outcome. Refusals that pass by themselves are bounded by `timeout` instead.").or(5),
        field("backoff", backoff, "The shortest and the longest wait between two.").or("1s..30s"),
    ]);
    let on_failure = one_of(
        "`halt`, `continue` or { fallback: STEP }",
        [words(["halt", "continue"]), object([field("fallback", name(), "The step that runs instead.")])],
    );
    let approve = object([
        field("role", name(), "Who is asked."),
        field("quorum", integer(1, 100), "How many have to agree.").or(1),
        field("within", duration(), "How long to wait for them; left out: without end.").optional(),
        field("otherwise", words(["halt", "skip"]), "When they do not.").or("halt"),
    ]);
    vec![
        own_aws(),
        field("needs", list(name()), "The steps that come before.").or(json!([])),
        field("require", list(gate("0s")), "Interlocks: read afresh right before the step applies.").or(json!([])),
        field("verify", list(gate("5m")), "Gates: read after the step has settled.").or(json!([])),
        field("timeout", duration(), "From observing to settled; left out: the action's own.").optional(),
        field("retry", retry, "How changes are sent again.").or(json!({"attempts": 5, "backoff": "1s..30s"})),
        field("on_failure", on_failure, "What a failure means for the run.").or("halt"),
        field("loses_data", boolean(), "Whether data written since is lost; left out: the action's own.").optional(),
        field("approve", approve, "Who must agree first.").optional(),
        during(),
        field("fences", list(name()), "The steps that lose data and are safe behind this one: it stops the writers.")
            .optional(),
        field("on_drift", words(["proceed", "halt"]), ON_DRIFT).or("proceed"),
    ]
}

const EXPECT: &str = "The state after the cutover.";
const ON_DRIFT: &str = "When somebody has changed it since: go on, or wait for an approval.";

fn action(spec: &ActionSpec) -> Variant {
    // What it is, the action's summary tells.
    let mut fields = vec![field("with", spec.with.clone(), "")];
    let mut refused = Vec::new();
    match &spec.to {
        Some(to) => {
            let what = format!("`baseline`, or {}", crate::decode::describe(to));
            fields.push(
                field("to", one_of(what, [words(["baseline"]), to.clone()]), "The state to return to.").or("baseline"),
            );
            fields.push(field("expect", to.clone(), EXPECT).optional());
        }
        None => {
            refused.push(("to", format!("`{}` names its own target", spec.name)));
        }
    }
    match spec.others {
        true => fields.push(field("others", words(["keep", "zero"]), "Members that `to` does not name.").optional()),
        false => refused.push(("others", format!("a target of `{}` leaves nothing unnamed", spec.name))),
    }
    match spec.stages {
        true => fields.push(field("stages", filled_list(integer(1, 100)), STAGES).optional()),
        false => refused.push(("stages", format!("`{}` moves no traffic that could go in parts", spec.name))),
    }
    Variant { name: spec.name.to_owned(), summary: spec.summary, fields, refused }
}

/// An entry of `require`, `verify` or `confirm`.
fn gate(within: &'static str) -> Shape {
    let long = object([
        field("signal", name(), "The signal that has to be healthy."),
        field("within", duration(), "Before this has run out.").or(within),
        field("for", duration(), "Without a break for this long.").or("0s"),
    ]);
    one_of("a signal's name, or { signal, within, for }", [name(), long])
}

/// The history of the plan's alarms is always part of it.
fn evidence() -> Shape {
    let group = pattern("the name of an X-Ray group, such as `Default`", "^.{1,32}$");
    object([
        field("cloudtrail", duration(), "How far back to list what was changed in the account: `30m`.").optional(),
        field("xray", group, "The X-Ray group to ask for faults.").optional(),
        field("devops_guru", boolean(), "Whether to list its insights.").or(false),
    ])
}

/// Who is told, by name; beside them the texts of the plan's own.
fn notify(catalogue: &Catalogue) -> Shape {
    let kinds = words(NoticeKind::ALL.map(NoticeKind::as_str));
    let form = |spec: &ChannelSpec| {
        let schedule = [
            field("events", filled_list(kinds.clone()), EVENTS).optional(),
            field("when", words(["customer_facing"]), "Only for incidents that customers feel.").optional(),
            field("within", duration(), "How soon a notice has to be sent; later it is late.").optional(),
            field("after", duration(), "Not before an incident is this old, and not at all if it has ended by then.")
                .optional(),
            field("every", duration(), "Told again this often while an incident lasts.").optional(),
        ];
        object(
            [field(spec.key, spec.value.clone(), spec.summary)]
                .into_iter()
                .chain(spec.siblings.clone())
                .chain(schedule),
        )
    };
    let keys: Vec<String> = catalogue.channels.iter().map(|spec| format!("`{}`", spec.key)).collect();
    let channel =
        one_of(format!("an object with exactly one of {}", keys.join(", ")), catalogue.channels.iter().map(form));
    let by_channel = || {
        let of =
            |spec: &ChannelSpec| field(spec.key, text_file(), "A template; left out: the built-in text.").optional();
        object(catalogue.channels.iter().map(of))
    };
    let texts =
        object(NoticeKind::ALL.map(|kind| field(kind.as_str(), by_channel(), "By kind of channel.").optional()));
    map_with(
        NAME,
        channel,
        [field("texts", texts, "Texts of your own instead of the built-in ones.").optional_section()],
    )
}

fn text_file() -> Shape {
    pattern("a file beside the plan (`file:incident.md`)", "^file:.+$")
}

/// As the IANA database names it.
fn timezone() -> Shape {
    pattern("a time zone such as `Europe/Berlin`", "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$")
}
