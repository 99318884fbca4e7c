//! The services that the stand-in has.

use crate::wire::Protocol;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    CloudWatch,
    Elb,
    Lambda,
    Rds,
    Route53,
    Ssm,
    StepFunctions,
    Sts,
}

impl Service {
    pub const ALL: [Self; 8] = [
        Self::CloudWatch,
        Self::Elb,
        Self::Lambda,
        Self::Rds,
        Self::Route53,
        Self::Ssm,
        Self::StepFunctions,
        Self::Sts,
    ];

    /// As requests are signed.
    pub fn name(self) -> &'static str {
        match self {
            Self::CloudWatch => "monitoring",
            Self::Elb => "elasticloadbalancing",
            Self::Lambda => "lambda",
            Self::Rds => "rds",
            Self::Route53 => "route53",
            Self::Ssm => "ssm",
            Self::StepFunctions => "states",
            Self::Sts => "sts",
        }
    }

    pub(crate) fn signed_for(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Self::CloudWatch => Protocol::Cbor,
            Self::Elb => Protocol::Query { namespace: "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/" },
            Self::Lambda => Protocol::RestJson,
            Self::Rds => Protocol::Query { namespace: "http://rds.amazonaws.com/doc/2014-10-31/" },
            Self::Route53 => Protocol::RestXml,
            Self::Ssm => Protocol::Json { version: "1.1" },
            Self::StepFunctions => Protocol::Json { version: "1.0" },
            Self::Sts => Protocol::Query { namespace: "https://sts.amazonaws.com/doc/2011-06-15/" },
        }
    }

    /// The code with which it throttles.
    pub(crate) fn throttling(self) -> &'static str {
        match self {
            Self::Lambda => "TooManyRequestsException",
            Self::CloudWatch | Self::Ssm | Self::StepFunctions => "ThrottlingException",
            Self::Elb | Self::Rds | Self::Route53 | Self::Sts => "Throttling",
        }
    }
}
