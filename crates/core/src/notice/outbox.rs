//! What is to be told and has not been, and how far each channel is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use belay_plan::{
    model::Name,
    notify::{Channel, NoticeKind, Notify},
};
use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    event::{Event, RunKind, RunOutcome},
    id::{IncidentId, NoticeId, RunId},
    incident::Incident,
    migration::Migration,
    notice::{Facts, Trouble, refused},
    watch::{Truth, health_in, truth},
};

/// So long after a rollback people are reminded to talk it over.
pub const POSTMORTEM_AFTER: Duration = Duration::from_secs(48 * 3600);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outbox {
    /// So many notices were due so far: they are numbered by it.
    pub made: u64,
    /// Due, and neither sent nor given up; the oldest first.
    pub waiting: IndexMap<NoticeId, Arc<Waiting>>,
    /// The channels that are told of the last incident.
    pub rungs: BTreeMap<Name, Rung>,
    /// What has become of notices, by channel.
    pub channels: BTreeMap<Name, ChannelState>,
    /// What each channel was told of, and not yet of its end.
    pub standing: BTreeMap<Name, BTreeSet<Trouble>>,
    /// Rollbacks that nobody has talked over yet, and when people are reminded.
    pub postmortems: BTreeMap<RunId, Timestamp>,
    /// The same of incidents in which nothing was rolled back.
    pub incident_postmortems: BTreeMap<IncidentId, Timestamp>,
}

/// One notice that is not sent yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    pub channel: Name,
    pub facts: Arc<Facts>,
    /// When it should have been sent.
    pub due: Timestamp,
    /// Since when it is on record.
    pub made: Timestamp,
    pub late_at: Option<Timestamp>,
    /// It is on record as late.
    pub late: bool,
    /// Tries that have failed.
    pub tries: u32,
    fresh: bool,
    /// Not tried before.
    pub again_at: Timestamp,
    /// The receiver has asked for that time.
    pub asked: bool,
    /// Why the last try failed.
    pub why: String,
}

impl Waiting {
    /// It says how an incident goes on, which the next one says better.
    fn is_update(&self) -> bool {
        self.facts.kind == NoticeKind::Incident && self.facts.update > 0
    }

    /// It asks people for something that the run waits for.
    pub(super) fn asks(&self) -> bool {
        matches!(self.facts.kind, NoticeKind::Approval | NoticeKind::Halted)
    }

    pub(crate) fn run(&self) -> Option<&RunId> {
        self.facts.run.as_ref().map(|run| &run.id)
    }

    /// People act by it: it is tried at once, whatever has become of others, and given up for none of them.
    pub(super) fn is_urgent(&self) -> bool {
        is_urgent(&self.facts)
    }

    /// It is urgent, and its present words were not tried before: it goes beside what is on its way.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    pub(super) fn tells_of(&self, kinds: &[NoticeKind], incident: Option<&IncidentId>) -> bool {
        kinds.contains(&self.facts.kind) && self.incident() == incident
    }

    pub(crate) fn incident(&self) -> Option<&IncidentId> {
        self.facts.incident.as_ref().map(|incident| &incident.id)
    }
}

/// The end of an incident.
pub(super) const ENDS: [NoticeKind; 2] = [NoticeKind::Finished, NoticeKind::Recovered];

pub(super) fn is_urgent(facts: &Facts) -> bool {
    match facts.kind {
        NoticeKind::Incident => facts.update == 0 || !facts.joined.is_empty(),
        NoticeKind::Decision
        | NoticeKind::Approval
        | NoticeKind::StepFailed
        | NoticeKind::Halted
        | NoticeKind::Finished
        | NoticeKind::Recovered => true,
        NoticeKind::Armed
        | NoticeKind::Readiness
        | NoticeKind::Phase
        | NoticeKind::PointOfNoReturn
        | NoticeKind::Muted
        | NoticeKind::Blind
        | NoticeKind::PostmortemDue => false,
    }
}

/// How far a channel is with an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// When it is told next; none: not again.
    pub next: Option<Timestamp>,
    /// So often it was to be told.
    pub told: u32,
    /// So many of those were given up.
    pub lost: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelState {
    pub sent: u64,
    pub failed: u64,
    pub last_sent: Option<Timestamp>,
    /// Since when nothing gets through, and why.
    pub failing: Option<(Timestamp, String)>,
    /// What was given up since the migration was armed: in sight until it is armed anew.
    pub given_up: Option<GivenUp>,
    /// The same of notices that some of their recipients got, and others not: `why` lists these.
    pub refused: Option<GivenUp>,
}

/// Notices that people were to get, and will not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    pub count: u64,
    /// Of the last one.
    pub at: Timestamp,
    pub about: NoticeKind,
    pub why: String,
}

impl GivenUp {
    /// With those before it.
    fn after(before: Option<&Self>, at: Timestamp, about: NoticeKind, why: &str) -> Self {
        Self { count: before.map_or(0, |before| before.count) + 1, at, about, why: why.to_owned() }
    }
}

fn rank(waiting: &Waiting) -> (bool, Timestamp) {
    (!waiting.is_fresh(), waiting.again_at)
}

/// So many notices that are urgent and were not tried before are on their way to a channel at once. An answer that does not come
/// holds up none of them, and what waits behind them becomes one notice.
pub const URGENT_AT_ONCE: usize = 4;

impl Outbox {
    /// The notices of each channel that are tried next: the first of those that are urgent and were not tried yet, then the one
    /// of the rest whose time comes first; of several, the oldest. So a notice that its receiver does not take holds up none but the
    /// end of what it tells of: nobody hears of the end before the beginning.
    pub fn next(&self) -> impl Iterator<Item = (&NoticeId, &Arc<Waiting>)> {
        let begun = self.waiting.values().filter(|waiting| waiting.facts.kind == NoticeKind::Incident);
        let begun: BTreeSet<_> = begun.map(|waiting| (&waiting.channel, waiting.incident())).collect();
        let held = |waiting: &Waiting| {
            ENDS.contains(&waiting.facts.kind) && begun.contains(&(&waiting.channel, waiting.incident()))
        };
        let mut lanes: BTreeMap<&Name, Vec<(&NoticeId, &Arc<Waiting>)>> = BTreeMap::new();
        for (id, waiting) in self.waiting.iter().filter(|(_, waiting)| !held(waiting)) {
            lanes.entry(&waiting.channel).or_default().push((id, waiting));
        }
        lanes.into_values().flat_map(|mut lane| {
            lane.sort_by_key(|(_, waiting)| rank(waiting));
            let fresh = lane.iter().filter(|(_, waiting)| waiting.is_fresh()).take(URGENT_AT_ONCE);
            let rest = lane.iter().find(|(_, waiting)| !waiting.is_fresh());
            fresh.chain(rest).copied().collect::<Vec<_>>()
        })
    }

    pub(super) fn of_channel<'o>(
        &'o self,
        channel: &'o Name,
    ) -> impl Iterator<Item = (&'o NoticeId, &'o Arc<Waiting>)> {
        self.waiting.iter().filter(move |(_, waiting)| waiting.channel == *channel)
    }

    /// What may be on its way: of what is urgent and new, and of the rest, the first whose time has come.
    pub(super) fn sending(&self, at: Timestamp, channel: &Name) -> Vec<NoticeId> {
        let first = |fresh: bool, count: usize| {
            let ready = self.of_channel(channel).filter(|(_, waiting)| waiting.again_at <= at);
            let mut ready: Vec<_> = ready.filter(|(_, waiting)| waiting.is_fresh() == fresh).collect();
            ready.sort_by_key(|(_, waiting)| waiting.again_at);
            ready.into_iter().take(count).map(|(id, _)| id.clone())
        };
        first(true, URGENT_AT_ONCE).chain(first(false, 1)).collect()
    }

    /// Whether anything is still to be told.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.postmortems.is_empty() && self.incident_postmortems.is_empty()
    }

    /// What an earlier update says is old when the next one, or the end, is due; after the end nobody is asked for anything.
    /// What may be on its way stays.
    pub(super) fn superseded(&self, at: Timestamp, channel: &Name, facts: &Facts) -> Vec<NoticeId> {
        let ends = ENDS.contains(&facts.kind);
        if !ends && facts.kind != NoticeKind::Incident {
            return Vec::new();
        }
        let sending = self.sending(at, channel);
        let run = facts.run.as_ref().map(|run| &run.id).filter(|_| ends);
        let asks = |waiting: &Waiting| waiting.asks() && run.is_some_and(|run| waiting.run() == Some(run));
        let old = self.of_channel(channel).filter(|(_, waiting)| waiting.is_update() || asks(waiting));
        old.map(|(id, _)| id.clone()).filter(|id| !sending.contains(id)).collect()
    }

    /// The beginning of an incident is tried with its end: that waits for it.
    fn hurry_beginning(&mut self, at: Timestamp, channel: &Name, end: &Facts) {
        let incident = end.incident.as_ref().map(|incident| incident.id.clone());
        for waiting in self.waiting.values_mut().filter(|waiting| {
            waiting.channel == *channel
                && !waiting.asked
                && waiting.again_at > at
                && waiting.tells_of(&[NoticeKind::Incident], incident.as_ref())
        }) {
            Arc::make_mut(waiting).again_at = at;
        }
    }

    /// When a notice that becomes due now is tried first. While a channel fails, only what is urgent is tried at once.
    fn first_try(&self, at: Timestamp, channel: &Name, facts: &Facts) -> Timestamp {
        let failing = self.channels.get(channel).is_some_and(|channel| channel.failing.is_some());
        if is_urgent(facts) || !failing {
            return at;
        }
        let tried = self.of_channel(channel).filter(|(_, waiting)| waiting.tries > 0);
        tried.map(|(_, waiting)| waiting.again_at).min().unwrap_or(at).max(at)
    }

    /// The channel takes notices: what has waited for that waits no longer, also where the receiver had asked for more time.
    /// What has failed and still waits stays in sight until it has got through.
    fn works_again(&mut self, at: Timestamp, channel: &Name) {
        let held = |waiting: &Waiting| waiting.channel == *channel && waiting.again_at > at;
        for waiting in self.waiting.values_mut().filter(|waiting| held(waiting)) {
            Arc::make_mut(waiting).again_at = at;
        }
        let failed =
            self.of_channel(channel).filter(|(_, waiting)| waiting.tries > 0).map(|(_, waiting)| waiting).last();
        let why = failed.map(|waiting| waiting.why.clone());
        if let Some(state) = self.channels.get_mut(channel) {
            state.failing = state.failing.take().zip(why).map(|((since, _), why)| (since, why));
        }
    }

    /// The channel has begun to fail: what is not urgent, and was not tried yet, waits for the next try.
    fn begins_to_fail(&mut self, until: Timestamp, channel: &Name) {
        let waits = |waiting: &Waiting| waiting.channel == *channel && waiting.tries == 0 && !waiting.is_urgent();
        for waiting in self.waiting.values_mut().filter(|waiting| waits(waiting) && waiting.again_at < until) {
            Arc::make_mut(waiting).again_at = until;
        }
    }

    /// A try has failed, or the notice was given up untried. `last`: the incident that the rungs are for.
    fn failed(
        &mut self,
        at: Timestamp,
        notice: &NoticeId,
        why: &str,
        again_at: Option<Timestamp>,
        asked: bool,
        last: Option<&IncidentId>,
    ) -> Result<(), String> {
        let waiting = self.waiting.get_mut(notice).ok_or("there is no such notice")?;
        let (name, about) = (waiting.channel.clone(), waiting.facts.kind);
        let channel = self.channels.entry(name.clone()).or_default();
        let begins = channel.failing.is_none();
        let since = channel.failing.as_ref().map_or(at, |(since, _)| *since);
        channel.failing = Some((since, why.to_owned()));
        let Some(again_at) = again_at else {
            channel.failed += 1;
            channel.given_up = Some(GivenUp::after(channel.given_up.as_ref(), at, about, why));
            let lost = self.waiting.shift_remove(notice);
            if lost.is_some_and(|lost| lost.tells_of(&[NoticeKind::Incident], last))
                && let Some(rung) = self.rungs.get_mut(&name)
            {
                rung.lost += 1;
            }
            return Ok(());
        };
        let waiting = Arc::make_mut(waiting);
        waiting.tries += 1;
        (waiting.again_at, waiting.asked, waiting.fresh) = (again_at, asked, false);
        why.clone_into(&mut waiting.why);
        let (is_update, incident) = (waiting.is_update(), waiting.incident().cloned());
        if begins {
            self.begins_to_fail(again_at, &name);
        }
        // It was on its way when a newer one became due.
        let later = self.waiting.iter().skip_while(|(id, _)| *id != notice).skip(1);
        let mut later = later.filter(|(_, later)| later.channel == name);
        let newer = [NoticeKind::Incident, NoticeKind::Finished, NoticeKind::Recovered];
        if is_update && later.any(|(_, later)| later.tells_of(&newer, incident.as_ref())) {
            self.waiting.shift_remove(notice);
        }
        Ok(())
    }

    /// That a notice was taken proves nothing of a channel that the plan has changed since.
    pub(crate) fn forget_changed(&mut self, before: &Notify, now: &Notify) {
        for (name, channel) in &mut self.channels {
            let same = before.channels.get(name).zip(now.channels.get(name)).is_some_and(|(a, b)| a.leads_where(b));
            if !same {
                channel.last_sent = None;
            }
        }
    }

    /// Whoever arms the migration has seen what became of earlier notices.
    pub(crate) fn seen(&mut self) {
        self.channels.values_mut().for_each(|channel| (channel.given_up, channel.refused) = (None, None));
    }

    fn shift(&mut self, by: SignedDuration) {
        let shifted = |at: Timestamp| at.saturating_add(by).unwrap_or(at);
        for waiting in self.waiting.values_mut() {
            let waiting = Arc::make_mut(waiting);
            // A notice is as old as before: it is of use for as long, and not later than it was.
            (waiting.made, waiting.due) = (shifted(waiting.made), shifted(waiting.due));
            waiting.again_at = shifted(waiting.again_at);
            waiting.late_at = waiting.late_at.map(shifted);
        }
        for rung in self.rungs.values_mut() {
            rung.next = rung.next.map(shifted);
        }
        for due in self.postmortems.values_mut().chain(self.incident_postmortems.values_mut()) {
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
            let next = outbox.rungs.get(channel)?.next?;
            // Told out of turn: a trigger has joined the incident.
            if next > at {
                return Some(next);
            }
            let mut next = next + every;
            // Nobody is told now what was missed while nothing was sent.
            while next <= at {
                next += every;
            }
            Some(next)
        };
        match event {
            Event::NoticeDue { notice, channel, facts, late_at, since, instead_of } => {
                let next = every(&self.outbox, channel);
                let outbox = Arc::make_mut(&mut self.outbox);
                outbox.made += 1;
                // The same notice with news in it keeps its place, and what became of it.
                let renewed = instead_of.as_ref() == Some(notice);
                let replaced = match instead_of {
                    Some(replaced) if renewed => outbox.waiting.get(replaced).cloned(),
                    Some(replaced) => outbox.waiting.shift_remove(replaced),
                    None => None,
                };
                // An earlier version did not put on record what it dropped.
                for old in outbox.superseded(at, channel, facts) {
                    outbox.waiting.shift_remove(&old);
                }
                if let Some(trouble) = facts.trouble() {
                    let standing = outbox.standing.entry(channel.clone()).or_default();
                    if facts.is_over() {
                        standing.remove(&trouble);
                    } else {
                        standing.insert(trouble);
                    }
                }
                if ENDS.contains(&facts.kind) {
                    outbox.hurry_beginning(at, channel, facts);
                }
                if facts.kind == NoticeKind::Incident
                    && instead_of.is_none()
                    && let Some(rung) = outbox.rungs.get_mut(channel)
                {
                    (rung.next, rung.told) = (next, rung.told + 1);
                }
                let mut waiting = Waiting {
                    channel: channel.clone(),
                    facts: facts.clone(),
                    due: since.unwrap_or(at),
                    made: at,
                    late_at: *late_at,
                    late: false,
                    tries: 0,
                    fresh: is_urgent(facts),
                    again_at: outbox.first_try(at, channel, facts),
                    asked: false,
                    why: String::new(),
                };
                if let Some(replaced) = replaced {
                    // What tells the same anew does not come sooner than its receiver has asked for.
                    let asked = replaced.asked && replaced.again_at > at;
                    (waiting.late, waiting.tries, waiting.why) = (replaced.late, replaced.tries, replaced.why.clone());
                    if renewed {
                        waiting.made = replaced.made;
                    }
                    if asked {
                        (waiting.again_at, waiting.asked, waiting.fresh) = (replaced.again_at, true, false);
                    }
                }
                outbox.waiting.insert(notice.clone(), Arc::new(waiting));
            }
            Event::NoticeSent { notice, about, answer, .. } => {
                let outbox = Arc::make_mut(&mut self.outbox);
                let sent = outbox.waiting.shift_remove(notice).ok_or("there is no such notice")?;
                let channel = outbox.channels.entry(sent.channel.clone()).or_default();
                channel.sent += 1;
                channel.last_sent = Some(at);
                if let Some(who) = refused(answer) {
                    channel.refused = Some(GivenUp::after(channel.refused.as_ref(), at, *about, who));
                }
                outbox.works_again(at, &sent.channel);
            }
            Event::NoticeFailed { notice, why, again_at, asked, .. } => {
                let last = self.incident.as_ref().or(self.past_incidents.last().map(AsRef::as_ref));
                let last = last.map(|incident| incident.id.clone());
                Arc::make_mut(&mut self.outbox).failed(at, notice, why, *again_at, *asked, last.as_ref())?;
            }
            Event::NoticeDropped { notice, .. } => {
                Arc::make_mut(&mut self.outbox).waiting.shift_remove(notice);
            }
            Event::NoticeLate { notice, .. } => {
                let outbox = Arc::make_mut(&mut self.outbox);
                let waiting = outbox.waiting.get_mut(notice).ok_or("there is no such notice")?;
                Arc::make_mut(waiting).late = true;
            }
            Event::PostmortemDue { run } | Event::PostmortemHeld { run, .. } => {
                Arc::make_mut(&mut self.outbox).postmortems.remove(run);
            }
            Event::IncidentPostmortemDue { incident } | Event::IncidentPostmortemHeld { incident, .. } => {
                Arc::make_mut(&mut self.outbox).incident_postmortems.remove(incident);
            }
            _ => {}
        }
        Ok(())
    }

    /// The channels that are told of the incident from now on, after a trigger has opened or joined it. A channel for
    /// incidents that customers feel counts its times from when they do.
    pub(crate) fn open_rungs(&mut self, at: Timestamp, first: bool) {
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
            outbox.rungs.entry(name.clone()).or_insert(Rung { next: Some(at + after), told: 0, lost: 0 });
        }
    }

    /// A channel with `after` hears of incidents that last. No reading shows that before the signals are read after an outage, nor
    /// while the incident heals: until then the channel waits.
    pub(super) fn is_rung_held(&self, channel: &str) -> bool {
        let (Some(incident), Some(plan)) = (&self.incident, &self.plan) else { return false };
        let lasts = |name: &Name| {
            let trigger = plan.triggers.get(name);
            trigger.is_some_and(|trigger| truth(&trigger.when, &health_in(&self.signals)) == Truth::True)
        };
        let untold = self.outbox.rungs.get(channel).is_some_and(|rung| rung.told == rung.lost);
        let waits = plan.notify.channels.get(channel).is_some_and(|channel| channel.after.is_some());
        untold && waits && !incident.triggers.iter().any(lasts)
    }

    /// Whether customers feel an incident. In a drill they feel nothing.
    pub(crate) fn is_felt_by_customers(&self, incident: &IncidentId) -> bool {
        self.find_incident(incident).is_some_and(|incident| self.felt_since(incident).is_some())
    }

    /// When the first of its triggers fired that customers feel. One that heals and fires anew does not move it.
    pub(super) fn felt_since(&self, incident: &Incident) -> Option<Timestamp> {
        let plan = self.plan.as_ref().filter(|_| !self.is_of_drill(incident))?;
        let facing = |name: &Name| plan.triggers.get(name).is_some_and(|trigger| trigger.is_customer_facing());
        let fired = incident.triggers.iter().zip(&incident.raised);
        fired.filter(|(name, _)| facing(name)).map(|(_, raised)| raised.first).min()
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
        let over = matches!(outcome, RunOutcome::RolledBack | RunOutcome::Aborted);
        if self.reminds_of_postmortems() && over && kind == RunKind::Real {
            Arc::make_mut(&mut self.outbox).postmortems.insert(run.clone(), at + POSTMORTEM_AFTER);
        }
    }

    /// An incident has been closed. Where it was rolled back, its run is talked over.
    pub(crate) fn expect_incident_postmortem(&mut self, at: Timestamp, incident: &Incident) {
        if self.reminds_of_postmortems() && incident.run.is_none() && !self.is_of_drill(incident) {
            let incident = incident.id.clone();
            Arc::make_mut(&mut self.outbox).incident_postmortems.insert(incident, at + POSTMORTEM_AFTER);
        }
    }

    fn reminds_of_postmortems(&self) -> bool {
        let wanted = |channel: &Channel| channel.events.contains(&NoticeKind::PostmortemDue);
        self.plan.as_ref().is_some_and(|plan| plan.notify.channels.values().any(wanted))
    }
}
