//! `lambda.invoke`: a Lambda function was invoked, and has answered without an error.
//!
//! The call waits for the answer, and the answer is all that there will ever be: Lambda keeps nothing that could be looked up.
//! So a lost answer is left to a person, unless the plan says that the function may run twice (`idempotent: true`).

use std::time::Duration;

use aws_sdk_lambda::{
    config::{Builder, StalledStreamProtectionConfig, timeout::TimeoutConfig},
    operation::invoke::InvokeOutput,
    primitives::Blob,
    types::{InvocationType, LogType},
};
use belay_aws_catalogue::jobs::function::With;
use belay_core::{
    change::{Assessment, Change, Key, Receipt, Repeats},
    input::ErrorClass,
};
use belay_plan::duration::format;
use belay_ports::{
    ApplyError, Check, Corrupt, Fut, Permission, ReadError, Scope, System,
    job::{self, Execution, State},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Start, arguments};
use crate::{
    errors, place,
    services::{Actions, Granted, Service},
    session::Aws,
};

pub(crate) const SERVICE: Service = Service {
    // AWS publishes none that fits; this is below what is known to be throttled.
    quotas: &[Granted::all(15.0, 30.0)],
    reads: &["GetFunctionConfiguration"],
    writes: &["Invoke"],
    actions: Some(Actions { prefix: "lambda", keys: &["function"] }),
    ..Service::new("Lambda", "lambda")
};

const INVOKE: &str = "lambda:InvokeFunction";
const GET_CONFIGURATION: &str = "lambda:GetFunctionConfiguration";

/// A function runs for 15 minutes at most; it may have to be started first.
const INVOKE_TIMEOUT: Duration = Duration::from_secs(16 * 60);

/// What functions usually take; Lambda's own time-out for them is as short where nobody sets another.
const EXPECTED: Duration = Duration::from_secs(3);

/// Everything that a look finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// None: it was not asked for, because an answer is there.
    function: Option<Function>,
    newest: Option<Execution>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Function {
    There {
        log_group: String,
        /// `Pending`, `Active`, `Inactive`, `Failed`, and why.
        #[serde(default)]
        state: String,
        #[serde(default)]
        reason: String,
        /// After so long Lambda ends it.
        #[serde(default)]
        timeout_s: Option<u64>,
    },
    Missing,
}

/// What an invocation needs.
#[derive(Debug, Serialize, Deserialize)]
struct Arguments {
    number: u32,
    log_group: String,
    #[serde(flatten)]
    with: With,
}

/// The action `lambda.invoke`.
#[derive(Debug, Clone)]
pub struct Invocation {
    aws: Aws,
}

impl Invocation {
    pub fn new(aws: Aws) -> Self {
        Self { aws }
    }

    async fn look(&self, scope: &Scope, with: With, receipts: &[Receipt]) -> Result<Found, ReadError> {
        let newest = job::answered(receipts);
        if newest.as_ref().is_some_and(|newest| newest.number >= job::number(scope)) {
            return Ok(Found { function: None, newest });
        }
        let clients = self.aws.clients(&scope.aws).await?;
        let asked = clients.lambda.read.get_function_configuration().function_name(&with.function);
        let function = match asked.set_qualifier(with.qualifier.clone()).send().await {
            Ok(answer) => {
                let named = answer.logging_config().and_then(|config| config.log_group());
                let usual = || format!("/aws/lambda/{}", answer.function_name().unwrap_or_default());
                Function::There {
                    log_group: named.map_or_else(usual, ToOwned::to_owned),
                    state: answer.state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
                    reason: answer.state_reason().map(errors::bounded).unwrap_or_default(),
                    timeout_s: answer.timeout().and_then(|seconds| u64::try_from(seconds).ok()),
                }
            }
            Err(error) if errors::code(&error) == Some("ResourceNotFoundException") => Function::Missing,
            Err(error) => return Err(errors::read(error, GET_CONFIGURATION, &with.name())),
        };
        Ok(Found { function: Some(function), newest })
    }
}

/// What came of an invocation.
fn answer(number: u32, log_group: &str, answer: &InvokeOutput) -> Execution {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let payload = answer.payload().map(|payload| text(payload.as_ref())).unwrap_or_default();
    let log = answer.log_result().and_then(|log| aws_smithy_types::base64::decode(log).ok());
    let log = log.map(|log| text(&log)).unwrap_or_default();
    let version = answer.executed_version().unwrap_or_default();
    let state = match answer.function_error() {
        None => State::Succeeded { output: job::head(&payload) },
        Some(kind) => State::Failed {
            why: format!("the function has failed ({kind}): {}", message(&payload)),
            output: job::tail(&log),
        },
    };
    Execution { number, id: format!("version {version}"), state, logs: format!("log group {log_group}") }
}

/// What a function's error says: `{"errorMessage": "...", "errorType": "..."}`.
fn message(payload: &str) -> String {
    let error: Value = serde_json::from_str(payload).unwrap_or_default();
    let parts = ["errorType", "errorMessage"].iter().filter_map(|key| error[key].as_str());
    let told = parts.collect::<Vec<_>>().join(": ");
    errors::bounded(if told.is_empty() { payload } else { &told })
}

impl System for Invocation {
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
        let name = with.name();
        let log_group = match &now.function {
            Some(Function::Missing) => {
                return Ok(Assessment::Failed {
                    why: format!("there is no Lambda function {name} in this account and region"),
                });
            }
            Some(Function::There { state, reason, .. }) if state == "Failed" => {
                let why = format!("the Lambda function {name} is in the state Failed: {reason}; update it, then retry");
                return Ok(Assessment::Failed { why });
            }
            Some(Function::There { log_group, .. }) => log_group.clone(),
            None => String::new(),
        };
        Ok(job::assess(scope, now.newest.as_ref(), || {
            let once = if with.idempotent { "" } else { " (a lost answer cannot be looked up)" };
            Start {
                title: format!("invoke {name}{once}"),
                job: &name,
                call: INVOKE,
                args: json!(Arguments { number: job::number(scope), log_group, with: with.clone() }),
                repeats: if with.idempotent { Repeats::Converges } else { Repeats::Never },
                expected: EXPECTED,
            }
            .change()
        }))
    }

    fn checks(
        &self,
        scope: &Scope,
        with: &With,
        now: &Found,
        _baseline: Option<&Found>,
    ) -> Result<Vec<Check>, Corrupt> {
        let Some(Function::There { timeout_s: Some(seconds), .. }) = &now.function else { return Ok(Vec::new()) };
        let (may_run, waits) = (Duration::from_secs(*seconds), scope.timeout);
        let too_long = (may_run > waits).then(|| {
            let found = format!("the function may run for {}, the step waits for {}", format(may_run), format(waits));
            Check::warn("function_timeout", with.name(), found)
                .wanted(format!("a step that waits for {} at least", format(may_run)))
                .cure("give the step a longer `timeout`")
        });
        Ok(too_long.into_iter().collect())
    }

    fn apply<'a>(&'a self, scope: &'a Scope, _key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(async move {
            let Arguments { number, log_group, with } = arguments(change)?;
            let clients = self.aws.clients(&scope.aws).await?;
            let timeouts = TimeoutConfig::builder().operation_timeout(INVOKE_TIMEOUT).build();
            // While the function works there is nothing to hear from it.
            let patient = Builder::new()
                .timeout_config(timeouts)
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
            let sent = clients
                .lambda
                .write
                .invoke()
                .function_name(&with.function)
                .set_qualifier(with.qualifier.clone())
                .invocation_type(InvocationType::RequestResponse)
                .log_type(LogType::Tail)
                .payload(Blob::new(with.payload.to_string()));
            let done = sent.customize().config_override(patient).send().await.map_err(|error| {
                let code = errors::code(&error).unwrap_or_default().to_owned();
                errors::refine(never_ran(errors::apply(error, INVOKE, &with.name()), &code), known(&code))
            })?;
            Ok(json!(answer(number, &log_group, &done)))
        })
    }

    fn permissions(&self, scope: &Scope, with: &With) -> Vec<Permission> {
        let arn = match with.function.starts_with("arn:") {
            true => with.function.clone(),
            false => {
                let partition = place::partition(&scope.aws);
                let region = scope.aws.region.as_deref().unwrap_or("*");
                let account = scope.aws.account.as_deref().unwrap_or("*");
                let (account, name) = with.function.split_once(":function:").unwrap_or((account, &with.function));
                format!("arn:{partition}:lambda:{region}:{account}:function:{name}")
            }
        };
        let arn = with.qualifier.as_ref().map_or_else(|| arn.clone(), |qualifier| format!("{arn}:{qualifier}"));
        let permission = |mutates: bool, action: &str| Permission {
            action: action.to_owned(),
            resource: arn.clone(),
            mutates,
            conditions: Vec::new(),
        };
        vec![permission(false, GET_CONFIGURATION), permission(true, INVOKE)]
    }
}

/// What keeps Lambda from running a function for a while.
const NOT_READY: [&str; 14] = [
    "CodeArtifactUserPendingException",
    "EC2ThrottledException",
    "EC2UnexpectedException",
    "EFSMountConnectivityException",
    "EFSMountTimeoutException",
    "ENILimitReachedException",
    "ENINotReadyException",
    "ResourceConflictException",
    "ResourceNotReadyException",
    "S3FilesMountConnectivityException",
    "S3FilesMountTimeoutException",
    "SnapStartNotReadyException",
    "SnapStartTimeoutException",
    "SubnetIPAddressLimitReachedException",
];

/// What keeps Lambda from running a function until somebody repairs it.
const BROKEN: [&str; 16] = [
    "CodeArtifactUserDeletedException",
    "CodeArtifactUserFailedException",
    "EC2AccessDeniedException",
    "EFSMountFailureException",
    "InvalidRuntimeException",
    "InvalidSecurityGroupIDException",
    "InvalidSubnetIDException",
    "InvalidZipFileException",
    "KMSAccessDeniedException",
    "KMSDisabledException",
    "KMSInvalidStateException",
    "KMSNotFoundException",
    "NoPublishedVersionException",
    "S3FilesMountFailureException",
    "SnapStartException",
    "SnapStartRegenerationFailureException",
];

/// Most of these come with a status of 5xx, and yet they mean that the function was not run.
fn never_ran(error: ApplyError, code: &str) -> ApplyError {
    match error {
        ApplyError::OutcomeUnknown { why } if NOT_READY.contains(&code) || BROKEN.contains(&code) => {
            ApplyError::NoEffect { why, class: ErrorClass::Permanent }
        }
        error => error,
    }
}

fn known(code: &str) -> Option<(bool, &'static str)> {
    Some(match code {
        "SubnetIPAddressLimitReachedException" => {
            (true, "the function was not run: its subnets have no free addresses; free some, or give it larger subnets")
        }
        code if NOT_READY.contains(&code) => (true, "the function was not run"),
        code if BROKEN.contains(&code) => (false, "the function was not run: repair its configuration, then retry"),
        "ResourceNotFoundException" => (false, "name a function of this account and region, and a version that it has"),
        "RequestTooLargeException" => (false, "a payload has at most 6 MB"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
