//! What people and rules decided, who was told when, and whether the run was talked over.

use belay_core::{
    event::{Event, Record},
    id::NoticeId,
    notice::{Facts, refused},
};
use indexmap::IndexMap;
use jiff::Timestamp;

use crate::{
    course::Course,
    model::{Listing, NoticeState, PostmortemHeld, ReportDecision, ReportNotice},
    shown, words,
};

const DECISIONS_MAX: usize = 200;
const NOTICES_MAX: usize = 400;

pub(crate) fn decisions(course: &Course) -> Listing<ReportDecision> {
    Listing::of(course.told().iter().filter_map(decision).collect(), DECISIONS_MAX)
}

fn decision(record: &Record) -> Option<ReportDecision> {
    let (who, what, why) = match &record.event {
        // The word that was given stands by itself.
        Event::Commanded { verb, .. } if verb == "decide" => return None,
        Event::Commanded { verb, reason, detail, .. } => {
            let step = detail["step"].as_str().map_or(String::new(), |step| format!(" {step}"));
            (&record.actor, format!("{}{step}", words::words(verb)), reason)
        }
        Event::WordGiven { who, roles, word, reason } => {
            let roles = if roles.is_empty() { String::new() } else { format!(" (as {})", roles.join(", ")) };
            (who, format!("word: {}{roles}", words::words(word.as_str())), reason)
        }
        Event::Decided { answer, why, .. } => {
            (&record.actor, format!("decided: {}", belay_narrate::words::answer(*answer)), why)
        }
        Event::DrillStarted { reason, .. } => (&record.actor, "drill started".to_owned(), reason),
        _ => return None,
    };
    Some(ReportDecision { at: record.at, who: shown(who), what: shown(what), why: shown(why) })
}

/// The notices of the run and its incident, and those that were due meanwhile.
pub(crate) fn notices(course: &Course) -> Listing<ReportNotice> {
    let mut notices: IndexMap<&NoticeId, ReportNotice> = IndexMap::new();
    for (index, record) in course.records.iter().enumerate() {
        match &record.event {
            Event::NoticeDue { notice, channel, facts, since, instead_of, .. }
                if course.story.contains(&index) || is_of(course, facts) =>
            {
                let mut new = due(since.unwrap_or(record.at), channel, facts);
                // The new one tells what this one was to tell, and was late and not taken with it.
                let contained = match instead_of {
                    Some(renewed) if renewed == notice => notices.get(renewed).cloned(),
                    Some(contained) => notices.shift_remove(contained),
                    None => None,
                };
                if let Some(old) = contained {
                    (new.late, new.failed, new.text) = (old.late, old.failed, old.text);
                }
                notices.insert(notice, new);
            }
            Event::NoticeSent { notice, answer, .. } => {
                if let Some(notice) = notices.get_mut(notice) {
                    (notice.state, notice.at, notice.text) = (NoticeState::Sent, Some(record.at), shown(answer));
                    notice.refused = refused(answer).map(shown);
                }
            }
            Event::NoticeFailed { notice, why, again_at, .. } => {
                if let Some(notice) = notices.get_mut(notice) {
                    notice.failed += 1;
                    notice.text = shown(why);
                    if again_at.is_none() {
                        (notice.state, notice.at) = (NoticeState::GivenUp, Some(record.at));
                    }
                }
            }
            Event::NoticeDropped { notice, why, .. } => {
                if let Some(notice) = notices.get_mut(notice) {
                    (notice.state, notice.at, notice.text) = (NoticeState::Dropped, Some(record.at), shown(why));
                }
            }
            Event::NoticeLate { notice, .. } => {
                if let Some(notice) = notices.get_mut(notice) {
                    notice.late = true;
                }
            }
            _ => {}
        }
    }
    Listing::of(notices.into_values().collect(), NOTICES_MAX)
}

fn is_of(course: &Course, facts: &Facts) -> bool {
    let of_run = facts.run.as_ref().is_some_and(|run| run.id == course.run.id);
    let incident = course.incident.as_ref().map(|incident| &incident.id);
    of_run || facts.incident.as_ref().is_some_and(|facts| Some(&facts.id) == incident)
}

fn due(at: Timestamp, channel: &str, facts: &Facts) -> ReportNotice {
    ReportNotice {
        channel: shown(channel),
        about: shown(words::name(&facts.kind)),
        update: facts.update,
        due: at,
        state: NoticeState::Waiting,
        at: None,
        late: false,
        failed: 0,
        text: shown(""),
        refused: None,
    }
}

pub(crate) fn postmortem_held(course: &Course) -> Option<PostmortemHeld> {
    let last = course.records.iter().rev().find_map(|record| match &record.event {
        Event::PostmortemHeld { run, link } if *run == course.run.id => Some((record, link)),
        Event::IncidentPostmortemHeld { incident, link } if !course.has_run && incident.0 == course.run.id.0 => {
            Some((record, link))
        }
        _ => None,
    });
    last.map(|(record, link)| PostmortemHeld { at: record.at, by: shown(&record.actor), link: shown(link) })
}
