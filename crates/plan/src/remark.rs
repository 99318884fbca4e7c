//! What is to be said of a plan that is valid.

use crate::{
    catalogue::{Catalogue, Finding},
    decode::below,
    diagnostic::{Diagnostic, Texts},
    duration,
    model::{Answer, Name, PastWindow, Plan, Rule, Signal, Situation, Trigger},
    suggest::instead_of,
    syntax::{self, Node, NodeValue, Problem, Span},
};

/// A remark on a valid plan, at the place that a JSON pointer names: an entry's key, or an item of a list. Where the file
/// leaves the place out, on what is nearest above it.
pub fn remark(file_name: &str, text: &str, pointer: &str, message: &str, help: &str) -> Option<Diagnostic> {
    let (root, _) = syntax::parse(text).ok()?;
    let problem = Problem::new(place_of(&root, pointer), message).help(help);
    Texts::new(file_name, text).diagnose(vec![problem], Vec::new()).pop()
}

/// What is remarked on a valid plan: what the systems say of its signals, in the order of the plan, and times that do not go
/// together.
pub fn remarks(file_name: &str, text: &str, plan: &Plan, catalogue: &Catalogue) -> Vec<Diagnostic> {
    let of_signal = |(name, signal): (&Name, &Signal)| {
        let findings = catalogue.signal(&signal.kind).map(|spec| (spec.remarks)(&signal.spec)).unwrap_or_default();
        let entry = below("/signals", name);
        let place = move |finding: Finding| {
            let pointer = format!("{entry}{}", finding.pointer);
            remark(file_name, text, &pointer, &finding.message, &finding.help.unwrap_or_default())
        };
        findings.into_iter().filter_map(place)
    };
    let decision = late_rules(file_name, text, plan).into_iter().chain(late_default(file_name, text, plan));
    let decision = decision.chain(idle_rules(file_name, text, plan)).chain(idle_window(file_name, text, plan));
    let decision = decision.chain(empty_authorities(file_name, text, plan)).chain(no_time(file_name, text, plan));
    let channels = strange_channels(file_name, text, plan);
    plan.signals.iter().flat_map(of_signal).chain(decision).chain(channels).collect()
}

/// Topics and buses of another account: Belay sends to those of the plan's account only, which it has verified.
fn strange_channels(file_name: &str, text: &str, plan: &Plan) -> Vec<Diagnostic> {
    let strange = plan.notify.channels.iter().filter_map(|(name, channel)| {
        let arn = channel.spec[&channel.kind].as_str().filter(|arn| arn.starts_with("arn:"))?;
        let (of, own) = (arn.split(':').nth(4)?, channel.aws.account.as_deref()?);
        let pointer = below(&below("/notify", name), &channel.kind);
        let message = format!("this is of the account {of}, and the plan is about the account {own}");
        let help = "Belay sends to what is in the plan's account: name a topic or a bus there";
        (of != own).then(|| remark(file_name, text, &pointer, &message, help)).flatten()
    });
    strange.collect()
}

/// Rules for a problem that no trigger has: most likely a name that was mistyped, and the trigger gets another rule.
fn idle_rules(file_name: &str, text: &str, plan: &Plan) -> Vec<Diagnostic> {
    let known: Vec<&str> = plan.triggers.values().filter_map(|trigger| trigger.problem.as_deref()).collect();
    let idle = plan.decision.rules.iter().enumerate().filter_map(|(index, rule)| {
        let problem = rule.problem.as_deref().filter(|problem| !known.contains(problem))?;
        let message = format!("no trigger has the problem `{problem}`: this rule decides nothing");
        let help = instead_of(problem, "the problems of the triggers", known.iter().copied());
        remark(file_name, text, &format!("/decision/rules/{index}/problem"), &message, &help)
    });
    idle.chain(sleeping_rules(file_name, text, plan)).collect()
}

/// Rules for a problem and a phase, where each trigger with that problem sleeps.
fn sleeping_rules(file_name: &str, text: &str, plan: &Plan) -> Vec<Diagnostic> {
    let rules = plan.decision.rules.iter().enumerate().filter(|(_, rule)| !rule.during.is_empty());
    let idle = rules.filter_map(|(index, rule)| {
        let problem = rule.problem.as_deref()?;
        let mut of_problem =
            plan.triggers.iter().filter(|(_, trigger)| trigger.problem.as_deref() == Some(problem)).peekable();
        let (name, trigger) = *of_problem.peek()?;
        let wakes = |trigger: &Trigger| {
            trigger.during.is_empty() || trigger.during.iter().any(|phase| rule.during.contains(phase))
        };
        if of_problem.any(|(_, trigger)| wakes(trigger)) {
            return None;
        }
        let phases = rule.during.join(", ");
        let message =
            format!("no trigger with the problem `{problem}` is awake in {phases}: this rule decides nothing");
        let help = format!(
            "`{name}` is awake in {}: name one of these phases, or let the trigger be awake in {phases}",
            trigger.during.join(", ")
        );
        remark(file_name, text, &format!("/decision/rules/{index}/during"), &message, &help)
    });
    idle.collect()
}

/// What is to happen past a point that there is not.
fn idle_window(file_name: &str, text: &str, plan: &Plan) -> Option<Diagnostic> {
    let window = plan.window.as_ref().filter(|window| window.point_of_no_return.is_none())?;
    let message = "`past` says what happens past the point of no return, and the window has none";
    let help = "add `point_of_no_return`, for example `4h` after the cutover, or remove `past`";
    (window.past == PastWindow::Refuse).then(|| remark(file_name, text, "/window/past", message, help)).flatten()
}

/// A point of no return that the mark of the cutover passes.
fn no_time(file_name: &str, text: &str, plan: &Plan) -> Option<Diagnostic> {
    let point = plan.window.as_ref()?.point_of_no_return?;
    let message =
        "the point of no return is passed as soon as the cutover is marked: nothing rolls back by itself then";
    let help = "give it a time, for example `4h`, or remove it";
    point.is_zero().then(|| remark(file_name, text, "/window/point_of_no_return", message, help)).flatten()
}

/// Lists of roles with none in them.
fn empty_authorities(file_name: &str, text: &str, plan: &Plan) -> Vec<Diagnostic> {
    let is_empty = |rule: &Rule| rule.authority.as_ref().is_some_and(|authority| authority.roles().is_empty());
    let rules = plan.decision.rules.iter().enumerate().filter(|(_, rule)| is_empty(rule));
    let rules = rules.map(|(index, _)| format!("/decision/rules/{index}/authority"));
    // The plan's own is empty as well where it is left out, which is usual.
    let own = syntax::parse(text).ok().and_then(|(root, _)| {
        let authority = &root.get("decision")?.value.get("authority")?.value;
        matches!(&authority.value, NodeValue::List(roles) if roles.is_empty()).then(|| "/decision/authority".to_owned())
    });
    let message = "it names no role, so the role `operator` decides";
    let help = "name roles, for example `[incident_commander]`, or remove it";
    rules.chain(own).filter_map(|pointer| remark(file_name, text, &pointer, message, help)).collect()
}

/// The same as [`late_rules`] where the plan leaves the rules out.
fn late_default(file_name: &str, text: &str, plan: &Plan) -> Option<Diagnostic> {
    let rto = plan.objectives.rto.filter(|_| !plan.decision.custom)?;
    let late = |rule: &&Rule| rule.timebox.is_some_and(|time| time >= rto);
    let (name, time) = plan.triggers.iter().find_map(|(name, trigger)| {
        let situation = Situation {
            problem: trigger.problem.as_deref(),
            severity: trigger.severity,
            scope: trigger.scope,
            fix: trigger.fix,
            phase: None,
        };
        let rule = plan.decision.rules.iter().find(|rule| rule.matches(&situation)).filter(late)?;
        Some((name, rule.timebox?))
    })?;
    let (time, rto) = (duration::format(time), duration::format(rto));
    let message = format!(
        "people have {time} for trigger `{name}` by the default rules, and the rto is {rto}: a rollback after that is late"
    );
    remark(
        file_name,
        text,
        "/objectives/rto",
        &message,
        "write a `decision` that gives people less time, or the objective more",
    )
}

/// Rules that give people so much time that the rollback after it is late.
fn late_rules(file_name: &str, text: &str, plan: &Plan) -> Vec<Diagnostic> {
    let Some(rto) = plan.objectives.rto.filter(|_| plan.decision.custom) else { return Vec::new() };
    let rules = plan.decision.rules.iter().enumerate().filter(|(_, rule)| rule.then != Some(Answer::FixForward));
    let late = rules.filter_map(|(index, rule)| Some((index, rule.timebox.filter(|time| *time >= rto)?)));
    let say = |(index, time)| {
        let (time, rto) = (duration::format(time), duration::format(rto));
        let message = format!("people have {time}, and the rto is {rto}: a rollback after that is late");
        let pointer = format!("/decision/rules/{index}/timebox");
        remark(file_name, text, &pointer, &message, "give people less time, or the objective more")
    };
    late.filter_map(say).collect()
}

fn place_of(root: &Node, pointer: &str) -> Span {
    let (mut node, mut span) = (root, root.span.clone());
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        (node, span) = match &node.value {
            NodeValue::Map(_) => match node.get(&part) {
                Some(entry) => (&entry.value, entry.key_span.clone()),
                None => break,
            },
            NodeValue::List(items) => match part.parse().ok().and_then(|index: usize| items.get(index)) {
                Some(item) => (item, item.span.clone()),
                None => break,
            },
            _ => break,
        };
    }
    span
}
