//! What a failed AWS call means: one mapping for all systems.
//!
//! For a mutating call the question is only whether it may have taken effect. Where that is open the answer is
//! [`ApplyError::OutcomeUnknown`], and the next look at AWS decides.

mod clock;
mod denied;
mod text;

use std::{error::Error, io};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use belay_core::input::ErrorClass;
use belay_ports::{ApplyError, ReadError};

use self::text::{DENIED, why};
pub(crate) use self::{
    clock::received,
    text::{bounded, causes},
};
use crate::{
    budget::UsedUp,
    https::{NotConnected, Unencrypted},
    services,
};

/// Codes by which AWS asks for fewer calls. The call had no effect, whatever its status.
const THROTTLING: [&str; 11] = [
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
];

/// Refusals of any service that pass by themselves: credentials are renewed. The SDK learns how far this host's clock is off from
/// the very answer that refuses a signature, and new access keys are not everywhere at once.
const PASSING: [&str; 8] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// What is known about a call that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It never left, or AWS said no.
    NoEffect(ErrorClass),
    /// It may have been carried out.
    Unknown,
}

/// The error of a read. `call` is the IAM action (`route53:GetChange`), `resource` what it was about, as an ARN where
/// there is one.
pub fn read<E>(error: SdkError<E>, call: &str, resource: &str) -> ReadError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let permanent = outcome(&error) == Outcome::NoEffect(ErrorClass::Permanent);
    ReadError { why: why(&error, call, resource), permanent }
}

/// The error of a mutating call that was sent without retries. `call` and `resource` as for [`read`].
pub fn apply<E>(error: SdkError<E>, call: &str, resource: &str) -> ApplyError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let why = why(&error, call, resource);
    match outcome(&error) {
        Outcome::NoEffect(class) => ApplyError::NoEffect { why, class },
        Outcome::Unknown => ApplyError::OutcomeUnknown { why },
    }
}

/// What one service means by a refusal, beyond what holds for all of AWS. `known`: whether it passes by itself, and what
/// to do about it.
pub fn refine(error: ApplyError, known: Option<(bool, &str)>) -> ApplyError {
    match (error, known) {
        (ApplyError::NoEffect { why, class }, Some((passes, cure))) => {
            let class = if passes && class == ErrorClass::Permanent { ErrorClass::Transient } else { class };
            ApplyError::NoEffect { why: format!("{why} ({cure})"), class }
        }
        (error, _) => error,
    }
}

/// The AWS code of an error that AWS answered: `NoSuchHostedZone`.
pub fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// The role may not make the call.
pub(crate) fn is_denied<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    code(error).is_some_and(|code| DENIED.contains(&code))
}

fn answer_code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    code(error).or_else(|| unwrapped_code(error))
}

fn outcome<E>(error: &SdkError<E>) -> Outcome
where
    E: Error + ProvideErrorMetadata + 'static,
{
    match error {
        // The request could not be built, or the guard refused it: the next one would be the same.
        SdkError::ConstructionFailure(_) => Outcome::NoEffect(ErrorClass::Permanent),
        SdkError::DispatchFailure(_) if chain(error).any(|cause| cause.is::<UsedUp>()) => {
            Outcome::NoEffect(ErrorClass::Throttled)
        }
        // It passes only with another configuration.
        SdkError::DispatchFailure(_) if chain(error).any(|cause| cause.is::<Unencrypted>()) => {
            Outcome::NoEffect(ErrorClass::Permanent)
        }
        SdkError::DispatchFailure(_) if never_sent(error) => Outcome::NoEffect(ErrorClass::Transient),
        SdkError::ServiceError(answer) => answered(answer_code(error), answer.raw().status().as_u16()),
        _ => Outcome::Unknown,
    }
}

/// Route 53 may refuse a batch without the usual `ErrorResponse` around the error; the SDK then finds no code in it.
fn unwrapped_code<E>(error: &SdkError<E>) -> Option<&'static str> {
    const CODE: &str = "InvalidChangeBatch";
    body(error)?.contains(&format!("<{CODE} ")).then_some(CODE)
}

fn body<E>(error: &SdkError<E>) -> Option<&str> {
    std::str::from_utf8(error.raw_response()?.body().bytes()?).ok().filter(|body| !body.is_empty())
}

/// `status`: of HTTP. A refusal counts only with an AWS code: without one it may be a proxy that speaks.
fn answered(code: Option<&str>, status: u16) -> Outcome {
    match (code, status) {
        (Some(code), _) if THROTTLING.contains(&code) => Outcome::NoEffect(ErrorClass::Throttled),
        (_, 429) => Outcome::NoEffect(ErrorClass::Throttled),
        // A request time-out says that the server stopped waiting, not what it did.
        (_, 408) => Outcome::Unknown,
        (Some(code), 400..=499) => {
            let of_a_service = services::ALL.iter().any(|service| service.passing.contains(&code));
            let passes = of_a_service || PASSING.contains(&code) || code.ends_with("InProgress");
            Outcome::NoEffect(if passes { ErrorClass::Transient } else { ErrorClass::Permanent })
        }
        _ => Outcome::Unknown,
    }
}

/// Whether it failed before any byte of the request was sent: there were no credentials, or no connection.
fn never_sent(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|cause| {
        cause.is::<CredentialsError>()
            || cause.is::<NotConnected>()
            || cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    })
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}

#[cfg(test)]
mod tests {
    use aws_sdk_route53::operation::get_change::GetChangeError;
    use aws_sdk_sts::error::{ConnectorError, ErrorMetadata};
    use aws_smithy_runtime_api::{client::orchestrator::HttpResponse, http::StatusCode};

    use super::*;

    const CALL: &str = "route53:ChangeResourceRecordSets";
    const ZONE: &str = "arn:aws:route53:::hostedzone/Z1";

    fn answer(status: u16, code: Option<&str>) -> SdkError<GetChangeError> {
        let mut meta = ErrorMetadata::builder().message("not today");
        if let Some(code) = code {
            meta = meta.code(code);
        }
        let response = HttpResponse::new(StatusCode::try_from(status).unwrap(), "".into());
        SdkError::service_error(GetChangeError::generic(meta.build()), response)
    }

    fn applied(error: SdkError<GetChangeError>) -> Option<ErrorClass> {
        match apply(error, CALL, ZONE) {
            ApplyError::NoEffect { class, .. } => Some(class),
            ApplyError::Declined { .. } => panic!("nothing is declined here"),
            ApplyError::OutcomeUnknown { .. } => None,
        }
    }

    #[test]
    fn an_answer_decides_by_code_and_status() {
        let cases = [
            (400, Some("Throttling"), Some(ErrorClass::Throttled)),
            (400, Some("PriorRequestNotComplete"), Some(ErrorClass::Transient)),
            (503, Some("RequestLimitExceeded"), Some(ErrorClass::Throttled)),
            (429, None, Some(ErrorClass::Throttled)),
            (400, Some("InvalidInput"), Some(ErrorClass::Permanent)),
            (403, Some("AccessDenied"), Some(ErrorClass::Permanent)),
            (403, Some("ExpiredToken"), Some(ErrorClass::Transient)),
            (403, Some("SignatureDoesNotMatch"), Some(ErrorClass::Transient)),
            (403, Some("InvalidSignatureException"), Some(ErrorClass::Transient)),
            (403, Some("InvalidClientTokenId"), Some(ErrorClass::Transient)),
            (400, Some("UnrecognizedClientException"), Some(ErrorClass::Transient)),
            (403, Some("IncompleteSignature"), Some(ErrorClass::Permanent)),
            (400, Some("SomethingInProgress"), Some(ErrorClass::Transient)),
            (400, Some("InvalidDBInstanceState"), Some(ErrorClass::Transient)),
            (404, None, None),
            (408, Some("RequestTimeout"), None),
            (500, Some("InternalFailure"), None),
            (503, Some("ServiceUnavailable"), None),
        ];
        for (status, code, expected) in cases {
            assert_eq!(applied(answer(status, code)), expected, "{status} {code:?}");
        }
    }

    #[test]
    fn a_lost_answer_leaves_the_outcome_open() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let lost = [
            SdkError::timeout_error("operation timed out"),
            SdkError::dispatch_failure(ConnectorError::io(reset.into())),
            SdkError::dispatch_failure(ConnectorError::timeout("no answer".into())),
            SdkError::response_error("not XML", HttpResponse::new(StatusCode::try_from(200).unwrap(), "".into())),
        ];
        for error in lost {
            let text = format!("{error:?}");
            assert_eq!(applied(error), None, "{text}");
        }
    }

    #[test]
    fn what_never_left_had_no_effect() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let connection = SdkError::dispatch_failure(ConnectorError::io(refused.into()));
        let credentials = ConnectorError::other(CredentialsError::not_loaded("no profile").into(), None);
        assert_eq!(applied(connection), Some(ErrorClass::Transient));
        assert_eq!(applied(SdkError::dispatch_failure(credentials)), Some(ErrorClass::Transient));
        assert_eq!(applied(SdkError::construction_failure("no bucket")), Some(ErrorClass::Permanent));
    }

    #[test]
    fn a_refused_batch_is_understood_without_its_wrapping_too() {
        let body = "<?xml version=\"1.0\"?>\n\
                    <InvalidChangeBatch xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
                    <Messages><Message>no such zone &amp; no such record</Message><Message>nor this</Message></Messages>\
                    <RequestId>r</RequestId></InvalidChangeBatch>";
        let response = HttpResponse::new(StatusCode::try_from(400).unwrap(), body.into());
        let unparsed = GetChangeError::generic(ErrorMetadata::builder().build());
        let ApplyError::NoEffect { why, class: ErrorClass::Permanent } =
            apply(SdkError::service_error(unparsed, response), CALL, ZONE)
        else {
            panic!("it had no effect")
        };
        let on = "route53:ChangeResourceRecordSets on arn:aws:route53:::hostedzone/Z1";
        assert_eq!(why, format!("{on}: InvalidChangeBatch: no such zone & no such record; nor this"));
    }

    #[test]
    fn only_refusals_make_a_read_error_permanent() {
        let permanent = |error| read(error, CALL, ZONE).permanent;
        assert!(permanent(answer(404, Some("NoSuchHostedZone"))));
        assert!(permanent(answer(403, Some("AccessDenied"))));
        assert!(!permanent(answer(400, Some("Throttling"))));
        assert!(!permanent(answer(403, Some("SignatureDoesNotMatch"))));
        assert!(!permanent(answer(500, Some("InternalFailure"))));
        assert!(!permanent(SdkError::timeout_error("slow")));
    }

    #[tokio::test]
    async fn the_difference_of_the_clocks_is_read_off_the_answer() {
        let body = "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>expired</Message></Error></ErrorResponse>";
        let answer = crate::testing::http("403 Forbidden", body);
        let answer = answer.replacen("\r\n", "\r\ndate: Thu, 01 Jan 1970 00:10:00 GMT\r\n", 1);
        let endpoint = crate::testing::endpoint(answer).await;
        // The clock of the test stands at 1970-01-01T00:00:00Z.
        let aws = crate::testing::aws(crate::session::Access::ReadWrite, &endpoint).await;
        let clients = aws.clients(&belay_plan::model::AwsTarget::default()).await.unwrap();
        let sent = clients.elbv2.write.modify_rule().rule_arn("arn").send().await.unwrap_err();
        let error = apply(sent, "elasticloadbalancing:ModifyRule", "arn");
        assert!(matches!(error, ApplyError::NoEffect { class: ErrorClass::Transient, .. }), "{error}");
        assert!(error.to_string().contains("the clock of this host is 600 s (10m) behind that of AWS"), "{error}");
    }
}
