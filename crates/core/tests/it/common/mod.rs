//! A stage for the state machine: feeds inputs, keeps the journal, and checks on every record that replay gives the live
//! state.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // who includes it uses a part of it

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use belay_core::{
    change::{Assessment, Change, Effect, Proof, Repeats, Share},
    event::{EVENT_VERSION, Event, Record, StepEvent},
    id::RunId,
    input::{Asked, ErrorClass, Input, Look, Pin, Refusal, SendFailure, Verb},
    migration::Migration,
    reading::{Health, Reading},
    run::{Phase, RunState},
    wants::{Task, Watch},
};
use belay_plan::model::*;
use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// What the state wants, with what the tasks are.
pub struct Wanted {
    pub tasks: Vec<Task>,
    pub watch: BTreeMap<Name, Watch>,
    pub deadline: Option<Timestamp>,
}

#[derive(Clone)]
pub struct Stage {
    pub now: Timestamp,
    pub state: Migration,
    pub journal: Vec<Record>,
}

impl Stage {
    pub fn new() -> Self {
        Self { now: "2026-01-01T02:00:00Z".parse().unwrap(), state: Migration::new("shop"), journal: Vec::new() }
    }

    pub fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    pub fn feed(&mut self, input: Input) -> Result<Vec<Event>, Refusal> {
        let before = self.state.clone();
        let entropy = u32::try_from(self.journal.len()).unwrap();
        let decided = self.state.decide(self.now, entropy, &input);
        assert_eq!(before, self.state, "deciding changes nothing");
        let events = decided?;
        let actor = match &input {
            Input::Command(command) => command.asked.actor.as_str(),
            _ => "belay",
        };
        for event in &events {
            self.append(actor, event.clone());
        }
        Ok(events)
    }

    /// What the journal would write next.
    pub fn record(&self, actor: &str, event: Event) -> Record {
        let seq = self.state.seq + 1;
        Record {
            stream: self.state.name.clone(),
            seq,
            version: EVENT_VERSION,
            at: self.now,
            actor: actor.to_owned(),
            event,
            prev: self.state.head.clone(),
            hash: format!("{seq:064}"),
        }
    }

    fn append(&mut self, actor: &str, event: Event) {
        let record = self.record(actor, event);
        // What is journaled is text: it has to survive the way there and back.
        let text = serde_json::to_string(&record).unwrap();
        let record: Record = serde_json::from_str(&text).unwrap();
        self.state.evolve(&record).unwrap();
        self.journal.push(record);
    }

    pub fn replay(&self) -> Migration {
        let mut state = Migration::new(self.state.name.clone());
        self.journal.iter().for_each(|record| state.evolve(record).unwrap());
        let text = state.to_snapshot().expect("a state reads back as it was");
        assert_eq!(Migration::of_snapshot(&text).as_ref(), Some(&state));
        state
    }

    pub fn command(&mut self, verb: Verb) -> Result<Vec<Event>, Refusal> {
        self.command_by(&Asked::new("ada", "test"), verb)
    }

    pub fn command_by(&mut self, asked: &Asked, verb: Verb) -> Result<Vec<Event>, Refusal> {
        self.feed(Input::Command(asked.command(verb)))
    }

    pub fn arm(&mut self, plan: &Plan) {
        self.try_arm(plan).unwrap();
    }

    pub fn try_arm(&mut self, plan: &Plan) -> Result<Vec<Event>, Refusal> {
        let plan = Arc::new(plan.clone());
        self.command(Verb::Arm {
            plan,
            plan_sha256: "p".to_owned(),
            baseline: None,
            readings: vec![],
            wait_for_green: false,
            detours: vec![],
        })
    }

    /// A run as `belay run` starts it.
    pub fn run(&mut self, plan: &Plan, only: &[&str]) -> RunId {
        let pin = Pin { plan: Arc::new(plan.clone()), plan_sha256: "p".to_owned(), baseline: None, phase: None };
        let only = only.iter().map(|name| (*name).to_owned()).collect();
        self.command(Verb::Rollback { kind: belay_core::event::RunKind::Real, only, pin: Some(pin) }).unwrap();
        self.state.run.as_ref().unwrap().id.clone()
    }

    pub fn read(&mut self, signal: &str, health: Health) -> Vec<Event> {
        self.read_from(signal, health, "cloudwatch", false)
    }

    pub fn read_from(&mut self, signal: &str, health: Health, source: &str, unreadable: bool) -> Vec<Event> {
        let reading = Reading {
            signal: signal.to_owned(),
            taken: self.now,
            health,
            evidence: format!("{signal} reads {health:?}"),
            source: source.to_owned(),
            unreadable,
            permanent: false,
            measured: None,
        };
        self.feed(Input::Reading(reading)).unwrap()
    }

    pub fn look(&mut self, step: &str, assessment: Assessment) -> Vec<Event> {
        let stage = self.step(step).stage;
        let look = Look { doc: Arc::new(json!({})), assessment, stage };
        self.feed(Input::Looked { step: step.to_owned(), result: Ok(look) }).unwrap()
    }

    pub fn accept(&mut self, step: &str) -> Vec<Event> {
        let attempt = self.step(step).attempt;
        self.feed(Input::Applied { step: step.to_owned(), attempt, result: Ok(json!({})) }).unwrap()
    }

    /// The process notices that it was asleep, or that its clock was set.
    pub fn awake(&mut self, late: Duration, clock_set: SignedDuration) {
        self.feed(Input::Awoke { belay_version: "1".to_owned(), late, clock_set }).unwrap();
    }

    pub fn tick(&mut self) -> Vec<Event> {
        self.feed(Input::Tick).unwrap()
    }

    pub fn step(&self, name: &str) -> &belay_core::run::StepState {
        &self.state.run.as_ref().unwrap().steps[name]
    }

    pub fn phase(&self, name: &str) -> Phase {
        self.step(name).phase
    }

    pub fn run_state(&self) -> RunState {
        self.state.run.as_ref().unwrap().state
    }

    pub fn wants(&self) -> Wanted {
        let wants = self.state.wants();
        let task = |id| self.state.open_run().unwrap().task(id).unwrap();
        Wanted { tasks: wants.tasks.into_iter().map(task).collect(), watch: wants.watch, deadline: wants.deadline }
    }

    /// Looks and sends of a step until it is through, as a world without faults would answer.
    pub fn put_back(&mut self, step: &str) {
        self.look(step, Assessment::Remaining(vec![change("weights")]));
        if self.phase(step) == Phase::Applying && !self.step(step).in_flight() {
            self.look(step, Assessment::Remaining(vec![change("weights")]));
        }
        self.accept(step);
        self.look(step, Assessment::InPlace);
    }
}

pub fn is_looked_at(wants: &Wanted, step: &str) -> bool {
    wants.tasks.iter().any(|task| matches!(task, Task::Look(look) if look.step == step))
}

pub fn is_sending(wants: &Wanted, step: &str) -> bool {
    wants.tasks.iter().any(|task| matches!(task, Task::Apply(apply) if apply.key.step == step))
}

pub fn intents(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Step { what: StepEvent::Intended { .. }, .. })).count()
}

/// The last send of a step was refused.
pub fn no_effect(stage: &mut Stage, name: &str, class: ErrorClass) {
    let attempt = stage.step(name).attempt;
    let failure = SendFailure::NoEffect { why: "Rate exceeded".to_owned(), class };
    stage.feed(Input::Applied { step: name.to_owned(), attempt, result: Err(failure) }).unwrap();
}

/// The answer to it was lost.
pub fn lost(stage: &mut Stage, name: &str) {
    let attempt = stage.step(name).attempt;
    let failure = SendFailure::OutcomeUnknown { why: "connection reset".to_owned() };
    stage.feed(Input::Applied { step: name.to_owned(), attempt, result: Err(failure) }).unwrap();
}

/// A change that moves traffic to blue, which the actuator has seen healthy.
pub fn change(id: &str) -> Change {
    change_with(id, Proof::Healthy { evidence: "2 of 2 targets healthy".to_owned() })
}

pub fn change_with(id: &str, proof: Proof) -> Change {
    let share =
        |destination: &str, before, after, proof| Share { destination: destination.to_owned(), before, after, proof };
    let none = Proof::None { why: "it loses traffic".to_owned() };
    Change {
        id: id.to_owned(),
        title: format!("{id}: blue 0 -> 100"),
        before: json!({ "blue": 0, "green": 100 }),
        after: json!({ "blue": 100, "green": 0 }),
        call: "route53:ChangeResourceRecordSets".to_owned(),
        args: json!({}),
        effects: vec![Effect::Traffic { shares: vec![share("blue", 0, 100, proof), share("green", 100, 0, none)] }],
        keeps: None,
        repeats: Repeats::Converges,
        expected: Duration::from_secs(60),
    }
}

/// The change that takes [`change`] back: traffic to green, which the actuator has seen healthy.
pub fn reversed(id: &str) -> Change {
    let mut change = change(id);
    std::mem::swap(&mut change.before, &mut change.after);
    change.title = format!("{id}: blue 100 -> 0");
    for effect in &mut change.effects {
        let Effect::Traffic { shares } = effect else { continue };
        for share in shares {
            std::mem::swap(&mut share.before, &mut share.after);
            share.proof = Proof::Healthy { evidence: "2 of 2 targets healthy".to_owned() };
        }
    }
    change
}

pub fn gate(signal: &str, within_s: u64, hold_s: u64) -> Gate {
    Gate { signal: signal.to_owned(), within: Duration::from_secs(within_s), hold: Duration::from_secs(hold_s) }
}

pub fn step(needs: &[&str]) -> Step {
    Step {
        action: "route53.weights".to_owned(),
        with: json!({}),
        aws: AwsTarget::default(),
        to: Target::Explicit(json!({ "blue": 100, "green": 0 })),
        others: None,
        resource: String::new(),
        needs: needs.iter().map(|name| (*name).to_owned()).collect(),
        require: vec![],
        verify: vec![],
        timeout: Duration::from_secs(180),
        retry: Retry { attempts: 3, backoff_min: Duration::from_secs(1), backoff_max: Duration::from_secs(30) },
        on_failure: OnFailure::Halt,
        loses_data: false,
        approve: None,
        during: Vec::new(),
        nature: None,
        usual: None,
        stages: Vec::new(),
        expect: None,
        on_drift: OnDrift::Proceed,
        fences: Vec::new(),
    }
}

pub fn trigger(when: Condition, dwell_s: u64) -> Trigger {
    Trigger {
        when,
        dwell: Duration::from_secs(dwell_s),
        severity: Severity::Critical,
        scope: TriggerScope::SystemWide,
        fix: Fix::Unknown,
        if_unknown: None,
        red_at_arm: RedAtArm::Refuse,
        problem: None,
        customer_facing: None,
        during: Vec::new(),
    }
}

/// A plan with these steps, one trigger on `errors`, and the signals `errors`, `latency`, `blue_ready`.
pub fn plan(steps: Vec<(&str, Step)>) -> Plan {
    let signal = |kind: &str| Signal { kind: kind.to_owned(), spec: json!({}), aws: AwsTarget::default() };
    let mut steps: IndexMap<Name, Step> = steps.into_iter().map(|(name, step)| (name.to_owned(), step)).collect();
    for (name, step) in &mut steps {
        step.resource = format!("test:{name}");
    }
    Plan {
        migration: "shop".to_owned(),
        summary: None,
        aws: AwsTarget::default(),
        objectives: Objectives::default(),
        phases: IndexMap::new(),
        signals: ["errors", "latency", "blue_ready"].iter().map(|name| ((*name).to_owned(), signal("alarm"))).collect(),
        triggers: [("hurt".to_owned(), trigger(Condition::Signal("errors".to_owned()), 60))].into_iter().collect(),
        decision: Decision {
            rules: vec![rule(Some(Severity::Critical), None, Answer::RollBack), rule(None, None, Answer::FixForward)],
            authority: Authority::default(),
            custom: false,
        },
        window: None,
        steps,
        confirm: vec![],
        notify: Arc::default(),
        evidence: None,
        checklist: belay_plan::checklist::Checklist::default(),
        accepts: Vec::new(),
        overlaid: None,
    }
}

pub fn rule(severity: Option<Severity>, scope: Option<TriggerScope>, answer: Answer) -> Rule {
    Rule { severity, scope, ..Rule::always(answer) }
}
