//! Which notices are due: what has happened, held against what the plan's channels want to hear.

use std::sync::Arc;

use belay_plan::{
    model::Name,
    notify::{Channel, NoticeKind},
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    decide::Deciding,
    event::{Event, IncidentOutcome, StepEvent},
    id::{IncidentId, NoticeId, RunId, id_text},
    input::{NotSent, Retry},
    migration::Migration,
    notice::{Facts, Waiting, gather::Told},
    readiness::CheckVerdict,
};

/// The wait after the first try that failed; it doubles up to the longest.
const BACKOFF: SignedDuration = SignedDuration::from_secs(2);
const BACKOFF_MAX: SignedDuration = SignedDuration::from_mins(10);

/// What a receiver asks for with `Retry-After` is honoured up to this.
const ASKED_MAX: SignedDuration = SignedDuration::from_hours(1);

/// A notice that was not sent within a day is of no more use.
const OF_USE: SignedDuration = SignedDuration::from_hours(24);

/// More notices do not wait for one channel: what comes on top is given up, the oldest first.
const WAITING_MAX: usize = 200;

impl Deciding {
    /// Everything else has been decided: what is to be told of it, and of what was due by now.
    pub(crate) fn follow_notices(&mut self) {
        self.follow_postmortems();
        self.follow_late();
        let Some(plan) = self.state.plan.clone().filter(|plan| !plan.notify.channels.is_empty()) else { return };
        let happened = self.told();
        for (name, channel) in &plan.notify.channels {
            self.follow_rung(name, channel);
            for told in &happened {
                if self.is_told(name, channel, told) {
                    let facts = self.state.facts(told, 0);
                    self.due(name, channel, facts);
                }
            }
        }
    }

    /// An incident is told of by the channel's own times.
    fn follow_rung(&mut self, name: &Name, channel: &Channel) {
        let Some(incident) = self.state.incident.as_ref() else { return };
        let Some(rung) = self.state.outbox.rungs.get(name) else { return };
        if rung.next.is_some_and(|next| next <= self.now) {
            let at = if rung.told == 0 { incident.opened } else { self.now };
            let told = Told { incident: Some(incident.id.clone()), ..Told::of(NoticeKind::Incident, at) };
            let facts = self.state.facts(&told, rung.told);
            self.due(name, channel, facts);
        }
    }

    fn due(&mut self, name: &Name, channel: &Channel, facts: Facts) {
        let waiting = self.state.outbox.waiting.iter().filter(|(_, waiting)| waiting.channel == *name);
        let full = waiting.clone().count() >= WAITING_MAX;
        // The first may be on its way.
        if let Some((oldest, given_up)) = waiting.clone().nth(1).filter(|_| full) {
            let why = format!("given up: {WAITING_MAX} notices wait for this channel");
            let (notice, about) = (oldest.clone(), given_up.facts.kind);
            self.emit(Event::NoticeFailed { notice, channel: name.clone(), about, why, again_at: None });
        }
        let notice = NoticeId(format!("{}-{}", id_text(self.now, self.entropy), self.state.outbox.made + 1));
        let late_at = channel.within.and_then(|within| self.now.checked_add(within).ok());
        self.emit(Event::NoticeDue { notice, channel: name.clone(), facts: Arc::new(facts), late_at });
    }

    /// What has happened in this decision that people may want to hear.
    fn told(&self) -> Vec<Told> {
        let events = &self.events;
        let has = |wanted: fn(&Event) -> bool| events.iter().any(wanted);
        let opened = has(|event| matches!(event, Event::IncidentOpened { .. }));
        let armed = has(|event| matches!(event, Event::Armed { .. }));
        let incident = self.incident_of_events();
        let tell = |event: &Event| -> Option<Told> {
            let kind = |kind: NoticeKind| Told { incident: incident.clone(), ..Told::of(kind, self.now) };
            Some(match event {
                Event::Armed { .. } => kind(NoticeKind::Armed),
                // The notice of the incident, or of the arming, says it.
                Event::Decided { why, .. } if !opened => kind(NoticeKind::Decision).why(why),
                Event::PhaseBegun { .. } if !armed => kind(NoticeKind::Phase),
                // Nobody has asked for what an incident's rule or people have not decided.
                Event::RunStarted { incident: None, reason, .. } | Event::UndoStarted { reason, .. } => {
                    kind(NoticeKind::Decision).why(reason)
                }
                Event::PointOfNoReturnNear { .. } | Event::PointOfNoReturnPassed { .. } => {
                    kind(NoticeKind::PointOfNoReturn)
                }
                // That all is as it should be is news only where it was not.
                Event::ReadinessChanged { from: None, verdict: CheckVerdict::Go, .. } => return None,
                Event::ReadinessChanged { verdict: CheckVerdict::Go, .. } => kind(NoticeKind::Readiness).over(),
                Event::ReadinessChanged { verdict, findings, left_out, .. } => {
                    kind(NoticeKind::Readiness).why(&readiness_words(*verdict, findings, *left_out))
                }
                Event::Muted { by, reason, .. } => kind(NoticeKind::Muted).why(reason).by(by),
                Event::Unmuted { why } => kind(NoticeKind::Muted).why(why).over(),
                Event::Blinded { source, why } => kind(NoticeKind::Blind).source(source).why(why),
                Event::Sighted { source } => kind(NoticeKind::Blind).source(source).over(),
                Event::UnknownAlerted { trigger, why } => {
                    kind(NoticeKind::Blind).source(&format!("trigger {trigger}")).why(why)
                }
                Event::Step { step, what: StepEvent::ApprovalAwaited { why, .. } } => {
                    kind(NoticeKind::Approval).step(step, why)
                }
                Event::Step { step, what: StepEvent::Unproven { destination, why } } => {
                    kind(NoticeKind::Approval).step(step, &format!("no proof that {destination} is healthy: {why}"))
                }
                Event::Step { step, what: StepEvent::Failed { why, .. } } => {
                    kind(NoticeKind::StepFailed).step(step, why)
                }
                Event::RunHalted { why } => kind(NoticeKind::Halted).why(why),
                Event::RunEnded { why, .. } => kind(NoticeKind::Finished).why(why),
                Event::IncidentClosed { outcome: IncidentOutcome::Recovered | IncidentOutcome::Disarmed } => {
                    kind(NoticeKind::Recovered)
                }
                Event::PostmortemDue { run } => Told {
                    incident: self.state.find_run(run).and_then(|run| run.incident.clone()),
                    run: Some(run.clone()),
                    ..kind(NoticeKind::PostmortemDue)
                },
                _ => return None,
            })
        };
        events.iter().filter_map(tell).collect()
    }

    /// The incident that is open, or has ended just now, or that the run belongs to.
    fn incident_of_events(&self) -> Option<IncidentId> {
        let open = self.state.incident.as_ref();
        let closed = self.events.iter().any(|event| matches!(event, Event::IncidentClosed { .. }));
        let last = self.state.past_incidents.last().filter(|_| closed);
        let of_run = || self.state.open_run().and_then(|run| run.incident.clone());
        open.or(last.map(AsRef::as_ref)).map(|incident| incident.id.clone()).or_else(of_run)
    }

    /// Whether a channel hears of this: what belongs to an incident only if it is told of the incident, and the end only if it
    /// was told of the beginning.
    fn is_told(&self, name: &Name, channel: &Channel, told: &Told) -> bool {
        if !channel.events.contains(&told.kind) {
            return false;
        }
        if !told.kind.is_of_incident() {
            return true;
        }
        let felt = || told.incident.as_ref().is_some_and(|incident| self.state.is_felt_by_customers(incident));
        let by_rung = channel.events.contains(&NoticeKind::Incident) && told.kind != NoticeKind::PostmortemDue;
        match &told.incident {
            Some(_) if by_rung => self.state.outbox.rungs.get(name).is_some_and(|rung| rung.told > 0),
            Some(_) => !channel.customer_facing || felt(),
            // A rollback that a person has asked for while all was well: nobody knows whether customers feel it.
            None => !channel.customer_facing && channel.after.is_none(),
        }
    }

    fn follow_late(&mut self) {
        let late = |waiting: &Waiting| !waiting.late && waiting.late_at.is_some_and(|at| at <= self.now);
        let late = self.state.outbox.waiting.iter().filter(|(_, waiting)| late(waiting));
        let late: Vec<Event> = late
            .map(|(id, waiting)| {
                let (notice, channel, about) = (id.clone(), waiting.channel.clone(), waiting.facts.kind);
                Event::NoticeLate { notice, channel, about }
            })
            .collect();
        late.into_iter().for_each(|event| self.emit(event));
    }

    fn follow_postmortems(&mut self) {
        let due = self.state.outbox.postmortems.iter().filter(|(_, at)| **at <= self.now);
        let due: Vec<RunId> = due.map(|(run, _)| run.clone()).collect();
        for run in due {
            self.emit(Event::PostmortemDue { run });
        }
    }

    /// A try to send is over.
    pub(crate) fn noticed(&mut self, notice: &NoticeId, result: &Result<String, NotSent>) {
        // Something newer may stand in its place by now.
        let Some(waiting) = self.state.outbox.waiting.get(notice) else { return };
        let (notice, channel, about) = (notice.clone(), waiting.channel.clone(), waiting.facts.kind);
        match result {
            Ok(answer) => {
                let delay_s = u64::try_from(self.now.duration_since(waiting.due).as_secs()).unwrap_or(0);
                self.emit(Event::NoticeSent { notice, channel, about, answer: answer.clone(), delay_s });
            }
            Err(NotSent { why, retry }) => {
                let again_at = match retry {
                    Retry::Later { after } => self.next_try(waiting, *after),
                    Retry::Never => None,
                };
                self.emit(Event::NoticeFailed { notice, channel, about, why: why.clone(), again_at });
            }
        }
    }

    fn next_try(&self, waiting: &Waiting, asked: Option<std::time::Duration>) -> Option<Timestamp> {
        let asked = asked.and_then(|asked| SignedDuration::try_from(asked).ok()).unwrap_or_default().min(ASKED_MAX);
        let doubled = 2_i32.saturating_pow(waiting.tries.min(16));
        let wait = BACKOFF.checked_mul(doubled).unwrap_or(BACKOFF_MAX).min(BACKOFF_MAX).max(asked);
        let again_at = self.now.checked_add(wait).ok()?;
        (again_at < waiting.due + OF_USE).then_some(again_at)
    }

    pub(crate) fn notice_deadline(state: &Migration) -> Option<Timestamp> {
        let rungs = state.outbox.rungs.values().filter(|_| state.incident.is_some()).filter_map(|rung| rung.next);
        let late = state.outbox.waiting.values().filter(|waiting| !waiting.late).filter_map(|waiting| waiting.late_at);
        rungs.chain(late).chain(state.outbox.postmortems.values().copied()).min()
    }
}

/// `no-go: step db_back: checkout: is stopped (wanted: available); and 3 more`
fn readiness_words(verdict: CheckVerdict, findings: &[String], left_out: usize) -> String {
    const SHOWN: usize = 3;
    let more = findings.len().saturating_sub(SHOWN) + left_out;
    let shown = findings.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    if shown.is_empty() { verdict.word().to_owned() } else { format!("{shown}{more}") }
}
