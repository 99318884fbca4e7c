//! Databases that RDS would not rename, known before a restore is begun. Pure.

use super::{
    spec::KeepEndpoint,
    status::{Phase, phase},
};

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| format!("{}{}", first.to_ascii_uppercase(), chars.as_str())).unwrap_or_default()
}

/// Why RDS would refuse to rename the replaced database as it is, if so, with the cure. One that is being deleted gives its
/// name free by itself.
pub(super) fn held(word: &str, name: &str, status: &str, keep: KeepEndpoint) -> Option<String> {
    if keep != KeepEndpoint::Rename || is_going(status) {
        return None;
    }
    let Phase::Stuck { .. } = phase(status) else { return None };
    let cure = match status {
        "stopped" => "start it, and wait until it is available",
        "storage-full" => "give it more storage, and wait until it is available",
        "incompatible-parameters" => "repair its parameter group and reboot it",
        "incompatible-option-group" => "repair its option group",
        "incompatible-network" => "free addresses in its subnets, or repair its subnet group",
        "incompatible-credentials" => "set its master password again",
        "insufficient-capacity" => "give it another instance class",
        "inaccessible-encryption-credentials-recoverable" => "make its KMS key usable again, and start it",
        "inaccessible-encryption-credentials" | "failed" | "restore-error" => {
            return Some(format!("the {word} {name} is {status}, and never again what RDS would rename: {BESIDE}"));
        }
        _ => "see its events, and bring it back to available",
    };
    Some(format!(
        "the {word} {name} is {status}: RDS renames only what is available, so the restored one could not get its name. {}, then \
         retry; or {BESIDE}",
        capitalized(cure)
    ))
}

const BESIDE: &str = "let clients find the restored one by a record of yours, with `keep_endpoint: cname` in the plan, or delete this one";

pub(super) fn is_going(status: &str) -> bool {
    matches!(status, "deleting" | "delete-precheck")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rds_does_not_rename_has_a_cure_each() {
        let told = |status| held("instance", "shop", status, KeepEndpoint::Rename);
        for (status, cure) in [
            ("stopped", "Start it"),
            ("storage-full", "Give it more storage"),
            ("inaccessible-encryption-credentials", "keep_endpoint: cname"),
            ("incompatible-parameters", "Repair its parameter group"),
            ("modify-failed", "See its events"),
        ] {
            let why = told(status).unwrap();
            assert!(why.contains(cure) && why.contains(status), "{why}");
        }
        for status in ["available", "backing-up", "stopping", "storage-optimization", "deleting"] {
            assert_eq!(told(status), None, "{status}");
        }
        assert_eq!(held("instance", "shop", "stopped", KeepEndpoint::Cname), None);
    }
}
