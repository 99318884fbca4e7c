//! `ssm.automation`: a Systems Manager automation has succeeded.
//!
//! The start carries a client token and tags that derive from run, step and try. After a lost answer the execution is found
//! by its tag; should the list lag behind, the token keeps a second start from being a second execution.

mod document;

use std::{collections::HashMap, fmt, sync::Arc};

use aws_sdk_ssm::{
    Client,
    types::{
        AutomationExecution, AutomationExecutionFilter, AutomationExecutionFilterKey,
        AutomationExecutionStatus as Status, ResourceTypeForTagging, StepExecution, Tag,
    },
};
use belay_aws_catalogue::jobs::automation::{Values, With};
use belay_core::change::{Assessment, Change, Key, Receipt, Repeats};
use belay_ports::{
    ApplyError, Check, Clock, Condition, Corrupt, Fut, Permission, ReadError, Scope, System,
    job::{self, Execution, Started, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::document::Document;
use super::{EXPECTED, Identity, Start, arguments, plain, refused};
use crate::{
    errors, place,
    services::{Actions, Granted, Service},
    session::Aws,
};

pub(crate) const SERVICE: Service = Service {
    // AWS publishes none that fits; this is below what is known to be throttled.
    quotas: &[Granted::all(10.0, 20.0)],
    reads: &["DescribeAutomationExecutions", "DescribeDocument", "GetAutomationExecution", "ListTagsForResource"],
    writes: &["StartAutomationExecution"],
    actions: Some(Actions { prefix: "ssm", keys: &["document"] }),
    ..Service::new("SSM", "ssm")
};

const START: &str = "ssm:StartAutomationExecution";
const DESCRIBE: &str = "ssm:DescribeAutomationExecutions";
const GET: &str = "ssm:GetAutomationExecution";
const LIST_TAGS: &str = "ssm:ListTagsForResource";
const DESCRIBE_DOCUMENT: &str = "ssm:DescribeDocument";

/// Everything that a look finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    newest: Option<Execution>,
    /// Read before a run only: what is wrong with it then refuses the start.
    #[serde(default)]
    document: Option<Document>,
}

/// What a start needs.
#[derive(Debug, Serialize, Deserialize)]
struct Arguments {
    number: u32,
    #[serde(flatten)]
    with: With,
}

/// The action `ssm.automation`.
#[derive(Clone)]
pub struct Automation {
    aws: Aws,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Automation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Automation").field("aws", &self.aws).finish_non_exhaustive()
    }
}

impl Automation {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock }
    }

    async fn look(&self, scope: &Scope, with: &With, receipts: &[Receipt]) -> Result<Found, ReadError> {
        let clients = self.aws.clients(&scope.aws).await?;
        let client = &clients.ssm.read;
        for identity in job::numbers(scope).filter_map(|number| Identity::new(scope, number)) {
            let started = job::started(receipts, identity.number);
            let id = match &started {
                Some(started) => Some(started.id.clone()),
                None => find(client, &identity).await?,
            };
            let Some(id) = id else { continue };
            let state = match get(client, &id).await? {
                Some(execution) => state(&execution, self.clock.now()),
                None => State::Running {
                    fraction: None,
                    note: format!("AWS accepted the automation {id}; it is not listed yet"),
                },
            };
            let newest = Execution { number: identity.number, logs: console(&clients.region, &id), id, state };
            return Ok(Found { newest: Some(newest), document: None });
        }
        let document = match scope.run {
            Some(_) => None,
            None => Some(Document::read(client, with).await),
        };
        Ok(Found { newest: None, document })
    }
}

/// The tag that no other execution has: list filters know keys alone.
fn marker(identity: &Identity<'_>) -> String {
    format!("belay:{}:{}:{}", identity.run, identity.step, identity.number)
}

/// The id of an execution of which no answer has come.
async fn find(client: &Client, identity: &Identity<'_>) -> Result<Option<String>, ReadError> {
    let marker = marker(identity);
    let filter = AutomationExecutionFilter::builder().key(AutomationExecutionFilterKey::TagKey).values(&marker).build();
    let filter = filter.map_err(|error| ReadError { why: error.to_string(), permanent: true })?;
    let mut pages = client.describe_automation_executions().filters(filter).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| errors::read(error, DESCRIBE, "*"))?;
        for found in page.automation_execution_metadata_list() {
            let Some(id) = found.automation_execution_id() else { continue };
            if is_marked(client, id, &marker).await? {
                return Ok(Some(id.to_owned()));
            }
        }
    }
    Ok(None)
}

/// Whether it really is the one: a filter that is not understood must not make another's execution ours.
async fn is_marked(client: &Client, id: &str, marker: &str) -> Result<bool, ReadError> {
    let tags = client.list_tags_for_resource().resource_type(ResourceTypeForTagging::Automation).resource_id(id);
    match tags.send().await {
        Ok(answer) => Ok(answer.tag_list().iter().any(|tag| tag.key() == marker)),
        Err(error) if errors::code(&error) == Some("InvalidResourceId") => Ok(false),
        Err(error) => Err(errors::read(error, LIST_TAGS, id)),
    }
}

async fn get(client: &Client, id: &str) -> Result<Option<AutomationExecution>, ReadError> {
    match client.get_automation_execution().automation_execution_id(id).send().await {
        Ok(answer) => Ok(answer.automation_execution),
        Err(error) if errors::code(&error).map(plain) == Some("AutomationExecutionNotFound") => Ok(None),
        Err(error) => Err(errors::read(error, GET, id)),
    }
}

fn console(region: &str, id: &str) -> String {
    format!("{}/systems-manager/automation/execution/{id}?region={region}", place::console(region))
}

fn state(execution: &AutomationExecution, now: Timestamp) -> State {
    let status = execution.automation_execution_status().unwrap_or(&Status::Pending);
    match status {
        Status::Success | Status::CompletedWithSuccess => State::Succeeded { output: output(execution) },
        Status::Failed
        | Status::Timedout
        | Status::Cancelled
        | Status::Rejected
        | Status::Exited
        | Status::CompletedWithFailure
        | Status::ChangeCalendarOverrideRejected => {
            State::Failed { why: failure(execution, status), output: output(execution) }
        }
        // What is new counts as not over: the step's time-out bounds it.
        _ => progress(execution, status, now),
    }
}

fn is_over(step: &StepExecution) -> bool {
    use Status::{Cancelled, Failed, Success, Timedout};
    matches!(step.step_status(), Some(Success | Failed | Timedout | Cancelled))
}

fn progress(execution: &AutomationExecution, status: &Status, now: Timestamp) -> State {
    let steps = execution.step_executions();
    let since = execution.execution_start_time().and_then(|time| Timestamp::from_second(time.secs()).ok());
    let running_for = job::running_for(since, now);
    let waits = waits_for(status, execution.current_action().unwrap_or_default());
    let current = execution.current_step_name().unwrap_or_default();
    if steps.is_empty() || execution.step_executions_truncated() {
        let at = if current.is_empty() { "it is under way".to_owned() } else { format!("at step {current}") };
        return State::Running { fraction: None, note: format!("{at}{waits}{running_for}") };
    }
    let done = steps.iter().filter(|step| is_over(step)).count();
    let at = (done + 1).min(steps.len());
    let name = if current.is_empty() { steps[at - 1].step_name().unwrap_or_default() } else { current };
    #[expect(clippy::cast_precision_loss, reason = "a document has at most a hundred steps")]
    let fraction = Some(done as f64 / steps.len() as f64);
    State::Running { fraction, note: format!("step {at} of {}: {name}{waits}{running_for}", steps.len()) }
}

/// What somebody has to do before it goes on, in Systems Manager and not here.
fn waits_for(status: &Status, action: &str) -> &'static str {
    match (status, action) {
        (Status::PendingApproval, _) | (_, "aws:approve") => {
            "; it waits for an approval in Systems Manager: approve it there"
        }
        (_, "aws:pause") => "; it is paused: resume it in Systems Manager",
        (Status::PendingChangeCalendarOverride, _) => "; the change calendar is closed: override it in Systems Manager",
        (Status::Scheduled, _) => "; it waits for the time that it is scheduled for",
        (Status::Pending, _) => "; other automations run before it",
        (Status::Waiting, _) => "; it waits",
        (Status::Cancelling, _) => "; it is being cancelled",
        _ => "",
    }
}

fn failure(execution: &AutomationExecution, status: &Status) -> String {
    let failed = execution
        .step_executions()
        .iter()
        .find(|step| matches!(step.step_status(), Some(Status::Failed | Status::Timedout | Status::Cancelled)));
    let at = failed.and_then(StepExecution::step_name).map_or_else(String::new, |name| format!(" at step {name}"));
    let message = execution.failure_message().or(failed.and_then(StepExecution::failure_message)).unwrap_or_default();
    let message = if message.is_empty() { String::new() } else { format!(": {}", errors::bounded(message)) };
    format!("the automation is {}{at}{message}", status.as_str())
}

/// Sorted, a line each: `stopInstances.State: stopped, stopped`.
fn output(execution: &AutomationExecution) -> String {
    let mut lines: Vec<String> = execution
        .outputs()
        .into_iter()
        .flatten()
        .map(|(name, values)| format!("{name}: {}", values.join(", ")))
        .collect();
    lines.sort_unstable();
    job::head(&lines.join("\n"))
}

impl System for Automation {
    type With = With;
    type State = Found;

    fn observe<'a>(
        &'a self,
        scope: &'a Scope,
        with: With,
        receipts: &'a [Receipt],
    ) -> Fut<'a, Result<Found, ReadError>> {
        Box::pin(async move { self.look(scope, &with, receipts).await })
    }

    fn assess(
        &self,
        scope: &Scope,
        with: &With,
        now: &Found,
        _baseline: Option<&Found>,
        _receipts: &[Receipt],
    ) -> Result<Assessment, Corrupt> {
        if let Some(why) = now.document.as_ref().and_then(|document| document.problem(with)) {
            return Ok(Assessment::Failed { why });
        }
        Ok(job::assess(scope, now.newest.as_ref(), || {
            let version = with.version.as_ref().map_or_else(String::new, |version| format!(" version {version}"));
            Start {
                title: format!("run the automation {}{version}", with.document),
                job: &with.document,
                call: START,
                args: json!(Arguments { number: job::number(scope), with: with.clone() }),
                repeats: Repeats::Token,
                expected: EXPECTED,
            }
            .change()
        }))
    }

    fn checks(
        &self,
        _scope: &Scope,
        with: &With,
        now: &Found,
        _baseline: Option<&Found>,
    ) -> Result<Vec<Check>, Corrupt> {
        let Some(Document::Unreadable { why }) = &now.document else { return Ok(Vec::new()) };
        let found = format!("whether the document takes what the plan gives it could not be read: {why}");
        let check = Check::unknown("automation_document", &with.document, found)
            .wanted("a document that can be read, and takes these parameters")
            .cure("allow ssm:DescribeDocument (`belay iam PLAN` prints the statement), or look at it yourself");
        Ok(vec![check])
    }

    fn apply<'a>(&'a self, scope: &'a Scope, _key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(async move {
            let Arguments { number, with } = arguments(change)?;
            let identity =
                Identity::new(scope, number).ok_or_else(|| refused("a job is started by a run alone".to_owned()))?;
            let clients = self.aws.clients(&scope.aws).await?;
            let parameters: HashMap<String, Vec<String>> =
                with.parameters.iter().map(|(name, values)| (name.clone(), values.list())).collect();
            let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
            let tags = [
                tag("belay:migration", &scope.migration),
                tag("belay:run", identity.run),
                tag("belay:step", identity.step),
                tag(&marker(&identity), "job"),
            ];
            let tags: Result<Vec<Tag>, _> = tags.into_iter().collect();
            let sent = clients
                .ssm
                .write
                .start_automation_execution()
                .document_name(&with.document)
                .set_document_version(with.version.clone())
                .set_parameters((!parameters.is_empty()).then_some(parameters))
                .client_token(identity.token())
                .set_tags(Some(tags.map_err(|error| refused(error.to_string()))?));
            let answer = sent.send().await.map_err(|error| {
                let code = errors::code(&error).unwrap_or_default().to_owned();
                errors::refine(errors::apply(error, START, &with.document), known(&code))
            })?;
            let id = answer.automation_execution_id.unwrap_or_default();
            Ok(json!(Started { number, logs: console(&clients.region, &id), id }))
        })
    }

    fn permissions(&self, scope: &Scope, with: &With) -> Vec<Permission> {
        permissions(scope, with)
    }
}

fn known(code: &str) -> Option<(bool, &'static str)> {
    Some(match plain(code) {
        "IdempotentParameterMismatch" => (true, "an earlier send has started it; the next look finds it"),
        "AutomationExecutionLimitExceeded" => {
            (true, "too many automations run in the account and wait for their turn; some have to end first")
        }
        "AutomationDefinitionNotFound" => (false, "name an automation document of this account and region"),
        "AutomationDefinitionVersionNotFound" => (false, "name a version that the document has"),
        "InvalidAutomationExecutionParameters" => (false, "`parameters` must be those that the document declares"),
        _ => return None,
    })
}

fn permissions(scope: &Scope, with: &With) -> Vec<Permission> {
    let partition = place::partition(&scope.aws);
    let region = scope.aws.region.as_deref().unwrap_or("*");
    let account = scope.aws.account.as_deref().unwrap_or("*");
    let name = with.document.rsplit('/').next().unwrap_or_default();
    let permission = |mutates: bool, action: &str, resource: String| Permission {
        action: action.to_owned(),
        resource,
        mutates,
        conditions: Vec::new(),
    };
    let executions = format!("arn:{partition}:ssm:{region}:{account}:automation-execution/*");
    let mut found = vec![
        permission(false, DESCRIBE, "*".to_owned()),
        permission(false, GET, executions.clone()),
        permission(false, LIST_TAGS, executions.clone()),
        permission(false, DESCRIBE_DOCUMENT, format!("arn:{partition}:ssm:{region}:*:document/{name}")),
        permission(true, START, format!("arn:{partition}:ssm:{region}:*:automation-definition/{name}:*")),
        // Documents of AWS have no account in their ARN, shared ones another.
        permission(true, START, format!("arn:{partition}:ssm:{region}:*:document/{name}")),
        permission(true, START, executions.clone()),
        permission(true, "ssm:AddTagsToResource", executions),
    ];
    // A document that acts in a role of its own is handed that role.
    let roles = with.parameters.get("AutomationAssumeRole").map(Values::list).unwrap_or_default();
    found.extend(roles.into_iter().map(|role| {
        let to_ssm = Condition {
            operator: "StringEquals".to_owned(),
            key: "iam:PassedToService".to_owned(),
            value: "ssm.amazonaws.com".to_owned(),
        };
        Permission { conditions: vec![to_ssm], ..permission(true, "iam:PassRole", role) }
    }));
    found
}

#[cfg(test)]
mod tests;
