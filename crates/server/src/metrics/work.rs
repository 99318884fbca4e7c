//! Counts and times of what happens: this watches the engines, the sampler and the AWS clients at work.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use belay_core::{
    event::{Event, Record, StepEvent},
    measure::Onsets,
    migration::Migration,
    notice::refused,
    reading::Reading,
    run::Run,
};
use belay_plan::model::Name;
use belay_ports::{Call, Observer};
use jiff::{SignedDuration, Timestamp};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::{Labels, SecondsCounter, SecondsGauge, table::register, word};

/// From a millisecond, for calls and appends, to a minute.
const SHORT: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// For requests: few, because there are many routes.
const REQUEST: [f64; 6] = [0.005, 0.025, 0.1, 0.5, 2.5, 30.0];
/// From a second, for what waits for AWS and for people, to a working day.
const LONG: [f64; 13] = [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0, 28_800.0];
/// From what a dwell of nothing comes to, up to minutes.
const REACTION: [f64; 13] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 120.0, 300.0, 900.0];

type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

fn short() -> Histogram {
    Histogram::new(SHORT)
}

fn request() -> Histogram {
    Histogram::new(REQUEST)
}

fn long() -> Histogram {
    Histogram::new(LONG)
}

fn reaction() -> Histogram {
    Histogram::new(REACTION)
}

pub(super) struct Work {
    read_at: Family<Labels<1>, SecondsGauge>,
    read_time: Histograms<1>,
    readings: Family<Labels<2>, Counter>,
    pub(super) fired: Family<Labels<3>, Counter>,
    pub(super) decisions: Family<Labels<2>, Counter>,
    pub(super) incident_time: Histograms<2>,
    pub(super) reaction_time: Histograms<1>,
    pub(super) run_time: Histograms<3>,
    pub(super) step_time: Histograms<2>,
    pub(super) sends: Family<Labels<2>, Counter>,
    pub(super) notices: Family<Labels<2>, Counter>,
    pub(super) notice_delay: Histograms<1>,
    calls: Family<Labels<3>, Counter>,
    call_time: Histograms<2>,
    throttled: Family<Labels<1>, SecondsCounter>,
    waited: Family<Labels<1>, SecondsCounter>,
    append_time: Histogram,
    append_failures: Counter,
    pub(super) records: Family<Labels<1>, Counter>,
    requests: Family<Labels<3>, Counter>,
    request_time: Histograms<2>,
    pub(super) spans: Family<Labels<1>, Counter>,
    pub(super) beats: Family<Labels<1>, Counter>,
    pub(super) readers: Gauge,
    pub(super) panics: Counter,
    pub(super) lost_log_lines: Counter,
    /// By migration: what led to its incident, and the breach until its first change is sent.
    breaches: Mutex<HashMap<Name, Breaches>>,
}

#[derive(Default)]
struct Breaches {
    onsets: Onsets,
    /// The breach that the run under way answers, until its first change.
    answered: Option<Timestamp>,
}

impl Work {
    pub(super) fn new(registry: &mut Registry, version: &str, started: Timestamp) -> Self {
        let work = Self {
            read_at: Family::default(),
            read_time: Family::new_with_constructor(short),
            readings: Family::default(),
            fired: Family::default(),
            decisions: Family::default(),
            incident_time: Family::new_with_constructor(long),
            reaction_time: Family::new_with_constructor(reaction),
            run_time: Family::new_with_constructor(long),
            step_time: Family::new_with_constructor(long),
            sends: Family::default(),
            notices: Family::default(),
            notice_delay: Family::new_with_constructor(long),
            calls: Family::default(),
            call_time: Family::new_with_constructor(short),
            throttled: Family::default(),
            waited: Family::default(),
            append_time: short(),
            append_failures: Counter::default(),
            records: Family::default(),
            requests: Family::default(),
            request_time: Family::new_with_constructor(request),
            spans: Family::default(),
            beats: Family::default(),
            readers: Gauge::default(),
            panics: Counter::default(),
            lost_log_lines: Counter::default(),
            breaches: Mutex::default(),
        };
        let build: Family<Labels<1>, Gauge> = Family::default();
        build.get_or_create(&[("version", version.to_owned())]).set(1);
        let start = SecondsGauge::default();
        start.set(unix_seconds(started));
        register(registry, "belay_watch_read_timestamp_seconds", work.read_at.clone());
        register(registry, "belay_watch_read_duration_seconds", work.read_time.clone());
        register(registry, "belay_watch_readings_total", work.readings.clone());
        register(registry, "belay_triggers_fired_total", work.fired.clone());
        register(registry, "belay_decisions_total", work.decisions.clone());
        register(registry, "belay_incident_duration_seconds", work.incident_time.clone());
        register(registry, "belay_breach_to_first_call_seconds", work.reaction_time.clone());
        register(registry, "belay_run_duration_seconds", work.run_time.clone());
        register(registry, "belay_step_duration_seconds", work.step_time.clone());
        register(registry, "belay_sends_total", work.sends.clone());
        register(registry, "belay_notices_total", work.notices.clone());
        register(registry, "belay_notice_delay_seconds", work.notice_delay.clone());
        register(registry, "belay_aws_calls_total", work.calls.clone());
        register(registry, "belay_aws_call_duration_seconds", work.call_time.clone());
        register(registry, "belay_aws_throttled_seconds_total", work.throttled.clone());
        register(registry, "belay_aws_budget_wait_seconds_total", work.waited.clone());
        register(registry, "belay_journal_append_duration_seconds", work.append_time.clone());
        register(registry, "belay_journal_append_failures_total", work.append_failures.clone());
        register(registry, "belay_journal_records_total", work.records.clone());
        register(registry, "belay_http_requests_total", work.requests.clone());
        register(registry, "belay_http_request_duration_seconds", work.request_time.clone());
        register(registry, "belay_event_readers", work.readers.clone());
        register(registry, "belay_spans_total", work.spans.clone());
        register(registry, "belay_heartbeats_total", work.beats.clone());
        register(registry, "belay_panics_total", work.panics.clone());
        register(registry, "belay_log_lines_lost_total", work.lost_log_lines.clone());
        register(registry, "belay_build_info", build);
        register(registry, "process_start_time_seconds", start);
        work.expect_usual();
        work
    }

    /// `route`: as the router knows it, so that ids in a path make no new series.
    pub(super) fn answered(&self, route: &str, method: &str, status: u16, time: Duration) {
        let (route, method) = (("route", route.to_owned()), ("method", method.to_owned()));
        self.request_time.get_or_create(&[route.clone(), method.clone()]).observe(time.as_secs_f64());
        self.requests.get_or_create(&[route, method, ("status", status.to_string())]).inc();
    }

    fn breaches(&self) -> MutexGuard<'_, HashMap<Name, Breaches>> {
        self.breaches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, record: &Record, state: &Migration) {
        let migration = ("migration", record.stream.clone());
        match &record.event {
            Event::TriggerFired { trigger, .. } => {
                let found = state.plan.as_ref().and_then(|plan| plan.triggers.get(trigger));
                let severity = found.map(|trigger| word(trigger.severity)).unwrap_or_default();
                let labels = [migration, ("trigger", trigger.clone()), ("severity", severity)];
                self.fired.get_or_create(&labels).inc();
            }
            Event::PlanPinned { plan, .. } => self.expect(plan),
            Event::Decided { answer, .. } => {
                self.decisions.get_or_create(&[migration, ("answer", word(answer))]).inc();
            }
            Event::IncidentClosed { outcome } => {
                let Some(incident) = state.past_incidents.last() else { return };
                let labels = [migration, ("outcome", word(outcome))];
                self.incident_time.get_or_create(&labels).observe(seconds(incident.opened, record.at));
            }
            Event::RunEnded { outcome, .. } => {
                let Some(run) = &state.run else { return };
                let labels = [migration, ("kind", word(run.kind)), ("outcome", word(outcome))];
                self.run_time.get_or_create(&labels).observe(seconds(run.started, record.at));
            }
            Event::NoticeSent { channel, answer, delay_s, .. } => {
                self.noticed(channel, if refused(answer).is_some() { "partly_sent" } else { "sent" });
                let delay_s = u32::try_from(*delay_s).unwrap_or(u32::MAX);
                self.notice_delay.get_or_create(&[("channel", channel.clone())]).observe(f64::from(delay_s));
            }
            Event::NoticeFailed { channel, again_at, .. } => {
                self.noticed(channel, if again_at.is_some() { "retried" } else { "failed" });
            }
            Event::NoticeDropped { channel, .. } => self.noticed(channel, "dropped"),
            Event::NoticeLate { channel, .. } => self.noticed(channel, "late"),
            Event::Step { step, what } => {
                if let Some(run) = &state.run {
                    self.count_step(record.at, run, step, what);
                }
            }
            _ => {}
        }
    }

    fn noticed(&self, channel: &str, outcome: &str) {
        self.notices.get_or_create(&[("channel", channel.to_owned()), ("outcome", outcome.to_owned())]).inc();
    }

    fn count_step(&self, at: Timestamp, run: &Run, step: &str, what: &StepEvent) {
        let Some(planned) = run.plan.steps.get(step) else { return };
        let action = ("action", planned.action.clone());
        let sent = |outcome: &str| {
            self.sends.get_or_create(&[action.clone(), ("outcome", outcome.to_owned())]).inc();
        };
        let outcome = match what {
            StepEvent::Accepted { .. } => return sent("accepted"),
            StepEvent::NoEffect { throttled: true, .. } => return sent("throttled"),
            StepEvent::NoEffect { .. } => return sent("no_effect"),
            StepEvent::OutcomeUnknown { .. } => return sent("outcome_unknown"),
            StepEvent::Done => "done",
            StepEvent::Unchanged => "unchanged",
            StepEvent::Failed { .. } => "failed",
            StepEvent::Skipped { .. } => "skipped",
            _ => return,
        };
        if let Some(started) = run.steps.get(step).and_then(|step| step.started) {
            let labels = [action, ("outcome", outcome.to_owned())];
            self.step_time.get_or_create(&labels).observe(seconds(started, at));
        }
    }

    /// From the breach to the first change. Where this process has not seen the breach begin, it is taken from the incident on record.
    fn follow_breach(&self, record: &Record, state: &Migration) {
        let mut all = self.breaches();
        let breaches = all.entry(record.stream.clone()).or_default();
        breaches.onsets.note(record, state.plan.as_deref());
        match &record.event {
            Event::RunStarted { run, incident: Some(_), .. } => {
                let beginning = state.find_run(run).map(|run| breaches.onsets.begin(run));
                breaches.answered = beginning.and_then(|beginning| beginning.breach).map(|breach| breach.at);
            }
            Event::Step { what: StepEvent::Intended { .. }, .. } => {
                let on_record =
                    || state.run.as_ref().filter(|run| is_first_send(run)).and_then(|run| breach_of(run, state));
                if let Some(breach) = breaches.answered.take().or_else(on_record) {
                    let labels = [("migration", record.stream.clone())];
                    self.reaction_time.get_or_create(&labels).observe(seconds(breach, record.at));
                }
            }
            Event::RunEnded { .. } => breaches.answered = None,
            _ => {}
        }
    }
}

fn is_first_send(run: &Run) -> bool {
    run.steps.values().map(|step| step.attempt).sum::<u32>() == 1
}

/// The trigger that opened the incident had held for its dwell then.
fn breach_of(run: &Run, state: &Migration) -> Option<Timestamp> {
    let incident = state.find_incident(run.incident.as_ref()?)?;
    let dwell = run.plan.triggers.get(incident.triggers.first()?).map_or(Duration::ZERO, |trigger| trigger.dwell);
    Some(incident.opened - dwell)
}

impl Observer for Work {
    fn recorded(&self, records: &[Record], state: &Migration) {
        for record in records {
            self.count(record, state);
            self.follow_breach(record, state);
        }
        let labels = [("migration", state.name.clone())];
        self.records.get_or_create(&labels).inc_by(records.len() as u64);
    }

    fn appended(&self, time: Duration, taken: bool) {
        self.append_time.observe(time.as_secs_f64());
        if !taken {
            self.append_failures.inc();
        }
    }

    fn read(&self, kind: &str, at: Timestamp, time: Duration, readings: &[Reading]) {
        let kind = ("kind", kind.to_owned());
        let alone = [kind.clone()];
        self.read_at.get_or_create(&alone).set(unix_seconds(at));
        self.read_time.get_or_create(&alone).observe(time.as_secs_f64());
        for reading in readings {
            let found = if reading.unreadable { "unreadable".to_owned() } else { word(reading.health) };
            self.readings.get_or_create(&[kind.clone(), ("reading", found)]).inc();
        }
    }

    fn called(&self, call: &Call<'_>) {
        let service = ("service", call.service.to_owned());
        let operation = ("operation", call.operation.to_owned());
        self.call_time.get_or_create(&[service.clone(), operation.clone()]).observe(call.time.as_secs_f64());
        if !call.throttled.is_zero() {
            self.throttled.get_or_create(&[("service", call.service.to_owned())]).inc_by(call.throttled.as_secs_f64());
        }
        self.calls.get_or_create(&[service, operation, ("outcome", call.outcome.word().to_owned())]).inc();
    }

    fn waited(&self, service: &str, time: Duration) {
        self.waited.get_or_create(&[("service", service.to_owned())]).inc_by(time.as_secs_f64());
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).max(SignedDuration::ZERO).as_secs_f64()
}

fn unix_seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}
