//! Policies as JSON.

use serde_json::{Value, json};

use super::policy::Policy;

/// One policy is the document that IAM takes; of several, each has its name and whose it is beside its document.
pub fn json(policies: &[Policy]) -> Value {
    match policies {
        [policy] => policy.document(),
        several => several
            .iter()
            .map(|policy| {
                json!({
                    "name": policy.name,
                    "account": policy.principal.account,
                    "role": policy.principal.role,
                    "policy": policy.document(),
                })
            })
            .collect(),
    }
}
