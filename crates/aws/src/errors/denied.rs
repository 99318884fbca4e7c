//! What AWS says of a call that it denies.
//!
//! The action that is missing is not always the call's own: a restore needs the right to tag, a change of a listener the
//! right to read a user pool. ("Troubleshoot access denied error messages", IAM User Guide, 2026)

/// As far as the message names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Denied<'m> {
    action: Option<&'m str>,
    resource: Option<&'m str>,
    by: By,
}

/// The kind of policy that denies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// No policy of the role allows it.
    Identity,
    Explicit,
    Boundary,
    Organization,
    Session,
}

impl<'m> Denied<'m> {
    /// `User: ... is not authorized to perform: ACTION on resource: ARN because no identity-based policy allows ...`
    pub(super) fn of(message: &'m str) -> Self {
        let after = |what: &str| message.split_once(what).map(|(_, rest)| rest);
        let word = |rest: &'m str| rest.split_whitespace().next().map(|word| word.trim_end_matches(['.', ',', ';']));
        let by = match message {
            text if text.contains("explicit deny") => By::Explicit,
            text if text.contains("permissions boundary") => By::Boundary,
            text if text.contains("service control policy") || text.contains("resource control policy") => {
                By::Organization
            }
            text if text.contains("session policy") => By::Session,
            _ => By::Identity,
        };
        Self { action: after("to perform: ").and_then(word), resource: after("on resource: ").and_then(resource), by }
    }

    /// `call` and `resource`: the call that was denied, where the message does not name anything.
    pub(super) fn cure(&self, call: &str, resource: &str) -> String {
        let action = self.action.unwrap_or(call);
        // These have no resource-level permissions.
        let unscoped = ["cloudwatch:", "elasticloadbalancing:Describe"].iter().any(|calls| action.starts_with(calls));
        let resource = match (unscoped, self.resource) {
            (true, _) => "*",
            (false, Some(named)) => named,
            (false, None) if resource.starts_with("arn:") || resource == "*" => resource,
            // Without an ARN the action is all that is known.
            (false, None) => return format!("the role needs {action}"),
        };
        match self.by {
            By::Identity => format!("the role needs {action} on {resource}"),
            By::Explicit => format!("a policy denies {action} on {resource} explicitly: it has to except the role"),
            By::Boundary => format!("the role's permissions boundary has to allow {action} on {resource}"),
            By::Organization => format!("a policy of the organization has to allow {action} on {resource}"),
            By::Session => format!("the policy of the role's session has to allow {action} on {resource}"),
        }
    }
}

/// Names in an ARN may hold blanks, so it ends where the reason begins.
fn resource(rest: &str) -> Option<&str> {
    let end = [" because ", " with an explicit deny"].iter().filter_map(|reason| rest.find(reason)).min();
    let named = end.map_or(rest, |end| &rest[..end]).trim().trim_end_matches(['.', ',', ';']);
    (!named.is_empty()).then_some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: &str = "arn:aws:route53:::hostedzone/Z1";

    fn cure(message: &str) -> String {
        Denied::of(message).cure("route53:GetHealthCheck", ZONE)
    }

    #[test]
    fn the_message_names_action_resource_and_kind_of_policy() {
        let who = "User: arn:aws:sts::111122223333:assumed-role/belay/i-1 is not authorized to perform:";
        let cases = [
            (
                format!(
                    "{who} iam:PassRole on resource: arn:aws:iam::111122223333:role/monitoring because no \
                         identity-based policy allows the iam:PassRole action"
                ),
                "the role needs iam:PassRole on arn:aws:iam::111122223333:role/monitoring",
            ),
            (
                format!(
                    "{who} cloudwatch:DescribeAlarms on resource: \
                         arn:aws:cloudwatch:eu-west-1:111122223333:alarm:* because no identity-based policy allows it"
                ),
                "the role needs cloudwatch:DescribeAlarms on *",
            ),
            (
                format!(
                    "{who} rds:ModifyDBInstance on resource: arn:aws:rds:eu-west-1:111122223333:db:a with an \
                         explicit deny in a service control policy"
                ),
                "a policy denies rds:ModifyDBInstance on arn:aws:rds:eu-west-1:111122223333:db:a explicitly: it has to \
                 except the role",
            ),
            (
                format!(
                    "{who} sts:AssumeRole on resource: arn:aws:iam::1:role/x because no permissions boundary allows it"
                ),
                "the role's permissions boundary has to allow sts:AssumeRole on arn:aws:iam::1:role/x",
            ),
            (
                format!(
                    "{who} lambda:InvokeFunction on resource: arn:aws:lambda:eu-west-1:1:function:f because no service \
                         control policy allows it"
                ),
                "a policy of the organization has to allow lambda:InvokeFunction on arn:aws:lambda:eu-west-1:1:function:f",
            ),
            // Without a resource, that of the call.
            (
                format!("{who} route53:GetHealthCheckStatus"),
                "the role needs route53:GetHealthCheckStatus on arn:aws:route53:::hostedzone/Z1",
            ),
            ("Access denied".to_owned(), "the role needs route53:GetHealthCheck on arn:aws:route53:::hostedzone/Z1"),
        ];
        for (message, expected) in cases {
            assert_eq!(cure(&message), expected, "{message}");
        }
    }

    #[test]
    fn a_name_is_never_shown_as_what_a_policy_has_to_name() {
        let cure = Denied::of("no").cure("rds:CreateDBInstance", "checkout");
        assert_eq!(cure, "the role needs rds:CreateDBInstance");
    }
}
