use std::collections::BTreeMap;

use belay_ports::{Actuators, CheckVerdict};

use super::*;
use crate::{
    session::Access,
    systems::AwsSystems,
    testing::{Still, Wire, form, http, target},
};

const ROLE: &str = "arn:aws:iam::111122223333:role/ops/belay";
const DATABASE: &str = "arn:aws:rds:eu-west-1:111122223333:db:orders";

fn permission(action: &str, resource: &str) -> Permission {
    Permission { action: action.to_owned(), resource: resource.to_owned(), mutates: true, conditions: Vec::new() }
}

fn identity(arn: &str) -> String {
    http(
        "200 OK",
        &format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Arn>{arn}</Arn><UserId>A</UserId><Account>111122223333</Account></GetCallerIdentityResult>\
             </GetCallerIdentityResponse>"
        ),
    )
}

fn role() -> String {
    http(
        "200 OK",
        &format!(
            "<GetRoleResponse><GetRoleResult><Role><Path>/ops/</Path><RoleName>belay</RoleName><RoleId>A</RoleId><Arn>{ROLE}\
             </Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></Role></GetRoleResult></GetRoleResponse>"
        ),
    )
}

fn refused(status: &str, code: &str, message: &str) -> String {
    http(
        status,
        &format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        ),
    )
}

/// One result of IAM: of an action on a resource, with what stands in it beside the decision.
fn result(action: &str, resource: &str, decision: &str, more: &str) -> String {
    format!(
        "<member><EvalActionName>{action}</EvalActionName><EvalResourceName>{resource}</EvalResourceName>\
         <EvalDecision>{decision}</EvalDecision>{more}</member>"
    )
}

fn results(members: &str) -> String {
    http(
        "200 OK",
        &format!(
            "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated>\
             <EvaluationResults>{members}</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
        ),
    )
}

/// Actions and resources of a request, in their order.
fn asked(request: &str) -> (Vec<String>, Vec<String>) {
    let form = form(request);
    let list = |name: &str| {
        let numbered: BTreeMap<u32, String> = form
            .iter()
            .filter_map(|(key, value)| {
                Some((key.strip_prefix(name)?.strip_prefix(".member.")?.parse().ok()?, value.clone()))
            })
            .collect();
        numbered.into_values().collect::<Vec<_>>()
    };
    (list("ActionNames"), list("ResourceArns"))
}

/// Says the same of everything that it is asked.
fn all(decision: &'static str, more: &'static str) -> impl Fn(&str) -> String + Send + Copy + 'static {
    move |request| {
        let (actions, resources) = asked(request);
        let each = actions
            .iter()
            .flat_map(|action| resources.iter().map(move |resource| result(action, resource, decision, more)));
        results(&each.collect::<String>())
    }
}

/// An account in which the role `ops/belay` is used, and IAM answers so.
async fn account(simulated: impl Fn(&str) -> String + Send + 'static) -> Wire {
    Wire::answering(move |request| match () {
        () if request.contains("Action=GetCallerIdentity") => {
            identity("arn:aws:sts::111122223333:assumed-role/belay/i-1")
        }
        () if request.contains("Action=GetRole") => role(),
        () => simulated(request),
    })
    .await
}

async fn found(wire: &Wire, permissions: &[Permission]) -> Vec<Check> {
    checks(&wire.aws(Access::ReadOnly).await, &target(), permissions).await
}

async fn only(wire: &Wire) -> Check {
    let mut checks = found(wire, &[permission("rds:ModifyDBInstance", DATABASE)]).await;
    assert_eq!(checks.len(), 1, "{checks:#?}");
    checks.remove(0)
}

fn simulations(wire: &Wire) -> Vec<String> {
    wire.requests().into_iter().filter(|request| request.contains("Action=SimulatePrincipalPolicy")).collect()
}

#[tokio::test]
async fn a_role_that_may_do_all_is_one_check() {
    let wire = account(all("allowed", "")).await;
    let upsert = Condition {
        operator: "ForAllValues:StringEquals".to_owned(),
        key: "route53:ChangeResourceRecordSetsActions".to_owned(),
        value: "UPSERT".to_owned(),
    };
    let zone = "arn:aws:route53:::hostedzone/Z1";
    let permissions = [
        permission("rds:ModifyDBInstance", DATABASE),
        permission("rds:AddTagsToResource", DATABASE),
        Permission { conditions: vec![upsert], ..permission("route53:ChangeResourceRecordSets", zone) },
        permission("cloudwatch:DescribeAlarms", "*"),
    ];
    let checks = found(&wire, &permissions).await;
    assert_eq!(checks.len(), 1, "{checks:#?}");
    assert_eq!((checks[0].verdict, checks[0].subject.as_str()), (CheckVerdict::Go, ROLE));
    assert!(
        checks[0].found.starts_with("4 permissions are allowed (not simulated: policies of resources"),
        "{checks:#?}"
    );

    let asked_all: Vec<_> = simulations(&wire).iter().map(|request| asked(request)).collect();
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        asked_all,
        [
            (texts(&["cloudwatch:DescribeAlarms"]), texts(&["*"])),
            (texts(&["rds:AddTagsToResource", "rds:ModifyDBInstance"]), texts(&[DATABASE])),
            (texts(&["route53:ChangeResourceRecordSets"]), texts(&[zone])),
        ]
    );
    let last = form(simulations(&wire).last().unwrap());
    assert_eq!(last["PolicySourceArn"], ROLE);
    assert_eq!(last["ContextEntries.member.1.ContextKeyName"], "route53:ChangeResourceRecordSetsActions");
    assert_eq!(last["ContextEntries.member.1.ContextKeyType"], "stringList");
    assert_eq!(last["ContextEntries.member.1.ContextKeyValues.member.1"], "UPSERT");
    assert_eq!(last["ContextEntries.member.2.ContextKeyName"], "aws:RequestedRegion");
    assert_eq!(last["ContextEntries.member.2.ContextKeyValues.member.1"], "us-east-1", "Route 53 is there");
    assert_eq!(form(&simulations(&wire)[1])["ContextEntries.member.1.ContextKeyValues.member.1"], "eu-west-1");
}

#[tokio::test]
async fn each_permission_that_is_denied_is_a_no_with_its_cure() {
    let wire = account(|request| {
        let each = asked(request).0.into_iter().map(|action| {
            let decision = if action == "rds:ModifyDBInstance" { "implicitDeny" } else { "allowed" };
            result(&action, DATABASE, decision, "")
        });
        results(&each.collect::<String>())
    })
    .await;
    let permissions = [permission("rds:ModifyDBInstance", DATABASE), permission("rds:AddTagsToResource", DATABASE)];
    let checks = found(&wire, &permissions).await;
    assert_eq!(checks.len(), 1, "{checks:#?}");
    assert_eq!((checks[0].verdict, checks[0].id.as_str()), (CheckVerdict::NoGo, "permission"));
    assert_eq!(
        checks[0].line(),
        format!(
            "rds:ModifyDBInstance on {DATABASE}: implicitDeny: no policy of belay allows it (wanted: allowed for {ROLE}); \
             attach to belay the statement for rds:ModifyDBInstance that `belay iam PLAN --baseline FILE` prints (`belay capture \
             PLAN -o FILE` takes one before the cutover)"
        )
    );
}

#[tokio::test]
async fn a_read_that_only_informs_is_a_warning() {
    let wire = account(|request| {
        let each = asked(request).0.into_iter().map(|action| result(&action, "*", "implicitDeny", ""));
        results(&each.collect::<String>())
    })
    .await;
    let permissions = ["xray:GetServiceGraph", "devops-guru:ListInsights"].map(|action| permission(action, "*"));
    let checks = found(&wire, &permissions).await;
    let verdicts: Vec<_> = checks.iter().map(|check| check.verdict).collect();
    assert_eq!(verdicts, [CheckVerdict::Warn, CheckVerdict::Warn], "{checks:#?}");
    for check in &checks {
        assert!(check.found.contains("no policy of belay allows it; what it shows will be missing"), "{check:#?}");
        assert!(check.cure.contains("`belay iam PLAN`") || check.cure.contains("attach to belay"), "{check:#?}");
    }
}

#[tokio::test]
async fn whatever_denies_it_is_named() {
    let explicit = "<MatchedStatements><member><SourcePolicyId>NoRenames</SourcePolicyId></member></MatchedStatements>";
    let boundary = "<PermissionsBoundaryDecisionDetail><AllowedByPermissionsBoundary>false</AllowedByPermissionsBoundary>\
                    </PermissionsBoundaryDecisionDetail>";
    let organization = "<OrganizationsDecisionDetail><AllowedByOrganizations>false</AllowedByOrganizations>\
                        </OrganizationsDecisionDetail>";
    let missing = "<MissingContextValues><member>aws:SourceIp</member></MissingContextValues>";
    let elsewhere =
        "<MissingContextValues><member>route53:ChangeResourceRecordSetsActions</member></MissingContextValues>";
    for (decision, more, verdict, found, cure) in [
        ("explicitDeny", explicit, CheckVerdict::NoGo, "denied by NoRenames", "except belay"),
        ("implicitDeny", boundary, CheckVerdict::NoGo, "the permissions boundary", "--boundary"),
        ("implicitDeny", organization, CheckVerdict::NoGo, "a policy of the organization", "has to allow"),
        ("implicitDeny", elsewhere, CheckVerdict::NoGo, "no policy of belay allows it", "attach to belay"),
        // Whether the condition holds, only a real request shows.
        ("implicitDeny", missing, CheckVerdict::Unknown, "go by aws:SourceIp", "attach to belay"),
    ] {
        let check = only(&account(all(decision, more)).await).await;
        assert_eq!(check.verdict, verdict, "{check:#?}");
        assert!(check.found.contains(found) && check.found.starts_with(decision), "{check:#?}");
        assert!(check.cure.contains(cure), "{check:#?}");
    }
}

/// As IAM answers since 2026: one result for an action, with the decision of each resource in it.
#[tokio::test]
async fn each_resource_has_its_own_decision() {
    let other = "arn:aws:rds:eu-west-1:111122223333:db:carts";
    let wire = account(move |request| {
        let one = |resource: &str, decision: &str| {
            format!(
                "<member><EvalResourceName>{resource}</EvalResourceName><EvalResourceDecision>{decision}\
                 </EvalResourceDecision></member>"
            )
        };
        let each = one(DATABASE, "allowed") + &one(other, "explicitDeny");
        let each = format!("<ResourceSpecificResults>{each}</ResourceSpecificResults>");
        results(&result(&asked(request).0[0], "*", "explicitDeny", &each))
    })
    .await;
    let checks =
        found(&wire, &[permission("rds:ModifyDBInstance", DATABASE), permission("rds:ModifyDBInstance", other)]).await;
    let subjects: Vec<&str> = checks.iter().map(|check| check.subject.as_str()).collect();
    assert_eq!(subjects, [format!("rds:ModifyDBInstance on {other}")]);
    assert_eq!(simulations(&wire).len(), 1);
}

#[tokio::test]
async fn what_iam_does_not_answer_for_is_unknown() {
    let check = only(&account(|_| results("")).await).await;
    assert_eq!(check.verdict, CheckVerdict::Unknown);
    assert!(check.found.contains("has not answered for it"), "{check:#?}");
}

#[tokio::test]
async fn who_may_not_simulate_is_told_so_once() {
    let wire =
        account(|_| refused("403 Forbidden", "AccessDenied", "not authorized to perform: iam:SimulatePrincipalPolicy"));
    let check = only(&wire.await).await;
    assert_eq!((check.verdict, check.subject.as_str()), (CheckVerdict::Unknown, ROLE));
    assert!(check.found.contains("the role needs iam:SimulatePrincipalPolicy"), "{check:#?}");
    assert!(check.cure.contains("allow iam:SimulatePrincipalPolicy"), "{check:#?}");
}

/// STS, `GetRole` and the simulation answer so.
async fn as_caller(arn: &'static str, role: fn() -> String, simulated: fn(&str) -> String) -> (Check, Vec<String>) {
    let wire = Wire::answering(move |request| match () {
        () if request.contains("Action=GetCallerIdentity") => identity(arn),
        () if request.contains("Action=GetRole") => role(),
        () => simulated(request),
    })
    .await;
    let check = only(&wire).await;
    (check, simulations(&wire).iter().map(|request| form(request)["PolicySourceArn"].clone()).collect())
}

#[tokio::test]
async fn the_role_behind_the_session_is_simulated() {
    let allowed: fn(&str) -> String = |request| all("allowed", "")(request);
    let unknown: fn(&str) -> String = |_| refused("404 Not Found", "NoSuchEntity", "no role");
    let denied: fn() -> String = || refused("403 Forbidden", "AccessDenied", "not authorized to perform: iam:GetRole");
    let session = "arn:aws:sts::111122223333:assumed-role/belay/i-1";

    let (check, asked) = as_caller("arn:aws:iam::111122223333:user/ops/ann", role, allowed).await;
    assert_eq!(
        (check.verdict, asked.as_slice()),
        (CheckVerdict::Go, ["arn:aws:iam::111122223333:user/ops/ann".to_owned()].as_slice())
    );

    // Without `iam:GetRole`, the role is found if it has no path.
    let (check, asked) = as_caller(session, denied, allowed).await;
    assert_eq!(
        (check.verdict, asked.as_slice()),
        (CheckVerdict::Go, ["arn:aws:iam::111122223333:role/belay".to_owned()].as_slice())
    );
    let (check, _) = as_caller(session, denied, unknown).await;
    assert_eq!(check.verdict, CheckVerdict::Unknown);
    assert!(
        check.found.contains("the path of the role belay is not known") && check.found.contains("iam:GetRole"),
        "{check:#?}"
    );

    for (arn, why) in [
        ("arn:aws:sts::111122223333:federated-user/ann", "federated user"),
        ("arn:aws:sts::111122223333:something/else", "neither a role nor a user"),
    ] {
        let (check, asked) = as_caller(arn, role, allowed).await;
        assert_eq!((check.verdict, asked.len()), (CheckVerdict::Unknown, 0), "{check:#?}");
        assert!(check.found.contains(why), "{check:#?}");
    }
}

#[tokio::test]
async fn the_root_user_is_restricted_by_nothing_and_warned_of() {
    let nothing = || -> String { unreachable!("nobody is asked for a role") };
    let (check, asked) =
        as_caller("arn:aws:iam::111122223333:root", nothing, |_| unreachable!("nor to simulate")).await;
    assert_eq!((check.verdict, asked.len()), (CheckVerdict::Warn, 0), "{check:#?}");
    assert!(check.found.contains("root user") && check.cure.contains("use a role"), "{check:#?}");
}

#[test]
fn large_questions_are_asked_in_parts() {
    let permissions: Vec<Permission> = (0..250)
        .flat_map(|number| {
            let database = format!("arn:aws:rds:eu-west-1:111122223333:db:orders-{number}");
            ["rds:ModifyDBInstance", "rds:AddTagsToResource"].map(|action| permission(action, &database))
        })
        .collect();
    let questions = questions(&permissions, "111122223333", "eu-west-1", "us-east-1");
    assert!(questions.iter().all(|one| one.actions.len() * one.resources.len() <= ANSWERS_MAX), "{questions:#?}");
    assert_eq!(questions.iter().map(|one| one.actions.len() * one.resources.len()).sum::<usize>(), 500);
    assert_eq!(questions.len(), 5, "two of 100 resources for each action, and one of 50 for both");
}

#[test]
fn resources_are_named_as_a_request_names_them() {
    for (declared, expected) in [
        ("*", "*"),
        ("arn:aws:rds:*:*:db:orders-failed-*", "arn:aws:rds:eu-west-1:111122223333:db:orders-failed-*"),
        ("arn:aws:route53:::hostedzone/*", "arn:aws:route53:::hostedzone/*"),
        ("arn:aws:ssm:eu-west-1:*:document/AWS-Restart", "arn:aws:ssm:eu-west-1::document/AWS-Restart"),
        ("arn:aws:ssm:eu-west-1:*:document/back", "arn:aws:ssm:eu-west-1:111122223333:document/back"),
    ] {
        assert_eq!(named(declared, "111122223333", "eu-west-1"), expected);
    }
}

/// What `belay iam` puts into the policy for this is what is called, and nothing else.
#[tokio::test]
async fn readiness_calls_what_it_declares() {
    let wire = account(all("allowed", "")).await;
    let systems = AwsSystems::new(wire.aws(Access::ReadOnly).await, std::sync::Arc::new(Still { wakes: false }));
    let needed = systems.permissions(&target());
    let checks = systems.readiness(&target(), &needed, jiff::Timestamp::UNIX_EPOCH).await;
    assert_eq!(checks.iter().map(|check| check.id.as_str()).collect::<Vec<_>>(), ["credentials", "permission"]);
    assert!(checks.iter().all(|check| check.verdict == CheckVerdict::Go), "{checks:#?}");
    let called: BTreeSet<String> =
        wire.requests().iter().map(|request| format!("iam:{}", form(request)["Action"])).collect();
    let declared: BTreeSet<String> = needed.iter().map(|permission| permission.action.clone()).collect();
    assert_eq!(called, &declared | &BTreeSet::from(["iam:GetCallerIdentity".to_owned()]));

    // A role that the plan names is known with its path.
    let named = AwsTarget { role: Some(ROLE.to_owned()), ..target() };
    let needed: Vec<_> = systems.permissions(&named).into_iter().map(|one| (one.action, one.resource)).collect();
    assert_eq!(needed, [(SIMULATE.to_owned(), ROLE.to_owned())]);
}
