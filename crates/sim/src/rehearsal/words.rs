//! What people say to incidents, and when: each entry of the script that decides is one person. Where none fits, the people
//! whom the question asks say what the script says of everything.

use std::collections::{BTreeMap, BTreeSet};

use belay_core::{
    decision,
    id::IncidentId,
    incident::Incident,
    input::{Asked, Authority as Asking, Command, Refusal, RefusalKind, Verb},
    migration::Migration,
};
use belay_plan::model::{Answer as Decision, Authority, Name};
use jiff::Timestamp;

use crate::{
    chance::Chance,
    rehearsal::script::{Answer, Decides, Person, Says, Script, Span, Word},
};

/// Who speaks: an entry of the script by its number, or the one who has the role at this place of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Speaker {
    Entry(usize),
    Asked(usize),
}

/// One person's word on one incident.
pub(crate) type WordKey = (IncidentId, Speaker);

#[derive(Default)]
pub(crate) struct Words {
    /// When each of them is said: drawn once.
    times: BTreeMap<WordKey, Timestamp>,
    said: BTreeSet<WordKey>,
    /// Entries that an incident fitted, and those that were heard.
    fitted: BTreeSet<usize>,
    heard: BTreeSet<usize>,
    /// Why nothing came of an entry.
    refused: BTreeMap<usize, &'static str>,
}

impl Words {
    /// The next word on the incident that is open. `heard`: the entry of the script for everything, where that speaks.
    pub(crate) fn next(
        &mut self,
        script: &Script,
        state: &Migration,
        chance: &mut Chance,
        heard: &mut BTreeSet<usize>,
    ) -> Option<(Timestamp, WordKey, Command)> {
        let incident = state.incident.as_ref()?;
        let number = state.past_incidents.len() + 1;
        let authority = decision::authority(state, incident);
        let fitting: Vec<(usize, &Decides, Span)> = script
            .people
            .iter()
            .enumerate()
            .filter_map(|(place, person)| Some((place, decides(person)?, person.after)))
            .filter(|(_, decides, _)| fits(decides, incident, number))
            .collect();
        self.fitted.extend(fitting.iter().map(|(place, ..)| *place));
        let spoken = match fitting.is_empty() {
            true if state.open_run().is_some() || incident.answer == Some(Decision::RollBack) => Vec::new(),
            true => usual(script, &authority, heard),
            false => fitting
                .iter()
                .filter_map(|(place, decides, after)| by_entry(script, *place, decides, *after, &authority))
                .collect(),
        };
        let mut next: Option<(Timestamp, WordKey, Command)> = None;
        for Spoken { speaker, role, number, after, roll_back } in spoken {
            let key = (incident.id.clone(), speaker);
            if self.said.contains(&key) {
                continue;
            }
            let at = *self.times.entry(key.clone()).or_insert_with(|| incident.opened + after.draw(chance));
            if next.as_ref().is_none_or(|(earlier, ..)| at < *earlier) {
                let asked = Asked {
                    authority: Asking::Roles(vec![role.clone()]),
                    ..Asked::new(format!("{role} {number}"), "as rehearsed")
                };
                next = Some((at, key, asked.command(Verb::Decide { roll_back })));
            }
        }
        next
    }

    pub(crate) fn was_said(&mut self, key: WordKey, refusal: Option<&Refusal>) {
        if let Speaker::Entry(entry) = key.1 {
            match refusal.map(|refusal| &refusal.kind) {
                None => {
                    self.heard.insert(entry);
                }
                Some(RefusalKind::AlreadyRunning { .. }) => {
                    self.refused.insert(entry, "came too late: the rollback had begun");
                }
                Some(RefusalKind::NotAllowed { .. }) => {
                    self.refused.insert(entry, "has no say: the rule does not ask for the role");
                }
                Some(_) => {
                    self.refused.insert(entry, "came to nothing: it was said or decided before");
                }
            }
        }
        self.said.insert(key);
    }

    /// What became of an entry that decides, if nothing did.
    pub(crate) fn unmet(&self, entry: usize, decides: &Decides) -> Option<String> {
        let called = format!("entry {} of `people` (`decide`)", entry + 1);
        match self.refused.get(&entry) {
            _ if self.heard.contains(&entry) => None,
            Some(why) => Some(format!("{called} {why}")),
            None if !self.fitted.contains(&entry) => Some(format!("{called} was never asked: no such incident")),
            None if decides.word == Word::Nothing => None,
            None => Some(format!("{called} came too late: the incident was over")),
        }
    }
}

pub(crate) fn decides(person: &Person) -> Option<&Decides> {
    match &person.says {
        Says::Incident(decides) => Some(decides),
        Says::Steps { .. } => None,
    }
}

struct Spoken {
    speaker: Speaker,
    role: Name,
    /// Of those with this role.
    number: usize,
    after: Span,
    roll_back: bool,
}

fn fits(decides: &Decides, incident: &Incident, number: usize) -> bool {
    decides.trigger.as_ref().is_none_or(|trigger| incident.triggers.contains(trigger))
        && decides.incident.is_none_or(|wanted| wanted == number)
}

fn by_entry(script: &Script, place: usize, decides: &Decides, after: Span, authority: &Authority) -> Option<Spoken> {
    let roll_back = match decides.word {
        Word::RollBack => true,
        Word::FixForward => false,
        Word::Nothing => return None,
    };
    let earlier = script.people[..place].iter().filter_map(self::decides);
    let number = earlier.filter(|other| other.role == decides.role).count() + 1;
    let role = decides.role.clone().or_else(|| authority.roles().first().cloned())?;
    Some(Spoken { speaker: Speaker::Entry(place), role, number, after, roll_back })
}

/// Everybody whom the question asks.
fn usual(script: &Script, authority: &Authority, heard: &mut BTreeSet<usize>) -> Vec<Spoken> {
    let (entry, answer, after) = script.answer(None, 0);
    heard.extend(entry);
    if answer == Answer::Nothing {
        return Vec::new();
    }
    let roles = match authority {
        Authority::AnyOf(roles) => roles.get(..1).unwrap_or_default(),
        Authority::AllOf { all } => all,
    };
    let spoken = |(place, role): (usize, &Name)| Spoken {
        speaker: Speaker::Asked(place),
        role: role.clone(),
        number: 1 + roles[..place].iter().filter(|earlier| *earlier == role).count(),
        after,
        roll_back: answer == Answer::Approve,
    };
    roles.iter().enumerate().map(spoken).collect()
}
