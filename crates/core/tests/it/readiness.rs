//! Readiness on record: only while armed, and only its changes.

use crate::common::*;
use belay_core::{
    event::Event,
    input::{Input, Verb},
    readiness::{CheckVerdict, Checked},
    reading::Health,
};

fn checked(verdict: CheckVerdict, findings: usize) -> Input {
    let findings = (1..=findings).map(|number| format!("finding {number}")).collect();
    Input::Checked(Checked { verdict, findings })
}

fn verdict(stage: &Stage) -> Option<CheckVerdict> {
    stage.state.readiness.as_ref().map(|ready| ready.verdict)
}

#[test]
fn each_change_of_the_verdict_is_on_record_and_nothing_else() {
    let plan = plan(vec![("dns", step(&[]))]);
    let mut stage = Stage::new();
    stage.feed(checked(CheckVerdict::NoGo, 1)).unwrap();
    assert_eq!((verdict(&stage), stage.state.seq), (None, 0), "it is not armed");
    stage.arm(&plan);
    stage.read("errors", Health::Healthy);
    let armed = stage.state.seq;
    for (input, seq, expected) in [
        (checked(CheckVerdict::Go, 0), 1, CheckVerdict::Go),
        (checked(CheckVerdict::Go, 0), 1, CheckVerdict::Go),
        (checked(CheckVerdict::NoGo, 25), 2, CheckVerdict::NoGo),
        (checked(CheckVerdict::NoGo, 24), 2, CheckVerdict::NoGo),
        (checked(CheckVerdict::Warn, 1), 3, CheckVerdict::Warn),
    ] {
        let events = stage.state.decide(stage.now, 1, &input).unwrap();
        if let Some(Event::ReadinessChanged { findings, left_out, verdict: CheckVerdict::NoGo, .. }) = events.first() {
            assert_eq!((findings.len(), *left_out), (20, 5), "an event is bounded");
        }
        stage.feed(input).unwrap();
        assert_eq!((verdict(&stage), stage.state.seq - armed), (Some(expected), seq));
    }
    stage.command(Verb::Disarm).unwrap();
    assert_eq!(verdict(&stage), None, "what is not armed has no readiness");
}
