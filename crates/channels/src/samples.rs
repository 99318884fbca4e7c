//! Made-up notices of every kind: own texts are checked against them, and previews show them.

use std::{sync::Arc, time::Duration};

use belay_core::{
    event::{IncidentOutcome, RunKind},
    id::{IncidentId, RunId},
    notice::{Facts, IncidentFacts, RunFacts, StepFacts},
    readiness::CheckVerdict,
    run::RunState,
};
use belay_plan::{
    model::{Answer, Name, Severity},
    notify::{NoticeKind, Notify},
};
use belay_ports::Notice;
use jiff::Timestamp;

/// One way in which a notice of a kind can look.
#[derive(Debug, Clone)]
pub struct Sample {
    pub name: &'static str,
    pub facts: Facts,
}

/// All ways in which notices of a kind look: with an incident and without one, before and after a run.
pub fn all(kind: NoticeKind) -> Vec<Sample> {
    let of = |name: &'static str, facts: Facts| Sample { name, facts: Facts { kind, ..facts } };
    match kind {
        NoticeKind::Armed => vec![of("armed by a person", by("anna", "the cutover begins at 03:00", quiet()))],
        NoticeKind::Readiness => {
            let why = "no-go: step db_back: shop: 17m would be lost: shop is restorable up to 2026-03-01T21:43:00Z (wanted: no more than 5m (rpo))";
            let of_verdict = |verdict, facts| Facts { readiness: Some(verdict), ..facts };
            let unread = "unknown: signal customer_errors: unknown: no reading for 5m";
            vec![
                of("a check that failed", of_verdict(CheckVerdict::NoGo, because(why, quiet()))),
                of("a check that could not be made", of_verdict(CheckVerdict::Unknown, because(unread, quiet()))),
                of("ready again", of_verdict(CheckVerdict::Go, Facts { over: true, ..quiet() })),
                of("ready again, with a warning", of_verdict(CheckVerdict::Warn, Facts { over: true, ..quiet() })),
                of("disarmed", Facts { over: true, ..because(DISARMED, quiet()) }),
            ]
        }
        NoticeKind::Incident => incidents().into_iter().map(|(name, facts)| of(name, facts)).collect(),
        NoticeKind::Decision => vec![
            of(
                "decided to roll back",
                by("anna", "orders are being lost, and nobody knows the reason yet", answered(Answer::RollBack)),
            ),
            of(
                "decided to fix forward",
                by("anna", "a wrong pool size, the fix is being deployed", answered(Answer::FixForward)),
            ),
            of(
                "decided by the end of the timebox",
                because(
                    "the time that people had was over, and customers_hurt still holds",
                    answered(Answer::RollBack),
                ),
            ),
            of("rolled back by hand, without an incident", by("anna", "the new cluster loses orders", by_hand())),
            of("decided while it heals", by("anna", "we want to be sure", healthy(answered(Answer::RollBack)))),
        ],
        NoticeKind::Approval => vec![
            of("asked of a role", Facts { step: Some(approval()), ..running() }),
            of("asked of anybody, without an incident", Facts { step: Some(any_approval()), ..by_hand() }),
            of("asked for many steps", Facts { step: Some(approval()), more: 812, ..running() }),
        ],
        NoticeKind::StepFailed => {
            let step = StepFacts { role: None, quorum: None, until: None, why: REFUSED.to_owned(), ..approval() };
            let why = "not settled within 2h: shop is being renamed".to_owned();
            let overdue = StepFacts { why, overdue: true, ..step.clone() };
            vec![
                of("a refused call", Facts { step: Some(step), ..running() }),
                of("not failed, but overdue", Facts { step: Some(overdue), ..running() }),
            ]
        }
        NoticeKind::Halted => vec![
            of("after a failed step", because("the step db_back failed", halted(running()))),
            of("started by hand", because("the step db_back failed", halted(by_hand()))),
        ],
        NoticeKind::Finished => vec![
            of("rolled back", confirmed(ended(RunState::RolledBack, running()))),
            of("rolled back, started by hand", confirmed(ended(RunState::RolledBack, by_hand()))),
            of("aborted by a person", by("anna", "we fix it by hand", ended(RunState::Aborted, running()))),
            of("an undo", undone()),
            of(
                "disarmed",
                by("anna", "we go on by hand", closed(IncidentOutcome::Disarmed, answered(Answer::FixForward))),
            ),
            of("rolled back, and nothing is known", passed_over(ended(RunState::RolledBack, running()))),
            of("rolled back, the trigger no longer fires", healthy(ended(RunState::RolledBack, running()))),
            of("rolled back by hand, and nothing is known", ended(RunState::RolledBack, by_hand())),
        ],
        NoticeKind::Recovered => {
            vec![of("healed by itself", healthy(closed(IncidentOutcome::Recovered, first(Answer::Decide))))]
        }
        NoticeKind::Phase => {
            vec![of(
                "begun by a person",
                Facts { phase: Some(name("soak")), ..by("anna", "all orders are over", quiet()) },
            )]
        }
        NoticeKind::PointOfNoReturn => vec![
            of("ahead", Facts { point_of_no_return: Some(minute(30)), ..quiet() }),
            of("passed", Facts { point_of_no_return: Some(minute(0)), ..quiet() }),
            of("disarmed before it", Facts { over: true, ..because(DISARMED, quiet()) }),
        ],
        NoticeKind::Muted => vec![
            of("muted", Facts { muted_until: Some(minute(30)), ..by("anna", "the load test makes errors", quiet()) }),
            of("ended by itself", Facts { over: true, ..quiet() }),
        ],
        NoticeKind::Blind => vec![
            of(
                "signals that cannot be read",
                Facts {
                    source: Some("cloudwatch".to_owned()),
                    ..because("AWS refuses cloudwatch:DescribeAlarms (AccessDenied)", quiet())
                },
            ),
            of(
                "signals that can be read again",
                Facts { over: true, source: Some("cloudwatch".to_owned()), ..quiet() },
            ),
            of(
                "a trigger that cannot be decided",
                Facts {
                    source: Some("trigger customers_hurt".to_owned()),
                    ..because("customer_errors: no reading for 5m", quiet())
                },
            ),
            of(
                "disarmed while signals could not be read",
                Facts { over: true, source: Some("cloudwatch".to_owned()), ..because(DISARMED, quiet()) },
            ),
        ],
        NoticeKind::PostmortemDue => vec![
            of("after an incident", confirmed(ended(RunState::RolledBack, running()))),
            of("after a rollback by hand", ended(RunState::RolledBack, by_hand())),
            of(
                "after an incident without a rollback",
                healthy(closed(IncidentOutcome::Recovered, first(Answer::FixForward))),
            ),
        ],
    }
}

/// A notice of a sample, for a channel of a kind.
pub fn notice(facts: Facts, kind: &str) -> Notice {
    let is_open = facts.incident.as_ref().is_some_and(|incident| incident.outcome.is_none());
    let is_running = facts.run.as_ref().is_some_and(|run| run.ended.is_none());
    Notice {
        key: format!("checkout-cutover/{}/0", facts.kind),
        channel: name(kind),
        notify: Arc::new(Notify::default()),
        expected_end: is_running.then(|| minute(25)),
        next_update: (facts.kind == NoticeKind::Incident && is_open).then(|| minute(30)),
        page: "belay status checkout-cutover".to_owned(),
        test: false,
        facts,
    }
}

fn incidents() -> Vec<(&'static str, Facts)> {
    let joined = IncidentFacts {
        severity: Severity::Major,
        customer_facing: false,
        triggers: vec![name("rows_missing"), name("queue_grows")],
        problem: Some(name("data_integrity")),
        authority: vec![name("incident_commander"), name("tech_lead")],
        all: true,
        ..incident()
    };
    let update = |facts: Facts| Facts { update: 1, at: minute(15), ..facts };
    let changed = |facts: Facts| {
        let changes = vec!["02:04:10Z ModifyListener checkout by alice".to_owned()];
        let observed = vec![
            "02:05:00Z 340 faults (5xx) in 1200 requests to checkout (AWS::ECS::Service)".to_owned(),
            "01:58:00Z insight of high severity, ongoing: ALB target response time is anomalous AIb3kQ".to_owned(),
        ];
        let incident = facts.incident.map(|incident| IncidentFacts { changes, observed, ..incident });
        Facts { incident, ..facts }
    };
    vec![
        ("rolled back at once", first(Answer::RollBack)),
        ("fixed first", first(Answer::FixFirst)),
        ("people decide", first(Answer::Decide)),
        ("two roles decide", Facts { incident: Some(joined), ..first(Answer::Decide) }),
        ("fixed forward", first(Answer::FixForward)),
        ("an update during the rollback", update(changed(running()))),
        ("an update while people fix", update(first(Answer::FixForward))),
        ("an update of a halted rollback", update(halted(running()))),
        ("a trigger joins", update(joining(first(Answer::FixForward)))),
        ("an update while it heals", update(healthy(first(Answer::FixForward)))),
    ]
}

const DISARMED: &str = "the migration is disarmed";

const REFUSED: &str = "RDS refuses RestoreDBInstanceToPointInTime (InsufficientDBInstanceCapacity): no capacity in \
    eu-west-1a for db.r6g.2xlarge";

fn minute(minute: u64) -> Timestamp {
    let begin: Timestamp = "2026-03-01T02:11:00Z".parse().expect("it is a time");
    begin + Duration::from_secs(minute * 60)
}

fn name(text: &str) -> Name {
    text.to_owned()
}

/// Nothing is wrong.
fn quiet() -> Facts {
    Facts {
        kind: NoticeKind::Armed,
        update: 0,
        migration: name("checkout-cutover"),
        summary: Some("Checkout moves to the new cluster".to_owned()),
        drill: false,
        over: false,
        source: None,
        at: minute(0),
        why: String::new(),
        by: None,
        joined: Vec::new(),
        more: 0,
        incident: None,
        run: None,
        step: None,
        phase: Some(name("cutover")),
        muted_until: None,
        point_of_no_return: None,
        readiness: None,
    }
}

fn because(why: &str, facts: Facts) -> Facts {
    Facts { why: why.to_owned(), ..facts }
}

fn by(person: &str, why: &str, facts: Facts) -> Facts {
    Facts { by: Some(person.to_owned()), ..because(why, facts) }
}

fn incident() -> IncidentFacts {
    IncidentFacts {
        id: IncidentId("mm7q2k9d0a1b".to_owned()),
        opened: minute(0),
        felt_since: Some(minute(0)),
        severity: Severity::Critical,
        customer_facing: true,
        triggers: vec![name("customers_hurt")],
        firing: vec![name("customers_hurt")],
        healthy: false,
        evidence: vec![
            "customer_errors: the alarm checkout-5xx is in ALARM since 02:10 UTC (4.2 % of requests)".to_owned(),
        ],
        changes: Vec::new(),
        observed: Vec::new(),
        problem: None,
        answer: Some(Answer::Decide),
        why: "the second rule of the plan".to_owned(),
        timebox_ends: None,
        then: None,
        authority: Vec::new(),
        all: false,
        outcome: None,
    }
}

/// An incident that has just been opened, with the answer of the plan's rule.
fn first(answer: Answer) -> Facts {
    let waits = matches!(answer, Answer::Decide | Answer::FixFirst);
    let authority = if answer == Answer::Decide { vec![name("incident_commander")] } else { Vec::new() };
    let incident = IncidentFacts {
        answer: Some(answer),
        timebox_ends: waits.then(|| minute(15)),
        then: waits.then_some(Answer::RollBack),
        authority,
        ..incident()
    };
    Facts { incident: Some(incident), ..quiet() }
}

/// A decision has been made.
fn answered(answer: Answer) -> Facts {
    Facts { at: minute(6), ..first(answer) }
}

fn run() -> RunFacts {
    RunFacts {
        id: RunId("mm7q2l4f7c2d".to_owned()),
        kind: RunKind::Real,
        state: RunState::Running,
        started: minute(1),
        ended: None,
        reason: "trigger customers_hurt".to_owned(),
        by: "belay".to_owned(),
        steps: 4,
        over: 2,
        done: Some(2),
        confirmed: false,
        now: vec![name("db_back")],
        failed: Vec::new(),
        alerted: vec![name("db_back")],
    }
}

/// The rollback of an incident is under way.
fn running() -> Facts {
    Facts { run: Some(run()), at: minute(5), ..first(Answer::RollBack) }
}

/// A rollback that a person started, without an incident.
fn by_hand() -> Facts {
    let run = RunFacts { reason: "the new cluster loses orders".to_owned(), by: "anna".to_owned(), ..run() };
    Facts { run: Some(run), at: minute(5), ..quiet() }
}

fn halted(facts: Facts) -> Facts {
    let run = facts.run.map(|run| RunFacts {
        state: RunState::Halted,
        now: Vec::new(),
        failed: vec![name("db_back")],
        ..run
    });
    Facts { run, at: minute(9), ..facts }
}

fn ended(state: RunState, facts: Facts) -> Facts {
    let over = if state == RunState::Aborted { 2 } else { 4 };
    let run = facts.run.map(|run| RunFacts {
        state,
        ended: Some(minute(20)),
        over,
        done: Some(over),
        now: Vec::new(),
        ..run
    });
    let outcome = if state == RunState::Aborted { IncidentOutcome::Aborted } else { IncidentOutcome::RolledBack };
    let incident = facts.incident.map(|incident| IncidentFacts { outcome: Some(outcome), ..incident });
    Facts { run, incident, at: minute(20), ..facts }
}

/// The plan's confirmation held, and the signals have recovered.
fn confirmed(facts: Facts) -> Facts {
    let facts = healthy(facts);
    Facts { run: facts.run.map(|run| RunFacts { confirmed: true, ..run }), ..facts }
}

fn healthy(facts: Facts) -> Facts {
    let well = |incident| IncidentFacts { firing: Vec::new(), evidence: Vec::new(), healthy: true, ..incident };
    Facts { incident: facts.incident.map(well), ..facts }
}

/// A step failed, and the rollback went on without it.
fn passed_over(facts: Facts) -> Facts {
    let facts = because("failed, and passed over: cache_back", facts);
    Facts { run: facts.run.map(|run| RunFacts { done: Some(3), failed: vec![name("cache_back")], ..run }), ..facts }
}

fn joining(facts: Facts) -> Facts {
    let triggers = vec![name("slow"), name("customers_hurt")];
    let incident = facts.incident.map(|incident| IncidentFacts { triggers, ..incident });
    Facts { incident, joined: vec![name("customers_hurt")], ..facts }
}

fn undone() -> Facts {
    let facts = ended(RunState::Undone, by_hand());
    Facts { run: facts.run.map(|run| RunFacts { kind: RunKind::Undo, ..run }), ..facts }
}

fn closed(outcome: IncidentOutcome, facts: Facts) -> Facts {
    let incident = facts.incident.map(|incident| IncidentFacts { outcome: Some(outcome), ..incident });
    Facts { incident, at: minute(20), ..facts }
}

fn approval() -> StepFacts {
    StepFacts {
        name: name("db_back"),
        action: "rds.restore".to_owned(),
        why: "12 minutes of orders would be lost".to_owned(),
        role: Some(name("incident_commander")),
        quorum: Some(1),
        until: Some(minute(35)),
        overdue: false,
    }
}

fn any_approval() -> StepFacts {
    StepFacts { why: String::new(), role: None, quorum: None, until: None, ..approval() }
}
