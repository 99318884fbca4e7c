//! What comes in: paths, bodies and queries, each error a problem that says what is wrong.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::request::Parts,
};
use belay_core::input::{clean_link, clean_reason};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IgnoredAny},
};
use utoipa::ToSchema;

use super::{kind::Kind, problem::Problem};

/// What a path names.
pub(crate) struct At<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        let help = "names in a path are UTF-8, percent-encoded";
        path.map(|Path(names)| Self(names)).map_err(|bad| Problem::not_found(bad.body_text()).help(help))
    }
}

/// A JSON body. None at all, or null, is an empty object: `POST .../disarm` needs no body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // All of it is there: `limits` has seen to that.
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Problem::new(Kind::UnreadableBody, rejection.body_text()))?;
        let text: &[u8] = match bytes.trim_ascii() {
            b"" | b"null" => b"{}",
            // A struct could be read from an array, too, by the order of its fields.
            [b'[', ..] => return Err(Problem::invalid("the body is an array").help(BODIES)),
            text => text,
        };
        serde_json::from_slice(text).map(Self).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Problem::invalid(error.to_string()).help(BODIES),
            // Of a word that must be one of some, null is called no JSON.
            _ if serde_json::from_slice::<IgnoredAny>(text).is_ok() => Problem::invalid(error.to_string()).help(BODIES),
            _ => Problem::new(Kind::BadJson, error.to_string()).help(BODIES),
        })
    }
}

const BODIES: &str = "the body is a JSON object; /openapi.json says what is in it";

/// A query.
pub(crate) struct Asked<Q>(pub(crate) Q);

impl<S: Send + Sync, Q: DeserializeOwned> FromRequestParts<S> for Asked<Q> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<Q>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|bad| Problem::invalid(bad.body_text()))
    }
}

/// A reason that somebody has to give: it is what the record is read for afterwards.
#[derive(Debug, Clone, ToSchema)]
#[schema(max_length = 2000, pattern = r"[^\s\u0000-\u001f\u007f-\u009f]")]
pub(crate) struct Reason(pub(crate) String);

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        clean_reason(&text).map(Self).map_err(|why| D::Error::custom(format!("`reason` {why}")))
    }
}

/// A link that somebody gives.
#[derive(Debug, Clone, ToSchema)]
#[schema(max_length = 2000, pattern = r"^https?://[^\s/\u0000-\u0020\u007f-\u009f][^\s\u0000-\u0020\u007f-\u009f]*$")]
pub(crate) struct Link(pub(crate) String);

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        clean_link(&text).map(Self).map_err(|why| D::Error::custom(format!("it {why}")))
    }
}
