//! What accounts, regions and ARNs are called.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use belay_plan::model::AwsTarget;

/// `ACCOUNT/REGION` for a person and for telling blindness from an outage: the same whether or not it can be reached.
pub(crate) fn name(target: &AwsTarget) -> String {
    let account = target.account.as_deref().unwrap_or("default-account");
    let region = target.region.as_deref().unwrap_or("default-region");
    format!("{account}/{region}")
}

/// Region prefixes and partitions, as the SDK's endpoint rules have them (`partitions.json`, November 2026). Regions of `aws` are all
/// others. Only a fallback, for as long as no ARN of the region is known: a region or a partition that is newer than this
/// build is not here.
const PARTITIONS: [(&str, &str); 7] = [
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("eusc-", "aws-eusc"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
];

/// Partitions and the domains of their consoles, which no ARN names. That of `aws` is the domain of all others.
const CONSOLES: [(&str, &str); 7] = [
    ("aws-cn", "amazonaws.cn"),
    ("aws-us-gov", "amazonaws-us-gov.com"),
    ("aws-eusc", "amazonaws-eusc.eu"),
    ("aws-iso", "c2shome.ic.gov"),
    ("aws-iso-b", "sc2shome.sgov.gov"),
    ("aws-iso-e", "csphome.adc-e.uk"),
    ("aws-iso-f", "csphome.hci.ic.gov"),
];

/// The partitions of regions in which STS has answered. A region is of one partition for all accounts.
static LEARNED: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// The partition that an ARN names: `arn:aws-cn:...`.
fn of_arn(arn: &str) -> Option<&str> {
    let partition = arn.strip_prefix("arn:")?.split(':').next()?;
    let is_one =
        partition.starts_with("aws") && partition.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    is_one.then_some(partition)
}

/// `identity`: the ARN of the caller, as STS has answered it in this region.
pub(crate) fn learn_partition(region: &str, identity: &str) {
    let Some(partition) = of_arn(identity) else { return };
    let mut learned = LEARNED.lock().unwrap_or_else(PoisonError::into_inner);
    learned.insert(region.to_owned(), partition.to_owned());
}

/// The region of targets that name none, once the AWS configuration of this process is loaded.
static DEFAULT_REGION: OnceLock<String> = OnceLock::new();

/// Where targets lead that name no region.
pub(crate) fn learn_default_region(region: &str) {
    DEFAULT_REGION.get_or_init(|| region.to_owned());
}

/// The partition of a target: ARNs begin with it. A role that is assumed names its own.
pub(crate) fn partition(target: &AwsTarget) -> String {
    let region = target.region.as_deref().or_else(|| DEFAULT_REGION.get().map(String::as_str));
    let of_role = target.role.as_deref().and_then(of_arn);
    of_role.map_or_else(|| of_region(region.unwrap_or_default()), ToOwned::to_owned)
}

fn of_region(region: &str) -> String {
    let learned = LEARNED.lock().unwrap_or_else(PoisonError::into_inner).get(region).cloned();
    learned.unwrap_or_else(|| {
        let found = PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix));
        found.map_or("aws", |(_, partition)| partition).to_owned()
    })
}

/// Where the console of a region is: "https://eu-west-1.console.aws.amazon.com".
pub(crate) fn console(region: &str) -> String {
    let partition = of_region(region);
    let domain = CONSOLES.iter().find(|(known, _)| *known == partition).map_or("aws.amazon.com", |(_, domain)| domain);
    format!("https://{region}.console.{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_name_their_partition() {
        for (region, expected) in [
            ("eu-west-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("eusc-de-east-1", "aws-eusc"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("us-isof-south-1", "aws-iso-f"),
        ] {
            let target = AwsTarget { region: Some(region.to_owned()), ..AwsTarget::default() };
            assert_eq!(partition(&target), expected, "{region}");
        }
        let role = Some("arn:aws-cn:iam::111122223333:role/belay".to_owned());
        assert_eq!(partition(&AwsTarget { role, ..AwsTarget::default() }), "aws-cn");
        assert_eq!(console("eusc-de-east-1"), "https://eusc-de-east-1.console.amazonaws-eusc.eu");
    }

    #[test]
    fn the_caller_s_arn_counts_more_than_the_table() {
        let target = AwsTarget { region: Some("mars-north-1".to_owned()), ..AwsTarget::default() };
        learn_partition("mars-north-1", "root");
        learn_partition("mars-north-1", "arn:gcp:sts::111122223333:assumed-role/belay/i-1");
        assert_eq!(partition(&target), "aws");
        learn_partition("mars-north-1", "arn:aws-mars:sts::111122223333:assumed-role/belay/i-1");
        assert_eq!(partition(&target), "aws-mars");
    }
}
