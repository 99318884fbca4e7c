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
    condition::{Condition, Trouble},
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
    let act = match kind {
        "slow" => Event::Begin(Condition::Slow { steps: calls(), times: what["times"].as_f64()? }),
        "takes" => Event::Begin(Condition::Takes { steps: calls(), time: span(&what["time"])?.spread() }),
        "fail" => Event::Begin(Condition::Fails { steps: calls(), how: trouble(what["how"].as_str()?)? }),
        "signal" => {
            let signals = select::signals(plan, &what["signals"], "", breached).unwrap_or_default();
            Event::Begin(Condition::Shows { signals, what: shown(what["shows"].as_str()?)? })
        }
        "targets" => {
            let healthy = match what["are"].as_str()? {
                "healthy" => Some(true),
                "unhealthy" => Some(false),
                _ => None,
            };
            Event::Begin(Condition::Targets { steps: steps(&what["steps"], plan, Use::Traffic), healthy })
        }
        "change" => Event::Undo { steps: calls() },
        "rollback" => Event::Ask(Ask::Rollback),
        "cutover" => Event::Ask(Ask::Cutover),
        "phase" => Event::Ask(Ask::Phase(what.as_str()?.to_owned())),
        "mute" => Event::Ask(Ask::Mute(time(what)?)),
        "unmute" => Event::Ask(Ask::Unmute),
        _ => Event::Kill { down: span(&what["down"])? },
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

fn time(value: &Value) -> Option<Duration> {
    duration::parse(value.as_str()?).ok()
}

/// A time, or a range of them.
pub(crate) fn span(value: &Value) -> Option<Span> {
    let text = value.as_str()?;
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    Some(Span { from: duration::parse(from).ok()?, to: duration::parse(to).ok()? })
}
