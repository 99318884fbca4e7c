//! What is guarded, and what the watcher sees.

use std::time::Duration;

use belay_core::readiness::CheckVerdict;

use super::{Detail, Look, age, seconds};
use crate::{
    document::{Migration, Signal, Trigger},
    paint, text,
};

pub(super) fn head(migration: &Migration, look: &Look) -> Vec<String> {
    let output = look.output;
    let (mark, style) = match migration.state.as_str() {
        "armed" | "rolled_back" => ("●", output.good()),
        "incident" | "halted" | "aborted" => ("▲", output.bad()),
        "disarmed" => ("○", output.dim()),
        _ => ("●", output.warn()),
    };
    let held = if migration.open_run().is_some_and(|run| run.state == "held") { ", held" } else { "" };
    let undoing = migration.open_run().is_some_and(|run| run.kind == "undo") && migration.state == "rolling_back";
    let state = if undoing { "undoing".to_owned() } else { text::words(&migration.state) };
    let state = format!("{state}{held}");
    let state = style.bold().apply_to(state);
    let mut lines =
        vec![look.fit(&format!("{} {}  {state}", style.apply_to(mark), output.bold().apply_to(&migration.name)))];
    if let Some(summary) = &migration.summary {
        lines.extend(look.wrap(2, "", summary, output.plain()));
    }
    lines.extend(look.wrap_whole(2, &facts(migration, look), output.dim()));
    if let Some(drill) = &migration.drill {
        let fired = drill.trigger.as_ref().map(|name| format!("{name} is made to fire; ")).unwrap_or_default();
        let told = format!("a drill is under way: {fired}{}: {}", drill.actor, drill.reason);
        lines.extend(look.wrap(2, "! ", &told, output.warn()));
    }
    if let Some(until) = migration.muted_until {
        let (by, reason) = (migration.muted_by.as_deref(), migration.muted_reason.as_deref());
        let told = format!(
            "MUTED until {}, for {}, by {}: {}. {}",
            look.clock_time(until, migration.now),
            age(migration.now, until),
            by.unwrap_or_default(),
            reason.unwrap_or_default(),
            match migration.incident {
                Some(_) => "No further trigger joins the open incident, which goes on",
                None => "No trigger opens an incident",
            }
        );
        lines.extend(look.wrap(2, "! ", &told, output.warn()));
    }
    lines.extend(window(migration, look));
    if let Some(problem) = &migration.plan_problem {
        lines.extend(look.wrap(2, "! ", &format!("the plan file cannot be used: {problem}"), output.warn()));
    } else if let (Some(pending), Some(_)) = (&migration.pending_plan, &migration.plan_sha256) {
        let pending = format!("the plan file was changed ({}); it counts once it is armed again", short(pending));
        lines.extend(look.wrap(2, "! ", &pending, output.warn()));
    }
    if let Some(problem) = &migration.people_problem {
        let rollback = look.commands.clone().unwrap_or_default().line(&format!("rollback {}", migration.name));
        let by_hand = match migration.open_run() {
            None => format!("; an operator can roll back without them: {rollback}"),
            Some(_) => String::new(),
        };
        let told = format!("{problem}. Give the roles under the daemon's `tokens`, and send SIGHUP{by_hand}");
        lines.extend(look.wrap(2, "! ", &told, output.warn()));
    }
    if let Some(guard) = &migration.guard {
        let (mark, style) = match guard.lost || guard.stage == "over" {
            true => ("! ", output.warn()),
            false => ("", output.dim()),
        };
        lines.extend(look.wrap(2, mark, &guard.found, style));
    }
    for detour in &migration.detours {
        lines.extend(look.wrap(2, "! ", detour, output.warn()));
    }
    lines.extend(notices(migration, look));
    for fault in &migration.faults {
        let fault = format!("Belay has stopped acting: {fault}. The daemon's log says more; nothing is lost");
        lines.extend(look.wrap(2, "✘ ", &fault, output.bad()));
    }
    lines
}

/// The channels that people are not told through, and when those who are told hear next.
fn notices(migration: &Migration, look: &Look) -> Vec<String> {
    let channels = migration.notices.iter();
    let failing = channels.clone().filter_map(|(name, channel)| {
        let (since, why) = (channel.failing_since?, channel.why.as_deref().unwrap_or_default());
        let left = match (channel.waiting, channel.failed) {
            (0, failed) => format!("{failed} given up"),
            (waiting, 0) => format!("{waiting} not sent yet"),
            (waiting, failed) => format!("{waiting} not sent yet, {failed} given up"),
        };
        let late = if channel.late > 0 { ", LATE" } else { "" };
        let since = look.clock_time(since, migration.now);
        Some(format!("{name} is not told since {since}: {why} ({left}{late}); tell them yourself"))
    });
    let given_up = channels.clone().filter_map(|(name, channel)| {
        // The line above shows it while nothing gets through.
        let given_up = channel.given_up.as_ref().filter(|_| channel.failing_since.is_none())?;
        let (count, about, why) = (given_up.count, text::words(&given_up.about), &given_up.why);
        let notices = if count == 1 { "notice" } else { "notices" };
        let at = look.clock_time(given_up.at, migration.now);
        Some(format!(
            "{name} was not told of {count} {notices}, the last one at {at} ({about}): {why}; tell them yourself"
        ))
    });
    let refused = channels.clone().filter_map(|(name, channel)| {
        let refused = channel.refused.as_ref()?;
        let (count, about, who) = (refused.count, text::words(&refused.about), &refused.why);
        let notices = if count == 1 { "1 notice of".to_owned() } else { format!("{count} notices of") };
        let at = look.clock_time(refused.at, migration.now);
        Some(format!(
            "{notices} {name} did not reach all recipients, the last one at {at} ({about}). Refused: {who}; tell them yourself"
        ))
    });
    let unusable = channels.clone().filter_map(|(name, channel)| {
        let why = channel.unusable.as_ref().filter(|_| channel.failing_since.is_none())?;
        Some(format!("{name} {why}; tell them yourself"))
    });
    let failing = failing.chain(given_up).chain(unusable).chain(refused);
    let mut lines: Vec<String> = failing.flat_map(|told| look.wrap(2, "! ", &told, look.output.warn())).collect();
    let told: Vec<String> = channels
        .filter_map(|(name, channel)| {
            let next = look.clock_time(channel.next_update?, migration.now);
            Some(match channel.sent {
                0 => format!("{name} is told at {next}"),
                _ => format!("{name} is told again at {next}"),
            })
        })
        .collect();
    lines.extend(look.wrap_whole(2, &told, look.output.dim()));
    lines
}

/// What the window says now, where it stands against a rollback that starts by itself, or soon will.
fn window(migration: &Migration, look: &Look) -> Vec<String> {
    let (Some(window), now) = (&migration.window, migration.now) else { return Vec::new() };
    let opens = window.opens.filter(|opens| *opens > now).map(|opens| {
        format!(
            "the window opens at {}, in {}: nothing starts by itself before",
            look.clock_time(opens, now),
            age(now, opens)
        )
    });
    let passed = window.point_of_no_return.filter(|point| *point <= now).map(|point| {
        format!(
            "the point of no return was passed at {}, {} ago: people decide every rollback",
            look.clock_time(point, now),
            age(point, now)
        )
    });
    let unmarked = window.unmarked.then(|| {
        let cutover = look.commands.clone().unwrap_or_default().line(&format!("cutover {}", migration.name));
        format!("the cutover is not marked, so the point of no return does not count: {cutover} marks it")
    });
    opens
        .into_iter()
        .chain(passed)
        .chain(unmarked)
        .flat_map(|told| look.wrap(2, "! ", &told, look.output.warn()))
        .collect()
}

fn facts(migration: &Migration, look: &Look) -> Vec<String> {
    let now = migration.now;
    let mut facts = Vec::new();
    match migration.armed {
        Some(at) => facts.push(format!("armed {} ago ({})", age(at, now), look.clock_time(at, now))),
        None if migration.plan_sha256.is_none() => facts.push("never armed".to_owned()),
        None => facts.push("not armed".to_owned()),
    }
    if let Some(overlay) = &migration.overlay {
        facts.push(format!("overlay {overlay}"));
    }
    if let Some(at) = migration.cutover {
        facts.push(format!("cutover {} ago ({})", age(at, now), look.clock_time(at, now)));
    }
    if let (Some(phase), Some(since)) = (&migration.phase, migration.phase_since) {
        let expected = migration.phase_expected_s.map(|time| format!(" of {}", seconds(time))).unwrap_or_default();
        facts.push(format!("phase {phase} for {}{expected}", age(since, now)));
    }
    if let Some(point) = migration.window.as_ref().and_then(|window| window.point_of_no_return).filter(|at| *at > now) {
        facts.push(format!("point of no return in {} ({})", age(now, point), look.clock_time(point, now)));
    }
    if let Some(baseline) = &migration.baseline {
        let at = baseline.captured;
        facts.push(format!("baseline {} old ({})", age(at, now), look.clock_time(at, now)));
    }
    if let Some(plan) = &migration.plan_sha256 {
        facts.push(format!("plan {}", short(plan)));
    }
    if migration.armed.is_some() {
        facts.push(format!("read every {}", poll(migration.poll_s)));
    }
    facts
}

fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// Triggers and signals, as long as somebody looks at them.
pub(super) fn watch(migration: &Migration, detail: Detail, look: &Look) -> Vec<String> {
    let mut lines = Vec::new();
    for (source, since) in &migration.blind {
        let blind = format!(
            "BLIND: {source} cannot be read since {} ({}). What it watches is unknown and fires nothing",
            look.clock_time(*since, migration.now),
            age(*since, migration.now)
        );
        lines.extend(look.wrap(2, "✘ ", &blind, look.output.bad()));
    }
    if migration.armed.is_none() && migration.open_run().is_none() {
        return lines;
    }
    if migration.armed.is_some() {
        lines.extend(triggers(migration, detail, look));
    }
    lines.extend(signals(migration, detail, look));
    lines.extend(losses(migration, look));
    lines.extend(readiness(migration, look));
    lines
}

/// What steps that lose data would lose, if they ran now.
fn losses(migration: &Migration, look: &Look) -> Vec<String> {
    let output = look.output;
    let lines = migration.loss.iter().flat_map(|(name, loss)| {
        let (mark, style) = match loss.now_s {
            _ if loss.is_over() => ("✘", output.bad()),
            Some(_) => ("✔", output.good()),
            None => ("?", output.warn()),
        };
        let lead = format!("{} {}  ", style.apply_to(mark), output.bold().apply_to(name));
        let told = format!("{}: {}", text::loss(loss), loss.basis);
        look.wrap(4, &lead, &told, if loss.is_over() { output.bad() } else { output.plain() })
    });
    titled("would be lost now", lines.collect(), look)
}

/// Whether a rollback would go through now, and what stands against it.
fn readiness(migration: &Migration, look: &Look) -> Vec<String> {
    let output = look.output;
    let Some(found) = migration.readiness.as_ref().filter(|_| migration.open_run().is_none()) else {
        return Vec::new();
    };
    let (mark, style) = match found.verdict {
        CheckVerdict::Go => ("✔", output.good()),
        CheckVerdict::Warn => ("!", output.warn()),
        CheckVerdict::Unknown => ("?", output.warn()),
        CheckVerdict::NoGo => ("✘", output.bad()),
    };
    let counts = [(found.no_go, "no-go"), (found.unknown, "unknown"), (found.warn, "warn"), (found.go, "go")];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let age = age(found.at, migration.now);
    let lead = format!("{} {}  ", style.apply_to(mark), output.bold().apply_to(found.verdict.word()));
    let told = format!("{}, checked {age} ago", counts.join(", "));
    let mut lines = look.wrap(4, &lead, &told, output.plain());
    for finding in &found.findings {
        lines.extend(look.wrap(6, "  ", finding, output.plain()));
    }
    let shown = found.findings.len();
    if found.no_go + found.unknown + found.warn > shown {
        lines.extend(look.wrap(6, "  ", "`belay check PLAN` shows all", output.dim()));
    }
    titled("ready for a rollback", lines, look)
}

fn triggers(migration: &Migration, detail: Detail, look: &Look) -> Vec<String> {
    let output = look.output;
    let shown =
        |trigger: &Trigger| detail == Detail::Full || trigger.state != "quiet" || trigger.unknown_since.is_some();
    let rows = migration.triggers.iter().filter(|(_, trigger)| shown(trigger)).map(|(name, trigger)| {
        let (mark, style) = match (trigger.state.as_str(), trigger.unknown_since) {
            ("fired", _) => ("✘", output.bad()),
            ("dwelling" | "paused", _) => ("◔", output.warn()),
            ("quiet", None) => ("✔", output.good()),
            ("healing", _) => ("◔", output.accent()),
            ("asleep", _) => ("·", output.dim()),
            _ => ("?", output.warn()),
        };
        let severity = output.dim().apply_to(&trigger.severity).to_string();
        [
            format!("{} {}", style.apply_to(mark), output.bold().apply_to(name)),
            severity,
            dwell(trigger, migration, look),
        ]
    });
    let mut lines = look.columns(4, rows.collect());
    let quiet = migration.triggers.len() - lines.len();
    if quiet > 0 {
        let quiet = format!("{} quiet", text::count(quiet, if lines.is_empty() { "trigger" } else { "other trigger" }));
        lines.push(format!("    {} {quiet}", output.good().apply_to("✔")));
    }
    if migration.triggers.is_empty() {
        lines.push("    none: only a person can start the rollback".to_owned());
    }
    titled("triggers", lines, look)
}

/// How long the condition has held, of how long it must.
fn dwell(trigger: &Trigger, migration: &Migration, look: &Look) -> String {
    let output = look.output;
    let (held, whole) = (seconds(trigger.held_s.min(trigger.for_s)), seconds(trigger.for_s));
    let bar = |style| {
        if trigger.for_s > 0.0 { look.bar(trigger.held_s / trigger.for_s, style) + "  " } else { String::new() }
    };
    let unknown = trigger.unknown_since.map(|since| format!("cannot be decided for {}", age(since, migration.now)));
    let of = format!("of {}", trigger.signals.join(", "));
    match trigger.state.as_str() {
        "dwelling" => {
            let left =
                trigger.fires_at.map_or("dwelling".to_owned(), |at| format!("fires in {}", age(migration.now, at)));
            let left = output.warn().bold().apply_to(left);
            format!("{left}  {}{}", bar(output.warn()), output.warn().apply_to(format!("true for {held} of {whole}")))
        }
        "paused" => format!(
            "{}{}",
            bar(output.warn()),
            output.warn().apply_to(format!("stands at {held} of {whole}: {}", unknown.unwrap_or_default()))
        ),
        "fired" => output.bad().apply_to("FIRED").to_string(),
        "healing" => format!("{}healthy for {held} of {whole}", bar(output.accent())),
        "asleep" => format!("asleep in this phase {}", output.dim().apply_to(format!("({of})"))),
        "waits_for_green" => "asleep: it was red at arming, and wakes when it has been green once".to_owned(),
        _ => match unknown {
            Some(unknown) => output.warn().apply_to(unknown).to_string(),
            None => format!("quiet {}", output.dim().apply_to(format!("({of})"))),
        },
    }
}

fn signals(migration: &Migration, detail: Detail, look: &Look) -> Vec<String> {
    let output = look.output;
    // What only gates ask for is not read before one does.
    let watched = |name: &String| migration.triggers.values().any(|trigger| trigger.signals.contains(name));
    let idle = |name: &String, signal: &Signal| !signal.read && !watched(name);
    let well = |name: &String, signal: &Signal| signal.health == "healthy" || idle(name, signal);
    let shown = migration.signals.iter().filter(|(name, signal)| detail == Detail::Full || !well(name, signal));
    let rows = shown.map(|(name, signal)| {
        let (mark, style, health) = match signal.health.as_str() {
            "healthy" => ("✔", output.good(), "healthy"),
            "unhealthy" => ("✘", output.bad(), "unhealthy"),
            _ if idle(name, signal) => ("·", output.dim(), "idle"),
            _ => ("?", output.warn(), "unknown"),
        };
        let evidence = if idle(name, signal) { "read when a gate asks for it" } else { signal.evidence.as_str() };
        [
            format!("{} {}", style.apply_to(mark), output.bold().apply_to(name)),
            style.apply_to(health).to_string(),
            if idle(name, signal) { String::new() } else { age(signal.since, migration.now) },
            output.dim().apply_to(evidence).to_string(),
        ]
    });
    let mut lines = look.columns(4, rows.collect());
    if detail != Detail::Full {
        let noun = if lines.is_empty() { "signal" } else { "other signal" };
        // What has not been read yet may be anything.
        let (unread, read): (Vec<_>, Vec<_>) =
            migration.signals.iter().filter(|(name, signal)| well(name, signal)).partition(|(_, signal)| !signal.read);
        if !read.is_empty() {
            lines.push(format!("    {} {} well", output.good().apply_to("✔"), text::count(read.len(), noun)));
        }
        if !unread.is_empty() {
            lines.push(format!("    {} {} not read (idle)", output.dim().apply_to("·"), unread.len()));
        }
    }
    if migration.signals.is_empty() { Vec::new() } else { titled("signals", lines, look) }
}

pub(super) fn incident(migration: &Migration, look: &Look) -> Vec<String> {
    let Some(incident) = &migration.incident else { return Vec::new() };
    let (output, now) = (look.output, migration.now);
    let mut lines = vec![look.fit(&format!(
        "  {} {}  open for {} (since {})",
        output.bad().bold().apply_to("incident"),
        incident.id,
        age(incident.opened, now),
        look.clock_time(incident.opened, now)
    ))];
    lines.extend(look.wrap(4, "opened by ", &incident.triggers.join(", "), output.plain()));
    let decision = match (&incident.decision, incident.why.is_empty()) {
        (None, _) => "not decided".to_owned(),
        (Some(decision), true) => text::words(decision),
        (Some(decision), false) if incident.why.ends_with(&text::words(decision)) => incident.why.clone(),
        (Some(decision), false) => format!("{}: {}", text::words(decision), incident.why),
    };
    lines.extend(look.wrap(4, "decision: ", &decision, output.plain()));
    if let (Some(ends), Some(then)) = (incident.timebox_ends, &incident.then) {
        let left = if ends > now { format!("in {}", age(now, ends)) } else { "over".to_owned() };
        let then = match then.as_str() {
            "decide" => "and after that: nothing starts by itself then".to_owned(),
            then => format!("then {}", text::words(then)),
        };
        let told = format!("{} ({left}), {then}", look.clock_time(ends, now));
        lines.extend(look.wrap(4, "people decide until ", &told, output.warn()));
    }
    for word in &incident.words {
        let said = format!("{}: {}", text::words(&word.word), word.reason);
        let who = paint::line(&format!("{} ({}) says ", word.who, word.roles.join(", ")));
        // While something is asked, a word on what was asked before must not look like an answer.
        let (said, style) = match incident.then.is_some() && !word.counts {
            true => (format!("{said} (no longer counts)"), output.dim()),
            false => (said, output.plain()),
        };
        lines.extend(look.wrap(4, &who, &said, style));
    }
    lines
}

pub(super) fn titled(title: &str, lines: Vec<String>, look: &Look) -> Vec<String> {
    let title = format!("  {}", look.output.dim().apply_to(title));
    if lines.is_empty() { Vec::new() } else { std::iter::once(title).chain(lines).collect() }
}

/// Half a second is no whole one.
fn poll(seconds: f64) -> String {
    belay_plan::duration::format(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default())
}
