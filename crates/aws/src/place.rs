//! What accounts, regions and ARNs are called.

use std::sync::OnceLock;

use belay_plan::model::AwsTarget;

/// `ACCOUNT/REGION` for a person and for telling blindness from an outage: the same whether or not it can be reached.
pub(crate) fn name(target: &AwsTarget) -> String {
    let account = target.account.as_deref().unwrap_or("default-account");
    let region = target.region.as_deref().unwrap_or("default-region");
    format!("{account}/{region}")
}

/// An Availability Zone or a Local Zone: `eu-west-1a`, `eusc-de-east-1a`, `us-west-2-lax-1a`.
pub(crate) const ZONE: &str = "^[a-z]{2,4}(-[a-z]+)+-[0-9]+(-[a-z0-9]+)*[a-z]$";

/// Region prefixes, partitions and the domains of their consoles, as the SDK's endpoint rules have them (`partitions.json`,
/// November 2026). Regions of `aws` are all others.
const PARTITIONS: [(&str, &str, &str); 7] = [
    ("cn-", "aws-cn", "amazonaws.cn"),
    ("us-gov-", "aws-us-gov", "amazonaws-us-gov.com"),
    ("eusc-", "aws-eusc", "amazonaws-eusc.eu"),
    ("us-iso-", "aws-iso", "c2shome.ic.gov"),
    ("us-isob-", "aws-iso-b", "sc2shome.sgov.gov"),
    ("eu-isoe-", "aws-iso-e", "csphome.adc-e.uk"),
    ("us-isof-", "aws-iso-f", "csphome.hci.ic.gov"),
];

/// The region of targets that name none, once the AWS configuration of this process is loaded.
static DEFAULT_REGION: OnceLock<String> = OnceLock::new();

/// Where targets lead that name no region.
pub(crate) fn learn_default_region(region: &str) {
    DEFAULT_REGION.get_or_init(|| region.to_owned());
}

/// The partition of a target: ARNs begin with it. A role that is assumed names its own.
pub(crate) fn partition(target: &AwsTarget) -> &str {
    let of_role = target.role.as_deref().and_then(|role| role.strip_prefix("arn:")?.split(':').next());
    let region = target.region.as_deref().or_else(|| DEFAULT_REGION.get().map(String::as_str));
    of_role.unwrap_or_else(|| of_region(region.unwrap_or_default()).0)
}

/// A partition, and the domain of its consoles.
fn of_region(region: &str) -> (&'static str, &'static str) {
    let found = PARTITIONS.iter().find(|(prefix, ..)| region.starts_with(prefix));
    found.map_or(("aws", "aws.amazon.com"), |(_, partition, console)| (partition, console))
}

/// Where the console of a region is: "https://eu-west-1.console.aws.amazon.com".
pub(crate) fn console(region: &str) -> String {
    format!("https://{region}.console.{}", of_region(region).1)
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
}
