//! Systems Manager: documents, and the automations that are run from them.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    answer::{Answered, Refusal},
    input::Input,
    page::page,
    world::{Place, Thing, World},
};

#[derive(Debug, Clone)]
pub struct Ssm {
    /// Until an automation is listed, and can be asked for.
    pub listed: Duration,
    /// How many automations may run at once (quotas of Systems Manager: 100 and a queue; here, so many more).
    pub room: Option<usize>,
    documents: Vec<Document>,
    executions: Vec<Execution>,
}

impl Default for Ssm {
    fn default() -> Self {
        Self { listed: Duration::from_secs(4), room: None, documents: Vec::new(), executions: Vec::new() }
    }
}

/// An automation document: `Document::named("Restore-Cache").step("warm", "aws:runCommand").taking(minutes)`.
#[derive(Debug, Clone)]
pub struct Document {
    name: String,
    steps: Vec<(String, String)>,
    takes: Duration,
    ends: &'static str,
    parameters: Vec<(String, Option<String>)>,
}

#[derive(Debug, Clone)]
struct Execution {
    id: String,
    document: String,
    began: Timestamp,
    token: Option<String>,
    parameters: Value,
    tags: Value,
    stopped: Option<Timestamp>,
}

impl Document {
    pub fn named(name: &str) -> Self {
        let (steps, parameters) = (Vec::new(), Vec::new());
        Self { name: name.to_owned(), steps, takes: Duration::from_secs(60), ends: "Success", parameters }
    }

    #[must_use]
    pub fn step(mut self, name: &str, action: &str) -> Self {
        self.steps.push((name.to_owned(), action.to_owned()));
        self
    }

    #[must_use]
    pub fn taking(mut self, time: Duration) -> Self {
        self.takes = time;
        self
    }

    /// Its automations end `Failed`, `TimedOut`, `Cancelled`.
    #[must_use]
    pub fn ending(mut self, status: &'static str) -> Self {
        self.ends = status;
        self
    }

    /// A parameter; without a default it has to be given.
    #[must_use]
    pub fn parameter(mut self, name: &str, default: Option<&str>) -> Self {
        self.parameters.push((name.to_owned(), default.map(ToOwned::to_owned)));
        self
    }
}

impl Thing for Document {
    fn enter(self, world: &mut World) {
        world.ssm.documents.push(self);
    }
}

impl Ssm {
    pub(crate) fn answer(&mut self, place: &Place, now: Timestamp, operation: &str, input: &Value) -> Answered {
        let input = Input(input);
        match operation {
            "DescribeDocument" => self.describe_document(input),
            "StartAutomationExecution" => self.start(now, input),
            "GetAutomationExecution" => self.get(now, input),
            "DescribeAutomationExecutions" => self.list(place, now, input),
            "ListTagsForResource" => self.tags(now, input),
            _ => Err(Refusal::bad("InvalidAction", format!("the stand-in has no ssm:{operation}"))),
        }
    }

    /// How many automations of a document were started.
    pub fn started(&self, document: &str) -> usize {
        self.executions.iter().filter(|execution| execution.document == document).count()
    }

    fn document(&self, name: &str, code: &str) -> Result<&Document, Refusal> {
        let missing = || Refusal::bad(code, format!("Document with name {name} does not exist."));
        self.documents.iter().find(|document| document.name == name).ok_or_else(missing)
    }

    fn describe_document(&self, input: Input<'_>) -> Answered {
        let input = input.only("Name DocumentVersion VersionName")?;
        let document = self.document(input.wanted("Name")?, "InvalidDocument")?;
        if input.text("DocumentVersion").is_some_and(|version| !["1", "$DEFAULT", "$LATEST"].contains(&version)) {
            return Err(Refusal::bad("InvalidDocumentVersion", "The document version is not valid."));
        }
        let parameters: Vec<Value> = document
            .parameters
            .iter()
            .map(|(name, default)| json!({ "Name": name, "Type": "String", "DefaultValue": default }))
            .collect();
        Ok(json!({
            "Document": {
                "Name": document.name, "DocumentType": "Automation", "Status": "Active", "DocumentVersion": "1",
                "Parameters": parameters,
            },
        }))
    }

    /// The same token starts the same automation; with other parameters it is refused (API reference).
    fn start(&mut self, now: Timestamp, input: Input<'_>) -> Answered {
        let known = "DocumentName DocumentVersion Parameters ClientToken Mode TargetParameterName Targets TargetMaps \
                     MaxConcurrency MaxErrors TargetLocations Tags AlarmConfiguration TargetLocationsURL";
        let input = input.only(known)?;
        let document = self.document(input.wanted("DocumentName")?, "AutomationDefinitionNotFoundException")?;
        let given = &input.0["Parameters"];
        for name in given.as_object().into_iter().flat_map(|given| given.keys()) {
            if !document.parameters.iter().any(|(known, _)| known == name) {
                let message = format!("The document has no parameter {name}.");
                return Err(Refusal::bad("InvalidAutomationExecutionParametersException", message));
            }
        }
        for (name, default) in &document.parameters {
            if default.is_none() && given[name].is_null() {
                let message = format!("The parameter {name} has to be given.");
                return Err(Refusal::bad("InvalidAutomationExecutionParametersException", message));
            }
        }
        let token = input.text("ClientToken");
        if token.is_some_and(|token| token.len() != 36) {
            return Err(Refusal::bad("ValidationException", "A client token is a UUID."));
        }
        if let Some(found) = self.executions.iter().find(|found| token.is_some() && found.token.as_deref() == token) {
            return match found.parameters == *given && found.document == document.name {
                true => Ok(json!({ "AutomationExecutionId": found.id })),
                false => Err(Refusal::bad("IdempotentParameterMismatch", "The token was used with other parameters.")),
            };
        }
        let running = self.executions.iter().filter(|execution| self.status(execution, now) == "InProgress").count();
        if self.room.is_some_and(|room| running >= room) {
            let message = "The number of simultaneously running automations exceeds the quota.";
            return Err(Refusal::bad("AutomationExecutionLimitExceededException", message));
        }
        let id = format!("{:08x}-0000-4000-8000-000000000000", self.executions.len() + 1);
        let (document, token) = (document.name.clone(), token.map(ToOwned::to_owned));
        let (parameters, tags) = (given.clone(), input.0["Tags"].clone());
        let answer = json!({ "AutomationExecutionId": id });
        self.executions.push(Execution { id, document, began: now, token, parameters, tags, stopped: None });
        Ok(answer)
    }

    fn status(&self, execution: &Execution, now: Timestamp) -> &'static str {
        let document = self.documents.iter().find(|document| document.name == execution.document);
        let (takes, ends) = document.map_or((Duration::ZERO, "Success"), |document| (document.takes, document.ends));
        match (execution.stopped, now < execution.began + takes) {
            (Some(_), _) => "Cancelled",
            (None, true) => "InProgress",
            (None, false) => ends,
        }
    }

    fn execution(&self, id: &str, now: Timestamp) -> Option<&Execution> {
        self.executions.iter().find(|found| found.id == id && now >= found.began + self.listed)
    }

    fn get(&self, now: Timestamp, input: Input<'_>) -> Answered {
        let id = input.only("AutomationExecutionId")?.wanted("AutomationExecutionId")?;
        let missing = || {
            let message = format!("Automation execution {id} is not found.");
            Refusal::bad("AutomationExecutionNotFoundException", message)
        };
        let found = self.execution(id, now).ok_or_else(missing)?;
        let document = self.document(&found.document, "InvalidDocument")?;
        let status = self.status(found, now);
        let gone = now.duration_since(found.began).unsigned_abs();
        let each = document.takes / u32::try_from(document.steps.len().max(1)).unwrap_or(1);
        let at = usize::try_from(gone.as_secs() / each.as_secs().max(1)).unwrap_or(usize::MAX);
        let steps: Vec<Value> = document
            .steps
            .iter()
            .enumerate()
            .map(|(number, (name, action))| {
                let last = number + 1 == document.steps.len();
                let step = match (number.cmp(&at), status) {
                    (std::cmp::Ordering::Less, "InProgress") => "Success",
                    (std::cmp::Ordering::Equal, "InProgress") => "InProgress",
                    (_, "InProgress") => "Pending",
                    (_, ended) if last => ended,
                    _ => "Success",
                };
                json!({ "StepName": name, "Action": action, "StepStatus": step })
            })
            .collect();
        let current = document.steps.get(at).filter(|_| status == "InProgress");
        let failed = (status != "InProgress" && status != "Success").then_some("the step has failed");
        Ok(json!({
            "AutomationExecution": {
                "AutomationExecutionId": found.id, "DocumentName": found.document, "DocumentVersion": "1",
                "ExecutionStartTime": found.began.as_second(), "AutomationExecutionStatus": status,
                "StepExecutions": steps, "StepExecutionsTruncated": false, "FailureMessage": failed,
                "CurrentStepName": current.map(|(name, _)| name), "CurrentAction": current.map(|(_, action)| action),
            },
        }))
    }

    /// Filters know keys of tags alone (API reference, AutomationExecutionFilter).
    fn list(&self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("Filters MaxResults NextToken")?;
        let filters = input.0["Filters"].as_array().map_or(&[][..], Vec::as_slice);
        let passes = |found: &&Execution| {
            filters.iter().all(|filter| {
                let values = filter["Values"].as_array().into_iter().flatten();
                let mut values = values.filter_map(Value::as_str);
                values.any(|value| match filter["Key"].as_str() {
                    Some("TagKey") => found.has_tag(value),
                    Some("DocumentNamePrefix") => found.document.starts_with(value),
                    Some("ExecutionStatus") => self.status(found, now) == value,
                    Some("ExecutionId") => found.id == value,
                    _ => false,
                })
            })
        };
        let listed = self.executions.iter().filter(|found| now >= found.began + self.listed);
        let found: Vec<&Execution> = listed.filter(passes).collect();
        let (found, token) = page(found, place.page, input.0["MaxResults"].as_i64(), input.text("NextToken"))?;
        let shown: Vec<Value> = found
            .into_iter()
            .map(|found| {
                json!({
                    "AutomationExecutionId": found.id, "DocumentName": found.document,
                    "AutomationExecutionStatus": self.status(found, now),
                    "ExecutionStartTime": found.began.as_second(),
                })
            })
            .collect();
        Ok(json!({ "AutomationExecutionMetadataList": shown, "NextToken": token }))
    }

    fn tags(&self, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("ResourceType ResourceId")?;
        let id = input.wanted("ResourceId")?;
        let found = self.execution(id, now);
        let missing = || Refusal::bad("InvalidResourceId", format!("The resource {id} is not valid."));
        Ok(json!({ "TagList": found.ok_or_else(missing)?.tags }))
    }
}

impl Execution {
    fn has_tag(&self, key: &str) -> bool {
        self.tags.as_array().into_iter().flatten().any(|tag| tag["Key"] == key)
    }
}
