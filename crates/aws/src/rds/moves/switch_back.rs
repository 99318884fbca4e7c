//! `rds.switch_back`: production is back on the old blue of an RDS blue/green deployment.
//!
//! AWS switches over in one direction only: what was production is renamed `NAME-oldN` and kept, without what is written since.
//! Before the switchover there is nothing to do. After it the two change names: green moves to `NAME-failed-RUN`, the old
//! blue back to `NAME`. As long as AWS keeps the deployment, the old blue takes no writes; deleting that record (neither database is
//! deleted with it) is for a person, because Belay deletes nothing.
//!
//! Which database is the old blue is known by its resource, never by its name alone ([`identity`]); where the names stand
//! is read off a list of all databases ([`assess`]).

mod assess;
mod by_hand;
mod calls;
mod identity;
mod state;

use std::{fmt, sync::Arc};

use belay_aws_catalogue::rds::switch_back::{Database, With};
use belay_core::change::{Assessment, Change, Key, Receipt};
use belay_ports::{ApplyError, Check, Clock, Corrupt, Fut, Permission, ReadError, RestorePoint, Scope, System};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::{
    assess::View,
    calls::{Call, DESCRIBE_DEPLOYMENTS, MODIFY_CLUSTER, MODIFY_INSTANCE},
    state::{Deployment, Id, State},
};
use super::{
    super::{
        calls::Call as RestoreCall,
        led::{self, Earlier, Stage},
        links,
        proxies::{self, DEREGISTER, REGISTER},
        source,
    },
    DESCRIBE_CLUSTERS, DESCRIBE_INSTANCES, arn, corrupt, derived, permission,
};
use crate::session::Aws;

/// One of the two kinds of databases, as calls and ARNs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Instance,
    Cluster,
}

impl From<Kind> for source::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Instance => Self::Instance,
            Kind::Cluster => Self::Cluster,
        }
    }
}

/// The names that change hands, in the lower case that RDS stores.
struct Names {
    kind: Kind,
    production: String,
    /// As the plan has it. AWS appends `-old1`, or the next number that is free.
    old: Option<String>,
    failed: String,
}

impl Names {
    fn new(scope: &Scope, with: &With) -> Self {
        let (kind, production) = match &with.database {
            Database::Instance(name) => (Kind::Instance, name.to_ascii_lowercase()),
            Database::Cluster(name) => (Kind::Cluster, name.to_ascii_lowercase()),
        };
        let old = with.old.as_ref().map(|old| old.to_ascii_lowercase());
        Self { kind, old, failed: derived(&production, "failed", scope), production }
    }

    /// Whether an old blue may be called so.
    fn may_be_old(&self, name: &str) -> bool {
        match &self.old {
            Some(old) => name == old,
            None => name
                .strip_prefix(&self.production)
                .and_then(|rest| rest.strip_prefix("-old"))
                .is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())),
        }
    }

    /// Whether some run, this or an earlier one, has moved a green away to this name.
    fn was_moved_away(&self, name: &str) -> bool {
        name.strip_prefix(&self.production).is_some_and(|rest| rest.starts_with("-failed-"))
    }

    fn concern(&self, name: &str) -> bool {
        name == self.production || name == self.failed || self.may_be_old(name)
    }
}

/// A rename, or what moves a proxy along.
#[derive(Deserialize)]
#[serde(untagged)]
enum Sends {
    Rename(Call),
    Proxy(RestoreCall),
}

/// Where the names of production led before.
fn led_earlier(scope: &Scope) -> Earlier {
    Earlier::of(scope, |state: State| state.led)
}

/// The action `rds.switch_back`.
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

    async fn look(&self, scope: &Scope, with: &With) -> Result<State, ReadError> {
        let looked = self.clock.now();
        let names = Names::new(scope, with);
        let clients = self.aws.clients(&scope.aws).await?;
        let client = &clients.rds.read;
        let permanent = |Corrupt(why)| ReadError { why, permanent: true };
        let armed = scope.baseline.as_ref().map(|entry| State::deserialize(&entry.doc)).transpose();
        let armed = armed.map_err(|error| permanent(Corrupt(format!("the baseline cannot be understood: {error}"))))?;
        let before = scope.before::<State>().map_err(permanent)?;
        let known: Vec<&Id> = [&armed, &before].into_iter().flatten().flat_map(State::ids).collect();
        let deployments = calls::deployments(client, names.kind).await?;
        // All in one list: whatever a database is called meanwhile, it is found by its resource.
        let mut databases = calls::databases(client, names.kind).await?;
        databases.retain(|found| names.concern(&found.name) || known.contains(&&found.id));
        let ours = |deployment: &Deployment| {
            let is_side = |name: &Option<String>| databases.iter().any(|found| name.as_ref() == Some(&found.name));
            is_side(&deployment.source) || is_side(&deployment.target)
        };
        let deployments = deployments.into_iter().filter(ours).collect();
        // The names have changed when what was production has another one, and none is free.
        let green = before.as_ref().and_then(|before| before.called(&names.production));
        let holder = databases.iter().find(|found| found.name == names.production);
        let stage = match (green, holder) {
            (None, Some(holder)) => Stage::Before(holder.endpoints.clone()),
            (Some(green), Some(holder)) if green.id != holder.id => Stage::After,
            _ => Stage::Neither,
        };
        // While nothing runs, what was found before will do: what would be lost does not depend on it.
        let previous = scope.previous::<State>().map_err(permanent)?.filter(|_| scope.run.is_none());
        let (mut proxies, mut proxies_unread, mut proxied) = (Vec::new(), None, Vec::new());
        match (&stage, previous) {
            (Stage::Before(_), Some(previous)) => {
                (proxies, proxies_unread) = (previous.proxies, previous.proxies_unread);
            }
            (Stage::Before(_), None) => match links::proxies(client, names.kind.into(), &names.production).await {
                Ok(found) => proxies = found,
                Err(why) => proxies_unread = Some(why),
            },
            (Stage::After, _) => {
                let moved = before.as_ref().map(|before| before.proxies.as_slice()).unwrap_or_default();
                proxied = proxies::look(client, names.kind.into(), moved).await?;
            }
            (Stage::Neither, _) => {}
        }
        let led = led::look(self.aws.resolver(), scope, stage, led_earlier(scope)).await;
        Ok(State { looked, deployments, databases, led, proxies, proxies_unread, proxied })
    }
}

/// Proxies lead to the old blue after the swap.
fn proxy_permissions(scope: &Scope, kind: &str, names: &Names) -> Vec<Permission> {
    let [proxies, groups] = ["db-proxy", "target-group"].map(|kind| arn(scope, kind, "*"));
    let mut found = vec![
        permission(false, links::DESCRIBE_PROXIES, proxies.clone()),
        permission(false, links::DESCRIBE_PROXY_TARGETS, proxies.clone()),
        permission(false, links::DESCRIBE_PROXY_TARGETS, groups.clone()),
    ];
    for (action, name) in [(DEREGISTER, names.failed.replace("<run>", "*")), (REGISTER, names.production.clone())] {
        let resources = [proxies.clone(), groups.clone(), arn(scope, kind, &name)];
        found.extend(resources.map(|resource| permission(true, action, resource)));
    }
    found
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
        Box::pin(async move { self.look(scope, &with).await })
    }

    fn assess(
        &self,
        scope: &Scope,
        with: &With,
        now: &State,
        baseline: Option<&State>,
        receipts: &[Receipt],
    ) -> Result<Assessment, Corrupt> {
        let before = scope.before::<State>()?;
        Ok(View::new(scope, with, now, baseline, before.as_ref(), receipts).assess())
    }

    fn checks(&self, scope: &Scope, with: &With, now: &State, baseline: Option<&State>) -> Result<Vec<Check>, Corrupt> {
        Ok(View::new(scope, with, now, baseline, None, &[]).checks())
    }

    fn restore_point(
        &self,
        scope: &Scope,
        with: &With,
        now: &State,
        baseline: Option<&State>,
    ) -> Result<Option<RestorePoint>, Corrupt> {
        Ok(Some(View::new(scope, with, now, baseline, None, &[]).restore_point()))
    }

    fn apply<'a>(&'a self, scope: &'a Scope, _key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(async move {
            let clients = self.aws.clients(&scope.aws).await?;
            match Sends::deserialize(&change.args).map_err(|error| corrupt(&change.id, &error))? {
                Sends::Rename(call) => call.send(&clients.rds.write).await,
                Sends::Proxy(call) => call.send(scope, &clients).await,
            }
        })
    }

    fn permissions(&self, scope: &Scope, with: &With) -> Vec<Permission> {
        let names = Names::new(scope, with);
        let (kind, describe, modify) = match names.kind {
            Kind::Instance => ("db", DESCRIBE_INSTANCES, MODIFY_INSTANCE),
            Kind::Cluster => ("cluster", DESCRIBE_CLUSTERS, MODIFY_CLUSTER),
        };
        // All are listed, because the old blue is known by its resource and not by its name.
        let mut found = vec![
            permission(false, DESCRIBE_DEPLOYMENTS, "*".to_owned()),
            permission(false, describe, arn(scope, kind, "*")),
        ];
        // AWS appends `-old1`, or the next number that is free.
        let old = names.old.clone().unwrap_or_else(|| format!("{}-old*", names.production));
        found.extend(proxy_permissions(scope, kind, &names));
        for name in [&names.production, &old, &names.failed] {
            found.push(permission(true, modify, arn(scope, kind, &name.replace("<run>", "*"))));
        }
        found
    }
}

#[cfg(test)]
mod tests;
