//! `rds.switch_back`: production is back on the old blue of an RDS blue/green deployment.
//!
//! AWS switches over in one direction only: what was production is renamed `NAME-old1` and kept, without what is written since.
//! Before the switchover there is nothing to do. After it the two change names: green moves to `NAME-failed-RUN`, the old
//! blue back to `NAME`. As long as AWS keeps the deployment, the old blue takes no writes; deleting that record (neither database is
//! deleted with it) is for a person, because Belay deletes nothing.
//!
//! ```text
//! deployment   NAME    NAME-old1   NAME-failed-RUN
//! before       blue    -           -                 in place
//! completed    green   blue        -                 a person deletes the record
//! none         green   blue        -                 rename_green
//! none         -       blue        green             rename_blue: nothing answers to the name until it is done
//! none         blue    -           green             in place
//! ```

mod calls;

use std::{fmt, sync::Arc, time::Duration};

use belay_core::change::{Assessment, Change, Effect, Key, Receipt, Repeats};
use belay_plan::{
    catalogue::{ActionSpec, no_action_findings},
    shape::{field, object, one_of},
};
use belay_ports::{ApplyError, Clock, Corrupt, Fut, Permission, ReadError, Scope, System};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::calls::{Call, DESCRIBE_DEPLOYMENTS, MODIFY_CLUSTER, MODIFY_INSTANCE};
use super::{
    super::status::{Phase, phase},
    DESCRIBE_CLUSTERS, DESCRIBE_INSTANCES, arn, cluster_shape, corrupt, derived, instance_shape, permission, recent,
    settling, verdict,
};
use crate::session::Aws;

/// The action's name in plans.
pub const ACTION: &str = "rds.switch_back";

const RENAME_GREEN: &str = "rename_green";
const RENAME_BLUE: &str = "rename_blue";

/// A rename reboots; AWS gives no figure.
const RENAME_EXPECTED: Duration = Duration::from_secs(3 * 60);
/// An accepted rename shows within this time.
const SHOWN_WITHIN: Duration = Duration::from_secs(10 * 60);

/// What `rds.switch_back` takes.
pub fn spec() -> ActionSpec {
    const OLD: &str = "What the old blue is called since the switchover; `NAME-old1` if left out.";
    ActionSpec {
        name: ACTION,
        summary: "Returns to the old blue of an RDS blue/green deployment, as far as AWS allows it.",
        with: one_of(
            "an object with exactly one of `instance`, `cluster`, and optionally `old`",
            [
                object([
                    field("instance", instance_shape(), "The DB instance, by the name of production."),
                    field("old", instance_shape(), OLD).optional(),
                ]),
                object([
                    field("cluster", cluster_shape(), "The DB cluster, by the name of production."),
                    field("old", cluster_shape(), OLD).optional(),
                ]),
            ],
        ),
        to: None,
        others: false,
        stages: false,
        default_timeout: Duration::from_secs(60 * 60),
        loses_data: true,
        resource: |with: &Value| {
            let name = with["instance"].as_str().or(with["cluster"].as_str()).unwrap_or_default();
            format!("rds:{}", name.to_ascii_lowercase())
        },
        check: no_action_findings,
    }
}

/// The step's `with:`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct With {
    #[serde(flatten)]
    database: Database,
    old: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Database {
    Instance(String),
    Cluster(String),
}

/// One of the two kinds of databases, as calls and ARNs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Instance,
    Cluster,
}

/// The names of the dance, in the lower case that RDS stores.
struct Names {
    kind: Kind,
    production: String,
    old: String,
    failed: String,
}

impl Names {
    fn new(scope: &Scope, with: &With) -> Self {
        let (kind, production) = match &with.database {
            Database::Instance(name) => (Kind::Instance, name.to_ascii_lowercase()),
            Database::Cluster(name) => (Kind::Cluster, name.to_ascii_lowercase()),
        };
        let old = with.old.as_ref().map_or_else(|| format!("{production}-old1"), |old| old.to_ascii_lowercase());
        Self { kind, old, failed: derived(&production, "failed", scope), production }
    }
}

/// Everything that a look finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    looked: Timestamp,
    /// The deployment that has to do with the name of production.
    deployment: Option<Deployment>,
    production: Option<Found>,
    old: Option<Found>,
    failed: Option<Found>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Deployment {
    id: String,
    name: String,
    status: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Found {
    /// Stays the same when the database is renamed, as the time of its creation does.
    resource_id: Option<String>,
    created: Option<Timestamp>,
    status: String,
    renaming_to: Option<String>,
}

/// The action behind [`ACTION`].
#[derive(Clone)]
pub struct RdsSwitchBack {
    aws: Aws,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for RdsSwitchBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RdsSwitchBack").field("aws", &self.aws).finish_non_exhaustive()
    }
}

impl RdsSwitchBack {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock }
    }

    async fn look(&self, scope: &Scope, with: With) -> Result<State, ReadError> {
        let looked = self.clock.now();
        let names = Names::new(scope, &with);
        let clients = self.aws.clients(&scope.aws).await?;
        let client = &clients.rds.read;
        let deployment = calls::deployment(client, &names).await?;
        // In the order in which names change: so a database that is renamed meanwhile is found twice, never not at all.
        let old = calls::database(client, names.kind, &names.old).await?;
        let production = calls::database(client, names.kind, &names.production).await?;
        let failed = match scope.run {
            Some(_) => calls::database(client, names.kind, &names.failed).await?,
            None => None,
        };
        Ok(State { looked, deployment, production, old, failed })
    }
}

fn assess(scope: &Scope, with: &With, now: &State, receipts: &[Receipt]) -> Assessment {
    let names = Names::new(scope, with);
    if let Some(assessment) = now.deployment.as_ref().and_then(|deployment| of_deployment(deployment, &names)) {
        return assessment;
    }
    let Names { production: name, old, failed, .. } = &names;
    if let Some(twice) = listed_twice(now) {
        return settling(format!("the database {twice} is being renamed: it is listed under two names"));
    }
    let accepted = |change| recent(receipts, change, now.looked, SHOWN_WITHIN);
    match (&now.production, &now.old, &now.failed) {
        (Some(_), Some(_), None) if accepted(RENAME_GREEN) => {
            settling(format!("AWS accepted the new name of green; it is still called {name}"))
        }
        (Some(green), Some(blue), None) => match unfit(&names.old, blue).or_else(|| unfit(name, green)) {
            Some(waiting) => waiting,
            None => Assessment::Remaining(vec![rename_green(scope, &names), rename_blue(&names)]),
        },
        (None, Some(_), _) if accepted(RENAME_BLUE) => {
            settling(format!("AWS accepted the new name of the old blue; it is still called {old}"))
        }
        (None, Some(blue), Some(_)) => {
            unfit(old, blue).unwrap_or_else(|| Assessment::Remaining(vec![rename_blue(&names)]))
        }
        (None, Some(_), None) if accepted(RENAME_GREEN) => settling(format!("green is being renamed to {failed}")),
        (None, None, Some(_)) if accepted(RENAME_BLUE) => settling(format!("the old blue is being renamed to {name}")),
        (Some(blue), None, Some(_)) => unfit(name, blue).unwrap_or(Assessment::InPlace),
        (Some(_), Some(_), Some(_)) => Assessment::Ambiguous {
            why: format!(
                "green was moved to {failed}, and now there are both {name} and {old}: somebody else has made one"
            ),
        },
        (Some(_), None, None) => verdict(format!(
            "there is neither a blue/green deployment of {name} nor a database {old}: nothing shows what was blue; if the old \
             blue has another name, say it in `old`"
        )),
        (None, ..) => verdict(format!("there is no database {name}, and its names do not show why")),
    }
}

/// What follows from the deployment alone. None: it does not stand in the way.
fn of_deployment(deployment: &Deployment, names: &Names) -> Option<Assessment> {
    let Deployment { id, name, status } = deployment;
    Some(match status.as_str() {
        "SWITCHOVER_IN_PROGRESS" => settling(format!(
            "AWS is switching {name} over; should that not end in its time, AWS itself goes back to blue"
        )),
        "SWITCHOVER_COMPLETED" => verdict(format!(
            "the switchover of {name} is complete, and AWS has no way back: as long as the deployment {id} exists, the old \
             blue {} takes no writes. Delete the deployment, which deletes neither database (aws rds \
             delete-blue-green-deployment --blue-green-deployment-identifier {id}), then `belay retry`",
            names.old
        )),
        "DELETING" => settling(format!("the deployment {name} is being deleted")),
        // PROVISIONING, AVAILABLE, INVALID_CONFIGURATION, SWITCHOVER_FAILED: production is still blue.
        _ => Assessment::InPlace,
    })
}

/// Why a database cannot be renamed, or used, now.
fn unfit(name: &str, found: &Found) -> Option<Assessment> {
    if let Some(to) = &found.renaming_to {
        return Some(settling(format!("{name} is being renamed to {to}")));
    }
    match phase(&found.status) {
        Phase::Available => None,
        Phase::Changing => Some(settling(format!("{name} is {}", found.status))),
        Phase::Stuck { cure } => Some(verdict(format!("{name} is {}: {cure}", found.status))),
    }
}

fn listed_twice(now: &State) -> Option<&str> {
    let listed: Vec<&Found> = [&now.old, &now.production, &now.failed].into_iter().flatten().collect();
    let same = |one: &Found, other: &Found| one.resource_id == other.resource_id && one.created == other.created;
    let again = |at: &usize| listed[..*at].iter().any(|earlier| same(earlier, listed[*at]));
    (0..listed.len()).find(again).and_then(|at| listed[at].resource_id.as_deref())
}

fn rename(id: &str, kind: Kind, from: &str, to: &str, effects: Vec<Effect>) -> Change {
    Change {
        id: id.to_owned(),
        title: format!("rename {from} to {to}"),
        before: json!({ "name": from }),
        after: json!({ "name": to }),
        call: if kind == Kind::Instance { MODIFY_INSTANCE } else { MODIFY_CLUSTER }.to_owned(),
        args: json!(Call { kind, from: from.to_owned(), to: to.to_owned() }),
        effects,
        repeats: Repeats::Converges,
        expected: RENAME_EXPECTED,
    }
}

fn rename_green(scope: &Scope, names: &Names) -> Change {
    // Since the switchover, which the mark of the cutover stands for.
    let effects = vec![Effect::LosesData { since: scope.cutover }, Effect::Outage { expected: RENAME_EXPECTED * 2 }];
    rename(RENAME_GREEN, names.kind, &names.production, &names.failed, effects)
}

fn rename_blue(names: &Names) -> Change {
    let effects = vec![Effect::Outage { expected: RENAME_EXPECTED }];
    rename(RENAME_BLUE, names.kind, &names.old, &names.production, effects)
}

impl System for RdsSwitchBack {
    type With = With;
    type State = State;

    fn observe<'a>(
        &'a self,
        scope: &'a Scope,
        with: With,
        _receipts: &'a [Receipt],
    ) -> Fut<'a, Result<State, ReadError>> {
        Box::pin(self.look(scope, with))
    }

    fn assess(
        &self,
        scope: &Scope,
        with: &With,
        now: &State,
        _baseline: Option<&State>,
        receipts: &[Receipt],
    ) -> Result<Assessment, Corrupt> {
        Ok(assess(scope, with, now, receipts))
    }

    fn apply<'a>(&'a self, scope: &'a Scope, _key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(async move {
            let call = Call::deserialize(&change.args).map_err(|error| corrupt(&change.id, &error))?;
            call.send(&self.aws.clients(&scope.aws).await?.rds.write).await
        })
    }

    fn permissions(&self, scope: &Scope, with: &With) -> Vec<Permission> {
        let names = Names::new(scope, with);
        let (kind, describe, modify) = match names.kind {
            Kind::Instance => ("db", DESCRIBE_INSTANCES, MODIFY_INSTANCE),
            Kind::Cluster => ("cluster", DESCRIBE_CLUSTERS, MODIFY_CLUSTER),
        };
        let mut found = vec![permission(false, DESCRIBE_DEPLOYMENTS, "*".to_owned())];
        for name in [&names.production, &names.old, &names.failed] {
            let resource = arn(scope, kind, &name.replace("<run>", "*"));
            found.extend([permission(false, describe, resource.clone()), permission(true, modify, resource)]);
        }
        found
    }
}

#[cfg(test)]
mod tests;
