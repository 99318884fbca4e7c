//! Incidents: one episode from the first trigger to closure.

use belay_plan::model::{Answer, Fix, Name, Plan, Trigger};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    event::{Event, IncidentOutcome},
    id::{IncidentId, RunId},
    migration::Migration,
};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Incident {
    pub id: IncidentId,
    pub opened: Timestamp,
    pub closed: Option<Timestamp>,
    /// In the order in which they fired; the first opened it.
    pub triggers: Vec<Name>,
    pub answer: Option<Answer>,
    pub why: String,
    pub run: Option<RunId>,
    pub outcome: Option<IncidentOutcome>,
}

impl Migration {
    pub(crate) fn apply_incident(&mut self, at: Timestamp, event: &Event) -> Result<(), String> {
        if let Event::IncidentOpened { incident, trigger } = event {
            self.note_in_drill(Some(incident), None);
            self.incident = Some(Incident {
                id: incident.clone(),
                opened: at,
                closed: None,
                triggers: vec![trigger.clone()],
                answer: None,
                why: String::new(),
                run: None,
                outcome: None,
            });
            return Ok(());
        }
        let incident = self.incident.as_mut().ok_or("there is no incident")?;
        match event {
            Event::IncidentJoined { trigger } => incident.triggers.push(trigger.clone()),
            Event::Decided { answer, why, .. } => {
                incident.answer = Some(*answer);
                incident.why.clone_from(why);
            }
            Event::IncidentClosed { outcome } => {
                incident.closed = Some(at);
                incident.outcome = Some(*outcome);
                if let Some(closed) = self.incident.take() {
                    self.past_incidents.push(std::sync::Arc::new(closed));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The answer of the plan's matrix to a trigger: the first rule that matches.
pub fn answer(plan: &Plan, trigger: &Trigger) -> Answer {
    let matches = |rule: &&belay_plan::model::Rule| {
        rule.severity.is_none_or(|severity| severity == trigger.severity)
            && rule.scope.is_none_or(|scope| scope == trigger.scope)
            && rule.fix.is_none_or(|fix| fix == trigger.fix)
    };
    plan.decision.rules.iter().find(matches).map_or(Answer::FixForward, |rule| rule.then)
}

/// How the answer came about, for people.
pub(crate) fn answer_text(name: &str, trigger: &Trigger, answer: Answer) -> String {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().replace('_', " ");
    let severity = word(serde_json::json!(trigger.severity));
    let scope = word(serde_json::json!(trigger.scope));
    let fix = match trigger.fix {
        Fix::Unknown => "of unknown fixing time".to_owned(),
        known => format!("with a {} fix", word(serde_json::json!(known))),
    };
    let answer = word(serde_json::json!(answer));
    format!("{name} is {severity}, {scope}, {fix}: {answer}")
}
