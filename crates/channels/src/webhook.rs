//! `webhook`: a request of [Standard Webhooks](https://www.standardwebhooks.com), signed, with the facts and the text.

use base64::{Engine, engine::general_purpose::STANDARD};
use belay_plan::{
    catalogue::ChannelSpec,
    shape::{field, secret},
};
use belay_ports::{NotSent, Notice, Texts as _};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    address::{Address, check_secret, insecure_field},
    http::{ANSWER_BYTES_MAX, Request},
    texts::{Markup, Text, Texts},
    way::{Entry, Faults, Shared, Way, both, in_secret, never},
};

pub(crate) const KEY: &str = "webhook";

const PREFIX: &str = "whsec_";
/// Shorter keys can be guessed.
const KEY_BYTES_MIN: usize = 24;

pub(crate) fn spec() -> ChannelSpec {
    ChannelSpec {
        key: KEY,
        summary: "A webhook: a JSON request, signed as Standard Webhooks has it.",
        value: secret(),
        siblings: vec![
            field("secret", secret(), "What the signature is made with: `whsec_` and a key in base64; left out: none.")
                .optional(),
            insecure_field(),
        ],
        events: crate::texts::kinds(KEY),
        check: |spec| check_secret(spec, &["/webhook", "/secret"]),
    }
}

pub(crate) struct Webhook;

pub(crate) struct Target {
    address: Address,
    /// None: the receiver wants no signature.
    signing: Option<Signing>,
}

struct Signing {
    /// As it was given.
    secret: String,
    key: Vec<u8>,
}

impl Way for Webhook {
    const KEY: &'static str = KEY;
    const MARKUP: Markup = Markup::None;
    type Target = Target;

    async fn open(&self, entry: Entry<'_>) -> Result<Target, Faults> {
        let signing = async {
            match &entry.spec["secret"] {
                Value::Null => Ok(None),
                _ => Signing::parse(entry.secret("/secret").await?).map(Some).map_err(in_secret("/secret")),
            }
        };
        let address = entry.secret_address("/webhook", &["/webhook", "/secret"]).await;
        let (address, signing) = both(address, signing.await)?;
        Ok(Target { address, signing })
    }

    async fn deliver(&self, shared: &Shared, target: Target, notice: &Notice, text: Text) -> Result<String, NotSent> {
        let now = shared.clock.now();
        let seconds = now.as_second().to_string();
        let body = body(notice, &text).to_string();
        let signed = target.signing.as_ref().map(|signing| signature(&signing.key, &notice.key, &seconds, &body));
        let mut headers = vec![("webhook-id", notice.key.clone()), ("webhook-timestamp", seconds)];
        if let Some(signature) = signed.transpose()? {
            headers.push(("webhook-signature", signature));
        }
        let mut secrets = target.address.secrets();
        secrets.extend(target.signing.map(|signing| signing.secret));
        let request = Request {
            method: Method::POST,
            address: &target.address,
            headers,
            body: Some(body),
            secrets,
            answer_bytes_max: ANSWER_BYTES_MAX,
            clock: &*shared.clock,
        };
        Ok(shared.http.send(request).await?.shown(""))
    }
}

impl Signing {
    fn parse(secret: String) -> Result<Self, String> {
        let key = secret.strip_prefix(PREFIX).and_then(|encoded| STANDARD.decode(encoded).ok());
        let key = key.filter(|key| key.len() >= KEY_BYTES_MIN).ok_or_else(|| {
            format!("the signing secret is invalid: expected `{PREFIX}` and at least {KEY_BYTES_MIN} bytes in base64")
        })?;
        Ok(Self { secret, key })
    }
}

fn body(notice: &Notice, text: &Text) -> Value {
    json!({
        "type": format!("belay.{}", notice.facts.kind),
        "timestamp": notice.facts.at,
        "data": Texts.data(notice, &text.plain()),
    })
}

/// `v1,` and the HMAC-SHA256 of id, timestamp and body.
fn signature(key: &[u8], id: &str, seconds: &str, body: &str) -> Result<String, NotSent> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|error| never(format!("no signature: {error}")))?;
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = r#"{"test": 2432232314}"#;
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body).unwrap();
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
