//! The parameters of the calls: which a call takes, which attribute shows each, and how a modification of it comes into force.

use serde_json::{Map, Value, json};

use super::{database::Kind, pace::Pace};
use crate::input::Input;

/// What `ModifyDBInstance` takes (API reference; so are the lists below).
pub(super) const MODIFY_INSTANCE: &str = "AdditionalStorageVolumes AllocatedStorage AllowMajorVersionUpgrade ApplyImmediately
    AutoMinorVersionUpgrade AutomationMode AwsBackupRecoveryPointArn BackupRetentionPeriod CACertificateIdentifier
    CertificateRotationRestart CloudwatchLogsExportConfiguration CopyTagsToSnapshot DBCapacityReservationIdentifier
    DBInstanceClass DBInstanceIdentifier DBParameterGroupName DBPortNumber DBSecurityGroups DBSubnetGroupName
    DatabaseInsightsMode DedicatedLogVolume DeletionProtection DisableDomain Domain DomainAuthSecretArn DomainDnsIps
    DomainFqdn DomainIAMRoleName DomainOu EnableCustomerOwnedIp EnableIAMDatabaseAuthentication EnablePerformanceInsights
    Engine EngineLifecycleSupport EngineVersion Iops LicenseModel ManageMasterUserPassword MasterUserAuthenticationType
    MasterUserPassword MasterUserSecretKmsKeyId MaxAllocatedStorage MonitoringInterval MonitoringRoleArn MultiAZ
    MultiTenant NetworkType NewDBInstanceIdentifier OptionGroupName PerformanceInsightsKMSKeyId
    PerformanceInsightsRetentionPeriod PreferredBackupWindow PreferredMaintenanceWindow ProcessorFeatures PromotionTier
    PubliclyAccessible ReplicaMode ResumeFullAutomationModeMinutes RotateMasterUserPassword StorageThroughput StorageType
    TagSpecifications TdeCredentialArn TdeCredentialPassword UseDefaultProcessorFeatures VpcSecurityGroupIds";

/// What both restores of an instance take.
pub(super) const RESTORE_INSTANCE: &str = "AdditionalStorageVolumes AllocatedStorage AutoMinorVersionUpgrade
    AvailabilityZone BackupRetentionPeriod BackupTarget CACertificateIdentifier CopyTagsToSnapshot
    CustomIamInstanceProfile DBCapacityReservationIdentifier DBInstanceClass DBName DBParameterGroupName
    DBSubnetGroupName DedicatedLogVolume DeletionProtection Domain DomainAuthSecretArn DomainDnsIps DomainFqdn
    DomainIAMRoleName DomainOu EnableCloudwatchLogsExports EnableCustomerOwnedIp EnableIAMDatabaseAuthentication Engine
    EngineLifecycleSupport Iops LicenseModel ManageMasterUserPassword MasterUserSecretKmsKeyId MultiAZ NetworkType
    OptionGroupName Port PreferredBackupWindow ProcessorFeatures PubliclyAccessible StorageThroughput StorageType
    TagSpecifications Tags TdeCredentialArn TdeCredentialPassword UseDefaultProcessorFeatures VpcSecurityGroupIds";

/// What `CreateDBInstance` takes for a member of a cluster.
pub(super) const CREATE_MEMBER: &str = "AutoMinorVersionUpgrade AvailabilityZone CACertificateIdentifier
    CopyTagsToSnapshot DBClusterIdentifier DBInstanceClass DBInstanceIdentifier DBParameterGroupName DBSubnetGroupName
    DatabaseInsightsMode EnablePerformanceInsights Engine EngineVersion MonitoringInterval MonitoringRoleArn
    PerformanceInsightsKMSKeyId PerformanceInsightsRetentionPeriod PreferredMaintenanceWindow PromotionTier
    PubliclyAccessible TagSpecifications Tags";

pub(super) const MODIFY_CLUSTER: &str =
    "AllocatedStorage AllowEngineModeChange AllowMajorVersionUpgrade ApplyImmediately
    AutoMinorVersionUpgrade AwsBackupRecoveryPointArn BacktrackWindow BackupRetentionPeriod CACertificateIdentifier
    CloudwatchLogsExportConfiguration CopyTagsToSnapshot DBClusterIdentifier DBClusterInstanceClass
    DBClusterParameterGroupName DBInstanceParameterGroupName DatabaseInsightsMode DeletionProtection Domain
    DomainIAMRoleName EnableGlobalWriteForwarding EnableHttpEndpoint EnableIAMDatabaseAuthentication
    EnableLimitlessDatabase EnableLocalWriteForwarding EnablePerformanceInsights EngineLifecycleSupport EngineMode
    EngineVersion Iops ManageMasterUserPassword MasterUserAuthenticationType MasterUserPassword MasterUserSecretKmsKeyId
    MonitoringInterval MonitoringRoleArn NetworkType NewDBClusterIdentifier OptionGroupName PerformanceInsightsKMSKeyId
    PerformanceInsightsRetentionPeriod Port PreferredBackupWindow PreferredMaintenanceWindow RotateMasterUserPassword
    ScalingConfiguration ServerlessV2ScalingConfiguration StorageType VpcSecurityGroupIds";

/// What both restores of a cluster take.
pub(super) const RESTORE_CLUSTER: &str = "AssociatedRoles BacktrackWindow BackupRetentionPeriod CopyTagsToSnapshot
    DBClusterIdentifier DBClusterInstanceClass DBClusterParameterGroupName DBSubnetGroupName DeletionProtection Domain
    DomainIAMRoleName EnableCloudwatchLogsExports EnableIAMDatabaseAuthentication EnableInternetAccessGateway
    EnablePerformanceInsights EnableVPCNetworking EngineLifecycleSupport EngineMode Iops KmsKeyId MonitoringInterval
    MonitoringRoleArn NetworkType OptionGroupName PerformanceInsightsKMSKeyId PerformanceInsightsRetentionPeriod Port
    PreferredBackupWindow PubliclyAccessible RdsCustomClusterConfiguration ScalingConfiguration
    ServerlessV2ScalingConfiguration StorageType TagSpecifications Tags VpcSecurityGroupIds";

/// Parameters that no attribute shows.
const UNSHOWN: &str = "AllowEngineModeChange AllowMajorVersionUpgrade ApplyImmediately CertificateRotationRestart
    DBClusterIdentifier DBInstanceIdentifier DBInstanceParameterGroupName DBName DBSecurityGroups DBSnapshotIdentifier
    DisableDomain DomainAuthSecretArn DomainDnsIps DomainFqdn DomainIAMRoleName DomainOu EnableInternetAccessGateway
    EnableVPCNetworking MasterUserAuthenticationType MasterUserPassword MasterUserSecretKmsKeyId MaxAllocatedStorageUnit
    NewDBClusterIdentifier NewDBInstanceIdentifier ResumeFullAutomationModeMinutes RotateMasterUserPassword
    SourceDBInstanceIdentifier TagSpecifications TdeCredentialPassword UseDefaultProcessorFeatures";

/// Attributes that go by another name than the parameter.
const RENAMED: [(&str, &str); 9] = [
    ("EnableIAMDatabaseAuthentication", "IAMDatabaseAuthenticationEnabled"),
    ("EnablePerformanceInsights", "PerformanceInsightsEnabled"),
    ("EnableCustomerOwnedIp", "CustomerOwnedIpEnabled"),
    ("EnableHttpEndpoint", "HttpEndpointEnabled"),
    ("DBClusterParameterGroupName", "DBClusterParameterGroup"),
    ("ScalingConfiguration", "ScalingConfigurationInfo"),
    ("EnableLocalWriteForwarding", "LocalWriteForwardingStatus"),
    ("EnableVPCNetworking", "VPCNetworkingEnabled"),
    ("EnableInternetAccessGateway", "InternetAccessGatewayEnabled"),
];

/// The attributes that show the parameters of a call.
pub(super) fn shown(kind: Kind, input: Input<'_>, now: &Value, call_for_secret: &str) -> Map<String, Value> {
    let names = input.0.as_object().into_iter().flat_map(|input| input.keys());
    names.filter_map(|name| attribute(kind, name, input, now, call_for_secret)).collect()
}

/// The attribute that shows one parameter, and its value. `now`: the attributes as they are.
pub(super) fn attribute(
    kind: Kind,
    name: &str,
    input: Input<'_>,
    now: &Value,
    secret: &str,
) -> Option<(String, Value)> {
    let value = input.0[name].clone();
    let (attribute, value) = match (name, kind) {
        ("VpcSecurityGroupIds", _) => {
            let groups = input.texts(name, "VpcSecurityGroupId").into_iter();
            let groups: Vec<Value> = groups.map(|id| json!({ "VpcSecurityGroupId": id, "Status": "active" })).collect();
            ("VpcSecurityGroups", json!({ "VpcSecurityGroupMembership": groups }))
        }
        ("DBParameterGroupName", _) => {
            let group = json!({ "DBParameterGroupName": value, "ParameterApplyStatus": "in-sync" });
            ("DBParameterGroups", json!({ "DBParameterGroup": [group] }))
        }
        ("OptionGroupName", Kind::Instance) => {
            let group = json!({ "OptionGroupName": value, "Status": "in-sync" });
            ("OptionGroupMemberships", json!({ "OptionGroupMembership": [group] }))
        }
        ("DBSubnetGroupName", Kind::Instance) => {
            let group = json!({ "DBSubnetGroupName": value, "VpcId": "vpc-1", "SubnetGroupStatus": "Complete" });
            ("DBSubnetGroup", group)
        }
        ("DBSubnetGroupName", Kind::Cluster) => ("DBSubnetGroup", value),
        ("Port" | "DBPortNumber", Kind::Instance) => ("Endpoint", json!({ "Port": value })),
        ("EnableCloudwatchLogsExports", _) => ("EnabledCloudwatchLogsExports", value),
        ("CloudwatchLogsExportConfiguration", _) => ("EnabledCloudwatchLogsExports", logs(Input(&value), now)),
        ("Domain" | "DomainFqdn", _) => ("DomainMemberships", json!({ "DomainMembership": [domain(input)] })),
        ("Tags", _) => ("TagList", value),
        ("ManageMasterUserPassword", _) => {
            let secret = json!({
                "SecretArn": secret, "SecretStatus": "active",
                "KmsKeyId": input.text("MasterUserSecretKmsKeyId").unwrap_or("alias/aws/secretsmanager"),
            });
            ("MasterUserSecret", if input.is_on(name) { secret } else { Value::Null })
        }
        ("CACertificateIdentifier", Kind::Cluster) => ("CertificateDetails", json!({ "CAIdentifier": value })),
        ("EnableLocalWriteForwarding", _) => {
            ("LocalWriteForwardingStatus", json!(if input.is_on(name) { "enabled" } else { "disabled" }))
        }
        ("AssociatedRoles", _) => {
            let roles = input.list(name, "DBClusterAssociatedRole").iter().map(
                |role| json!({ "RoleArn": role["RoleArn"], "FeatureName": role["FeatureName"], "Status": "ACTIVE" }),
            );
            (name, json!({ "DBClusterRole": roles.collect::<Vec<_>>() }))
        }
        _ if UNSHOWN.split_whitespace().any(|unshown| unshown == name) => return None,
        _ => (RENAMED.iter().find(|(parameter, _)| *parameter == name).map_or(name, |(_, shown)| shown), value),
    };
    Some((attribute.to_owned(), value))
}

fn logs(change: Input<'_>, now: &Value) -> Value {
    let on = now["EnabledCloudwatchLogsExports"]["member"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let (off, more) = (change.texts("DisableLogTypes", "member"), change.texts("EnableLogTypes", "member"));
    let mut logs: Vec<&str> = on.filter(|log| !off.contains(log) && !more.contains(log)).chain(more.clone()).collect();
    logs.sort_unstable();
    json!({ "member": logs })
}

fn domain(input: Input<'_>) -> Value {
    json!({
        "Domain": input.text("Domain"), "FQDN": input.text("DomainFqdn"), "OU": input.text("DomainOu"),
        "IAMRoleName": input.text("DomainIAMRoleName"), "AuthSecretArn": input.text("DomainAuthSecretArn"),
        "DnsIps": { "member": input.texts("DomainDnsIps", "member") }, "Status": "joined",
    })
}

/// How a modification of a parameter comes into force.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    AtOnce,
    /// Never pending, shown later, and until RDS is done with it no other modification is taken.
    Late,
    /// While the database has this status; pending until then.
    Through(&'static str, fn(&Pace) -> std::time::Duration),
}

/// User guide, "Settings for DB instances" and "Modifying an Amazon Aurora DB cluster": what is applied when.
pub(super) fn way(name: &str) -> Way {
    let modifying = |status| Way::Through(status, |pace| pace.modify);
    match name {
        "MonitoringInterval"
        | "MonitoringRoleArn"
        | "EnablePerformanceInsights"
        | "PerformanceInsightsKMSKeyId"
        | "PerformanceInsightsRetentionPeriod"
        | "DatabaseInsightsMode"
        | "PreferredMaintenanceWindow" => Way::Late,
        "EngineVersion" | "Engine" => Way::Through("upgrading", |pace| pace.upgrade),
        "EnableIAMDatabaseAuthentication" => modifying("configuring-iam-database-auth"),
        "CloudwatchLogsExportConfiguration" => modifying("configuring-log-exports"),
        "ManageMasterUserPassword" => modifying("resetting-master-credentials"),
        "DBSubnetGroupName" => modifying("moving-to-vpc"),
        "DBPortNumber" | "Port" => Way::Through("rebooting", |pace| pace.reboot),
        "DBInstanceClass"
        | "DBClusterInstanceClass"
        | "MultiAZ"
        | "AllocatedStorage"
        | "StorageType"
        | "Iops"
        | "StorageThroughput"
        | "AdditionalStorageVolumes"
        | "PubliclyAccessible"
        | "NetworkType"
        | "Domain"
        | "DomainFqdn"
        | "ProcessorFeatures"
        | "DedicatedLogVolume"
        | "EnableCustomerOwnedIp"
        | "LicenseModel"
        | "CACertificateIdentifier"
        | "BackupRetentionPeriod"
        | "ServerlessV2ScalingConfiguration"
        | "ScalingConfiguration"
        | "BacktrackWindow"
        | "EnableLocalWriteForwarding"
        | "OptionGroupName" => modifying("modifying"),
        _ => Way::AtOnce,
    }
}

/// The parameters that go by another name in `PendingModifiedValues`; those that never show there are empty.
pub(super) fn pending_name(kind: Kind, name: &str) -> Option<&str> {
    const INSTANCE: &str = "AllocatedStorage BackupRetentionPeriod CACertificateIdentifier DBInstanceClass
        DBSubnetGroupName DedicatedLogVolume Engine EngineVersion Iops LicenseModel MultiAZ StorageThroughput StorageType";
    const CLUSTER: &str = "AllocatedStorage BackupRetentionPeriod EngineVersion Iops StorageType";
    match (kind, name) {
        (Kind::Instance, "DBPortNumber") => Some("Port"),
        (_, "EnableIAMDatabaseAuthentication") => Some("IAMDatabaseAuthenticationEnabled"),
        (Kind::Instance, _) => INSTANCE.split_whitespace().find(|shown| *shown == name),
        (Kind::Cluster, _) => CLUSTER.split_whitespace().find(|shown| *shown == name),
    }
}

/// Parameters that change the storage.
pub(super) const STORAGE: [&str; 5] =
    ["AllocatedStorage", "StorageType", "Iops", "StorageThroughput", "AdditionalStorageVolumes"];
