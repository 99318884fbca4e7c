//! One account in one region: everything in it, what goes wrong with calls, and what was asked.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    answer::{Answered, Refusal, Reply},
    cloudwatch::CloudWatch,
    elb::Elb,
    fault::{Blow, Call, Outcome, Rule, Which, mutates},
    lambda::Lambda,
    rds::Rds,
    route53::Route53,
    service::Service,
    ssm::Ssm,
    states::StepFunctions,
    sts,
    throttle::Limits,
    wire::{self, Operation, Request},
};

/// The world begins at this moment, unless it is told another.
pub(crate) const BEGIN: Timestamp = Timestamp::constant(1_772_330_400, 0);

/// Where everything is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) account: String,
    pub(crate) region: String,
    /// The most that one page of a list holds.
    pub(crate) page: usize,
}

impl Place {
    pub(crate) fn arn(&self, service: &str, what: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{what}", self.region, self.account)
    }
}

/// A pure state machine: time comes with each request, and the same requests at the same times get the same answers.
#[derive(Debug, Clone)]
pub struct World {
    pub(crate) began: Timestamp,
    pub(crate) place: Place,
    pub rds: Rds,
    pub cloudwatch: CloudWatch,
    pub elb: Elb,
    pub lambda: Lambda,
    pub ssm: Ssm,
    pub step_functions: StepFunctions,
    pub route53: Route53,
    pub(crate) limits: Limits,
    rules: Vec<Rule>,
    calls: Vec<Call>,
}

impl Default for World {
    fn default() -> Self {
        Self::beginning(BEGIN)
    }
}

/// Something that can be placed in a world before it begins: see [`World::with`].
pub trait Thing {
    fn enter(self, world: &mut World);
}

impl World {
    /// A world whose history counts back from this moment.
    pub fn beginning(at: Timestamp) -> Self {
        let place = Place { account: "111122223333".to_owned(), region: "eu-west-1".to_owned(), page: 2 };
        Self {
            began: at,
            place,
            rds: Rds::default(),
            cloudwatch: CloudWatch::default(),
            elb: Elb::default(),
            lambda: Lambda::default(),
            ssm: Ssm::default(),
            step_functions: StepFunctions::default(),
            route53: Route53::default(),
            limits: granted(),
            rules: Vec::new(),
            calls: Vec::new(),
        }
    }

    #[must_use]
    pub fn with(mut self, thing: impl Thing) -> Self {
        thing.enter(&mut self);
        self
    }

    /// Something befalls these calls.
    #[must_use]
    pub fn when(mut self, which: Which, blow: Blow) -> Self {
        self.befall(which, blow);
        self
    }

    /// The same, from now on.
    pub fn befall(&mut self, which: Which, blow: Blow) {
        self.rules.push(Rule::new(which, blow));
    }

    /// Limits how often an operation may be called, or (with an empty name) everything of the service that has no limit of
    /// its own: calls a second, and calls at once after a rest.
    #[must_use]
    pub fn limited(mut self, service: Service, operation: &'static str, rate: f64, burst: f64) -> Self {
        self.limits.set(service, operation, rate, burst);
        self
    }

    /// When the world began.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// Every call so far.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Takes a request. `now` never goes back.
    pub fn handle(&mut self, now: Timestamp, request: &Request) -> Reply {
        self.advance(now);
        let id = format!("{:08x}-0000-4000-8000-{:012x}", self.calls.len(), now.as_millisecond());
        let Some(operation) = wire::read(request) else {
            return Reply::Answer(wire::Answer {
                status: 404,
                takes: Duration::ZERO,
                headers: Vec::new(),
                body: format!("the stand-in has nothing at {} {}", request.method, request.uri).into_bytes(),
            });
        };
        let blow = self.blow(&operation);
        let (outcome, reply) = match blow {
            Some(Blow::Lose) => (Outcome::Lost, Reply::Cut),
            Some(Blow::Silence) => (Outcome::Lost, Reply::Silence),
            Some(Blow::KillBefore) => (Outcome::Lost, Reply::Kill),
            Some(Blow::LoseAnswer) => (self.carry_out(now, &operation).1, Reply::Cut),
            Some(Blow::KillAfter) => (self.carry_out(now, &operation).1, Reply::Kill),
            Some(Blow::FailAfter) => {
                let (_, outcome) = self.carry_out(now, &operation);
                (outcome, Reply::Answer(wire::write(&operation, Err(failure()), &id)))
            }
            Some(Blow::Refuse(refusal)) => refused(&operation, refusal, &id),
            Some(Blow::Fail) => refused(&operation, failure(), &id),
            Some(Blow::Throttle) => refused(&operation, throttling(operation.service), &id),
            None if !self.limits.allow(operation.service, &operation.name, now) => {
                refused(&operation, throttling(operation.service), &id)
            }
            None => {
                let answer = self.answer(now, &operation);
                let outcome = match &answer {
                    Ok(_) => Outcome::Done,
                    Err(refusal) => Outcome::Refused(refusal.clone()),
                };
                let mut written = wire::write(&operation, answer, &id);
                written.takes = self.takes(&operation);
                (outcome, Reply::Answer(written))
            }
        };
        let Operation { service, name, input } = operation;
        self.calls.push(Call { at: now, service, operation: name, input, outcome });
        reply
    }

    /// Lets happen what is due by now.
    pub fn advance(&mut self, now: Timestamp) {
        self.rds.advance(now, &self.place);
    }

    fn blow(&mut self, operation: &Operation) -> Option<Blow> {
        let mutates = mutates(&operation.name);
        let blows: Vec<Blow> =
            self.rules.iter_mut().filter_map(|rule| rule.strikes(&operation.name, mutates)).collect();
        blows.into_iter().next()
    }

    /// The caller is not told what came of it.
    fn carry_out(&mut self, now: Timestamp, operation: &Operation) -> (Answered, Outcome) {
        let answer = self.answer(now, operation);
        let outcome = match &answer {
            Ok(_) => Outcome::DoneUntold,
            Err(refusal) => Outcome::Refused(refusal.clone()),
        };
        (answer, outcome)
    }

    /// How long an answer takes: as long as a job that is waited for.
    fn takes(&self, operation: &Operation) -> Duration {
        let Operation { service, name, input } = operation;
        match service {
            Service::Lambda => self.lambda.takes(name, input),
            Service::StepFunctions => self.step_functions.takes(name, input),
            _ => Duration::ZERO,
        }
    }

    fn answer(&mut self, now: Timestamp, operation: &Operation) -> Answered {
        let Operation { service, name, input } = operation;
        match service {
            Service::Rds => self.rds.answer(&self.place, now, name, input),
            Service::CloudWatch => self.cloudwatch.answer(&self.place, now, name, input),
            Service::Lambda => self.lambda.answer(&self.place, name, input),
            Service::Ssm => self.ssm.answer(&self.place, now, name, input),
            Service::StepFunctions => self.step_functions.answer(&self.place, now, name, input),
            Service::Elb => self.elb.answer(&self.place, now, name, input),
            Service::Route53 => self.route53.answer(&self.place, now, name, input),
            Service::Sts => sts::answer(&self.place, name),
        }
    }
}

/// What AWS grants an account: Route 53, "Quotas", since July 2026; "Request throttling for the Elastic Load Balancing API";
/// "CloudWatch service quotas".
fn granted() -> Limits {
    let mut limits = Limits::default();
    limits.set(Service::Route53, "", 10.0, 50.0);
    limits.set(Service::Elb, "", 10.0, 40.0);
    limits.set(Service::CloudWatch, "DescribeAlarms", 9.0, 18.0);
    limits.set(Service::CloudWatch, "GetMetricData", 50.0, 100.0);
    limits
}

fn refused(operation: &Operation, refusal: Refusal, id: &str) -> (Outcome, Reply) {
    (Outcome::Refused(refusal.clone()), Reply::Answer(wire::write(operation, Err(refusal), id)))
}

fn failure() -> Refusal {
    Refusal::new(500, "InternalFailure", "We encountered an internal error. Please try again.")
}

fn throttling(service: Service) -> Refusal {
    Refusal::bad(service.throttling(), "Rate exceeded")
}
