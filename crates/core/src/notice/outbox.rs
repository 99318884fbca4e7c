//! What is to be told and has not been, and how far each channel is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use belay_plan::{
    model::Name,
    notify::{Channel, NoticeKind},
};
use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};

use crate::{
    event::{Event, RunKind, RunOutcome},
    id::{IncidentId, NoticeId, RunId},
    incident::Incident,
    migration::Migration,
    notice::Facts,
};

/// So long after a rollback people are reminded to talk it over.
pub const POSTMORTEM_AFTER: Duration = Duration::from_secs(48 * 3600);

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outbox {
    /// So many notices were due so far: they are numbered by it.
    pub made: u64,
    /// Due, and neither sent nor given up; the oldest first.
    pub waiting: IndexMap<NoticeId, Arc<Waiting>>,
    /// The channels that are told of the last incident.
    pub rungs: BTreeMap<Name, Rung>,
    /// What has become of notices, by channel.
    pub channels: BTreeMap<Name, ChannelState>,
    /// Rollbacks that nobody has talked over yet, and when people are reminded.
    pub postmortems: BTreeMap<RunId, Timestamp>,
}

/// One notice that is not sent yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    pub channel: Name,
    pub facts: Arc<Facts>,
    pub due: Timestamp,
    pub late_at: Option<Timestamp>,
    /// It is on record as late.
    pub late: bool,
    /// Tries that have failed.
    pub tries: u32,
    /// Not tried before.
    pub again_at: Timestamp,
    /// Why the last try failed.
    pub why: String,
}

impl Waiting {
    /// It says how an incident goes on, which the next one says better.
    fn is_update(&self) -> bool {
        self.facts.kind == NoticeKind::Incident && self.facts.update > 0
    }
}

/// How far a channel is with an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    /// When it is told next; none: not again.
    pub next: Option<Timestamp>,
    /// So often it has been told.
    pub told: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelState {
    pub sent: u64,
    pub failed: u64,
    pub last_sent: Option<Timestamp>,
    /// Since when nothing gets through, and why.
    pub failing: Option<(Timestamp, String)>,
}

impl Outbox {
    /// The next notice of each channel: one after the other, so nobody hears of the end before the beginning.
    pub fn next(&self) -> impl Iterator<Item = (&NoticeId, &Arc<Waiting>)> {
        let mut seen = BTreeSet::new();
        self.waiting.iter().filter(move |(_, waiting)| seen.insert(&waiting.channel))
    }

    /// Whether anything is still to be told.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.postmortems.is_empty()
    }

    /// What an earlier update says is old when the next one, or the end, is due. What may be on its way stays.
    fn supersede(&mut self, at: Timestamp, channel: &Name, kind: NoticeKind) {
        if !matches!(kind, NoticeKind::Incident | NoticeKind::Finished | NoticeKind::Recovered) {
            return;
        }
        let sending = self.next().find(|(_, waiting)| waiting.channel == *channel && waiting.again_at <= at);
        let sending = sending.map(|(id, _)| id.clone());
        self.waiting
            .retain(|id, waiting| waiting.channel != *channel || !waiting.is_update() || sending.as_ref() == Some(id));
    }

    fn shift(&mut self, by: SignedDuration) {
        let shifted = |at: Timestamp| at.saturating_add(by).unwrap_or(at);
        for waiting in self.waiting.values_mut() {
            let waiting = Arc::make_mut(waiting);
            waiting.again_at = shifted(waiting.again_at);
            waiting.late_at = waiting.late_at.map(shifted);
        }
        for rung in self.rungs.values_mut() {
            rung.next = rung.next.map(shifted);
        }
        for due in self.postmortems.values_mut() {
            *due = shifted(*due);
        }
    }
}

impl Migration {
    /// What the plan says of a channel.
    pub(crate) fn channel(&self, name: &str) -> Option<&Channel> {
        self.plan.as_ref()?.notify.channels.get(name)
    }

    /// The wall clock was set: people hear as soon as they were promised.
    pub(crate) fn shift_notices(&mut self, by: SignedDuration) {
        Arc::make_mut(&mut self.outbox).shift(by);
    }

    /// Whether something is to be watched, done, told or asked once more: a stream without is left alone after a restart.
    pub fn is_pending(&self) -> bool {
        self.is_live() || !self.outbox.is_idle() || !self.later_evidence().is_empty()
    }

    pub(crate) fn apply_notice(&mut self, at: Timestamp, event: &Event) -> Result<(), String> {
        let every = |outbox: &Outbox, channel: &Name| -> Option<Timestamp> {
            let every = SignedDuration::try_from(self.channel(channel)?.every?).ok()?;
            let mut next = outbox.rungs.get(channel)?.next? + every;
            // Nobody is told now what was missed while nothing was sent.
            while next <= at {
                next += every;
            }
            Some(next)
        };
        match event {
            Event::NoticeDue { notice, channel, facts, late_at } => {
                let next = every(&self.outbox, channel);
                let outbox = Arc::make_mut(&mut self.outbox);
                outbox.made += 1;
                outbox.supersede(at, channel, facts.kind);
                if facts.kind == NoticeKind::Incident
                    && let Some(rung) = outbox.rungs.get_mut(channel)
                {
                    (rung.next, rung.told) = (next, rung.told + 1);
                }
                let waiting = Waiting {
                    channel: channel.clone(),
                    facts: facts.clone(),
                    due: at,
                    late_at: *late_at,
                    late: false,
                    tries: 0,
                    again_at: at,
                    why: String::new(),
                };
                outbox.waiting.insert(notice.clone(), Arc::new(waiting));
            }
            Event::NoticeSent { notice, .. } => {
                let outbox = Arc::make_mut(&mut self.outbox);
                let sent = outbox.waiting.shift_remove(notice).ok_or("there is no such notice")?;
                let channel = outbox.channels.entry(sent.channel.clone()).or_default();
                channel.sent += 1;
                (channel.last_sent, channel.failing) = (Some(at), None);
            }
            Event::NoticeFailed { notice, why, again_at, .. } => {
                let outbox = Arc::make_mut(&mut self.outbox);
                let waiting = outbox.waiting.get_mut(notice).ok_or("there is no such notice")?;
                let channel = outbox.channels.entry(waiting.channel.clone()).or_default();
                let since = channel.failing.as_ref().map_or(at, |(since, _)| *since);
                channel.failing = Some((since, why.clone()));
                match again_at {
                    Some(again_at) => {
                        let waiting = Arc::make_mut(waiting);
                        waiting.tries += 1;
                        waiting.again_at = *again_at;
                        waiting.why.clone_from(why);
                    }
                    None => {
                        channel.failed += 1;
                        outbox.waiting.shift_remove(notice);
                    }
                }
            }
            Event::NoticeLate { notice, .. } => {
                let outbox = Arc::make_mut(&mut self.outbox);
                let waiting = outbox.waiting.get_mut(notice).ok_or("there is no such notice")?;
                Arc::make_mut(waiting).late = true;
            }
            Event::PostmortemDue { run } | Event::PostmortemHeld { run, .. } => {
                Arc::make_mut(&mut self.outbox).postmortems.remove(run);
            }
            _ => {}
        }
        Ok(())
    }

    /// The channels that are told of the incident from now on, after a trigger has opened or joined it.
    pub(crate) fn open_rungs(&mut self, opened: Timestamp, first: bool) {
        let Some(plan) = self.plan.clone().filter(|plan| !plan.notify.channels.is_empty()) else { return };
        let felt = self.incident.as_ref().is_some_and(|incident| self.is_felt_by_customers(&incident.id));
        let outbox = Arc::make_mut(&mut self.outbox);
        if first {
            outbox.rungs.clear();
        }
        let told =
            |channel: &&Channel| channel.events.contains(&NoticeKind::Incident) && (felt || !channel.customer_facing);
        for (name, channel) in plan.notify.channels.iter().filter(|(_, channel)| told(channel)) {
            let after = channel.after.unwrap_or_default();
            outbox.rungs.entry(name.clone()).or_insert(Rung { next: Some(opened + after), told: 0 });
        }
    }

    /// Whether customers feel an incident. In a drill they feel nothing.
    pub(crate) fn is_felt_by_customers(&self, incident: &IncidentId) -> bool {
        let (Some(incident), Some(plan)) = (self.find_incident(incident), &self.plan) else { return false };
        let facing = |name: &Name| plan.triggers.get(name).is_some_and(|trigger| trigger.is_customer_facing());
        !self.is_of_drill(incident) && incident.triggers.iter().any(facing)
    }

    pub(crate) fn is_of_drill(&self, incident: &Incident) -> bool {
        let drilled = self.drill.as_ref().and_then(|drill| drill.incident.as_ref()) == Some(&incident.id);
        let run = incident.run.as_ref().and_then(|run| self.find_run(run));
        drilled || run.is_some_and(|run| run.kind == RunKind::Drill)
    }

    pub fn find_incident(&self, id: &IncidentId) -> Option<&Incident> {
        let known = self.incident.iter().chain(self.past_incidents.iter().rev().map(AsRef::as_ref));
        known.into_iter().find(|incident| incident.id == *id)
    }

    pub(crate) fn expect_postmortem(&mut self, at: Timestamp, run: &RunId, kind: RunKind, outcome: RunOutcome) {
        let wanted = |channel: &Channel| channel.events.contains(&NoticeKind::PostmortemDue);
        let told = self.plan.as_ref().is_some_and(|plan| plan.notify.channels.values().any(wanted));
        let over = matches!(outcome, RunOutcome::RolledBack | RunOutcome::Aborted);
        if told && over && kind == RunKind::Real {
            Arc::make_mut(&mut self.outbox).postmortems.insert(run.clone(), at + POSTMORTEM_AFTER);
        }
    }
}
