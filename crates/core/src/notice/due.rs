//! Which notices are due: what has happened, held against what the plan's channels want to hear.

use std::sync::Arc;

use belay_plan::{
    model::Name,
    notify::{Channel, NoticeKind},
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    decide::Deciding,
    event::{Event, FailureCode, IncidentOutcome, RunOutcome, StepEvent},
    id::{IncidentId, NoticeId, RunId, id_text},
    input::{NotSent, Retry},
    migration::Migration,
    notice::{
        Facts, Waiting,
        gather::Told,
        outbox::{ENDS, URGENT_AT_ONCE, is_urgent},
        standing::TRIGGER,
    },
    run::{Phase, Run, RunState, StepState},
};

/// The wait after the first try that failed; it doubles up to the longest.
const BACKOFF: SignedDuration = SignedDuration::from_secs(2);
const BACKOFF_MAX: SignedDuration = SignedDuration::from_mins(10);

/// What a receiver asks for with `Retry-After` is honoured up to this.
const ASKED_MAX: SignedDuration = SignedDuration::from_hours(1);

/// A notice that was not sent within a day is of no more use.
const OF_USE: SignedDuration = SignedDuration::from_hours(24);

/// More notices do not wait for one channel: the oldest one that is not urgent is given up.
const WAITING_MAX: usize = 200;

/// So many steps that ask for people, or have failed, are told one by one.
const SINGLE_MAX: usize = 5;

/// Why an update is dropped.
const NEWER: &str = "a newer notice tells what has become of it";

/// Why what asks people for something is dropped.
const RUN_OVER: &str = "the run has ended: nobody is asked for anything any more";
const ANSWERED: &str = "it was answered before anybody was told";

/// Whether a run still waits for what a notice asks of people.
fn is_open(run: &Run, facts: &Facts) -> bool {
    let waits =
        |state: &Arc<StepState>| state.phase == Phase::AwaitingApproval || state.failure == Some(FailureCode::Unproven);
    match facts.kind {
        // One notice can ask for several steps.
        NoticeKind::Approval if facts.more > 0 => run.steps.values().any(waits),
        NoticeKind::Approval => {
            let step = facts.step.as_ref().and_then(|step| run.steps.get(&step.name));
            step.is_none_or(waits)
        }
        NoticeKind::Halted => run.state == RunState::Halted,
        _ => true,
    }
}

impl Deciding {
    /// Everything else has been decided: what is to be told of it, and of what was due by now.
    pub(crate) fn follow_notices(&mut self) {
        self.follow_postmortems();
        self.drop_asks();
        if let Some(plan) = self.state.plan.clone().filter(|plan| !plan.notify.channels.is_empty()) {
            let happened = merged(self.told());
            for (name, channel) in &plan.notify.channels {
                self.refresh_beginning(name);
                let by_rung = self.follow_rung(name, channel);
                for told in &happened {
                    // The notice of the incident shows who has joined it by now.
                    let joins = !told.joined.is_empty();
                    if !(joins && (by_rung || !self.hears_of_joining(channel, told)))
                        && self.is_told(name, channel, told)
                    {
                        let told_before = self.state.outbox.rungs.get(name).map_or(0, |rung| rung.told - rung.lost);
                        let facts = self.state.facts(told, if joins { told_before } else { 0 });
                        self.due(name, channel, facts, self.now);
                    }
                }
                self.follow_standing(name, channel);
            }
        }
        self.follow_late();
    }

    /// What asks people for something and has not been sent is of no more use when the run has ended, or when somebody has answered
    /// before anybody was told. A notice that was tried may have arrived, so it stays.
    fn drop_asks(&mut self) {
        let outbox = &self.state.outbox;
        let of_no_use = |waiting: &Waiting| {
            let run = self.state.find_run(waiting.run().filter(|_| waiting.asks())?)?;
            match run.state.is_over() {
                true => Some(RUN_OVER),
                false => (waiting.tries == 0 && !is_open(run, &waiting.facts)).then_some(ANSWERED),
            }
        };
        let old = outbox.waiting.iter().filter_map(|(id, waiting)| Some((id, waiting, of_no_use(waiting)?)));
        let old = old.filter(|(id, waiting, _)| !outbox.sending(self.now, &waiting.channel).contains(id));
        let old: Vec<_> = old.map(|(id, _, why)| (id.clone(), why)).collect();
        old.iter().for_each(|(notice, why)| self.drop_notice(notice, why));
    }

    fn drop_notice(&mut self, notice: &NoticeId, why: &str) {
        let Some(waiting) = self.state.outbox.waiting.get(notice) else { return };
        let (notice, channel, about) = (notice.clone(), waiting.channel.clone(), waiting.facts.kind);
        self.emit(Event::NoticeDropped { notice, channel, about, why: why.to_owned() });
    }

    /// An incident is told of by the channel's own times. Whether it was due now.
    fn follow_rung(&mut self, name: &Name, channel: &Channel) -> bool {
        let Some(incident) = self.state.incident.as_ref() else { return false };
        let Some(rung) = self.state.outbox.rungs.get(name) else { return false };
        let Some(scheduled) = rung.next.filter(|next| *next <= self.now) else { return false };
        if self.state.is_rung_held(name) {
            return false;
        }
        let told = rung.told - rung.lost;
        let began = || self.state.felt_since(incident).filter(|_| channel.customer_facing).unwrap_or(incident.opened);
        let at = if told == 0 { began() } else { self.now };
        let news = Told { incident: Some(incident.id.clone()), ..Told::of(NoticeKind::Incident, at) };
        let facts = self.state.facts(&news, told);
        self.due(name, channel, facts, scheduled);
        true
    }

    /// A beginning that was not sent yet must not ask for what was decided meanwhile: it tells what is so now. An earlier try may
    /// have arrived all the same, so it stays one notice, with its key, its tries and its lateness.
    fn refresh_beginning(&mut self, name: &Name) {
        let outbox = &self.state.outbox;
        let is_beginning = |waiting: &Waiting| waiting.facts.kind == NoticeKind::Incident && waiting.is_urgent();
        let waiting = outbox.of_channel(name).filter(|(_, waiting)| is_beginning(waiting));
        let sending = outbox.sending(self.now, name);
        let asked = |facts: &Facts| {
            let incident = facts.incident.as_ref()?;
            Some((incident.answer, incident.timebox_ends, incident.authority.clone(), incident.outcome))
        };
        let stale = waiting.filter(|(id, _)| !sending.contains(id)).filter_map(|(id, waiting)| {
            let (old, incident) = (&waiting.facts, waiting.incident().cloned());
            let news = Told { incident, joined: old.joined.clone(), ..Told::of(NoticeKind::Incident, old.at) };
            let facts = self.state.facts(&news, old.update);
            (asked(&facts) != asked(old)).then(|| (id.clone(), waiting.clone(), facts))
        });
        let stale: Vec<_> = stale.collect();
        for (old, waiting, facts) in stale {
            let replaced = self.state.outbox.superseded(self.now, name, &facts).into_iter().filter(|id| *id != old);
            replaced.for_each(|update| self.drop_notice(&update, NEWER));
            let (channel, facts, since) = (name.clone(), Arc::new(facts), Some(waiting.due));
            let (notice, late_at, instead_of) = (old.clone(), waiting.late_at, Some(old));
            self.emit(Event::NoticeDue { notice, channel, facts, late_at, since, instead_of });
        }
    }

    fn next_notice(&self) -> NoticeId {
        NoticeId(format!("{}-{}", id_text(self.now, self.entropy), self.state.outbox.made + 1))
    }

    /// Who is told at times of their own, every quarter of an hour, is not disturbed by what makes it no worse.
    fn hears_of_joining(&self, channel: &Channel, told: &Told) -> bool {
        let incident = told.incident.as_ref().and_then(|incident| self.state.find_incident(incident));
        let worse = incident.is_some_and(|incident| {
            let before = incident.triggers.iter().filter(|name| !told.joined.contains(name));
            self.state.worst_severity(&incident.triggers) != self.state.worst_severity(before)
        });
        channel.every.is_none() || worse
    }

    /// `scheduled`: when it should have been sent.
    pub(super) fn due(&mut self, name: &Name, channel: &Channel, mut facts: Facts, scheduled: Timestamp) {
        let contained = self.containable(name, &facts);
        let (mut since, mut instead_of) = (scheduled, None);
        let mut late_at = channel.within.and_then(|within| scheduled.checked_add(within).ok());
        if let Some((id, waiting)) = contained {
            facts.more += waiting.facts.more + 1;
            (since, late_at, instead_of) = (waiting.due, waiting.late_at, Some(id));
        } else if !self.make_room(name, &facts) {
            return;
        }
        for old in self.state.outbox.superseded(self.now, name, &facts) {
            self.drop_notice(&old, NEWER);
        }
        let notice = self.next_notice();
        let since = Some(since).filter(|since| *since != self.now);
        let (channel, facts) = (name.clone(), Arc::new(facts));
        self.emit(Event::NoticeDue { notice, channel, facts, late_at, since, instead_of });
    }

    /// A notice that waits, and that a new one of its kind can contain: where many steps ask for people, one notice for all
    /// is read, and a thousand are not.
    fn containable(&self, name: &Name, facts: &Facts) -> Option<(NoticeId, Arc<Waiting>)> {
        if !merges(facts.kind) {
            return None;
        }
        let outbox = &self.state.outbox;
        let run = |facts: &Facts| facts.run.as_ref().map(|run| run.id.clone());
        let same = |waiting: &Waiting| waiting.facts.kind == facts.kind && run(&waiting.facts) == run(facts);
        let waiting: Vec<_> = outbox.of_channel(name).filter(|(_, waiting)| same(waiting)).collect();
        let sending = outbox.sending(self.now, name);
        let last =
            waiting.iter().rev().find(|(id, _)| !sending.contains(id)).filter(|_| waiting.len() > URGENT_AT_ONCE)?;
        Some((last.0.clone(), last.1.clone()))
    }

    /// Nothing urgent gives way to what is not. False: there is no room, and the new one is not urgent.
    fn make_room(&mut self, name: &Name, facts: &Facts) -> bool {
        let outbox = &self.state.outbox;
        if outbox.of_channel(name).count() < WAITING_MAX {
            return true;
        }
        let sending = outbox.sending(self.now, name);
        let first = |urgent: bool| {
            let mut waiting = outbox.of_channel(name).filter(|(id, _)| !sending.contains(id));
            waiting.find(|(_, waiting)| waiting.is_urgent() == urgent).map(|(id, _)| id.clone())
        };
        let given_up = first(false).or_else(|| first(true).filter(|_| is_urgent(facts)));
        if let Some(notice) = given_up.clone() {
            self.give_up(&notice, format!("given up: {WAITING_MAX} notices wait for this channel"));
        }
        given_up.is_some()
    }

    fn give_up(&mut self, notice: &NoticeId, why: String) {
        let Some(waiting) = self.state.outbox.waiting.get(notice).cloned() else { return };
        let (notice, channel, about) = (notice.clone(), waiting.channel.clone(), waiting.facts.kind);
        self.emit(Event::NoticeFailed { notice, channel: channel.clone(), about, why, again_at: None, asked: false });
        // Who was not told of the beginning is not told of the end.
        let reached = self.state.outbox.rungs.get(&channel).is_some_and(|rung| rung.told > rung.lost);
        if about == NoticeKind::Incident && !reached {
            let ends = self.state.outbox.of_channel(&channel);
            let ends = ends.filter(|(_, end)| end.tells_of(&ENDS, waiting.incident()));
            let ends: Vec<_> = ends.map(|(id, end)| (id.clone(), end.facts.kind)).collect();
            for (notice, about) in ends {
                let why = "given up: this channel was not told that the incident had begun".to_owned();
                self.emit(Event::NoticeFailed {
                    notice,
                    channel: channel.clone(),
                    about,
                    why,
                    again_at: None,
                    asked: false,
                });
            }
        }
    }

    /// What has happened in this decision that people may want to hear.
    fn told(&self) -> Vec<Told> {
        let events = &self.events;
        let has = |wanted: fn(&Event) -> bool| events.iter().any(wanted);
        let opened = has(|event| matches!(event, Event::IncidentOpened { .. }));
        let armed = has(|event| matches!(event, Event::Armed { .. }));
        let incident = self.incident_of_events();
        let command = events.iter().find_map(|event| match event {
            Event::Commanded { verb, reason, .. } => Some((verb.as_str(), reason)),
            _ => None,
        });
        // By a person, if it was asked for with this verb.
        let asked = |told: Told, wanted: &str| match command {
            Some((verb, reason)) if verb == wanted => told.why(reason).by(&self.actor),
            _ => told,
        };
        let tell = |event: &Event| -> Option<Told> {
            let kind = |kind: NoticeKind| Told { incident: incident.clone(), ..Told::of(kind, self.now) };
            Some(match event {
                Event::Armed { .. } => asked(kind(NoticeKind::Armed), "arm"),
                // The notice of the incident, or of the arming, says it.
                Event::Decided { why, .. } if !opened => {
                    let told = kind(NoticeKind::Decision).why(why);
                    let people = self.deciders.join(" and ");
                    if people.is_empty() { told } else { told.by(&people) }
                }
                Event::PhaseBegun { .. } if !armed => asked(kind(NoticeKind::Phase), "phase"),
                // Nobody has asked for what an incident's rule or people have not decided.
                Event::RunStarted { incident: None, reason, .. } | Event::UndoStarted { reason, .. } => {
                    kind(NoticeKind::Decision).why(reason).by(&self.actor)
                }
                Event::PointOfNoReturnNear { .. } | Event::PointOfNoReturnPassed { .. } => {
                    kind(NoticeKind::PointOfNoReturn)
                }
                // That a rollback holds is news only for those who were told that it may not: see `follow_standing`.
                Event::ReadinessChanged { verdict, findings, left_out, .. } if !verdict.holds() => {
                    kind(NoticeKind::Readiness).why(&verdict.with_findings(findings, *left_out))
                }
                Event::Muted { by, reason, .. } => kind(NoticeKind::Muted).why(reason).by(by),
                Event::Unmuted { why } => {
                    let told = kind(NoticeKind::Muted).why(why).over();
                    if command.is_some_and(|(verb, _)| verb == "unmute") { told.by(&self.actor) } else { told }
                }
                Event::Blinded { source, why } => kind(NoticeKind::Blind).source(source).why(why),
                Event::Sighted { source } => kind(NoticeKind::Blind).source(source).over(),
                Event::UnknownAlerted { trigger, why } => {
                    kind(NoticeKind::Blind).source(&format!("{TRIGGER}{trigger}")).why(why)
                }
                Event::Step { step, what: StepEvent::ApprovalAwaited { why, .. } } => {
                    kind(NoticeKind::Approval).step(step, why)
                }
                Event::Step { step, what: StepEvent::Unproven { destination, why } } => {
                    kind(NoticeKind::Approval).step(step, &format!("no proof that {destination} is healthy: {why}"))
                }
                Event::Step { step, what: StepEvent::Failed { why, .. } | StepEvent::Overdue { why } } => {
                    kind(NoticeKind::StepFailed).step(step, why)
                }
                Event::RunHalted { why } => kind(NoticeKind::Halted).why(why),
                Event::RunEnded { outcome, why } => {
                    let told = kind(NoticeKind::Finished).why(why);
                    let aborted_by = self.state.run.as_ref().and_then(|run| run.aborted_by.as_deref());
                    aborted_by.filter(|_| *outcome == RunOutcome::Aborted).map_or(told.clone(), |by| told.by(by))
                }
                // The notice of the incident shows who has joined it in the same moment.
                Event::IncidentJoined { trigger } if !opened => {
                    Told { joined: vec![trigger.clone()], ..kind(NoticeKind::Incident) }
                }
                Event::IncidentClosed { outcome: IncidentOutcome::Recovered } => kind(NoticeKind::Recovered),
                // Whether the system is well is not known, so this is no recovery. Those who wait for one hear of it, too.
                Event::IncidentClosed { outcome: IncidentOutcome::Disarmed } => {
                    let told = Told { also: Some(NoticeKind::Recovered), ..kind(NoticeKind::Finished) };
                    asked(told, "disarm")
                }
                Event::PostmortemDue { run } => Told {
                    incident: self.state.find_run(run).and_then(|run| run.incident.clone()),
                    run: Some(run.clone()),
                    ..kind(NoticeKind::PostmortemDue)
                },
                Event::IncidentPostmortemDue { incident } => {
                    Told { incident: Some(incident.clone()), ..kind(NoticeKind::PostmortemDue) }
                }
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
        let begun = channel.events.contains(&NoticeKind::Incident)
            && self.state.outbox.rungs.get(name).is_some_and(|rung| rung.told > rung.lost);
        let end_of_begun = begun && told.incident.is_some() && ENDS.contains(&told.kind);
        let mut kinds = [told.kind].into_iter().chain(told.also);
        if !end_of_begun && !kinds.any(|kind| channel.events.contains(&kind)) {
            return false;
        }
        if !told.kind.is_of_incident() {
            return true;
        }
        let felt = || told.incident.as_ref().is_some_and(|incident| self.state.is_felt_by_customers(incident));
        let by_rung = channel.events.contains(&NoticeKind::Incident) && told.kind != NoticeKind::PostmortemDue;
        match &told.incident {
            Some(_) if by_rung => self.state.outbox.rungs.get(name).is_some_and(|rung| match told.kind {
                NoticeKind::Finished | NoticeKind::Recovered => rung.told > rung.lost,
                _ => rung.told > 0,
            }),
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
        let due = self.state.outbox.incident_postmortems.iter().filter(|(_, at)| **at <= self.now);
        let due: Vec<IncidentId> = due.map(|(incident, _)| incident.clone()).collect();
        for incident in due {
            self.emit(Event::IncidentPostmortemDue { incident });
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
                if again_at.is_none() {
                    return self.give_up(&notice, why.clone());
                }
                let asked = matches!(retry, Retry::Later { after: Some(_) });
                let (id, to) = (notice.clone(), channel.clone());
                self.emit(Event::NoticeFailed { notice, channel, about, why: why.clone(), again_at, asked });
                // A newer one became due while it was on its way.
                if !self.state.outbox.waiting.contains_key(&id) {
                    let why = NEWER.to_owned();
                    self.emit(Event::NoticeDropped { notice: id, channel: to, about, why });
                }
            }
        }
    }

    fn next_try(&self, waiting: &Waiting, asked: Option<std::time::Duration>) -> Option<Timestamp> {
        let asked = asked.and_then(|asked| SignedDuration::try_from(asked).ok()).unwrap_or_default().min(ASKED_MAX);
        let doubled = 2_i32.saturating_pow(waiting.tries.min(16));
        let wait = BACKOFF.checked_mul(doubled).unwrap_or(BACKOFF_MAX).min(BACKOFF_MAX).max(asked);
        let again_at = self.now.checked_add(wait).ok()?;
        (again_at < waiting.made + OF_USE).then_some(again_at)
    }

    pub(crate) fn notice_deadline(state: &Migration) -> Option<Timestamp> {
        let rungs = state.outbox.rungs.iter().filter(|(name, _)| state.incident.is_some() && !state.is_rung_held(name));
        let rungs = rungs.filter_map(|(_, rung)| rung.next);
        let late = state.outbox.waiting.values().filter(|waiting| !waiting.late).filter_map(|waiting| waiting.late_at);
        let (runs, incidents) = (state.outbox.postmortems.values(), state.outbox.incident_postmortems.values());
        rungs.chain(late).chain(runs.chain(incidents).copied()).min()
    }
}

fn merges(kind: NoticeKind) -> bool {
    matches!(kind, NoticeKind::Approval | NoticeKind::StepFailed)
}

/// One decision can ask for a thousand approvals: the last notice of a few contains the rest.
fn merged(told: Vec<Told>) -> Vec<Told> {
    let mut kept: Vec<Told> = Vec::new();
    for news in told {
        let same = kept.iter().filter(|kept| kept.kind == news.kind).count();
        let last = kept.iter_mut().rfind(|kept| kept.kind == news.kind);
        match last {
            Some(last) if merges(news.kind) && same >= SINGLE_MAX => last.more += 1,
            // Triggers that join in the same moment.
            Some(first) if !news.joined.is_empty() => first.joined.extend(news.joined),
            _ => kept.push(news),
        }
    }
    kept
}
