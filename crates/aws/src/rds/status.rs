//! What the status of an instance or a cluster means: for whoever wants to change it, and for those whom it serves.
//!
//! The statuses are those of the RDS User Guide ("Viewing Amazon RDS DB instance status"), the Aurora User Guide ("Viewing
//! DB cluster status") and AWS's own CloudFormation handlers, 2026. A status that is in none of them is [`Phase::Changing`]
//! and [`Service::Untold`].

/// Whether it can be modified and renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It answers, and can be modified and renamed.
    Available,
    /// Something is under way that ends by itself.
    Changing,
    /// It stays like this until a person does something.
    Stuck { cure: &'static str },
}

/// Whether it answers queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Serves,
    Down,
    /// It may, for a part of the time that this status lasts.
    Untold,
}

pub(super) fn phase(status: &str) -> Phase {
    match status {
        // Storage is optimized, and blocks are loaded, in the background.
        "available" | "storage-optimization" | "storage-initialization" => Phase::Available,
        "stopped" => Phase::Stuck { cure: "start it" },
        "deleting" | "delete-precheck" => Phase::Stuck { cure: "it is being deleted, which cannot be stopped" },
        "failed" => Phase::Stuck { cure: "AWS cannot recover it: restore again, in a new run" },
        "restore-error" | "incompatible-restore" | "incompatible-create" => {
            Phase::Stuck { cure: "the restore failed: see the instance's events, then restore again, in a new run" }
        }
        "cloning-failed" => Phase::Stuck { cure: "the clone failed: restore the cluster from a snapshot" },
        "migration-failed" => {
            Phase::Stuck { cure: "the migration of its snapshot failed: restore the cluster from another snapshot" }
        }
        "modify-failed" => Phase::Stuck {
            cure: "its last modification failed: see its events, then modify it back, in the RDS console",
        },
        "upgrade-failed" => Phase::Stuck {
            cure: "its engine upgrade failed: see its events and the log upgrade.log, then ask AWS Support",
        },
        "incompatible-credentials" => Phase::Stuck { cure: "set its master password again" },
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

pub(super) fn service(status: &str) -> Service {
    match (phase(status), status) {
        (Phase::Available, _) => Service::Serves,
        (Phase::Stuck { .. }, _) | (Phase::Changing, "stopping") => Service::Down,
        // A backup, and most modifications, interrupt nothing; those that do show as `rebooting` or `upgrading`.
        (Phase::Changing, "backing-up" | "modifying" | "maintenance" | "converting-to-vpc" | "moving-to-vpc") => {
            Service::Serves
        }
        // Enhanced monitoring, log exports, IAM authentication: beside the engine.
        (Phase::Changing, status) if status.starts_with("configuring-") => Service::Serves,
        (Phase::Changing, "update-iam-db-auth") => Service::Serves,
        (Phase::Changing, _) => Service::Untold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_available_changing_or_stuck() {
        for status in ["available", "storage-optimization", "storage-initialization"] {
            assert_eq!(phase(status), Phase::Available, "{status}");
        }
        for status in ["creating", "backing-up", "modifying", "renaming", "rebooting", "configuring-log-exports"] {
            assert_eq!(phase(status), Phase::Changing, "{status}");
        }
        for status in [
            "cloning-failed",
            "deleting",
            "failed",
            "incompatible-credentials",
            "incompatible-parameters",
            "migration-failed",
            "modify-failed",
            "stopped",
            "storage-full",
            "upgrade-failed",
        ] {
            assert!(matches!(phase(status), Phase::Stuck { .. }), "{status}");
        }
    }

    #[test]
    fn only_what_is_known_to_answer_serves() {
        for status in [
            "available",
            "backing-up",
            "configuring-enhanced-monitoring",
            "configuring-iam-database-auth",
            "configuring-log-exports",
            "maintenance",
            "modifying",
            "storage-initialization",
            "storage-optimization",
        ] {
            assert_eq!(service(status), Service::Serves, "{status}");
        }
        for status in ["stopped", "stopping", "deleting", "storage-full", "upgrade-failed", "failed"] {
            assert_eq!(service(status), Service::Down, "{status}");
        }
        for status in ["creating", "failing-over", "rebooting", "renaming", "starting", "upgrading", "brand-new"] {
            assert_eq!(service(status), Service::Untold, "{status}");
        }
    }
}
