//! Whether the role in use may do what a plan needs: IAM simulates its policies.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::{
    Client,
    types::{
        ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType as Decision,
        Statement as Matched,
    },
};
use belay_plan::model::AwsTarget;
use belay_ports::{Check, Condition, Permission};

use super::caller::{self, Caller};
use crate::{errors, place, session::Aws};

pub(super) const SIMULATE: &str = "iam:SimulatePrincipalPolicy";
const ID: &str = "permission";

/// Answers of one call, which IAM hands out a hundred at a time.
const ANSWERS_MAX: usize = 100;

/// Reads that people are shown the answers of, and that no step, no signal and no notice goes by.
const INFORMS: [&str; 7] = [
    "cloudtrail:LookupEvents",
    "cloudwatch:DescribeAlarmHistory",
    "devops-guru:DescribeAccountHealth",
    "devops-guru:ListInsights",
    "events:DescribeEventBus",
    "sns:GetTopicAttributes",
    "xray:GetServiceGraph",
];

/// No simulation knows these.
const UNSEEN: &str = "not simulated: policies of resources and of sessions, and those policies of the organization that go by conditions";

/// One check for each permission that is denied; one for all when none is, and one when it cannot be found out.
pub(crate) async fn checks(aws: &Aws, target: &AwsTarget, permissions: &[Permission]) -> Vec<Check> {
    match simulate(aws, target, permissions).await {
        Ok(checks) => checks,
        Err((subject, why)) => {
            let cure = format!(
                "allow {SIMULATE} (`belay iam PLAN` prints the statement), or compare the role's policies with `belay iam PLAN`"
            );
            vec![Check::unknown(ID, subject, why).wanted("all permissions that the plan needs").cure(cure)]
        }
    }
}

/// # Errors
/// Whose permissions could not be simulated, and why.
async fn simulate(aws: &Aws, target: &AwsTarget, permissions: &[Permission]) -> Result<Vec<Check>, (String, String)> {
    let place = || place::name(target);
    let clients = aws.clients(target).await.map_err(|error| (place(), error.to_string()))?;
    let identity = aws.verify_account(target).await.map_err(|error| (place(), error.to_string()))?;
    if caller::is_root(&identity) {
        let found = "the account's root user, which no policy of IAM restricts (a policy of the organization can)";
        let check = Check::warn(ID, identity, found)
            .wanted("a role with the permissions of the plan, and no more")
            .cure("use a role with what `belay iam PLAN` prints");
        return Ok(vec![check]);
    }
    let caller = caller::of(&clients.iam, target, &identity).await.map_err(|why| (identity.clone(), why))?;
    let mut found = Vec::new();
    let global = if place::partition(target) == "aws" { "us-east-1" } else { &clients.region };
    for question in questions(permissions, &caller.account, &clients.region, global) {
        found.extend(question.ask(&clients.iam, &caller).await.map_err(|why| (caller.arn.clone(), why))?);
    }
    if found.is_empty() {
        let count: BTreeSet<(&str, &str)> =
            permissions.iter().map(|one| (one.action.as_str(), one.resource.as_str())).collect();
        found.push(Check::go(ID, caller.arn, format!("{} permissions are allowed ({UNSEEN})", count.len())));
    }
    Ok(found)
}

/// Actions that are simulated together: on the same resources, under the same conditions.
#[derive(Debug, PartialEq, Eq)]
struct Question<'p> {
    actions: Vec<&'p str>,
    resources: Vec<String>,
    conditions: &'p [Condition],
    region: String,
}

/// `global`: the region that requests to services without regions are counted to.
fn questions<'p>(permissions: &'p [Permission], account: &str, region: &str, global: &str) -> Vec<Question<'p>> {
    type Grouped<'p, What, Of> = BTreeMap<(What, &'p [Condition], String), BTreeSet<Of>>;
    let mut by_action: Grouped<'_, &str, String> = BTreeMap::new();
    for Permission { action, resource, conditions, .. } in permissions {
        let region = if is_global(action) { global } else { region };
        let resource = named(resource, account, region);
        by_action.entry((action, conditions, region.to_owned())).or_default().insert(resource);
    }
    let mut grouped: Grouped<'_, Vec<String>, &str> = BTreeMap::new();
    for ((action, conditions, region), resources) in by_action {
        let resources: Vec<String> = resources.into_iter().collect();
        for some in resources.chunks(ANSWERS_MAX) {
            grouped.entry((some.to_vec(), conditions, region.clone())).or_default().insert(action);
        }
    }
    let mut questions = Vec::new();
    for ((resources, conditions, region), actions) in grouped {
        let actions: Vec<&str> = actions.into_iter().collect();
        for some in actions.chunks((ANSWERS_MAX / resources.len()).max(1)) {
            let (resources, region) = (resources.clone(), region.clone());
            questions.push(Question { actions: some.to_vec(), resources, conditions, region });
        }
    }
    questions
}

/// Services that have their one place for a partition, which conditions on regions name. ("Global services", IAM User Guide)
fn is_global(action: &str) -> bool {
    ["iam:", "route53:"].iter().any(|service| action.starts_with(service))
}

/// A resource as a request names it: with the account and region that the plan leaves open. Names that are not known yet keep
/// their `*`: a policy has to cover them all.
fn named(resource: &str, account: &str, region: &str) -> String {
    let parts: Vec<&str> = resource.splitn(6, ':').collect();
    let &[arn, partition, service, in_region, of_account, name] = parts.as_slice() else { return resource.to_owned() };
    let in_region = if in_region == "*" { region } else { in_region };
    let of_aws = service == "ssm" && name.split_once('/').is_some_and(|(_, document)| document.starts_with("AWS"));
    let of_account = match of_account {
        "*" if of_aws => "",
        "*" => account,
        known => known,
    };
    [arn, partition, service, in_region, of_account, name].join(":")
}

impl Question<'_> {
    /// # Errors
    /// Why IAM has not answered.
    async fn ask(&self, client: &Client, caller: &Caller) -> Result<Vec<Check>, String> {
        let call = client
            .simulate_principal_policy()
            .policy_source_arn(&caller.arn)
            .set_action_names(Some(self.actions.iter().map(ToString::to_string).collect()))
            .set_resource_arns(Some(self.resources.clone()))
            .set_context_entries(Some(self.context()));
        let pages = call.into_paginator().items().send();
        let results: Result<Vec<EvaluationResult>, _> = pages.collect().await;
        let results = results.map_err(|error| match errors::code(&error) {
            Some("NoSuchEntity") => caller.is_not_found(),
            _ => errors::read(error, SIMULATE, &caller.arn).why,
        })?;
        let mut checks = Vec::new();
        for action in &self.actions {
            for resource in &self.resources {
                checks.extend(self.judged(action, resource, &results, caller));
            }
        }
        Ok(checks)
    }

    /// What the request will carry, as far as it is known.
    fn context(&self) -> Vec<ContextEntry> {
        let entry = |key: &str, kind: ContextKeyTypeEnum, value: &str| {
            ContextEntry::builder().context_key_name(key).context_key_type(kind).context_key_values(value).build()
        };
        let own = self.conditions.iter().map(|condition| {
            let kind = match condition.operator.as_str() {
                "Bool" => ContextKeyTypeEnum::Boolean,
                operator if operator.starts_with("For") => ContextKeyTypeEnum::StringList,
                _ => ContextKeyTypeEnum::String,
            };
            entry(&condition.key, kind, &condition.value)
        });
        let of_all = [
            entry("aws:RequestedRegion", ContextKeyTypeEnum::String, &self.region),
            entry("aws:SecureTransport", ContextKeyTypeEnum::Boolean, "true"),
        ];
        own.chain(of_all).collect()
    }

    /// None: it is allowed.
    fn judged(&self, action: &str, resource: &str, results: &[EvaluationResult], caller: &Caller) -> Option<Check> {
        let answers: Vec<Answer<'_>> = results
            .iter()
            .filter(|result| result.eval_action_name.eq_ignore_ascii_case(action))
            .filter_map(|result| Answer::of(result, resource))
            .collect();
        let subject = format!("{action} on {resource}");
        let wanted = format!("allowed for {}", caller.arn);
        if answers.is_empty() {
            let check = Check::unknown(ID, subject, format!("{SIMULATE} has not answered for it"));
            return Some(check.wanted(wanted).cure("compare the role's policies with what `belay iam PLAN` prints"));
        }
        let denied = answers.into_iter().find(|answer| *answer.decision != Decision::Allowed)?;
        let found = denied.found(caller);
        // A deny that names what the request will carry may not apply to it, and neither may an allow.
        let missing = denied.missing_for(action).join(", ");
        let check = match missing.is_empty() {
            true if INFORMS.contains(&action) => Check::warn(
                ID,
                subject,
                format!("{found}; what it shows will be missing, and a rollback goes through all the same"),
            ),
            true => Check::no_go(ID, subject, found),
            false => Check::unknown(
                ID,
                subject,
                format!("{found}; policies go by {missing}, which a simulation does not know"),
            ),
        };
        Some(check.wanted(wanted).cure(denied.cure(action, caller)))
    }
}

/// What IAM says of one action on one resource.
struct Answer<'r> {
    decision: &'r Decision,
    matched: &'r [Matched],
    missing: &'r [String],
    denied_by_organization: bool,
    denied_by_boundary: bool,
}

impl<'r> Answer<'r> {
    /// The decision of a result is that of all its resources together; beside it, each has its own.
    fn of(result: &'r EvaluationResult, resource: &str) -> Option<Self> {
        let by_organization = result.organizations_decision_detail.as_ref();
        let denied_by_organization = by_organization.is_some_and(|detail| !detail.allowed_by_organizations);
        let denies = |detail: Option<&aws_sdk_iam::types::PermissionsBoundaryDecisionDetail>| {
            detail.is_some_and(|detail| !detail.allowed_by_permissions_boundary)
        };
        let each = result.resource_specific_results();
        if let Some(own) = each.iter().find(|one| one.eval_resource_name == resource) {
            return Some(Self {
                decision: &own.eval_resource_decision,
                matched: own.matched_statements(),
                missing: own.missing_context_values(),
                denied_by_organization,
                denied_by_boundary: denies(own.permissions_boundary_decision_detail.as_ref()),
            });
        }
        let is_of_it =
            each.is_empty() && result.eval_resource_name.as_deref().is_none_or(|name| name == resource || name == "*");
        is_of_it.then(|| Self {
            decision: &result.eval_decision,
            matched: result.matched_statements(),
            missing: result.missing_context_values(),
            denied_by_organization,
            denied_by_boundary: denies(result.permissions_boundary_decision_detail.as_ref()),
        })
    }

    /// IAM lists what all statements of all policies go by, also those about other services.
    fn missing_for(&self, action: &str) -> Vec<&'r str> {
        let service = |name: &str| name.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let bears = |key: &&String| [service(action), "aws".to_owned()].contains(&service(key));
        self.missing.iter().filter(bears).map(String::as_str).collect()
    }

    fn found(&self, caller: &Caller) -> String {
        let policies: BTreeSet<&str> = self.matched.iter().filter_map(Matched::source_policy_id).collect();
        let policies = policies.into_iter().collect::<Vec<_>>().join(", ");
        let decision = self.decision.as_str();
        let by = match self.decision {
            _ if self.denied_by_organization => "a policy of the organization does not allow it".to_owned(),
            _ if self.denied_by_boundary => "the permissions boundary does not allow it".to_owned(),
            Decision::ExplicitDeny if policies.is_empty() => "a policy denies it".to_owned(),
            Decision::ExplicitDeny => format!("denied by {policies}"),
            _ => format!("no policy of {} allows it", caller.name()),
        };
        format!("{decision}: {by}")
    }

    fn cure(&self, action: &str, caller: &Caller) -> String {
        match self.decision {
            _ if self.denied_by_organization => "a policy of the organization has to allow it".to_owned(),
            _ if self.denied_by_boundary => {
                "allow it in the boundary: `belay iam PLAN --boundary` prints one".to_owned()
            }
            Decision::ExplicitDeny => format!("except {} from what denies it", caller.name()),
            // Keys, roles and members are known by a baseline alone.
            _ => format!(
                "attach to {} the statement for {action} that `belay iam PLAN --baseline FILE` prints (`belay capture PLAN -o FILE` \
                 takes one before the cutover)",
                caller.name()
            ),
        }
    }
}

#[cfg(test)]
mod tests;
