//! Whether a signature was refused because this host's clock is off.
//!
//! The answer carries AWS's time in its `Date` header. When it was received is noted beside that, in a header of our own:
//! the answer is all that an error keeps, and an error knows no clock.

use std::time::Duration;

use aws_sdk_sts::{
    error::SdkError,
    primitives::{DateTime, DateTimeFormat},
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use belay_plan::duration;
use jiff::Timestamp;

/// In seconds since 1970, on the wall clock.
const RECEIVED: &str = "x-belay-received";

/// Codes by which AWS refuses a signature for its time, among other reasons.
const OF_TIME: [&str; 4] =
    ["InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch"];

/// AWS takes signatures that are five minutes off. The SDK, too, takes a larger difference than this for the cause, and
/// corrects the next one by it (`service_clock_skew.rs` of `aws-runtime`).
const TAKEN: Duration = Duration::from_secs(4 * 60);

/// Notes on a refusal when it was received.
pub(crate) fn received(answer: &mut HttpResponse, now: Timestamp) {
    if answer.status().is_client_error() {
        let _former = answer.headers_mut().insert(RECEIVED, now.as_second().to_string());
    }
}

/// What is wrong with the clock, where that is why the signature was refused.
pub(super) fn off<E>(error: &SdkError<E>, code: &str) -> Option<String> {
    let headers = error.raw_response().filter(|_| OF_TIME.contains(&code))?.headers();
    let received_s: i64 = headers.get(RECEIVED)?.parse().ok()?;
    let sent_s = DateTime::from_str(headers.get("date")?, DateTimeFormat::HttpDate).ok()?.secs();
    let off = Duration::from_secs(received_s.abs_diff(sent_s));
    (off > TAKEN).then(|| {
        let way = if received_s > sent_s { "ahead of" } else { "behind" };
        format!(
            "the clock of this host is {} s ({}) {way} that of AWS: set it, and keep it set with chrony or \
             systemd-timesyncd; the next call is signed with the time of AWS",
            off.as_secs(),
            duration::format(off),
        )
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_sts::error::ErrorMetadata;
    use aws_smithy_runtime_api::http::StatusCode;

    use super::*;

    fn told(code: &str, received: &str) -> Option<String> {
        let mut answer = HttpResponse::new(StatusCode::try_from(403).unwrap(), "".into());
        let _former = answer.headers_mut().insert("date", "Sat, 28 Nov 2026 20:00:00 GMT");
        super::received(&mut answer, received.parse().unwrap());
        off(&SdkError::service_error(ErrorMetadata::builder().build(), answer), code)
    }

    #[test]
    fn a_clock_that_is_off_is_told_with_the_difference() {
        let (ahead, behind) = ("2026-11-28T20:06:14Z", "2026-11-28T19:00:00Z");
        let text = told("SignatureDoesNotMatch", ahead).unwrap();
        assert!(text.starts_with("the clock of this host is 374 s (6m14s) ahead of that of AWS: set it"), "{text}");
        let text = told("InvalidSignatureException", behind).unwrap();
        assert!(text.starts_with("the clock of this host is 3600 s (1h) behind that of AWS"), "{text}");
    }

    #[test]
    fn a_wrong_key_is_no_wrong_clock() {
        assert_eq!(told("SignatureDoesNotMatch", "2026-11-28T20:00:03Z"), None);
        assert_eq!(told("AccessDenied", "2026-11-28T21:00:00Z"), None);
    }
}
