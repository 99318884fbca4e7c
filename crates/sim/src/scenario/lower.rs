//! From the normal form of a scenario to the script for one plan. What is wrong was found before.

use std::time::Duration;

use belay_plan::{
    duration,
    model::{Name, Plan},
};
use serde_json::Value;

use super::{
    grammar::EVENTS,
    select::{self, Use},
};
use crate::{
    causes,
    condition::{Condition, Part, Trouble},
    rehearsal::script::{
        ANSWER, Act, ActWord, Answer, Ask, CALM, Cue, Decides, Event, Moment, Person, Says, Script, Span, Word,
        horizon, usual_trigger,
    },
    sensor::Shown,
};

/// What the breach is of: the trigger that sees it, and the phase of the plan.
pub(crate) struct Breach {
    pub(crate) trigger: Option<Name>,
    pub(crate) phase: Option<Name>,
}

impl Breach {
    /// `trigger` and `phase`: where the scenario does not say.
    pub(crate) fn of(scenario: &Value, plan: &Plan, trigger: Option<&str>, phase: Option<&str>) -> Self {
        let breach = &scenario["breach"];
        let phase = breach["phase"].as_str().or(phase).or(plan.usual_phase()).map(str::to_owned);
        let trigger = breach["trigger"].as_str().or(trigger).map(str::to_owned);
        Self { trigger: trigger.or_else(|| usual_trigger(plan, phase.as_deref())), phase }
    }
}

pub(crate) fn lower(file_name: &str, scenario: &Value, plan: &Plan, of: Breach) -> Script {
    let Breach { trigger, phase } = of;
    let list = |key: &str| scenario[key].as_array().into_iter().flatten();
    Script {
        name: file_name.to_owned(),
        summary: scenario["summary"].as_str().unwrap_or_default().to_owned(),
        calm: span(&scenario["breach"]["after"]).unwrap_or(Span::exactly(CALM)),
        share: percent(&scenario["breach"]["share"]).unwrap_or(100),
        horizon: time(&scenario["horizon"]).unwrap_or_else(|| horizon(plan)),
        people: list("people").map(|entry| person(entry, plan)).collect(),
        halted: list("halted").map(|entry| act(entry, plan)).collect(),
        cues: list("events").filter_map(|event| cue(event, plan, trigger.as_deref())).collect(),
        trigger,
        phase,
    }
}

fn person(entry: &Value, plan: &Plan) -> Person {
    let name = |key: &str| entry[key].as_str().map(str::to_owned);
    let says = match entry["decide"].as_str() {
        Some(word) => Says::Incident(Decides {
            word: match word {
                "roll_back" => Word::RollBack,
                "fix_forward" => Word::FixForward,
                _ => Word::Nothing,
            },
            role: name("role"),
            trigger: name("trigger"),
            incident: entry["incident"].as_u64().and_then(|number| usize::try_from(number).ok()),
        }),
        None => Says::Steps {
            steps: entry.get("steps").map(|value| steps(value, plan, Use::Any)),
            answers: match &entry["answer"] {
                Value::Array(answers) => answers.iter().map(answer).collect(),
                one => vec![answer(one)],
            },
        },
    };
    Person { says, after: span(&entry["after"]).unwrap_or(Span::exactly(ANSWER)) }
}

fn answer(word: &Value) -> Answer {
    match word.as_str() {
        Some("deny") => Answer::Deny,
        Some("nothing") => Answer::Nothing,
        _ => Answer::Approve,
    }
}

fn act(entry: &Value, plan: &Plan) -> Act {
    Act {
        what: match entry["do"].as_str() {
            Some("retry") => ActWord::Retry,
            Some("skip") => ActWord::Skip,
            Some("override") => ActWord::Override { subject: entry["subject"].as_str().unwrap_or_default().to_owned() },
            Some("abort") => ActWord::Abort,
            _ => ActWord::Resume,
        },
        steps: entry.get("steps").map(|value| steps(value, plan, Use::Any)),
        after: span(&entry["after"]).unwrap_or(Span::exactly(Duration::ZERO)),
    }
}

fn cue(event: &Value, plan: &Plan, breached: Option<&str>) -> Option<Cue> {
    let kind = EVENTS.into_iter().find(|kind| !event[*kind].is_null())?;
    let what = &event[kind];
    let calls = || steps(&what["steps"], plan, Use::Calls);
    let signals = || select::signals(plan, &what["signals"], "", breached).unwrap_or_default();
    let act = match kind {
        "slow" => Event::Begin(Condition::Slow { steps: calls(), times: what["times"].as_f64()? }),
        "takes" => Event::Begin(Condition::Takes { steps: calls(), time: span(&what["time"])?.spread() }),
        "fail" => {
            let percent = percent(&what["share"]).unwrap_or(100);
            Event::Begin(Condition::Fails { steps: calls(), how: trouble(what["how"].as_str()?)?, percent })
        }
        "signal" => Event::Begin(Condition::Shows { signals: signals(), what: shown(what["shows"].as_str()?)? }),
        "lag" => Event::Lag { signals: signals(), time: span(&what["time"])? },
        "targets" => {
            let healthy = match what["are"].as_str()? {
                "healthy" => Some(true),
                "unhealthy" => Some(false),
                _ => None,
            };
            let steps = steps(&what["steps"], plan, Use::Traffic);
            let part =
                part(&what["share"]).map(|(some, of)| Part { some, of, counted_by: counted_by(plan, &steps, of) });
            Event::Begin(Condition::Targets { steps, healthy, part })
        }
        "change" => Event::Undo { steps: calls() },
        "rollback" => {
            let only = what.get("only").map(|only| steps(only, plan, Use::Any));
            Event::Ask(Ask::Rollback { only: only.unwrap_or_default() })
        }
        "cutover" => Event::Ask(Ask::Cutover),
        "phase" => Event::Ask(Ask::Phase(what.as_str()?.to_owned())),
        "mute" => Event::Ask(Ask::Mute(time(what)?)),
        "unmute" => Event::Ask(Ask::Unmute),
        "lease" => Event::Lease { down: span(&what["down"])? },
        _ => Event::Kill { down: span(&what["down"])?, loses_journal: what["journal"] == "lost" },
    };
    Some(Cue { at: moment(&event["at"], plan)?, lasts: time(&event["for"]), every: time(&event["every"]), what: act })
}

fn moment(value: &Value, plan: &Plan) -> Option<Moment> {
    if let Some(sent) = value.get("sent") {
        return Some(Moment::Sent { steps: steps(sent, plan, Use::Calls), after: span(&value["after"])? });
    }
    if let Some(done) = value.get("done") {
        return Some(Moment::Done { steps: steps(done, plan, Use::Any), after: span(&value["after"])? });
    }
    Some(Moment::Time(span(value)?))
}

fn steps(value: &Value, plan: &Plan, usage: Use) -> Vec<Name> {
    select::steps(plan, value, "", usage).unwrap_or_default()
}

fn trouble(word: &str) -> Option<Trouble> {
    Some(match word {
        "throttled" => Trouble::Throttled,
        "expired" => Trouble::Expired,
        "denied" => Trouble::Denied,
        "broken" => Trouble::Broken,
        "unanswered" => Trouble::Unanswered,
        "answer_lost" => Trouble::AnswerLost,
        "verdict" => Trouble::Verdict,
        _ => return None,
    })
}

fn shown(word: &str) -> Option<Shown> {
    Some(match word {
        "healthy" => Shown::Healthy,
        "unhealthy" => Shown::Unhealthy,
        "missing" => Shown::Missing,
        "unreadable" => Shown::Unreadable,
        _ => return None,
    })
}

/// `20%`
pub(crate) fn percent(value: &Value) -> Option<u32> {
    value.as_str()?.strip_suffix('%')?.parse().ok()
}

/// `1 of 3`
pub(crate) fn part(value: &Value) -> Option<(u32, u32)> {
    let (some, of) = value.as_str()?.split_once(" of ")?;
    Some((some.parse().ok()?, of.parse().ok()?))
}

/// The signals that count the targets of what these steps give traffic to, each with how many have to be healthy: the interlocks
/// of the steps, and the signals of a group that the steps name. `of`: so many were healthy before the cutover.
pub(crate) fn counted_by(plan: &Plan, steps: &[Name], of: u32) -> Vec<(Name, u32)> {
    let looks_at = |name: &Name, group: &str| {
        steps.iter().filter_map(|step| plan.steps.get(step)).any(|step| {
            let named = causes::members(step, true).into_iter().any(|member| causes::group_name(member) == group);
            named || step.require.iter().any(|gate| gate.signal == *name)
        })
    };
    let signals = plan.signals.iter().filter_map(|(name, signal)| {
        let at_least = &signal.spec[signal.kind.as_str()]["at_least"];
        let at_least = at_least.as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(of);
        let group = causes::target_group(signal).filter(|_| signal.kind == "target_health")?;
        looks_at(name, group).then(|| (name.clone(), at_least))
    });
    signals.collect()
}

fn time(value: &Value) -> Option<Duration> {
    duration::parse(value.as_str()?).ok()
}

/// A time, or a range of them.
pub(crate) fn span(value: &Value) -> Option<Span> {
    let text = value.as_str()?;
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    Some(Span { from: duration::parse(from).ok()?, to: duration::parse(to).ok()? })
}
