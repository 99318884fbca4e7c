//! `route53.weights`: the weights of one weighted record.
//!
//! All weights go in one batch, which Route 53 carries out as a whole or not at all. What it answers is PENDING until
//! its name servers have it, usually within 60 s; resolvers keep the old answer for the record's TTL beyond that.

mod health;
mod record;

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_route53::{
    error::BuildError,
    types::{Change as RecordChange, ChangeAction, ChangeBatch, ChangeStatus, RrType},
};
use belay_core::change::{Assessment, Change, Effect, Key, Progress, Receipt, Repeats, Share};
use belay_plan::{
    catalogue::{ActionSpec, no_action_findings},
    model::AwsTarget,
    shape::{Text, field, object, pattern, weights, words},
};
use belay_ports::{ApplyError, Condition, Corrupt, Fut, Permission, ReadError, Scope, System};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::{
    health::CheckHealth,
    record::{RecordSet, normal_name},
};
use crate::{
    errors, place,
    session::Aws,
    weights::{self as shared, Weights},
};

/// The action's name in plans.
pub const ACTION: &str = "route53.weights";

const CALL: &str = "route53:ChangeResourceRecordSets";

/// From the accepted change to all of Route 53's name servers, as the API reference has it.
const PROPAGATION: Duration = Duration::from_secs(60);

/// A member of a weighted record.
const SET_IDENTIFIER: Text = Text::new("a set identifier", Some("^.{1,128}$"));

/// What `route53.weights` takes.
pub fn spec() -> ActionSpec {
    ActionSpec {
        name: ACTION,
        summary: "Shifts the weights of a weighted Route 53 record.",
        with: object([
            field(
                "zone",
                pattern("the id of a hosted zone, such as `Z0123456789ABC`", "^[A-Z0-9]{1,32}$"),
                "The hosted zone.",
            ),
            field(
                "record",
                pattern(
                    "a DNS name",
                    "^([*][.])?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?[.])*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?[.]?$",
                ),
                "The name that all the weighted records share.",
            ),
            field("type", words(["A", "AAAA", "CNAME"]), "The type of the records."),
        ]),
        to: Some(weights(SET_IDENTIFIER, 255, None)),
        others: true,
        default_timeout: Duration::from_secs(10 * 60),
        loses_data: false,
        resource,
        check: no_action_findings,
    }
}

/// The same record however it is written: DNS names know no case, and the last dot goes without saying.
fn resource(with: &Value) -> String {
    let part = |key: &str| with[key].as_str().unwrap_or_default();
    let record = part("record").trim_end_matches('.').to_ascii_lowercase();
    format!("route53:{}/{record}/{}", part("zone"), part("type"))
}

/// The action behind [`ACTION`].
#[derive(Debug, Clone)]
pub struct Route53Weights {
    aws: Aws,
}

#[derive(Debug, Clone, Deserialize)]
pub struct With {
    zone: String,
    record: String,
    #[serde(rename = "type")]
    kind: String,
}

/// A weighted record as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Ordered by set identifier; never empty.
    members: Vec<RecordSet>,
    /// The health checks that the members name, by id.
    #[serde(default)]
    checks: BTreeMap<String, CheckHealth>,
    /// Whether our last change is still on its way to the name servers.
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
}

impl State {
    fn weights(&self) -> Weights {
        self.members.iter().map(|member| (member.set_identifier.clone(), member.weight)).collect()
    }
}

impl With {
    /// The one call both writes and deletes records, of any name. Belay writes, and this record alone.
    fn conditions(&self) -> Vec<Condition> {
        // As IAM has it: small letters, no last dot, and escapes for whatever is not a letter, digit, `-`, `_` or `.`.
        let name = self.record.trim_end_matches('.').to_ascii_lowercase().replace('*', "\\052");
        let values =
            [("Actions", "UPSERT"), ("NormalizedRecordNames", name.as_str()), ("RecordTypes", self.kind.as_str())];
        let condition = |(what, value): (&str, &str)| Condition {
            operator: "ForAllValues:StringEquals".to_owned(),
            key: format!("{CALL}{what}"),
            value: value.to_owned(),
        };
        values.map(condition).to_vec()
    }

    fn arn(&self, target: &AwsTarget) -> String {
        format!("arn:{}:route53:::hostedzone/{}", place::partition(target), self.zone)
    }

    fn title(&self) -> String {
        format!("{} {}", self.record.trim_end_matches('.'), self.kind)
    }
}

impl Route53Weights {
    pub fn new(aws: Aws) -> Self {
        Self { aws }
    }

    async fn look(&self, scope: &Scope, with: &With, receipts: &[Receipt]) -> Result<State, ReadError> {
        let client = &self.aws.clients(&scope.aws).await?.route53.read;
        let members = members(client, with, &with.arn(&scope.aws)).await?;
        let checks = health::observe(client, place::partition(&scope.aws), &members).await?;
        let pending = match receipts.last().map(|receipt| Accepted::deserialize(&receipt.body)) {
            Some(Ok(accepted)) => is_pending(client, scope, &accepted.change_id).await?,
            Some(Err(error)) => {
                return Err(ReadError {
                    why: format!("the last receipt cannot be understood: {error}"),
                    permanent: true,
                });
            }
            None => false,
        };
        Ok(State { members, checks, pending })
    }

    async fn send(&self, scope: &Scope, key: &Key, change: &Change) -> Result<Value, ApplyError> {
        let args = Args::deserialize(&change.args).map_err(|error| never_sent(format!("the change: {error}")))?;
        let resource = format!("arn:{}:route53:::hostedzone/{}", place::partition(&scope.aws), args.zone);
        let comment = format!("belay run {} step {} attempt {}", key.run, key.step, key.attempt);
        let batch = batch(args.upserts, comment).map_err(|error| never_sent(format!("{CALL}: {error}")))?;
        let client = &self.aws.clients(&scope.aws).await?.route53.write;
        let sent = client.change_resource_record_sets().hosted_zone_id(args.zone).change_batch(batch).send().await;
        let accepted = sent.map_err(|error| errors::apply(error, CALL, &resource))?.change_info;
        // Route 53 took it: an answer without its id is still an answer, but it cannot be followed.
        let change_id = accepted.map(|info| info.id).ok_or_else(|| ApplyError::OutcomeUnknown {
            why: format!("{CALL} on {resource}: the answer has no change id"),
        })?;
        Ok(json!({ "change_id": change_id }))
    }
}

fn never_sent(why: String) -> ApplyError {
    ApplyError::NoEffect { why, retry: false, throttled: false }
}

fn batch(upserts: Vec<RecordSet>, comment: String) -> Result<ChangeBatch, BuildError> {
    let upsert = |record: RecordSet| {
        RecordChange::builder().action(ChangeAction::Upsert).resource_record_set(record.into_aws()?).build()
    };
    let changes = upserts.into_iter().map(upsert).collect::<Result<Vec<_>, _>>()?;
    ChangeBatch::builder().comment(comment).set_changes(Some(changes)).build()
}

/// Every weighted record set of the name and type, page by page. They stand together in Route 53's order, so the first
/// other record ends it.
async fn members(client: &aws_sdk_route53::Client, with: &With, arn: &str) -> Result<Vec<RecordSet>, ReadError> {
    let (name, kind) = (normal_name(&with.record), RrType::from(with.kind.as_str()));
    let mut start = (Some(name.clone()), Some(kind.clone()), None);
    let mut members = Vec::new();
    let mut unweighted = false;
    loop {
        let request = client.list_resource_record_sets().hosted_zone_id(&with.zone);
        let request = request.set_start_record_name(start.0).set_start_record_type(start.1);
        let page = request.set_start_record_identifier(start.2).send().await;
        let page = page.map_err(|error| errors::read(error, "route53:ListResourceRecordSets", arn))?;
        for set in page.resource_record_sets {
            if normal_name(&set.name) == name && set.r#type == kind {
                let member = RecordSet::from_aws(set);
                unweighted |= member.is_none();
                members.extend(member);
            }
        }
        let goes_on = page.next_record_type.as_ref() == Some(&kind)
            && page.next_record_name.as_deref().is_some_and(|next| normal_name(next) == name);
        if !page.is_truncated || !goes_on {
            break;
        }
        start = (page.next_record_name, page.next_record_type, page.next_record_identifier);
    }
    if members.is_empty() {
        let found = if unweighted { "is not weighted" } else { "does not exist" };
        return Err(ReadError { why: format!("the record {} in {arn} {found}", with.title()), permanent: true });
    }
    members.sort_by(|a, b| a.set_identifier.cmp(&b.set_identifier));
    Ok(members)
}

async fn is_pending(client: &aws_sdk_route53::Client, scope: &Scope, change_id: &str) -> Result<bool, ReadError> {
    let id = change_id.trim_start_matches("/change/");
    let arn = format!("arn:{}:route53:::change/{id}", place::partition(&scope.aws));
    match client.get_change().id(id).send().await {
        Ok(answer) => Ok(answer.change_info.is_some_and(|info| info.status == ChangeStatus::Pending)),
        // Route 53 forgets changes after a while; by then they are long in sync.
        Err(error) if errors::code(&error) == Some("NoSuchChange") => Ok(false),
        Err(error) => Err(errors::read(error, "route53:GetChange", &arn)),
    }
}

fn as_it_is(member: &str) -> &str {
    member
}

/// How far the record is from the target.
fn assess(scope: &Scope, with: &With, now: &State, baseline: Option<&State>) -> Result<Assessment, Corrupt> {
    let target = shared::named(scope, baseline.map(State::weights))?;
    let before = now.weights();
    // A member that the plan itself names may not be missing; one of the baseline may, if it had no traffic anyway.
    let gone = target
        .weights
        .iter()
        .filter(|(member, weight)| !before.contains_key(*member) && (target.explicit || **weight > 0));
    let gone: Vec<&str> = gone.map(|(member, _)| member.as_str()).collect();
    if !gone.is_empty() {
        let existing = before.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let why = format!("{} has no set identifier {}; it has {existing}", with.title(), gone.join(", "));
        return Ok(Assessment::Failed { why });
    }
    let after = match shared::wanted(&before, &target, scope.others, as_it_is) {
        Ok(after) => after,
        Err(verdict) => return Ok(verdict.into()),
    };
    if after == before {
        return Ok(match now.pending {
            false => Assessment::InPlace,
            true => Assessment::Settling(Progress {
                fraction: None,
                note: "PENDING: on its way to Route 53's name servers".to_owned(),
                expected_left_s: Some(PROPAGATION.as_secs()),
            }),
        });
    }
    if let Some(policy) = now.members.iter().find_map(|member| member.traffic_policy_instance.as_ref()) {
        let why =
            format!("{} belongs to traffic policy instance {policy}: only the policy may change it", with.title());
        return Ok(Assessment::Failed { why });
    }
    Ok(Assessment::Remaining(vec![change(with, now, &before, &after)]))
}

fn change(with: &With, now: &State, before: &Weights, after: &Weights) -> Change {
    let shares = now.members.iter().map(|member| Share {
        destination: member.set_identifier.clone(),
        before: member.weight,
        after: after[&member.set_identifier],
        proof: health::proof(member, &now.checks),
    });
    let upserts = now.members.iter().filter(|member| after[&member.set_identifier] != member.weight);
    let upserts = upserts.map(|member| RecordSet { weight: after[&member.set_identifier], ..member.clone() }).collect();
    Change {
        id: "weights".to_owned(),
        title: format!("{}: {}", with.title(), shared::moves(before, after, as_it_is)),
        before: shared::readable(before, as_it_is),
        after: shared::readable(after, as_it_is),
        call: CALL.to_owned(),
        args: json!(Args { zone: with.zone.clone(), upserts }),
        effects: vec![Effect::Traffic { shares: shares.collect() }],
        repeats: Repeats::Converges,
        expected: PROPAGATION,
    }
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

    fn apply<'a>(&'a self, scope: &'a Scope, key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(self.send(scope, key, change))
    }

    fn permissions(&self, scope: &Scope, with: &With) -> Vec<Permission> {
        let partition = place::partition(&scope.aws);
        let statement = |action: &str, resource: String, mutates| Permission {
            action: action.to_owned(),
            resource,
            mutates,
            conditions: Vec::new(),
        };
        vec![
            statement("route53:ListResourceRecordSets", with.arn(&scope.aws), false),
            statement("route53:GetChange", format!("arn:{partition}:route53:::change/*"), false),
            statement("route53:GetHealthCheck", format!("arn:{partition}:route53:::healthcheck/*"), false),
            statement("route53:GetHealthCheckStatus", format!("arn:{partition}:route53:::healthcheck/*"), false),
            Permission { conditions: with.conditions(), ..statement(CALL, with.arn(&scope.aws), true) },
        ]
    }
}

#[cfg(test)]
mod tests;
