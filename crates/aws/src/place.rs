//! What accounts, regions and ARNs are called.

use belay_plan::model::AwsTarget;

/// `ACCOUNT/REGION` for a person and for telling blindness from an outage: the same whether or not it can be reached.
pub(crate) fn name(target: &AwsTarget) -> String {
    let account = target.account.as_deref().unwrap_or("default-account");
    let region = target.region.as_deref().unwrap_or("default-region");
    format!("{account}/{region}")
}

/// The partition that a target's region is in: ARNs begin with it.
pub(crate) fn partition(target: &AwsTarget) -> &'static str {
    match target.region.as_deref() {
        Some(region) if region.starts_with("cn-") => "aws-cn",
        Some(region) if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// Where the console of a region is: "https://eu-west-1.console.aws.amazon.com".
pub(crate) fn console(region: &str) -> String {
    let domain = match region {
        region if region.starts_with("cn-") => "amazonaws.cn",
        region if region.starts_with("us-gov-") => "amazonaws-us-gov.com",
        _ => "aws.amazon.com",
    };
    format!("https://{region}.console.{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_name_their_partition() {
        let partition =
            |region: &str| partition(&AwsTarget { region: Some(region.to_owned()), ..AwsTarget::default() });
        assert_eq!(partition("eu-west-1"), "aws");
        assert_eq!(partition("cn-north-1"), "aws-cn");
        assert_eq!(partition("us-gov-west-1"), "aws-us-gov");
    }
}
