//! Step Functions: Standard and Express state machines, and their executions.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    answer::{Answered, Refusal},
    input::Input,
    world::{Place, Thing, World},
};

#[derive(Debug, Clone)]
pub struct StepFunctions {
    /// Until an execution can be asked for (API reference, DescribeExecution: "eventually consistent").
    pub listed: Duration,
    /// How many executions may be open.
    pub room: Option<usize>,
    machines: Vec<StateMachine>,
    executions: Vec<Execution>,
}

impl Default for StepFunctions {
    fn default() -> Self {
        Self { listed: Duration::from_secs(2), room: None, machines: Vec::new(), executions: Vec::new() }
    }
}

/// A state machine: `StateMachine::standard("put-back").taking(minutes)`.
#[derive(Debug, Clone)]
pub struct StateMachine {
    name: String,
    express: bool,
    takes: Duration,
    ends: &'static str,
}

#[derive(Debug, Clone)]
struct Execution {
    machine: String,
    name: String,
    input: String,
    began: Timestamp,
}

impl StateMachine {
    pub fn standard(name: &str) -> Self {
        Self { name: name.to_owned(), express: false, takes: Duration::from_secs(60), ends: "SUCCEEDED" }
    }

    pub fn express(name: &str) -> Self {
        Self { express: true, takes: Duration::from_secs(20), ..Self::standard(name) }
    }

    #[must_use]
    pub fn taking(mut self, time: Duration) -> Self {
        self.takes = time;
        self
    }

    /// Its executions end `FAILED`, `TIMED_OUT`, `ABORTED`.
    #[must_use]
    pub fn ending(mut self, status: &'static str) -> Self {
        self.ends = status;
        self
    }
}

impl Thing for StateMachine {
    fn enter(self, world: &mut World) {
        world.step_functions.machines.push(self);
    }
}

impl StepFunctions {
    pub(crate) fn answer(&mut self, place: &Place, now: Timestamp, operation: &str, input: &Value) -> Answered {
        let input = Input(input);
        match operation {
            "DescribeStateMachine" => {
                let arn = input.only("stateMachineArn includedData")?.wanted("stateMachineArn")?;
                let machine = self.machine(arn)?;
                let kind = if machine.express { "EXPRESS" } else { "STANDARD" };
                Ok(json!({
                    "stateMachineArn": arn, "name": machine.name, "status": "ACTIVE", "type": kind, "definition": "{}",
                    "roleArn": "arn:aws:iam::111122223333:role/states", "creationDate": 1_700_000_000,
                }))
            }
            "StartExecution" => self.start(place, now, input),
            "StartSyncExecution" => self.run(place, now, input),
            "DescribeExecution" => self.describe(place, now, input),
            _ => Err(Refusal::bad("InvalidAction", format!("the stand-in has no states:{operation}"))),
        }
    }

    /// A synchronous execution is answered when it has ended.
    pub(crate) fn takes(&self, operation: &str, input: &Value) -> Duration {
        let machine = input["stateMachineArn"].as_str().and_then(|arn| self.machine(arn).ok());
        machine.filter(|_| operation == "StartSyncExecution").map_or(Duration::ZERO, |machine| machine.takes)
    }

    /// How many executions of a state machine were started.
    pub fn started(&self, machine: &str) -> usize {
        self.executions.iter().filter(|execution| execution.machine == machine).count()
    }

    fn machine(&self, arn: &str) -> Result<&StateMachine, Refusal> {
        let name = arn.split(':').nth(6).unwrap_or_default();
        let missing = || Refusal::bad("StateMachineDoesNotExist", format!("State Machine Does Not Exist: '{arn}'"));
        self.machines.iter().find(|machine| machine.name == name).ok_or_else(missing)
    }

    /// The same name with the same input is the same execution as long as that is open; afterwards, and with another input,
    /// it is refused (API reference, StartExecution).
    fn start(&mut self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("stateMachineArn name input traceHeader")?;
        let machine = self.machine(input.wanted("stateMachineArn")?)?;
        let name = input.wanted("name")?;
        if name.len() > 80
            || name.contains(|sign: char| sign.is_whitespace() || "<>{}[]?*\"#%\\^|~`$&,;:/".contains(sign))
        {
            return Err(Refusal::bad("InvalidName", format!("Invalid Name: '{name}'")));
        }
        let given = input.text("input").unwrap_or("{}");
        if let Some(found) = self.executions.iter().find(|one| one.machine == machine.name && one.name == name) {
            return match found.input == given && now < found.began + machine.takes && !machine.express {
                true => Ok(json!({ "executionArn": found.arn(place), "startDate": found.began.as_second() })),
                false => {
                    let message = format!("Execution Already Exists: '{}'", found.arn(place));
                    Err(Refusal::bad("ExecutionAlreadyExists", message))
                }
            };
        }
        let open = self.executions.iter().filter(|one| self.status(one, now) == "RUNNING").count();
        if self.room.is_some_and(|room| open >= room) {
            return Err(Refusal::bad("ExecutionLimitExceeded", "The maximum number of open executions is reached."));
        }
        let (machine, name, input) = (machine.name.clone(), name.to_owned(), given.to_owned());
        let made = Execution { machine, name, input, began: now };
        let answer = json!({ "executionArn": made.arn(place), "startDate": now.as_second() });
        self.executions.push(made);
        Ok(answer)
    }

    fn run(&mut self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("stateMachineArn name input traceHeader includedData")?;
        let machine = self.machine(input.wanted("stateMachineArn")?)?;
        if !machine.express {
            let message = "This operation is only supported for state machines of type EXPRESS.";
            return Err(Refusal::bad("StateMachineTypeNotSupported", message));
        }
        let (name, ends) = (input.text("name").unwrap_or("unnamed").to_owned(), machine.ends);
        let (began, stopped) = (now.as_second(), (now + machine.takes).as_second());
        let (machine, given) = (machine.name.clone(), input.text("input").unwrap_or("{}").to_owned());
        let made = Execution { machine, name, input: given, began: now };
        let arn = made.arn(place).replace(":execution:", ":express:");
        self.executions.push(made);
        Ok(json!({
            "executionArn": arn, "startDate": began, "stopDate": stopped, "status": ends, "output": "{\"done\":true}",
        }))
    }

    fn status(&self, execution: &Execution, now: Timestamp) -> &'static str {
        let machine = self.machines.iter().find(|machine| machine.name == execution.machine);
        match machine {
            Some(machine) if now >= execution.began + machine.takes => machine.ends,
            _ => "RUNNING",
        }
    }

    fn describe(&self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let arn = input.only("executionArn includedData")?.wanted("executionArn")?;
        let found = self.executions.iter().find(|one| one.arn(place) == arn && now >= one.began + self.listed);
        let missing = || Refusal::bad("ExecutionDoesNotExist", format!("Execution Does Not Exist: '{arn}'"));
        let found = found.ok_or_else(missing)?;
        let status = self.status(found, now);
        let failed = !matches!(status, "RUNNING" | "SUCCEEDED");
        Ok(json!({
            "executionArn": arn, "stateMachineArn": place.arn("states", &format!("stateMachine:{}", found.machine)),
            "name": found.name, "status": status, "startDate": found.began.as_second(), "input": found.input,
            "output": (status == "SUCCEEDED").then_some("{\"done\":true}"),
            "error": failed.then_some("States.TaskFailed"), "cause": failed.then_some("a task has failed"),
        }))
    }
}

impl Execution {
    fn arn(&self, place: &Place) -> String {
        place.arn("states", &format!("execution:{}:{}", self.machine, self.name))
    }
}
