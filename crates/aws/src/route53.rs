//! `route53.weights`: the weights of one weighted record.
//!
//! All weights go in one batch, which Route 53 carries out as a whole or not at all. What it answers is PENDING until
//! its name servers have it, usually within 60 s; resolvers keep the old answer for the record's TTL beyond that.

mod alias;
mod altered;
mod assess;
mod health;
pub(crate) mod observe;
mod readiness;
pub(crate) mod record;
pub(crate) mod zone;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use aws_sdk_route53::{
    Client,
    error::BuildError,
    types::{Change as RecordChange, ChangeAction, ChangeBatch},
};
use belay_aws_catalogue::route53::{With, Zone, escaped};
use belay_core::{
    change::{Assessment, Change, Effect, Key, Receipt, Share},
    input::ErrorClass,
    proof::rises,
};
use belay_plan::model::AwsTarget;
use belay_ports::{ApplyError, Check, Clock, Condition, Corrupt, Fut, Permission, ReadError, Scope, System};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::{assess::assess, health::CheckHealth, observe::Found, record::RecordSet};
use crate::{
    errors, place,
    services::{Actions, Granted, Service},
    session::Aws,
    weights::Weights,
};

pub(crate) const SERVICE: Service = Service {
    global: true,
    // "Quotas", API requests, since July 2026.
    quotas: &[Granted::all(10.0, 50.0)],
    reads: &["GetChange", "GetHealthCheck", "GetHealthCheckStatus", "ListHostedZonesByName", "ListResourceRecordSets"],
    writes: &["ChangeResourceRecordSets"],
    // One hosted zone is busy; the account's quota has nothing to do with it.
    passing: &["PriorRequestNotComplete"],
    actions: Some(Actions { prefix: "route53", keys: &[] }),
    ..Service::new("Route 53", "route53")
};

const CALL: &str = "route53:ChangeResourceRecordSets";

/// From the accepted change to all of Route 53's name servers, as the API reference has it.
const PROPAGATION: Duration = Duration::from_secs(60);

/// All zones, where only the name of one is known.
fn arn_of(target: &AwsTarget, zone: Option<&str>) -> String {
    format!("arn:{}:route53:::hostedzone/{}", place::partition(target), zone.unwrap_or("*"))
}

/// The action `route53.weights`.
#[derive(Clone)]
pub struct Route53Weights {
    aws: Aws,
    clock: Arc<dyn Clock>,
    checks: health::Memory,
}

impl fmt::Debug for Route53Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route53Weights").field("aws", &self.aws).finish_non_exhaustive()
    }
}

/// A weighted record as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The hosted zone's id.
    #[serde(default)]
    zone: String,
    /// Ordered by set identifier. Empty where the record does not exist, or is not weighted.
    members: Vec<RecordSet>,
    /// What has the place of the members, where there are none: "a simple record".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instead: Option<String>,
    /// The health checks of the members that are to get more traffic, by id.
    #[serde(default)]
    checks: BTreeMap<String, CheckHealth>,
    /// By set identifier, in seconds: of aliases of records in the same zone, where that matters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    aliased_ttls: BTreeMap<String, i64>,
    /// Our last change is still on its way to the name servers; then nothing else was looked at.
    #[serde(default)]
    pending: bool,
}

/// What a change sends, and what it hands back.
#[derive(Debug, Serialize, Deserialize)]
struct Args {
    zone: String,
    upserts: Vec<RecordSet>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Accepted {
    change_id: String,
    #[serde(default)]
    zone: Option<String>,
}

impl State {
    fn weights(&self) -> Weights {
        self.members.iter().map(|member| (member.set_identifier.clone(), member.weight)).collect()
    }
}

impl State {
    /// Whether all weights are zero: then Route 53 answers with each as often (developer guide, "Weighted routing").
    fn splits_equally(&self) -> bool {
        !self.members.is_empty() && self.members.iter().all(|member| member.weight == 0)
    }

    /// The weights as a target: never all zero, which is never sent.
    fn shares(&self) -> Weights {
        let mut weights = self.weights();
        if self.splits_equally() {
            weights.values_mut().for_each(|weight| *weight = 1);
        }
        weights
    }
}

/// The one call both writes and deletes records, of any name. Belay writes, and this record alone.
pub(crate) fn only_upsert(record: &str, kind: &str) -> Vec<Condition> {
    // As IAM has it: small letters, no last dot, and escapes for whatever is not a letter, digit, `-`, `_` or `.`.
    let name = escaped(record);
    let values = [("Actions", "UPSERT"), ("NormalizedRecordNames", name.as_str()), ("RecordTypes", kind)];
    let condition = |(what, value): (&str, &str)| Condition {
        operator: "ForAllValues:StringEquals".to_owned(),
        key: format!("{CALL}{what}"),
        value: value.to_owned(),
    };
    values.map(condition).to_vec()
}

impl Route53Weights {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock, checks: health::Memory::default() }
    }

    async fn look(&self, scope: &Scope, with: &With, receipts: &[Receipt]) -> Result<State, ReadError> {
        let permanent = |why: String| ReadError { why, permanent: true };
        let client = &self.aws.clients(&scope.aws).await?.route53.read;
        let last = receipts.last().map(|receipt| Accepted::deserialize(&receipt.body)).transpose();
        let last = last.map_err(|error| permanent(format!("the last receipt cannot be understood: {error}")))?;
        let corrupt = |Corrupt(why)| permanent(why);
        // A name is looked up once a run: what was found then stays the zone of this run.
        let earlier = [scope.before::<State>().map_err(corrupt)?, scope.previous::<State>().map_err(corrupt)?];
        let known = last.as_ref().and_then(|last| last.zone.clone());
        let known =
            known.or_else(|| earlier.into_iter().flatten().map(|state| state.zone).find(|zone| !zone.is_empty()));
        let zone = match (known, Zone::of(&with.zone)) {
            (Some(zone), _) | (None, Zone::Id(zone)) => zone,
            (None, Zone::Name(name)) => zone::find(client, &name, with.private).await?,
        };
        // Nothing can be said before it is everywhere, so this one call is enough.
        if let Some(accepted) = last
            && observe::is_pending(client, &scope.aws, &accepted.change_id).await?
        {
            return Ok(State { zone, pending: true, ..State::default() });
        }
        let Found { members, instead } = observe::list(client, with, &zone, &scope.aws).await?;
        let state = State { zone, members, instead, ..State::default() };
        // There is nothing to capture, and nothing to create it again from.
        if state.members.is_empty() && scope.run.is_none() && scope.baseline.is_none() {
            let found =
                state.instead.map_or("does not exist".to_owned(), |found| format!("is not weighted: it is {found}"));
            let zone = arn_of(&scope.aws, Some(&state.zone));
            return Err(permanent(format!("the record {} in {zone} {found}", with.title())));
        }
        let baseline = scope.baseline.as_ref().map(|entry| State::deserialize(&entry.doc)).transpose();
        let baseline = baseline.map_err(|error| permanent(format!("the baseline cannot be understood: {error}")))?;
        match assess(scope, with, &state, baseline.as_ref()) {
            Ok(Assessment::Remaining(changes)) => self.look_closer(client, scope, with, state, &changes).await,
            // Proof is asked for only where something is to move.
            _ => Ok(state),
        }
    }

    /// What bears on a change that is about to be made: the health of whoever gets more traffic, and how long answers live.
    async fn look_closer(
        &self,
        client: &Client,
        scope: &Scope,
        with: &With,
        state: State,
        changes: &[Change],
    ) -> Result<State, ReadError> {
        let mut rising = Vec::new();
        for change in changes {
            let upserts = Args::deserialize(&change.args).map_or_else(|_| Vec::new(), |args| args.upserts);
            for effect in &change.effects {
                let Effect::Traffic { shares } = effect else { continue };
                let more = shares.iter().filter(|share| rises(share, shares));
                let of = |share: &Share| {
                    let records = upserts.iter().chain(&state.members);
                    records.clone().find(|record| record.set_identifier == share.destination).cloned()
                };
                rising.extend(more.filter_map(of));
            }
        }
        let checks = self.checks.observe(client, self.clock.as_ref(), &scope.aws, &rising).await?;
        let aliased_ttls = match with.wait_ttl {
            true => observe::aliased_ttls(client, &state.zone, &state.members, &scope.aws).await?,
            false => BTreeMap::new(),
        };
        Ok(State { checks, aliased_ttls, ..state })
    }

    async fn send(&self, scope: &Scope, key: &Key, change: &Change) -> Result<Value, ApplyError> {
        let args = Args::deserialize(&change.args).map_err(|error| never_sent(format!("the change: {error}")))?;
        let resource = arn_of(&scope.aws, Some(&args.zone));
        let comment = format!("belay run {} step {} attempt {}", key.run, key.step, key.attempt);
        let batch = batch(args.upserts, comment).map_err(|error| never_sent(format!("{CALL}: {error}")))?;
        let client = &self.aws.clients(&scope.aws).await?.route53.write;
        let sent = client.change_resource_record_sets().hosted_zone_id(&args.zone).change_batch(batch).send().await;
        let accepted = sent.map_err(|error| errors::apply(error, CALL, &resource))?.change_info;
        // Route 53 took it: an answer without its id is still an answer, but it cannot be followed.
        let change_id = accepted.map(|info| info.id).ok_or_else(|| ApplyError::OutcomeUnknown {
            why: format!("{CALL} on {resource}: the answer has no change id"),
        })?;
        Ok(json!(Accepted { change_id, zone: Some(args.zone) }))
    }
}

fn never_sent(why: String) -> ApplyError {
    ApplyError::NoEffect { why, class: ErrorClass::Permanent }
}

fn batch(upserts: Vec<RecordSet>, comment: String) -> Result<ChangeBatch, BuildError> {
    let upsert = |record: RecordSet| {
        RecordChange::builder().action(ChangeAction::Upsert).resource_record_set(record.into_aws()?).build()
    };
    let changes = upserts.into_iter().map(upsert).collect::<Result<Vec<_>, _>>()?;
    ChangeBatch::builder().comment(comment).set_changes(Some(changes)).build()
}

impl System for Route53Weights {
    type With = With;
    type State = State;

    fn observe<'a>(
        &'a self,
        scope: &'a Scope,
        with: With,
        receipts: &'a [Receipt],
    ) -> Fut<'a, Result<State, ReadError>> {
        Box::pin(async move { self.look(scope, &with, receipts).await })
    }

    fn assess(
        &self,
        scope: &Scope,
        with: &With,
        now: &State,
        baseline: Option<&State>,
        _receipts: &[Receipt],
    ) -> Result<Assessment, Corrupt> {
        assess(scope, with, now, baseline)
    }

    fn checks(
        &self,
        _scope: &Scope,
        with: &With,
        now: &State,
        baseline: Option<&State>,
    ) -> Result<Vec<Check>, Corrupt> {
        let untold = now.members.iter().filter_map(|member| Some((member, health::untold(member, &now.checks)?)));
        let mut found: Vec<Check> = untold
            .map(|(member, why)| {
                let name = &member.set_identifier;
                let found =
                    format!("Route 53 answers with {name} or not by its health check, which proves nothing: {why}");
                Check::warn("health_check_untold", with.title(), found)
                    .wanted("a health check whose checkers can be asked, or an interlock (`require`) of the step")
                    .cure("look at that health check yourself before the traffic moves")
            })
            .collect();
        if baseline.is_some_and(State::splits_equally) {
            let what = "at the baseline all its weights were 0, which Route 53 takes for equal shares";
            let check = Check::warn("all_zero", with.title(), what)
                .wanted("a weight above 0: no batch with all weights 0 is ever sent")
                .cure("nothing: the step puts the same shares back with weights of 1");
            found.push(check);
        }
        Ok(found)
    }

    fn altered(&self, scope: &Scope, _with: &With, now: &State, baseline: &State) -> Vec<String> {
        altered::differences(scope, now, baseline)
    }

    fn readiness<'a>(
        &'a self,
        scope: &'a Scope,
        with: With,
        now: State,
        baseline: Option<State>,
    ) -> Fut<'a, Vec<Check>> {
        Box::pin(async move {
            let destinations = readiness::destinations(scope, &now, baseline.as_ref());
            let beside = match self.aws.clients(&scope.aws).await {
                Ok(clients) => {
                    let (client, balancers) = (&clients.route53.read, &clients.elbv2.read);
                    let health = self.checks.observe(client, self.clock.as_ref(), &scope.aws, &destinations);
                    let led = alias::look(balancers, &clients.region, self.aws.resolver(), &destinations);
                    let (health, led) = futures::join!(health, led);
                    health.map(|health| readiness::Beside { health, led })
                }
                Err(error) => Err(error.into()),
            };
            match beside {
                Ok(beside) => readiness::checks(&with, scope, &now, &destinations, &beside),
                Err(error) => {
                    let check = Check::unknown("destination", with.title(), error.why)
                        .wanted("the health of the records that would get traffic")
                        .cure("allow route53:GetHealthCheck and route53:GetHealthCheckStatus (`belay iam PLAN`), or check again");
                    vec![check]
                }
            }
        })
    }

    fn apply<'a>(&'a self, scope: &'a Scope, key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(self.send(scope, key, change))
    }

    /// The account has 10 requests a second for all of Route 53 (quotas, July 2026), and a look takes one or two.
    fn pace(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn permissions(&self, scope: &Scope, with: &With) -> Vec<Permission> {
        let partition = place::partition(&scope.aws);
        let zone = with.zone_id();
        let arn = arn_of(&scope.aws, zone.as_deref());
        let statement = |action: &str, resource: String, mutates| Permission {
            action: action.to_owned(),
            resource,
            mutates,
            conditions: Vec::new(),
        };
        let by_name = zone.is_none().then(|| statement("route53:ListHostedZonesByName", "*".to_owned(), false));
        let others = [
            statement("route53:ListResourceRecordSets", arn.clone(), false),
            statement("route53:GetChange", format!("arn:{partition}:route53:::change/*"), false),
            statement("route53:GetHealthCheck", format!("arn:{partition}:route53:::healthcheck/*"), false),
            statement("route53:GetHealthCheckStatus", format!("arn:{partition}:route53:::healthcheck/*"), false),
            Permission { conditions: only_upsert(&with.record, with.kind.as_str()), ..statement(CALL, arn, true) },
        ];
        // Readiness looks up the load balancers that aliases lead to. The baseline knows whether there are any.
        let region = scope.aws.region.as_deref();
        let baseline = scope.baseline.as_ref().and_then(|entry| State::deserialize(&entry.doc).ok());
        let leads = |member: &RecordSet| region.is_none_or(|region| alias::of_balancer(member, region).is_some());
        let looks_up = baseline.is_none_or(|state| state.members.iter().any(|one| one.alias.is_some() && leads(one)));
        let balancers = looks_up.then(|| statement(alias::BALANCERS, "*".to_owned(), false));
        by_name.into_iter().chain(others).chain(balancers).collect()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wire;
