//! Every metric that the daemon shows, by name. `deploy/observability.md` prints this table, and a test holds the two
//! together.

use prometheus_client::registry::{Metric, Registry};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Described {
    /// As a query names it: a counter ends in `_total`. A histogram has `_bucket`, `_sum` and `_count` behind it.
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Described {
    Described { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Described {
    Described { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Described {
    Described { name, kind: Kind::Histogram, labels, help }
}

/// In the order of the documentation.
pub const ALL: &[Described] = &[
    // --- the migrations as they are now ---------------------------------------------------------------------------
    gauge("belay_migration_state", &["migration", "state"], "1 for the state that the migration is in"),
    gauge(
        "belay_engine_faults",
        &["migration"],
        "Reasons why the engine of the migration does not act; 0 when it acts",
    ),
    gauge("belay_signals", &["migration", "health"], "Watched signals by health: healthy, unhealthy, unknown"),
    gauge("belay_blind_sources", &["migration"], "Sources of which nothing can be read"),
    gauge(
        "belay_trigger_state",
        &["migration", "trigger", "severity", "state"],
        "1 for the state that the trigger is in",
    ),
    gauge("belay_trigger_held_seconds", &["migration", "trigger"], "How long the trigger's condition has held"),
    gauge("belay_muted", &["migration"], "1 while no trigger opens an incident"),
    gauge("belay_phase", &["migration", "phase"], "1 for the phase that the migration is in"),
    gauge("belay_phase_age_seconds", &["migration"], "Time since the phase began"),
    gauge("belay_window_left_seconds", &["migration"], "Time to the point of no return; 0 when it is passed"),
    gauge(
        "belay_loss_seconds",
        &["migration", "step"],
        "How much of what was written would be lost if the step ran now; no series where that is not known",
    ),
    gauge(
        "belay_readiness_checks",
        &["migration", "verdict"],
        "Checks of the readiness by verdict: go, warn, unknown, no_go; no series where nothing is evaluated",
    ),
    gauge("belay_timebox_left_seconds", &["migration"], "Time that people have to decide the open incident"),
    gauge("belay_run_state", &["migration", "kind", "state"], "1 for the state of the run under way"),
    gauge("belay_run_age_seconds", &["migration"], "Time since the run under way began"),
    gauge("belay_steps", &["migration", "phase"], "Steps of the run under way, by phase"),
    // --- watching -------------------------------------------------------------------------------------------------
    gauge("belay_poll_interval_seconds", &[], "How often signals are read"),
    gauge(
        "belay_watch_lag_seconds",
        &["kind"],
        "How late the most overdue signal of the kind is; 0 when all are in time",
    ),
    gauge("belay_watch_read_timestamp_seconds", &["kind"], "When signals of the kind were last read, as Unix time"),
    histogram("belay_watch_read_duration_seconds", &["kind"], "Time of one read of signals of one kind, many at once"),
    counter("belay_watch_readings_total", &["kind", "reading"], "Readings: healthy, unhealthy, unknown, unreadable"),
    // --- what has happened ----------------------------------------------------------------------------------------
    counter("belay_triggers_fired_total", &["migration", "trigger", "severity"], "Triggers that have fired"),
    counter("belay_decisions_total", &["migration", "answer"], "Decisions: roll_back, fix_first, decide, fix_forward"),
    histogram(
        "belay_incident_duration_seconds",
        &["migration", "outcome"],
        "From the opening of an incident to its end",
    ),
    histogram(
        "belay_breach_to_first_call_seconds",
        &["migration"],
        "From the reading that shows the breach to the first change on its way to AWS, the trigger's dwell included",
    ),
    histogram("belay_run_duration_seconds", &["migration", "kind", "outcome"], "From the start of a run to its end"),
    histogram("belay_step_duration_seconds", &["action", "outcome"], "From the first look of a step to its end"),
    counter(
        "belay_sends_total",
        &["action", "outcome"],
        "Changes sent: accepted, throttled, no_effect, outcome_unknown",
    ),
    counter(
        "belay_notices_total",
        &["channel", "outcome"],
        "Notices by the plan's name of the channel: sent, partly_sent (some recipients were refused), failed (given up), dropped (unsent, and of no more use), late; and retried, each try that failed",
    ),
    histogram("belay_notice_delay_seconds", &["channel"], "From when a notice was due until it was sent"),
    // --- AWS ------------------------------------------------------------------------------------------------------
    counter(
        "belay_aws_calls_total",
        &["service", "operation", "outcome"],
        "Attempts of calls to AWS, by what came of them",
    ),
    histogram("belay_aws_call_duration_seconds", &["service", "operation"], "Time of one attempt of a call to AWS"),
    counter(
        "belay_aws_throttled_seconds_total",
        &["service"],
        "Time lost to throttled attempts and the pauses after them",
    ),
    counter(
        "belay_aws_budget_wait_seconds_total",
        &["service"],
        "Time that calls have waited for Belay's own share of the account's quota",
    ),
    // --- the daemon itself ----------------------------------------------------------------------------------------
    histogram("belay_journal_append_duration_seconds", &[], "Time until the journal has made records durable"),
    counter("belay_journal_append_failures_total", &[], "Appends that the journal has not taken, or perhaps not"),
    counter("belay_journal_records_total", &["migration"], "Records that were made durable"),
    counter("belay_http_requests_total", &["route", "method", "status"], "Answered requests"),
    histogram("belay_http_request_duration_seconds", &["route", "method"], "Time to the first byte of the answer"),
    gauge("belay_event_readers", &[], "Clients that follow /v1/events"),
    counter(
        "belay_spans_total",
        &["outcome"],
        "Spans: made, and sent to the collector or failed on the way; the rest waits, or was lost for want of room",
    ),
    counter(
        "belay_heartbeats_total",
        &["outcome"],
        "Heartbeats: ok and fail have arrived, undelivered have not; 0 without a heartbeat",
    ),
    counter("belay_panics_total", &[], "Panics, caught or not: each is a defect, and the log says where"),
    counter("belay_log_lines_lost_total", &[], "Lines of the log that were lost, because nobody read it fast enough"),
    gauge("belay_build_info", &["version"], "1, with the version of this Belay"),
    gauge("process_start_time_seconds", &[], "When the process started, as Unix time"),
    gauge("process_resident_memory_bytes", &[], "Memory that is resident"),
    counter("process_cpu_seconds_total", &[], "Processor time used"),
    gauge("process_open_fds", &[], "Open files and sockets"),
];

/// Registers a metric under its name, with the help that the table gives it.
///
/// # Panics
/// When the table does not have it: every metric is in the table.
pub(super) fn register(registry: &mut Registry, name: &str, metric: impl Metric) {
    let described = ALL.iter().find(|described| described.name == name).expect("every metric is in the table");
    registry.register(name.strip_suffix("_total").unwrap_or(name), described.help, metric);
}
