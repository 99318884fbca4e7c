//! Whose policies count: STS names the session, IAM simulates the role behind it.

use aws_sdk_iam::Client;
use belay_plan::model::AwsTarget;

use crate::errors;

pub(super) const GET_ROLE: &str = "iam:GetRole";

/// A role or a user that IAM can simulate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) arn: String,
    pub(super) account: String,
    /// Why the path in its ARN may be another one, if it may.
    path_unknown: Option<String>,
}

impl Caller {
    /// Without its path, as people know it.
    pub(super) fn name(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or(&self.arn)
    }

    /// Why IAM does not know the ARN.
    pub(super) fn is_not_found(&self) -> String {
        match &self.path_unknown {
            Some(why) => format!("the path of the role {} is not known: {why}", self.name()),
            None => format!("IAM knows no {}", self.arn),
        }
    }
}

/// Whether it is the account's root user, for whom IAM simulates nothing.
pub(super) fn is_root(identity: &str) -> bool {
    identity.ends_with(":root")
}

/// `identity`: the ARN that STS has answered.
///
/// # Errors
/// Why there is nobody to simulate.
pub(super) async fn of(client: &Client, target: &AwsTarget, identity: &str) -> Result<Caller, String> {
    let parts: Vec<&str> = identity.splitn(6, ':').collect();
    let &["arn", partition, service, _, account, who] = parts.as_slice() else {
        return Err(format!("{identity} is no ARN that IAM could simulate"));
    };
    let known = |arn: String| Caller { arn, account: account.to_owned(), path_unknown: None };
    match (service, who.split('/').collect::<Vec<_>>().as_slice()) {
        ("iam", ["user", ..]) => Ok(known(identity.to_owned())),
        ("sts", ["federated-user", ..]) => {
            Err("a federated user's session has policies of its own, which cannot be simulated: use a role".to_owned())
        }
        // STS leaves the path out. A plan that names the role has it.
        ("sts", ["assumed-role", role, _]) => {
            match target.role.as_ref().filter(|arn| arn.rsplit('/').next() == Some(role)) {
                Some(arn) => Ok(known(arn.clone())),
                None => match client.get_role().role_name(*role).send().await {
                    Ok(answer) => match answer.role {
                        Some(found) => Ok(known(found.arn)),
                        None => Err(format!("{GET_ROLE} has answered without a role")),
                    },
                    // Most have none, and names of roles are unique in an account.
                    Err(error) => Ok(Caller {
                        path_unknown: Some(errors::read(error, GET_ROLE, role).why),
                        ..known(format!("arn:{partition}:iam::{account}:role/{role}"))
                    }),
                },
            }
        }
        _ => Err(format!("{identity} is neither a role nor a user that IAM could simulate")),
    }
}
