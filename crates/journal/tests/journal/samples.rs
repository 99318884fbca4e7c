//! Events of every kind.

use std::{sync::Arc, time::Duration};

use belay_core::{
    change::{Baseline, BaselineEntry, Change, Effect, Proof, Receipt, Repeats, Report, Share},
    decision::Question,
    event::{DrillVerdict, Event, FailureCode, GateEvent, IncidentOutcome, RunKind, RunOutcome, StepEvent},
    evidence::{Detail, EvidenceSource, Finding},
    id::{IncidentId, NoticeId, RunId},
    input::CommandKey,
    notice::Facts,
    readiness::CheckVerdict,
    reading::Health,
    restore_test::{RestoreOutcome, RestoreTested},
    series::Series,
};
use belay_plan::{
    checklist::Part,
    model::{Answer, Authority, AwsTarget, Decision, Objectives, Overlaid, Plan},
    notify::NoticeKind,
};
use belay_ports::NewRecord;
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::json;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::new(1_767_225_600 + second, 123_456_789).unwrap()
}

pub(crate) fn record(event: Event) -> NewRecord {
    NewRecord { at: at(0), actor: "belay".to_owned(), event }
}

/// A short event, told apart by its text.
pub(crate) fn note(why: impl Into<String>) -> NewRecord {
    record(Event::Disarmed { why: why.into() })
}

fn facts() -> Facts {
    Facts {
        kind: NoticeKind::Incident,
        update: 2,
        migration: "checkout".to_owned(),
        summary: Some("\u{1f9d7}".to_owned()),
        drill: true,
        over: false,
        source: None,
        at: at(1),
        why: "why".to_owned(),
        by: None,
        joined: Vec::new(),
        more: 0,
        incident: None,
        run: None,
        step: None,
        phase: Some("soak".to_owned()),
        muted_until: None,
        point_of_no_return: Some(at(3)),
        readiness: Some(CheckVerdict::NoGo),
    }
}

pub(crate) fn events() -> Vec<Event> {
    let why = || "why: \u{1f9d7} \"quoted\"\n".to_owned();
    let name = || "blue_ready".to_owned();
    let run = || RunId("0mjq1x2c0abc".to_owned());
    let incident = || IncidentId("0mjq1x2c0abd".to_owned());
    let mut events = vec![
        Event::Commanded {
            verb: "arm".to_owned(),
            reason: why(),
            detail: json!({ "z": 1, "a": [0.1, -0.0, 1e300] }),
            key: None,
        },
        Event::Commanded {
            verb: "rollback".to_owned(),
            reason: why(),
            detail: json!({}),
            key: Some(CommandKey { key: "k".to_owned(), fingerprint: "f".to_owned() }),
        },
        Event::PlanPinned { plan: Arc::new(plan()), plan_sha256: "ab".repeat(32) },
        Event::BaselineCaptured { baseline: Arc::new(baseline()) },
        Event::AttemptBegun,
        Event::Armed { waits_for_green: vec![name()] },
        Event::Disarmed { why: why() },
        Event::CutoverMarked,
        Event::PhaseBegun { phase: name() },
        Event::Muted { until: at(2), by: why(), reason: why() },
        Event::Unmuted { why: why() },
        Event::EvidenceGathered {
            incident: IncidentId(name()),
            source: EvidenceSource::Cloudtrail,
            findings: vec![Finding { at: at(2), what: why(), resource: name(), who: Some(why()), detail: None }],
            notes: vec![why()],
        },
        Event::EvidenceGathered {
            incident: IncidentId(name()),
            source: EvidenceSource::Xray,
            findings: vec![Finding {
                at: at(2),
                what: why(),
                resource: name(),
                who: None,
                detail: Some(Detail::Requests { total: u64::MAX, faults: 3, errors: 2, throttles: 1 }),
            }],
            notes: vec![],
        },
        Event::EvidenceGathered {
            incident: IncidentId(name()),
            source: EvidenceSource::DevopsGuru,
            findings: vec![Finding {
                at: at(2),
                what: why(),
                resource: name(),
                who: None,
                detail: Some(Detail::Insight { id: name(), severity: why(), status: why() }),
            }],
            notes: vec![],
        },
        Event::ReadingsKept {
            begun: at(2),
            series: vec![Series {
                signal: name(),
                healthy: "<= 0.1%".to_owned(),
                threshold: 0.1,
                unit: Some("%".to_owned()),
                from: at(1),
                points: vec![(0, 0.1), (999, -1.234_56e-300), (i64::MAX, 1e300)],
            }],
            left_out: 3,
        },
        Event::NoticeDue {
            notice: NoticeId(name()),
            channel: name(),
            facts: Arc::new(facts()),
            late_at: Some(at(2)),
            since: Some(at(1)),
            instead_of: Some(NoticeId(name())),
        },
        Event::NoticeSent {
            notice: NoticeId(name()),
            channel: name(),
            about: NoticeKind::Incident,
            answer: why(),
            delay_s: u64::MAX,
        },
        Event::NoticeFailed {
            notice: NoticeId(name()),
            channel: name(),
            about: NoticeKind::PostmortemDue,
            why: why(),
            again_at: None,
            asked: true,
        },
        Event::NoticeDropped { notice: NoticeId(name()), channel: name(), about: NoticeKind::Approval, why: why() },
        Event::NoticeLate { notice: NoticeId(name()), channel: name(), about: NoticeKind::Blind },
        Event::PostmortemDue { run: RunId(name()) },
        Event::IncidentPostmortemDue { incident: incident() },
        Event::IncidentPostmortemHeld { incident: incident(), link: why() },
        Event::PostmortemHeld { run: RunId(name()), link: why() },
        Event::ItemTicked { item: name(), part: Part::AfterRollback, reason: why() },
        Event::ItemUnticked { item: name(), reason: why() },
        Event::RestoreTested {
            step: name(),
            tested: RestoreTested {
                action: "rds.restore".to_owned(),
                resource: name(),
                outcome: RestoreOutcome::Proved,
                found: why(),
                took_s: Some(754),
                changes: vec![name()],
            },
        },
        Event::PointOfNoReturnNear { at: at(2) },
        Event::PointOfNoReturnPassed { at: at(2) },
        Event::ExpectedCaptured { step: name(), doc: Arc::new(json!({ "blue": 1 })) },
        Event::ReadinessChanged {
            from: Some(CheckVerdict::Go),
            verdict: CheckVerdict::NoGo,
            findings: vec![why()],
            left_out: 3,
        },
        Event::WatchResumed {
            belay_version: "0.1.0".to_owned(),
            outage_s: u64::MAX,
            asleep: true,
            clock_set_s: i64::MIN,
        },
        Event::SignalTurned {
            signal: name(),
            from: Health::Unknown,
            to: Health::Unhealthy,
            evidence: why(),
            source: "cloudwatch".to_owned(),
            unreadable: true,
        },
        Event::DwellStarted { trigger: name() },
        Event::DwellPaused { trigger: name(), held_ms: 0 },
        Event::DwellResumed { trigger: name() },
        Event::DwellReset { trigger: name() },
        Event::TriggerFired { trigger: name(), evidence: vec![why(), String::new()] },
        Event::TriggerGreen { trigger: name() },
        Event::HealingStarted { trigger: name() },
        Event::HealingReset { trigger: name() },
        Event::TriggerHealed { trigger: name() },
        Event::TriggerUnknown { trigger: name(), why: why() },
        Event::TriggerKnown { trigger: name() },
        Event::UnknownAlerted { trigger: name(), why: why() },
        Event::Blinded { source: name(), why: why() },
        Event::Sighted { source: name() },
        Event::IncidentOpened { incident: incident(), trigger: name() },
        Event::IncidentJoined { trigger: name() },
        Event::Decided {
            trigger: name(),
            answer: Answer::Decide,
            why: why(),
            asks: Some(Question {
                rule: 1,
                problem: Some(name()),
                timebox_ends: Some(at(2)),
                then: Some(Answer::RollBack),
                authority: Authority::AllOf { all: vec![name()] },
            }),
            settled: true,
        },
        Event::WordGiven { who: why(), roles: vec![name()], word: Answer::FixForward, reason: why() },
        Event::IncidentClosed { outcome: IncidentOutcome::Recovered },
        Event::RunStarted {
            run: run(),
            kind: RunKind::Real,
            reason: why(),
            only: vec![name()],
            incident: Some(incident()),
            phase: Some(name()),
        },
        Event::UndoStarted {
            run: run(),
            undoes: run(),
            reason: why(),
            plan: Arc::new(plan()),
            baseline: Arc::new(baseline()),
            left: vec![why()],
        },
        Event::RunHeld { why: why() },
        Event::RunResumed,
        Event::RunHalted { why: why() },
        Event::ConfirmOpened,
        Event::RunEnded { outcome: RunOutcome::RolledBack, why: why() },
        Event::RunAborting { why: why() },
        Event::DrillStarted {
            trigger: Some(name()),
            reason: why(),
            plan_sha256: "ab".repeat(32),
            overlaid: Some(Overlaid {
                file_migration: name(),
                overlay: Some(name()),
                set: vec!["objectives.rto=5m".to_owned()],
            }),
        },
        Event::DrillEnded { run: run(), verdict: DrillVerdict::Outside, report: json!({ "detection_s": 61.5 }) },
        Event::Rehearsed {
            run: run(),
            reason: why(),
            plan: Arc::new(plan()),
            plan_sha256: "ab".repeat(32),
            report: json!({ "type": "not an event", "steps": [] }),
        },
    ];
    events.extend(gate_events().into_iter().map(|what| Event::Confirm { signal: name(), what }));
    events.extend(step_events().into_iter().map(|what| Event::Step { step: name(), what }));
    events
}

fn gate_events() -> Vec<GateEvent> {
    vec![
        GateEvent::Holding { evidence: "200".to_owned() },
        GateEvent::Broken { health: Health::Unknown, evidence: String::new() },
        GateEvent::Passed,
        GateEvent::Failed { why: "in vain".to_owned() },
    ]
}

fn step_events() -> Vec<StepEvent> {
    let why = || "why".to_owned();
    let name = || "page_works".to_owned();
    let receipt = Receipt { change: "weights".to_owned(), at: at(7), body: json!({ "id": "/change/C1" }) };
    let mut events = vec![
        StepEvent::Started { fallback_for: Some(name()) },
        StepEvent::LookFailed { why: why() },
        StepEvent::Planned { changes: vec![change()] },
        StepEvent::ApprovalAwaited { why: why(), by_hand: true },
        StepEvent::Approved,
        StepEvent::RequireOpened,
        StepEvent::RequirePassed,
        StepEvent::Unproven { destination: name(), why: why() },
        StepEvent::Overridden { subject: name() },
        StepEvent::Intended { attempt: 1, change: change(), send_within_ms: 5_000, found: None },
        StepEvent::Intended {
            attempt: 1,
            change: change(),
            send_within_ms: 5_000,
            found: Some(Arc::new(json!({ "blue": 1 }))),
        },
        StepEvent::ApprovalGiven { by: "ada".to_owned() },
        StepEvent::Accepted { attempt: 1, receipt },
        StepEvent::NoEffect {
            attempt: u32::MAX,
            why: why(),
            throttled: true,
            transient: false,
            declined: Some(json!({})),
            again_at: None,
        },
        StepEvent::OutcomeUnknown { attempt: 2, why: why(), again_at: at(9) },
        StepEvent::Effective { change: "weights".to_owned() },
        StepEvent::Doubted { why: why() },
        StepEvent::Trusted,
        StepEvent::WaitStarted { until: at(10) },
        StepEvent::Reported { report: Report { output: why(), logs: "a log group".to_owned() } },
        StepEvent::DrainStarted { until: at(11) },
        StepEvent::Overdue { why: why() },
        StepEvent::StagePassed { stages: 1, percent: 50 },
        StepEvent::Settled { changed: false },
        StepEvent::VerifyOpened,
        StepEvent::Done,
        StepEvent::Unchanged,
        StepEvent::Failed { code: FailureCode::Contested, why: why() },
        StepEvent::Arrived,
        StepEvent::Skipped { why: why() },
        StepEvent::Blocked { by: name() },
        StepEvent::Reset,
    ];
    events.extend(gate_events().into_iter().map(|what| StepEvent::Require { signal: name(), what }));
    events.extend(gate_events().into_iter().map(|what| StepEvent::Verify { signal: name(), what }));
    events
}

fn change() -> Change {
    let share = Share {
        destination: "blue".to_owned(),
        before: 0,
        after: 100,
        proof: Proof::None { why: "unused".to_owned() },
    };
    Change {
        id: "weights".to_owned(),
        title: "www A: blue 0 -> 100".to_owned(),
        before: json!({ "blue": 0, "ratio": 0.30000000000000004 }),
        after: json!({ "blue": 100 }),
        call: "route53:ChangeResourceRecordSets".to_owned(),
        args: json!(null),
        effects: vec![
            Effect::Traffic { shares: vec![share] },
            Effect::LosesData { since: Some(at(3)) },
            Effect::Outage { expected: Duration::from_millis(1_500) },
            Effect::Drains { time: Duration::from_secs(60) },
            Effect::Overwrites { found: vec!["blue 0 -> 100".to_owned()] },
            Effect::StartsJob { name: "restore".to_owned() },
        ],
        keeps: Some("orders-failed".to_owned()),
        repeats: Repeats::Converges,
        expected: Duration::from_secs(60),
    }
}

fn baseline() -> Baseline {
    let entry = BaselineEntry {
        action: "route53.weights".to_owned(),
        resource: "route53:Z1/www/A".to_owned(),
        doc: json!({ "blue": 100 }),
    };
    Baseline {
        migration: "checkout".to_owned(),
        captured: at(1),
        plan_sha256: "cd".repeat(32),
        steps: IndexMap::from([("dns_back".to_owned(), entry)]),
    }
}

fn plan() -> Plan {
    Plan {
        migration: "checkout".to_owned(),
        summary: Some("x".repeat(100_000)),
        aws: AwsTarget::default(),
        objectives: Objectives { rto: Some(Duration::from_secs(900)), ..Objectives::default() },
        phases: IndexMap::new(),
        signals: IndexMap::new(),
        triggers: IndexMap::new(),
        decision: Decision::default(),
        window: None,
        steps: IndexMap::new(),
        confirm: Vec::new(),
        notify: Arc::default(),
        evidence: None,
        checklist: belay_plan::checklist::Checklist::default(),
        accepts: Vec::new(),
        overlaid: None,
    }
}
