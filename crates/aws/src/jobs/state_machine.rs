//! `stepfunctions.execution`: an execution of a state machine has succeeded.
//!
//! The execution's name derives from run, step and try, and so does its ARN: starting it twice is starting it once, and a lost
//! answer is looked up. An Express state machine keeps nothing that could be looked up: its execution is waited for within the
//! call, and when that answer is lost a person has to say what is to be done.

use std::{error::Error, fmt, net::Ipv4Addr, sync::Arc, time::Duration};

use aws_sdk_sfn::{
    Client,
    config::{Builder, StalledStreamProtectionConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
    operation::{describe_execution::DescribeExecutionOutput, start_sync_execution::StartSyncExecutionOutput},
    types::{ExecutionStatus as Status, StateMachineStatus, StateMachineType, SyncExecutionStatus},
};
use belay_aws_catalogue::jobs::state_machine::With;
use belay_core::change::{Assessment, Change, Key, Receipt, Repeats};
use belay_ports::{
    ApplyError, Clock, Corrupt, Fut, Permission, ReadError, Scope, System,
    job::{self, Execution, Started, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{EXPECTED, Identity, Start, arguments, plain, refused};
use crate::{
    errors, place,
    services::{Actions, Granted, Service},
    session::Aws,
};

pub(crate) const SERVICE: Service = Service {
    // "Quotas", API action throttling, of the smaller regions.
    quotas: &[Granted::all(15.0, 60.0)],
    reads: &["DescribeExecution", "DescribeStateMachine"],
    writes: &["StartExecution", "StartSyncExecution"],
    actions: Some(Actions { prefix: "stepfunctions", keys: &["state_machine"] }),
    ..Service::new("SFN", "states")
};

const START: &str = "states:StartExecution";
const START_SYNC: &str = "states:StartSyncExecution";
const DESCRIBE: &str = "states:DescribeExecution";
const DESCRIBE_MACHINE: &str = "states:DescribeStateMachine";

/// The longest name of an execution.
const NAME_CHARS_MAX: usize = 80;

/// An Express execution takes five minutes at most, says AWS; a synchronous one is answered within that.
const SYNC_TIMEOUT: Duration = Duration::from_secs(5 * 60 + 30);

/// Everything that a look finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    machine: Machine,
    newest: Option<Execution>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Machine {
    Standard,
    Express,
    Deleting,
    Missing,
}

/// What a start needs.
#[derive(Debug, Serialize, Deserialize)]
struct Arguments {
    number: u32,
    express: bool,
    #[serde(flatten)]
    with: With,
}

/// The action `stepfunctions.execution`.
#[derive(Clone)]
pub struct StateMachine {
    aws: Aws,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for StateMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateMachine").field("aws", &self.aws).finish_non_exhaustive()
    }
}

impl StateMachine {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock }
    }

    async fn look(&self, scope: &Scope, with: With, receipts: &[Receipt]) -> Result<Found, ReadError> {
        if let Some(answered) = job::answered(receipts) {
            return Ok(Found { machine: Machine::Express, newest: Some(answered) });
        }
        let clients = self.aws.clients(&scope.aws).await?;
        let client = &clients.sfn.read;
        let machine = machine(client, &with.machine()).await?;
        if machine == Machine::Express {
            return Ok(Found { machine, newest: None });
        }
        for identity in job::numbers(scope).filter_map(|number| Identity::new(scope, number)) {
            let started = job::started(receipts, identity.number);
            let id = with.execution(&identity.name(NAME_CHARS_MAX));
            let state = match (describe(client, &id).await?, started) {
                (Some(execution), _) => state(&execution, self.clock.now()),
                (None, Some(_)) => State::Running {
                    fraction: None,
                    note: format!("AWS accepted the execution {id}; it is not listed yet"),
                },
                (None, None) => continue,
            };
            let newest = Execution { number: identity.number, logs: console(&clients.region, &id), id, state };
            return Ok(Found { machine, newest: Some(newest) });
        }
        Ok(Found { machine, newest: None })
    }
}

async fn machine(client: &Client, arn: &str) -> Result<Machine, ReadError> {
    match client.describe_state_machine().state_machine_arn(arn).send().await {
        Ok(answer) if answer.status() == Some(&StateMachineStatus::Deleting) => Ok(Machine::Deleting),
        Ok(answer) if *answer.r#type() == StateMachineType::Express => Ok(Machine::Express),
        Ok(_) => Ok(Machine::Standard),
        Err(error) if errors::code(&error) == Some("StateMachineDoesNotExist") => Ok(Machine::Missing),
        Err(error) => Err(errors::read(error, DESCRIBE_MACHINE, arn)),
    }
}

async fn describe(client: &Client, arn: &str) -> Result<Option<DescribeExecutionOutput>, ReadError> {
    match client.describe_execution().execution_arn(arn).send().await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if errors::code(&error) == Some("ExecutionDoesNotExist") => Ok(None),
        Err(error) => Err(errors::read(error, DESCRIBE, arn)),
    }
}

fn console(region: &str, arn: &str) -> String {
    let kind = if arn.contains(":express:") { "express-executions" } else { "executions" };
    format!("{}/states/home?region={region}#/v2/{kind}/details/{arn}", place::console(region))
}

fn state(execution: &DescribeExecutionOutput, now: Timestamp) -> State {
    let output = job::head(execution.output().unwrap_or_default());
    match execution.status() {
        Status::Succeeded => State::Succeeded { output },
        status @ (Status::Failed | Status::TimedOut | Status::Aborted) => {
            State::Failed { why: failure(status.as_str(), execution.error(), execution.cause()), output }
        }
        status => {
            let since = Timestamp::from_second(execution.start_date().secs()).ok();
            let redriven = if *status == Status::PendingRedrive { ", about to be redriven" } else { "" };
            State::Running {
                fraction: None,
                note: format!("the execution is under way{redriven}{}", job::running_for(since, now)),
            }
        }
    }
}

fn failure(status: &str, error: Option<&str>, cause: Option<&str>) -> String {
    let parts = [error, cause].into_iter().flatten().filter(|part| !part.is_empty());
    let parts: String = parts.map(|part| format!(": {}", errors::bounded(part))).collect();
    format!("the execution is {status}{parts}")
}

/// What came of a synchronous execution.
fn answer(number: u32, region: &str, answer: &StartSyncExecutionOutput) -> Execution {
    let output = job::head(answer.output().unwrap_or_default());
    let state = match answer.status() {
        SyncExecutionStatus::Succeeded => State::Succeeded { output },
        status => State::Failed { why: failure(status.as_str(), answer.error(), answer.cause()), output },
    };
    let id = answer.execution_arn().to_owned();
    Execution { number, logs: console(region, &id), id, state }
}

impl System for StateMachine {
    type With = With;
    type State = Found;

    fn observe<'a>(
        &'a self,
        scope: &'a Scope,
        with: With,
        receipts: &'a [Receipt],
    ) -> Fut<'a, Result<Found, ReadError>> {
        Box::pin(self.look(scope, with, receipts))
    }

    fn assess(
        &self,
        scope: &Scope,
        with: &With,
        now: &Found,
        _baseline: Option<&Found>,
        _receipts: &[Receipt],
    ) -> Result<Assessment, Corrupt> {
        let name = with.machine();
        let name = name.rsplit(':').next().unwrap_or_default();
        let express = match (now.machine, &now.newest) {
            (Machine::Missing, None) => {
                return Ok(Assessment::Failed { why: format!("there is no state machine {}", with.machine()) });
            }
            (Machine::Deleting, None) => {
                return Ok(Assessment::Failed { why: format!("somebody deletes the state machine {name}") });
            }
            (machine, _) => machine == Machine::Express,
        };
        Ok(job::assess(scope, now.newest.as_ref(), || {
            let kind = if express { " (Express: a lost answer cannot be looked up)" } else { "" };
            Start {
                title: format!("run the state machine {name}{kind}"),
                job: name,
                call: if express { START_SYNC } else { START },
                args: json!(Arguments { number: job::number(scope), express, with: with.clone() }),
                repeats: if express { Repeats::Never } else { Repeats::Token },
                expected: EXPECTED,
            }
            .change()
        }))
    }

    fn apply<'a>(&'a self, scope: &'a Scope, _key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(async move {
            let Arguments { number, express, with } = arguments(change)?;
            let identity =
                Identity::new(scope, number).ok_or_else(|| refused("a job is started by a run alone".to_owned()))?;
            let clients = self.aws.clients(&scope.aws).await?;
            let (client, region) = (&clients.sfn.write, &clients.region);
            let name = identity.name(NAME_CHARS_MAX);
            if express {
                let timeouts = TimeoutConfig::builder().operation_timeout(SYNC_TIMEOUT).build();
                let patient = Builder::new()
                    .timeout_config(timeouts)
                    .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
                let sent = client
                    .start_sync_execution()
                    .state_machine_arn(&with.state_machine)
                    .name(name)
                    .input(with.input.to_string());
                let sent = sent.customize().config_override(patient).mutate_request(|request| {
                    if let Some(plain) = without_prefix(request.uri()) {
                        // An error leaves the address that it had.
                        let _ = request.set_uri(plain);
                    }
                });
                let done = sent.send().await.map_err(|error| failure_of(error, START_SYNC, &with))?;
                return Ok(json!(answer(number, region, &done)));
            }
            let sent = client
                .start_execution()
                .state_machine_arn(&with.state_machine)
                .name(name)
                .input(with.input.to_string());
            let started = sent.send().await.map_err(|error| failure_of(error, START, &with))?;
            let id = started.execution_arn;
            Ok(json!(Started { number, logs: console(region, &id), id }))
        })
    }

    fn permissions(&self, _scope: &Scope, with: &With) -> Vec<Permission> {
        let permission = |mutates: bool, action: &str, resource: String| Permission {
            action: action.to_owned(),
            resource,
            mutates,
            conditions: Vec::new(),
        };
        let (machine, executions) = (with.machine(), with.execution("belay-*"));
        // A start by version or alias is checked against the state machine.
        vec![
            permission(false, DESCRIBE_MACHINE, machine.clone()),
            permission(false, DESCRIBE, executions),
            permission(true, START, machine.clone()),
            permission(true, START_SYNC, machine),
        ]
    }
}

/// The address of a synchronous call begins with `sync-`, which makes no sense before an address on this host or network:
/// where `AWS_ENDPOINT_URL` names one, it is meant as it stands.
fn without_prefix(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://sync-")?;
    let host = rest.split(['/', ':']).next()?;
    (host == "localhost" || host.parse::<Ipv4Addr>().is_ok()).then(|| format!("{scheme}://{rest}"))
}

fn failure_of<E>(error: SdkError<E>, call: &str, with: &With) -> ApplyError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let code = errors::code(&error).unwrap_or_default().to_owned();
    errors::refine(errors::apply(error, call, &with.state_machine), known(&code))
}

fn known(code: &str) -> Option<(bool, &'static str)> {
    Some(match plain(code) {
        // It is closed, or was given another input: the next look shows which.
        "ExecutionAlreadyExists" => (true, "an earlier send has started it; the next look finds it"),
        "ExecutionLimitExceeded" => (true, "too many executions are open in the account; some have to end first"),
        "KmsThrottling" => (true, "the key of the state machine is used too often"),
        "KmsInvalidState" => {
            (false, "the key of the state machine is disabled or being deleted: enable it, then retry")
        }
        "KmsAccessDenied" => (false, "the role needs kms:Decrypt and kms:GenerateDataKey on the state machine's key"),
        "StateMachineDoesNotExist" => (false, "name a state machine of this account and region"),
        "StateMachineDeleting" => (false, "somebody deletes the state machine: create it again, then retry"),
        "StateMachineTypeNotSupported" => {
            (false, "its type was changed since the step looked at it; a `retry` looks again")
        }
        "InvalidExecutionInput" => (false, "`input` must be JSON that the state machine takes"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
