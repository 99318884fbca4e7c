//! Lambda: functions that are invoked and waited for.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    answer::{Answered, Refusal},
    input::Input,
    world::{Place, Thing, World},
};

#[derive(Debug, Clone, Default)]
pub struct Lambda {
    functions: Vec<Function>,
}

/// A function: `Function::named("put-back").taking(minutes)`.
#[derive(Debug, Clone)]
pub struct Function {
    name: String,
    takes: Duration,
    /// After so long Lambda ends it.
    timeout: Duration,
    state: &'static str,
    error: Option<&'static str>,
    ran: usize,
}

impl Function {
    pub fn named(name: &str) -> Self {
        let (takes, timeout) = (Duration::from_secs(5), Duration::from_secs(900));
        Self { name: name.to_owned(), takes, timeout, state: "Active", error: None, ran: 0 }
    }

    #[must_use]
    pub fn taking(mut self, time: Duration) -> Self {
        self.takes = time;
        self
    }

    #[must_use]
    pub fn timing_out_after(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// `Pending`, `Inactive`, `Failed`.
    #[must_use]
    pub fn being(mut self, state: &'static str) -> Self {
        self.state = state;
        self
    }

    /// It raises this error.
    #[must_use]
    pub fn failing(mut self, message: &'static str) -> Self {
        self.error = Some(message);
        self
    }
}

impl Thing for Function {
    fn enter(self, world: &mut World) {
        world.lambda.functions.push(self);
    }
}

impl Lambda {
    pub(crate) fn answer(&mut self, place: &Place, operation: &str, input: &Value) -> Answered {
        let input = Input(input);
        match operation {
            "GetFunctionConfiguration" => {
                let found = self.function(input.only("FunctionName Qualifier")?)?;
                let arn = place.arn("lambda", &format!("function:{}", found.name));
                Ok(json!({
                    "FunctionName": found.name, "FunctionArn": arn, "State": found.state, "Version": "$LATEST",
                    "LastUpdateStatus": "Successful", "Timeout": found.timeout.as_secs(),
                    "LoggingConfig": { "LogGroup": format!("/aws/lambda/{}", found.name) },
                }))
            }
            "Invoke" => self.invoke(input),
            _ => Err(Refusal::bad("InvalidAction", format!("the stand-in has no lambda:{operation}"))),
        }
    }

    /// An invocation is answered when the function has ended.
    pub(crate) fn takes(&self, operation: &str, input: &Value) -> Duration {
        let found = self.function(Input(input)).ok();
        found.filter(|_| operation == "Invoke").map_or(Duration::ZERO, |found| found.takes.min(found.timeout))
    }

    /// How often a function has run.
    pub fn ran(&self, function: &str) -> usize {
        self.functions.iter().find(|found| found.name == function).map_or(0, |found| found.ran)
    }

    /// A function is in this state from now on.
    pub fn turns(&mut self, function: &str, state: &'static str) {
        if let Some(found) = self.functions.iter_mut().find(|found| found.name == function) {
            found.state = state;
        }
    }

    /// By its name or its ARN.
    fn function(&self, input: Input<'_>) -> Result<&Function, Refusal> {
        let name = input.wanted("FunctionName")?;
        let name = name.split_once(":function:").map_or(name, |(_, name)| name);
        let name = name.split(':').next().unwrap_or_default();
        let missing = || Refusal::missing("ResourceNotFoundException", format!("Function not found: {name}"));
        self.functions.iter().find(|found| found.name == name).ok_or_else(missing)
    }

    /// A function that is being made, or was not used for weeks, does not run yet (developer guide, "Lambda function
    /// states").
    fn invoke(&mut self, input: Input<'_>) -> Answered {
        let input = input.only("FunctionName Qualifier InvocationType LogType ClientContext Payload TenantId")?;
        let found = self.function(input)?;
        match found.state {
            "Pending" => {
                let message = "The operation cannot be performed at this time. The function is currently in the following \
                               state: Pending";
                return Err(Refusal::new(409, "ResourceConflictException", message));
            }
            "Inactive" => {
                let message = "The function is inactive and its VPC connection is no longer available.";
                return Err(Refusal::new(502, "ResourceNotReadyException", message));
            }
            _ => {}
        }
        let name = found.name.clone();
        let (payload, error) = match (found.takes > found.timeout, found.error) {
            (true, _) => {
                let message = format!("Task timed out after {}.00 seconds", found.timeout.as_secs());
                (json!({ "errorMessage": message }), Some("Unhandled"))
            }
            (false, Some(message)) => (json!({ "errorMessage": message, "errorType": "Error" }), Some("Unhandled")),
            (false, None) => (json!({ "done": true }), None),
        };
        let found = self.functions.iter_mut().find(|found| found.name == name).expect("it was found just now");
        found.ran += 1;
        Ok(json!({
            "StatusCode": 200, "Payload": payload, "FunctionError": error, "ExecutedVersion": "$LATEST",
            "LogResult": "RU5E", // the end of its log, in base64
        }))
    }
}
