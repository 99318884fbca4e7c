//! What AWS shows of the time before an incident: how the plan's alarms turned, who changed what (CloudTrail), which services had faults
//! (X-Ray), and which insights there were (DevOps Guru).

mod alarms;
mod graph;
mod insights;
mod names;
mod observed;
mod resource;
mod trail;

use std::{collections::BTreeSet, error::Error, sync::Arc, time::Duration};

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use belay_plan::model::{AwsTarget, Plan, Step};
use belay_ports::{
    Clock, Evidence, Fut, Gathered, Permission,
    evidence::{Changed, EvidenceSource, GATHER_TIME_MAX, Question},
};

pub(crate) use self::{graph::SERVICE as XRAY, insights::SERVICE as DEVOPS_GURU, trail::SERVICE as CLOUDTRAIL};
use crate::{errors, place, session::Aws};

/// Places that are asked: an account in a region each.
const PLACES_MAX: usize = 4;

/// The evidence over one [`Aws`].
#[derive(Clone)]
pub struct AwsEvidence {
    aws: Aws,
    clock: Arc<dyn Clock>,
    answers: Arc<resource::Answers>,
}

impl AwsEvidence {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock, answers: Arc::default() }
    }
}

/// What is found until then is better than nothing: a call that begins before it ends in time for [`GATHER_TIME_MAX`].
const CALLS_BEGIN_WITHIN: Duration = GATHER_TIME_MAX.saturating_sub(Duration::from_secs(20));

/// When no new call is begun any more.
struct Patience<'c> {
    clock: &'c dyn Clock,
    until: Duration,
}

impl<'c> Patience<'c> {
    fn begins(clock: &'c dyn Clock) -> Self {
        Self { clock, until: clock.monotonic() + CALLS_BEGIN_WITHIN }
    }

    fn is_over(&self) -> bool {
        self.clock.monotonic() >= self.until
    }
}

impl Evidence for AwsEvidence {
    fn gather<'a>(&'a self, question: &'a Question) -> Fut<'a, Gathered> {
        Box::pin(async move {
            let patience = Patience::begins(self.clock.as_ref());
            let mut gathered = match question.source {
                EvidenceSource::AlarmHistory => alarms::gather(&self.aws, &patience, question).await,
                EvidenceSource::Cloudtrail | EvidenceSource::CloudtrailLater => {
                    trail::gather(&self.aws, &patience, question).await
                }
                EvidenceSource::Xray => graph::gather(&self.aws, &patience, question).await,
                EvidenceSource::DevopsGuru => insights::gather(&self.aws, &patience, question).await,
            };
            // What is of one time stays in its order.
            gathered.findings.sort_by_key(|finding| std::cmp::Reverse(finding.at));
            gathered
        })
    }

    fn changes<'a>(&'a self, changed: Changed<'a>) -> Fut<'a, Gathered> {
        Box::pin(self.answers.changes(&self.aws, self.clock.as_ref(), changed))
    }

    fn permissions(&self, plan: &Plan) -> Vec<Permission> {
        let Some(wanted) = &plan.evidence else { return Vec::new() };
        let read = |action: &str| Permission {
            action: action.to_owned(),
            resource: "*".to_owned(),
            mutates: false,
            conditions: Vec::new(),
        };
        let cloudtrail = wanted.cloudtrail.map(|_| trail::CALL);
        let xray = wanted.xray.as_ref().map(|_| graph::CALL);
        let devops_guru = insights::CALLS.into_iter().filter(|_| wanted.devops_guru);
        let actions = std::iter::once(alarms::CALL).chain(cloudtrail).chain(xray).chain(devops_guru);
        // None of them has resource-level permissions.
        actions.map(read).collect()
    }
}

/// Why a source could not be asked, as a note. What a person does about it comes first: notes are cut.
fn unread<E>(place: &str, error: SdkError<E>, call: &str, about: &str) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let denied = errors::is_denied(&error);
    let why = errors::read(error, call, about).why;
    match denied {
        true => format!("{place}: access denied to {call}; `belay iam PLAN` prints the policy that permits it: {why}"),
        false => format!("{place}: {why}"),
    }
}

/// The places in which the plan's steps act on AWS. What is done to Route 53 shows in us-east-1; of other partitions that is not known.
fn places(plan: &Arc<Plan>) -> Vec<AwsTarget> {
    let acting = plan.steps.values().filter(|step| step.action.contains('.'));
    let places: BTreeSet<AwsTarget> = acting.map(place_of).collect();
    places.into_iter().take(PLACES_MAX).collect()
}

/// Where CloudTrail shows what is done to the resource of a step.
fn place_of(step: &Step) -> AwsTarget {
    match step.action.starts_with("route53.") && place::partition(&step.aws) == "aws" {
        true => AwsTarget { region: Some("us-east-1".to_owned()), ..step.aws.clone() },
        false => step.aws.clone(),
    }
}

#[cfg(test)]
mod tests;
