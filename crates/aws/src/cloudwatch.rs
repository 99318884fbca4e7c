//! CloudWatch's signals: the state of an alarm (`alarm`), and a metric against a threshold (`metric`).

mod alarm;
mod metric;
#[cfg(test)]
pub(crate) mod testing;

use aws_sdk_cloudwatch::{
    error::{ProvideErrorMetadata, SdkError},
    primitives::DateTime,
};
use jiff::Timestamp;

pub(crate) use self::alarm::{HISTORY_CALL, types as alarm_types};
pub use self::{alarm::Alarm, metric::Metric};
use crate::{
    errors,
    services::{Granted, Service},
};

pub(crate) const SERVICE: Service = Service {
    // "CloudWatch service quotas".
    quotas: &[Granted::of("GetMetricData", 50.0, 50.0), Granted::all(9.0, 18.0)],
    reads: &["DescribeAlarmHistory", "DescribeAlarms", "GetMetricData"],
    ..Service::new("CloudWatch", "monitoring")
};

/// Whole seconds are all that evidence needs.
pub(crate) fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::from_second(time.secs()).ok()
}

/// CloudWatch does not take some value of the call: it names many things, and one of them spoils it for all.
pub(crate) fn is_request_wrong<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let is_wrong = |code: &str| code.starts_with("InvalidParameter") || code.starts_with("Validation");
    errors::code(error).is_some_and(is_wrong)
}
