//! What the status of an instance means for a restore.

/// The statuses of the RDS User Guide ("Viewing Amazon RDS DB instance status", 2026), grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It answers, and can be modified and renamed.
    Available,
    /// Something is under way that ends by itself.
    Changing,
    /// It stays like this until somebody does something.
    Stuck { cure: &'static str },
}

pub(super) fn phase(status: &str) -> Phase {
    match status {
        // Storage is optimized, and blocks are loaded, in the background.
        "available" | "storage-optimization" | "storage-initialization" => Phase::Available,
        "stopped" => Phase::Stuck { cure: "start it" },
        "deleting" | "delete-precheck" => Phase::Stuck { cure: "somebody deletes it" },
        "failed" => Phase::Stuck { cure: "AWS cannot recover it: restore again, in a new run" },
        "restore-error" | "incompatible-restore" | "incompatible-create" => {
            Phase::Stuck { cure: "the restore failed: see the instance's events, then restore again, in a new run" }
        }
        "incompatible-network" => Phase::Stuck { cure: "free addresses in its subnets, or repair its subnet group" },
        "incompatible-option-group" => Phase::Stuck { cure: "repair its option group" },
        "incompatible-parameters" => Phase::Stuck { cure: "repair its parameter group, then reboot it" },
        "insufficient-capacity" => Phase::Stuck { cure: "choose another instance class or Availability Zone" },
        "storage-full" => Phase::Stuck { cure: "give it more storage" },
        "inaccessible-encryption-credentials" | "inaccessible-encryption-credentials-recoverable" => {
            Phase::Stuck { cure: "make its KMS key usable again, then start it" }
        }
        _ => Phase::Changing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_available_changing_or_stuck() {
        assert_eq!(phase("available"), Phase::Available);
        assert_eq!(phase("storage-optimization"), Phase::Available);
        for status in ["creating", "backing-up", "modifying", "renaming", "rebooting", "configuring-log-exports"] {
            assert_eq!(phase(status), Phase::Changing, "{status}");
        }
        for status in ["failed", "storage-full", "incompatible-parameters", "stopped", "deleting"] {
            assert!(matches!(phase(status), Phase::Stuck { .. }), "{status}");
        }
    }
}
