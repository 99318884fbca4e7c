//! A failed call in one line for a person: the call, the resource, what AWS answered, and what to do.

use std::error::Error;

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_xml::decode::{Document, ScopedDecoder, try_data};

use super::{answer_code, chain, clock, denied::Denied};

/// AWS messages are shown and journaled: they are cut after this many characters.
const MESSAGE_CHARS_MAX: usize = 600;

pub(super) const DENIED: [&str; 5] =
    ["AccessDenied", "AccessDeniedException", "AuthorizationError", "NotAuthorized", "UnauthorizedOperation"];

pub(super) fn why<E>(error: &SdkError<E>, call: &str, resource: &str) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let Some(answer) = error.as_service_error() else {
        let cause = match error {
            // The root cause is enough; what stands before it is how the SDK is built.
            SdkError::ConstructionFailure(_) => chain(error).last().map_or_else(String::new, ToString::to_string),
            _ => causes(error),
        };
        return format!("{call} on {resource}: {}", bounded(&cause));
    };
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let code = answer_code(error);
    let message = answer.message().map(ToOwned::to_owned).or_else(|| readable(super::body(error)?));
    let advice = code.and_then(|code| advice(error, code, message.as_deref(), call, resource));
    let advice = advice.map(|advice| format!(" ({advice})")).unwrap_or_default();
    let message = message.map(|message| format!(": {}", bounded(&message))).unwrap_or_default();
    let code = code.map_or_else(|| format!("HTTP {status} without an AWS error code"), ToOwned::to_owned);
    format!("{call} on {resource}: {code}{message}{advice}")
}

/// What to do next, where that is known.
fn advice<E>(error: &SdkError<E>, code: &str, message: Option<&str>, call: &str, resource: &str) -> Option<String> {
    if let Some(clock) = clock::off(error, code) {
        return Some(clock);
    }
    match code {
        code if DENIED.contains(&code) => Some(Denied::of(message.unwrap_or_default()).cure(call, resource)),
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            Some("renew the credentials, for example with `aws sso login`".to_owned())
        }
        "SignatureDoesNotMatch" | "InvalidSignatureException" => {
            Some("the secret access key is not that of the access key: check the credentials".to_owned())
        }
        "InvalidClientTokenId" | "UnrecognizedClientException" => Some(
            "AWS does not know the access key: it is new and not everywhere yet, of another partition, or deleted; check \
             it with `aws sts get-caller-identity`"
                .to_owned(),
        ),
        _ => None,
    }
}

/// The chain of causes in one line, without those that only repeat the one before.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in chain(error).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
    }
    text
}

/// The messages in an answer that the SDK finds none in, or all of its text: of a proxy, it may be a page.
fn readable(body: &str) -> Option<String> {
    let text = messages(body).unwrap_or_else(|| without_tags(body));
    (!text.is_empty()).then_some(text)
}

fn messages(body: &str) -> Option<String> {
    let mut document = Document::new(body);
    let mut root = document.root_element().ok()?;
    let mut found = Vec::new();
    while let Some(mut element) = root.next_tag() {
        if element.start_el().local() == "Messages" {
            while let Some(mut message) = element.next_tag() {
                found.push(data(&mut message)?);
            }
        } else if element.start_el().local() == "Message" {
            found.push(data(&mut element)?);
        }
    }
    (!found.is_empty()).then(|| found.join("; "))
}

fn data(element: &mut ScopedDecoder<'_, '_>) -> Option<String> {
    try_data(element).ok().map(|text| text.trim().to_owned())
}

fn without_tags(body: &str) -> String {
    if !body.trim_start().starts_with('<') {
        return body.to_owned();
    }
    let texts = body.split('<').filter_map(|part| part.split_once('>').map(|(_, text)| text.trim()));
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Cuts what AWS wrote, which may be long, to what is shown and journaled.
pub(crate) fn bounded(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use aws_sdk_route53::operation::get_change::GetChangeError;
    use aws_sdk_sts::error::{ConnectorError, ErrorMetadata};
    use aws_smithy_runtime_api::{client::orchestrator::HttpResponse, http::StatusCode};

    use super::*;
    use crate::errors::read;

    const CALL: &str = "route53:ChangeResourceRecordSets";
    const ZONE: &str = "arn:aws:route53:::hostedzone/Z1";

    fn answer(status: u16, code: &str, message: &str) -> SdkError<GetChangeError> {
        let meta = ErrorMetadata::builder().message(message).code(code);
        let response = HttpResponse::new(StatusCode::try_from(status).unwrap(), "".into());
        SdkError::service_error(GetChangeError::generic(meta.build()), response)
    }

    #[test]
    fn the_text_names_call_resource_code_message_and_cure() {
        let error = read(answer(403, "AccessDenied", "not today"), CALL, ZONE);
        assert_eq!(
            error.why,
            "route53:ChangeResourceRecordSets on arn:aws:route53:::hostedzone/Z1: AccessDenied: not today (the role \
             needs route53:ChangeResourceRecordSets on arn:aws:route53:::hostedzone/Z1)"
        );
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = read(SdkError::<GetChangeError>::dispatch_failure(ConnectorError::io(refused.into())), CALL, ZONE);
        assert!(error.why.ends_with("dispatch failure: io error: connection refused"), "{}", error.why);
    }

    #[test]
    fn what_was_denied_is_what_aws_names() {
        let message = "User: arn:aws:sts::111122223333:assumed-role/belay/i-1 is not authorized to perform: \
                       rds:AddTagsToResource on resource: arn:aws:rds:eu-west-1:111122223333:db:checkout-restored-0abc \
                       because no identity-based policy allows the rds:AddTagsToResource action";
        let error = read(answer(403, "AccessDenied", message), "rds:RestoreDBInstanceFromDBSnapshot", "checkout");
        let cure = "(the role needs rds:AddTagsToResource on \
                    arn:aws:rds:eu-west-1:111122223333:db:checkout-restored-0abc)";
        assert!(error.why.ends_with(cure), "{}", error.why);
    }

    #[test]
    fn credentials_that_are_refused_have_a_cure() {
        for (code, cure) in [
            ("SignatureDoesNotMatch", "check the credentials)"),
            ("InvalidClientTokenId", "check it with `aws sts get-caller-identity`)"),
            ("ExpiredToken", "for example with `aws sso login`)"),
        ] {
            let error = read(answer(403, code, "no"), CALL, ZONE);
            assert!(error.why.ends_with(cure), "{}", error.why);
        }
    }

    #[test]
    fn an_answer_without_a_code_shows_its_text_and_no_tags() {
        let of = |body: &'static str| {
            let response = HttpResponse::new(StatusCode::try_from(502).unwrap(), body.into());
            let unparsed = GetChangeError::generic(ErrorMetadata::builder().build());
            read(SdkError::service_error(unparsed, response), CALL, ZONE).why
        };
        let page = of("<html><head><title>502 Bad Gateway</title></head>\n<body><hr>nginx</body></html>");
        assert!(page.ends_with("HTTP 502 without an AWS error code: 502 Bad Gateway nginx"), "{page}");
        let text = of("a < b");
        assert!(text.ends_with(": a < b"), "{text}");
        let nothing = of("<a/>");
        assert!(nothing.ends_with("without an AWS error code"), "{nothing}");
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        assert_eq!(bounded(&"é".repeat(700)).chars().count(), MESSAGE_CHARS_MAX + 3);
        assert_eq!(bounded("short"), "short");
    }
}
