//! What RDS means by a refusal beyond what holds for all of AWS.

use belay_ports::ApplyError;

use crate::errors;

/// What RDS means by a refusal beyond what holds for all of AWS: whether it passes, and what to do about it.
pub(super) fn refine(error: ApplyError, code: &str) -> ApplyError {
    let known = match code.strip_suffix("Fault").unwrap_or(code) {
        // An earlier send, of which the answer was lost, has made it: the next look shows whose it is.
        "DBInstanceAlreadyExists" | "DBClusterAlreadyExists" => (true, "the next look tells whose it is"),
        // Or has renamed it.
        "DBInstanceNotFound" | "DBClusterNotFound" => (true, "the next look tells where it is"),
        "InvalidDBInstanceState" => (true, "RDS does this only with an available instance"),
        "InvalidDBClusterState" => (true, "RDS does this only with an available cluster"),
        "InsufficientDBInstanceCapacity" => {
            (true, "AWS has no such instance free now; change the class if it has none for long")
        }
        "InsufficientDBClusterCapacity" | "InsufficientStorageClusterCapacity" => {
            (true, "AWS has no room for such a cluster now")
        }
        "InvalidDBSnapshotState" | "InvalidDBClusterSnapshotState" => {
            (true, "a snapshot can be restored once it is available")
        }
        "DBSnapshotNotFound" | "DBClusterSnapshotNotFound" => {
            (false, "name a snapshot of this account and region, or one shared with it by its ARN")
        }
        "DBClusterQuotaExceeded" => {
            (false, "delete clusters that are not needed, or ask Service Quotas for more, then retry")
        }
        "InstanceQuotaExceeded" => {
            (false, "delete instances that are not needed, or ask Service Quotas for more, then retry")
        }
        "StorageQuotaExceeded" => (false, "free storage, or ask Service Quotas for more, then retry"),
        "KMSKeyNotAccessible" => {
            (false, "the key must be enabled, and allow kms:CreateGrant and kms:DescribeKey to this role")
        }
        "InvalidRestore" | "PointInTimeRestoreNotEnabled" => (false, "restore from a snapshot instead"),
        "DBParameterGroupNotFound"
        | "DBClusterParameterGroupNotFound"
        | "OptionGroupNotFound"
        | "DBSubnetGroupNotFound" => (false, "what is replaced had it; create it again, then retry"),
        "DBSubnetGroupDoesNotCoverEnoughAZs" => {
            (false, "add subnets in more Availability Zones to the subnet group of what is replaced")
        }
        "InvalidSubnet" | "InvalidVPCNetworkState" => {
            (false, "the subnet group names subnets that are gone, or of several VPCs; repair it, then retry")
        }
        "NetworkTypeNotSupported" => (false, "the subnet group does not take this network type: give it IPv6 subnets"),
        "StorageTypeNotSupported" | "StorageTypeNotAvailable" => {
            (false, "the class or the zone has no such storage; change what is replaced to another, then retry")
        }
        "ProvisionedIopsNotAvailableInAZ" => (false, "choose another Availability Zone or storage type, then retry"),
        "DBSecurityGroupNotFound" | "AuthorizationNotFound" => {
            (false, "a security group of what is replaced is gone; create it again, then retry")
        }
        "DomainNotFound" => (false, "the Active Directory of what is replaced is gone; join it to another, then retry"),
        "CertificateNotFound" => (false, "the CA certificate of what is replaced is gone; give it another, then retry"),
        "BackupPolicyNotFound" => (false, "the backup plan of what is replaced is gone; repair it, then retry"),
        "TenantDatabaseQuotaExceeded" => (false, "ask Service Quotas for more tenant databases, then retry"),
        _ => return error,
    };
    errors::refine(error, Some(known))
}

#[cfg(test)]
mod tests {
    use belay_core::input::ErrorClass;

    use super::*;

    fn refined(code: &str) -> (ErrorClass, String) {
        let error = ApplyError::NoEffect { why: "RDS said no".to_owned(), class: ErrorClass::Permanent };
        match refine(error, code) {
            ApplyError::NoEffect { why, class } => (class, why),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refusals_that_pass_are_tried_again() {
        for code in
            ["DBInstanceAlreadyExists", "DBInstanceAlreadyExistsFault", "DBInstanceNotFound", "InvalidDBInstanceState"]
        {
            assert_eq!(refined(code).0, ErrorClass::Transient, "{code}");
        }
        for code in ["DBSnapshotNotFound", "InstanceQuotaExceeded", "StorageQuotaExceeded", "KMSKeyNotAccessibleFault"]
        {
            let (class, why) = refined(code);
            assert!(class == ErrorClass::Permanent && why.starts_with("RDS said no ("), "{code}: {why}");
        }
        assert_eq!(refined("InvalidParameterValue"), (ErrorClass::Permanent, "RDS said no".to_owned()));
    }

    #[test]
    fn a_lost_answer_stays_lost() {
        let lost = ApplyError::OutcomeUnknown { why: "cut".to_owned() };
        assert_eq!(refine(lost.clone(), ""), lost);
    }
}
