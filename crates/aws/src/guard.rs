//! Refuses what a session may not do, before the request is even built (invariant 4).

use aws_sdk_sts::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeSerializationInterceptorContextRef},
    error::BoxError,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;

use crate::session::Access;

/// The operations that only read, by service as the SDK names it. What is not listed counts as mutating.
const READS: [(&str, &[&str]); 8] = [
    ("CloudWatch", &["DescribeAlarms", "GetMetricData"]),
    (
        "Elastic Load Balancing v2",
        &[
            "DescribeListeners",
            "DescribeLoadBalancers",
            "DescribeRules",
            "DescribeTargetGroupAttributes",
            "DescribeTargetGroups",
            "DescribeTargetHealth",
        ],
    ),
    (
        "RDS",
        &[
            "DescribeBlueGreenDeployments",
            "DescribeDBClusterBacktracks",
            "DescribeDBClusterSnapshots",
            "DescribeDBClusters",
            "DescribeDBInstanceAutomatedBackups",
            "DescribeDBInstances",
            "DescribeDBProxies",
            "DescribeDBProxyTargets",
            "DescribeDBSnapshots",
            "DescribeIntegrations",
        ],
    ),
    (
        "Route 53",
        &["GetChange", "GetHealthCheck", "GetHealthCheckStatus", "ListHostedZonesByName", "ListResourceRecordSets"],
    ),
    ("Lambda", &["GetFunctionConfiguration"]),
    ("SFN", &["DescribeExecution", "DescribeStateMachine"]),
    ("SSM", &["DescribeAutomationExecutions", "DescribeDocument", "GetAutomationExecution", "ListTagsForResource"]),
    ("STS", &["GetCallerIdentity"]),
];

fn is_read(service: &str, operation: &str) -> bool {
    READS.iter().any(|(name, reads)| *name == service && reads.contains(&operation))
}

/// An SDK interceptor; every client has one.
#[derive(Debug)]
pub(crate) struct Guard {
    access: Access,
}

#[derive(Debug, thiserror::Error)]
#[error("{service} {operation} is not a read, and this session may only read: Belay refused to send it")]
struct Refused {
    service: String,
    operation: String,
}

impl Guard {
    pub(crate) fn new(access: Access) -> Self {
        Self { access }
    }
}

impl Intercept for Guard {
    fn name(&self) -> &'static str {
        "ReadOnlyGuard"
    }

    /// The first hook at which the SDK knows the operation.
    fn read_before_serialization(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (service, operation) = match config.load::<Metadata>() {
            Some(metadata) => (metadata.service(), metadata.name()),
            None => ("an unnamed service's", "unnamed operation"),
        };
        match self.access == Access::ReadWrite || is_read(service, operation) {
            true => Ok(()),
            false => Err(Refused { service: service.to_owned(), operation: operation.to_owned() }.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reads_are_listed() {
        for (service, reads) in READS {
            for read in reads {
                let verbs = ["Describe", "Get", "List"];
                assert!(verbs.iter().any(|verb| read.starts_with(verb)), "{service} {read}");
            }
        }
        assert!(is_read("Route 53", "GetChange"));
        assert!(!is_read("Route 53", "ChangeResourceRecordSets"));
        assert!(!is_read("S3", "GetChange"));
    }
}
