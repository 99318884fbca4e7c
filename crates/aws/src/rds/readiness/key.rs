//! Whether the key that the data is encrypted with can be used.

use aws_sdk_kms::{Client, types::KeyState};
use belay_ports::Check;

use crate::{errors, services::Service};

pub(crate) const SERVICE: Service = Service { reads: &["DescribeKey"], ..Service::new("KMS", "kms") };

const DESCRIBE: &str = "kms:DescribeKey";
const ID: &str = "key";

/// `key`: its ARN.
pub(super) async fn check(client: &Client, key: &str) -> Check {
    let answer = match client.describe_key().key_id(key).send().await {
        Ok(answer) => answer,
        Err(error) if errors::code(&error) == Some("NotFoundException") => {
            return unusable(
                key,
                "there is no such key",
                "restore from a copy of the snapshot under another key, or correct the key that the plan names: what this one encrypted is lost",
            );
        }
        Err(error) => {
            let why = errors::read(error, DESCRIBE, key).why;
            return Check::unknown(ID, key, why)
                .wanted("Enabled")
                .cure("allow it: `belay iam PLAN --baseline FILE` prints the statement");
        }
    };
    match answer.key_metadata.and_then(|found| found.key_state) {
        Some(KeyState::Enabled) => Check::go(ID, key, "it is enabled"),
        Some(KeyState::PendingDeletion | KeyState::PendingReplicaDeletion) => unusable(
            key,
            "it is about to be deleted, and nothing that it encrypts could be restored any more",
            &format!("`aws kms cancel-key-deletion --key-id {key}`, then `aws kms enable-key --key-id {key}`"),
        ),
        Some(state) => unusable(
            key,
            &format!("it is {}", state.as_str()),
            &match state {
                KeyState::Disabled => format!("`aws kms enable-key --key-id {key}`"),
                KeyState::PendingImport => {
                    format!("import its key material again: `aws kms import-key-material --key-id {key} ...`")
                }
                KeyState::Unavailable => {
                    "connect its custom key store again: `aws kms connect-custom-key-store`".to_owned()
                }
                _ => format!("wait until it is enabled; look at it: `aws kms describe-key --key-id {key}`"),
            },
        ),
        None => Check::unknown(ID, key, "KMS does not show its state")
            .wanted("Enabled")
            .cure(format!("look at it: `aws kms describe-key --key-id {key}`")),
    }
}

fn unusable(key: &str, found: &str, cure: &str) -> Check {
    Check::no_go(ID, key, found).wanted("Enabled").cure(cure)
}
