//! What is to be checked after a rollback: done where the record shows it, else left to people, who tick it.

use belay_core::{
    change::Effect,
    checklist::Ticks,
    event::{Event, StepEvent},
    notice::POSTMORTEM_AFTER,
    reading::Health,
    run::{Phase, RunState},
};
use belay_plan::{checklist::Part, notify::NoticeKind};
use jiff::SignedDuration;

use crate::{
    compared,
    course::Course,
    model::{CheckItem, GateState, NoticeState, ReportGate, RunReport, Ticked},
    shown, words,
};

pub(crate) fn checklist(course: &Course, report: &RunReport) -> Vec<CheckItem> {
    let rolled_back = course.has_run.then(|| {
        [
            Some(steps(course, report)),
            traffic(course),
            gates(report),
            confirmation(course, report),
            signals(report),
            data(report),
        ]
    });
    let clients = open(
        "clients_follow",
        "Clients, caches and background jobs follow the rolled-back state",
        "Belay does not observe them: look at connection counts, DNS caches, queues and scheduled jobs",
    );
    let items = [
        notices(report),
        all_clear(report),
        Some(clients).filter(|_| course.has_run),
        Some(open(
            "cause_understood",
            "The cause is understood before the next attempt",
            "the post-mortem below; then arm the migration again with `belay arm`",
        )),
        Some(postmortem(course, report)),
    ];
    let others = course.plan().checklist_items().filter(|item| course.has_run && item.part == Part::AfterRollback);
    let others = others.map(|item| open(item.id, item.text, item.group));
    rolled_back
        .into_iter()
        .flatten()
        .chain(items)
        .flatten()
        .chain(others)
        .map(|item| ticked(item, &course.ticks))
        .collect()
}

/// What is open, and was ticked by a person, is done by that person's word.
pub(crate) fn ticked(item: CheckItem, ticks: &Ticks) -> CheckItem {
    let Some(tick) = ticks.get(item.id.as_str()).filter(|_| !item.done) else { return item };
    let by_whom = Ticked { by: shown(&tick.by), at: tick.at, reason: shown(&tick.reason) };
    CheckItem { done: true, note: shown(format!("{}: {}", tick.by, tick.reason)), ticked: Some(by_whom), ..item }
}

fn done(id: &str, what: &str, note: impl AsRef<str>) -> CheckItem {
    item(id, true, what, note)
}

pub(crate) fn open(id: &str, what: &str, note: impl AsRef<str>) -> CheckItem {
    item(id, false, what, note)
}

pub(crate) fn item(id: &str, is_done: bool, what: &str, note: impl AsRef<str>) -> CheckItem {
    CheckItem { id: shown(id), what: shown(what), done: is_done, note: shown(note), ticked: None }
}

fn steps(course: &Course, report: &RunReport) -> CheckItem {
    let left: Vec<String> = report
        .steps
        .iter()
        .filter(|step| !matches!(step.phase, Phase::Done | Phase::Unchanged))
        .map(|step| format!("{} is {}", step.name, words::words(step.phase.as_str())))
        .collect();
    let note = match left.is_empty() {
        true => format!("{} done or unchanged{}", words::count(report.steps.len(), "step"), by_hand(course, report)),
        false => format!("look at these: {}", left.join(", ")),
    };
    item("steps_done", left.is_empty() && report.over, "Every step has put its resource back", note)
}

/// Belay observes nothing of a manual step: it is done by the word of whoever has approved it.
fn by_hand(course: &Course, report: &RunReport) -> String {
    let approved_by = |step: &str| {
        course.told().iter().rev().find_map(|record| match &record.event {
            Event::Step { step: of, what: StepEvent::ApprovalGiven { by } } if of == step => Some(by.clone()),
            _ => None,
        })
    };
    let manual = report.steps.iter().filter(|step| step.action.as_str() == "manual" && step.phase == Phase::Done);
    let names: Vec<String> = manual
        .map(|step| match approved_by(step.name.as_str()) {
            Some(by) => format!("{} (by the word of {by})", step.name),
            None => step.name.to_string(),
        })
        .collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("; done by hand, which Belay does not observe: {}", names.join(", ")),
    }
}

fn traffic(course: &Course) -> Option<CheckItem> {
    let moves = |step: &&belay_core::run::StepState| {
        let changes = step.planned.iter().chain(&step.sent);
        changes.flat_map(|change| &change.effects).any(|effect| matches!(effect, Effect::Traffic { .. }))
    };
    let moving = course.run.steps.iter().filter(|(_, step)| moves(&step.as_ref()));
    let (back, away): (Vec<_>, Vec<_>) =
        moving.partition(|(_, step)| matches!(step.phase, Phase::Done | Phase::Unchanged));
    let names = |steps: &[(&String, _)]| steps.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let what = "Traffic goes where it went before";
    match (back.is_empty(), away.is_empty()) {
        (true, true) => None,
        (_, false) => Some(open("traffic", what, format!("look at the traffic of: {}", names(&away)))),
        (false, true) => Some(done("traffic", what, format!("observed by: {}", names(&back)))),
    }
}

fn gates(report: &RunReport) -> Option<CheckItem> {
    let gates: Vec<(&str, &ReportGate)> =
        report.steps.iter().flat_map(|step| step.verify.iter().map(|gate| (step.name.as_str(), gate))).collect();
    let failed: Vec<String> = gates
        .iter()
        .filter(|(_, gate)| gate.state != GateState::Passed)
        .map(|(step, gate)| format!("{} after {step} is {}", gate.signal, words::name(&gate.state)))
        .collect();
    let what = "The gates after the steps have passed";
    match (gates.is_empty(), failed.is_empty()) {
        (true, _) => None,
        (false, true) => Some(done("gates", what, words::count(gates.len(), "gate"))),
        (false, false) => Some(open("gates", what, format!("look at these: {}", failed.join(", ")))),
    }
}

/// Ticked where signals that measure errors and signals that measure latency were compared with the plan's limits.
fn confirmation(course: &Course, report: &RunReport) -> Option<CheckItem> {
    let what = "Errors and latency are as before";
    let open = |note: &str| Some(open("confirmation", what, note));
    if course.plan().confirm.is_empty() {
        return open("the plan has no confirmation: look at error rate and latency against their baseline");
    }
    let gates: Vec<&str> = course.plan().confirm.iter().map(|gate| gate.signal.as_str()).collect();
    if !matches!(report.state, Some(RunState::RolledBack | RunState::Undone)) {
        return open(&format!("the confirmation has not held: look at {}", gates.join(", ")));
    }
    let compared = compared::compared(course, report);
    if !compared.unhealthy.is_empty() {
        return open(&format!("at the last reading {} is unhealthy: look again", compared.unhealthy.join(", ")));
    }
    let [errors, latency] = &compared.by;
    if errors.is_empty() && latency.is_empty() {
        return open(&format!(
            "the confirmation has held ({}), which measures neither errors nor latency: look at both against their baseline",
            gates.join(", ")
        ));
    }
    let note = format!("errors: {errors}. Latency: {latency}");
    Some(item("confirmation", !errors.is_empty() && !latency.is_empty(), what, note))
}

fn signals(report: &RunReport) -> Option<CheckItem> {
    let of_trigger = report.signals.rows.iter().filter(|row| row.used_by.as_str().contains("trigger"));
    let mut red = Vec::new();
    let mut all = 0;
    for row in of_trigger {
        all += 1;
        match row.bands.items.last().map(|band| band.health) {
            Some(Health::Healthy) => {}
            Some(health) => red.push(format!("{} is {}", row.signal, words::name(&health))),
            None => red.push(format!("{} was not read", row.signal)),
        }
    }
    let what = match report.incident {
        Some(_) => "The signals of the trigger are healthy again",
        None => "The signals of the triggers are healthy",
    };
    match (all, red.is_empty()) {
        (0, _) => None,
        (_, true) => Some(done("signals", what, format!("at the last reading, {}", words::count(all, "signal")))),
        (_, false) => Some(open("signals", what, format!("at the last reading {}: look again", red.join(", ")))),
    }
}

fn data(report: &RunReport) -> Option<CheckItem> {
    let what = "Lost data is reconciled";
    let steps: Vec<&str> = report.data_loss.iter().map(|loss| loss.step.as_str()).collect();
    match steps.is_empty() {
        true => Some(open(
            "data",
            "Data written to the new side is accounted for",
            "no step lost data; look at what was written between the cutover and the rollback",
        )),
        false => Some(open(
            "data",
            what,
            format!("{} lost data: the window is above; the data is kept under another name", steps.join(", ")),
        )),
    }
}

fn notices(report: &RunReport) -> Option<CheckItem> {
    let missing = report.notices.items.iter().filter_map(|notice| match (notice.state, &notice.refused) {
        (NoticeState::Sent, None) | (NoticeState::Dropped, _) => None,
        (NoticeState::Sent, Some(refused)) => Some(format!("{refused} of {}, by {}", notice.about, notice.channel)),
        _ => Some(format!("{} of {}", notice.channel, notice.about)),
    });
    let missing: Vec<String> = missing.collect();
    let late = report.notices.items.iter().filter(|notice| notice.late).count();
    let what = "Everybody was told who was to be told";
    let dropped = report.notices.items.iter().filter(|notice| notice.state == NoticeState::Dropped).count();
    let count = words::count(report.notices.items.len() - dropped + report.notices.left_out, "notice");
    if report.notices.items.is_empty() {
        return Some(open("notices", what, "no notice is on record: tell people yourself"));
    }
    Some(match (missing.is_empty(), report.notices.left_out, late) {
        (true, 0, 0) => done("notices", what, format!("{count} sent")),
        (true, 0, late) => done("notices", what, format!("{count} sent, {late} of them late")),
        (true, left_out, _) => {
            open("notices", what, format!("{left_out} of {count} are not shown here: see the journal"))
        }
        (false, ..) => open("notices", what, format!("not told: {}; tell them yourself", missing.join(", "))),
    })
}

/// Those who heard of the beginning hear of the end.
fn all_clear(report: &RunReport) -> Option<CheckItem> {
    let told = |kinds: &[NoticeKind]| {
        let names: Vec<String> = kinds.iter().map(words::name).collect();
        let sent = report.notices.items.iter().filter(|notice| notice.state == NoticeState::Sent);
        let like_it = sent.filter(|notice| names.iter().any(|name| notice.about.as_str() == name));
        like_it.map(|notice| notice.channel.as_str()).collect::<std::collections::BTreeSet<_>>()
    };
    let (began, ended) = (told(&[NoticeKind::Incident]), told(&[NoticeKind::Finished, NoticeKind::Recovered]));
    let without: Vec<&str> = began.difference(&ended).copied().collect();
    let what = "Those who heard of the incident heard of its end";
    match (began.is_empty(), without.is_empty()) {
        (true, _) => None,
        (false, true) => Some(done("all_clear", what, began.into_iter().collect::<Vec<_>>().join(", "))),
        (false, false) => Some(open("all_clear", what, format!("not told of the end: {}", without.join(", ")))),
    }
}

fn postmortem(course: &Course, report: &RunReport) -> CheckItem {
    let what = "A post-mortem was held";
    if let Some(held) = &report.postmortem.held {
        return done("postmortem", what, format!("{} ({})", held.link, held.by));
    }
    // What stands for the run of an incident has the incident's id.
    let command = format!("`belay postmortem {} --held LINK` puts it on record", course.run.id);
    let after = SignedDuration::try_from(POSTMORTEM_AFTER).unwrap_or_default();
    let note = match course.ended().map(|ended| ended.saturating_add(after).unwrap_or(ended)) {
        Some(due) => format!("due by {}; {command}", due.strftime("%Y-%m-%d %H:%M UTC")),
        None if course.has_run => format!("due two days after the end of the run; {command}"),
        None => format!("due two days after the end of the incident; {command}"),
    };
    open("postmortem", what, note)
}
