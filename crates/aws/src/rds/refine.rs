//! What RDS means by a refusal beyond what holds for all of AWS.

use belay_ports::ApplyError;

use crate::errors;

/// RDS ends some codes in `Fault` and some not.
pub(super) fn bare(code: &str) -> &str {
    code.strip_suffix("Fault").unwrap_or(code)
}

/// What RDS means by a refusal beyond what holds for all of AWS: whether it passes, and what to do about it.
pub(super) fn refine(error: ApplyError, code: &str) -> ApplyError {
    let known = match bare(code) {
        // An earlier send, of which the answer was lost, has made it: the next look shows whose it is.
        "DBInstanceAlreadyExists" | "DBClusterAlreadyExists" => (true, "the next look tells whose it is"),
        // Or has renamed it.
        "DBInstanceNotFound" | "DBClusterNotFound" => (true, "the next look tells where it is"),
        // An earlier send, of which the answer was lost, has done it; or AWS shows its effect late.
        "DBProxyTargetNotFound" | "DBProxyTargetAlreadyRegistered" => {
            (true, "the next look tells where the proxy leads")
        }
        "InvalidDBProxyState" => (true, "RDS does this only with an available proxy"),
        "InvalidDBInstanceState" => (true, "RDS does this only with an available instance"),
        "InvalidDBClusterState" => (true, "RDS does this only with an available cluster"),
        "InsufficientDBInstanceCapacity" => (true, "AWS has no such instance free now"),
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
        "DBSubnetGroupNotFound" => {
            (false, "the subnet group of the replaced database is gone: create one of that name again, then retry")
        }
        "DBParameterGroupNotFound" | "DBClusterParameterGroupNotFound" | "OptionGroupNotFound" => {
            (false, "create a group of that name again, or name the setting in `with.without`")
        }
        "DBSubnetGroupDoesNotCoverEnoughAZs" => {
            (false, "add subnets in more Availability Zones to the subnet group of the replaced database, then retry")
        }
        "InvalidSubnet" | "InvalidVPCNetworkState" => {
            (false, "the subnet group names subnets that are gone, or of several VPCs; repair it, then retry")
        }
        "NetworkTypeNotSupported" => {
            (false, "give the subnet group IPv6 subnets, or name network_type in `with.without`")
        }
        "StorageTypeNotSupported" | "StorageTypeNotAvailable" | "ProvisionedIopsNotAvailableInAZ" => {
            (false, "the class or the zone has no such storage: name storage_type in `with.without`")
        }
        "DBSecurityGroupNotFound" | "AuthorizationNotFound" => {
            (false, "a security group of the replaced database is gone: name vpc_security_groups in `with.without`")
        }
        "DomainNotFound" => {
            (false, "the Active Directory of the replaced database is gone: name domain in `with.without`")
        }
        "CertificateNotFound" => {
            (false, "the CA certificate of the replaced database is gone: name ca_certificate in `with.without`")
        }
        "BackupPolicyNotFound" => (false, "the backup plan of the replaced database is gone; repair it, then retry"),
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
