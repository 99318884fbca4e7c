//! Incidents: one episode from the first trigger to closure.

use belay_plan::model::{Answer, Fix, Name, Severity, Trigger};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    decision::{Question, Word},
    event::{Event, IncidentOutcome},
    evidence::Evidence,
    id::{IncidentId, RunId},
    migration::Migration,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub id: IncidentId,
    pub opened: Timestamp,
    pub closed: Option<Timestamp>,
    /// In the order in which they fired; the first opened it.
    pub triggers: Vec<Name>,
    pub answer: Option<Answer>,
    pub why: String,
    /// The trigger that the answer is for.
    pub answered: Option<Name>,
    /// What people are asked.
    pub asks: Option<Question>,
    /// Of each trigger, in the same order, what its own question is known by.
    pub(crate) raised: Vec<Raised>,
    pub words: Vec<Word>,
    /// So many of the words count no more: what they were said to is settled, or other people are asked now.
    pub(crate) words_settled: usize,
    /// What was changed before it, as far as it is known.
    pub evidence: Evidence,
    pub run: Option<RunId>,
    pub outcome: Option<IncidentOutcome>,
}

/// When a trigger became part of the incident, and in which phase: its rule and its time are of that moment, however often it
/// comes and goes. Once it has healed for its dwell it is over; if it fires again, it joins anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Raised {
    pub(crate) at: Timestamp,
    /// When it became part of the incident for the first time: since then it has been felt.
    pub(crate) first: Timestamp,
    pub(crate) phase: Option<Name>,
    /// People, or the end of a timebox, have answered what it asks.
    pub(crate) settled: bool,
    pub(crate) healed: bool,
}

impl Incident {
    /// People are asked, and have not answered: nothing has begun by itself yet.
    pub fn is_asking(&self) -> bool {
        self.closed.is_none() && self.run.is_none() && matches!(self.answer, Some(Answer::Decide | Answer::FixFirst))
    }

    /// The trigger that the answer is for.
    pub fn trigger(&self) -> Option<&Name> {
        self.answered.as_ref().or(self.triggers.first())
    }

    /// The triggers that keep it open: those that have not healed since they became part of it.
    pub(crate) fn open_triggers(&self) -> impl Iterator<Item = (&Name, &Raised)> {
        self.triggers.iter().zip(&self.raised).filter(|(_, raised)| !raised.healed)
    }

    pub(crate) fn is_kept_open_by(&self, trigger: &str) -> bool {
        self.open_triggers().any(|(name, _)| name == trigger)
    }

    fn place_of(&self, trigger: &str) -> Option<usize> {
        self.triggers.iter().position(|name| name == trigger)
    }

    /// While a run is open nothing more is asked, so what heals then stays part of the incident.
    pub(crate) fn note_healed(&mut self, trigger: &str) {
        if let Some(place) = self.place_of(trigger).filter(|_| self.run.is_none()) {
            self.raised[place].healed = true;
        }
    }
}

impl Migration {
    /// The worst severity of these triggers.
    pub(crate) fn worst_severity<'n>(&self, triggers: impl IntoIterator<Item = &'n Name>) -> Option<Severity> {
        let plan = self.plan.as_ref()?;
        let severities = triggers.into_iter().filter_map(|name| Some(plan.triggers.get(name)?.severity));
        severities.min_by_key(|severity| match severity {
            Severity::Critical => 0,
            Severity::Major => 1,
            Severity::Minor => 2,
        })
    }

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
                answered: None,
                asks: None,
                raised: vec![self.raised(at)],
                words: Vec::new(),
                words_settled: 0,
                evidence: Evidence::default(),
                run: None,
                outcome: None,
            });
            self.open_rungs(at, true);
            return Ok(());
        }
        let raised = self.raised(at);
        let incident = self.incident.as_mut().ok_or("there is no incident")?;
        match event {
            Event::IncidentJoined { trigger } => {
                if let Some(place) = incident.place_of(trigger) {
                    incident.raised[place] = Raised { first: incident.raised[place].first, ..raised };
                } else {
                    incident.triggers.push(trigger.clone());
                    incident.raised.push(raised);
                }
                self.open_rungs(at, false);
            }
            Event::Decided { trigger, answer, why, asks, settled } => {
                incident.raised.iter_mut().for_each(|raised| raised.settled |= *settled);
                // A question to other people is asked anew: who has no say in it does not stop it.
                let asked = |asks: &Option<Question>| asks.as_ref().map(|asks| asks.authority.clone());
                if *settled || asked(asks) != asked(&incident.asks) {
                    incident.words_settled = incident.words.len();
                }
                incident.answer = Some(*answer);
                incident.why.clone_from(why);
                incident.answered = Some(trigger.clone());
                incident.asks.clone_from(asks);
            }
            Event::WordGiven { who, roles, word, reason } => {
                let (who, roles, reason) = (who.clone(), roles.clone(), reason.clone());
                let role = roles.first().cloned().unwrap_or_default();
                incident.words.push(Word { who, role, roles, word: *word, at, reason });
            }
            Event::IncidentClosed { outcome } => {
                incident.closed = Some(at);
                incident.outcome = Some(*outcome);
                if let Some(closed) = self.incident.take() {
                    self.expect_incident_postmortem(at, &closed);
                    self.past_incidents.push(std::sync::Arc::new(closed));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Migration {
    fn raised(&self, at: Timestamp) -> Raised {
        Raised { at, first: at, phase: self.phase_name().map(str::to_owned), settled: false, healed: false }
    }
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
    // By this the rule was found.
    let problem = trigger.problem.as_ref().map(|problem| format!(" ({problem})")).unwrap_or_default();
    format!("{name}{problem} is {severity}, {scope}, {fix}: {answer}")
}
