//! What comes in: bodies and queries, each error a problem that says what is wrong.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{StatusCode, request::Parts},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error};

use super::problem::Problem;

/// Bytes of a body. A baseline that is given to `arm` is the largest of them.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

/// A JSON body. None at all is an empty object: `POST .../disarm` needs no body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            let title = "The body could not be read";
            let help = format!("a body has at most {BODY_BYTES_MAX} bytes");
            Problem::new(rejection.status(), "unreadable_body", title, rejection.body_text()).help(help)
        })?;
        let text: &[u8] = if bytes.trim_ascii().is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Problem::invalid(error.to_string()),
            _ => Problem::new(StatusCode::BAD_REQUEST, "bad_json", "The body is not JSON", error.to_string()),
        })
    }
}

/// The query of a list: which part of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    #[serde(default = "limit_default")]
    pub(crate) limit: usize,
    /// What the page before gave as `next`.
    pub(crate) after: Option<String>,
}

const LIMIT_MAX: usize = 500;

fn limit_default() -> usize {
    100
}

impl<S: Send + Sync> FromRequestParts<S> for PageQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let allowed = "`limit` (1 to 500) and `after` (the `next` of the page before) are possible";
        let query = Query::<Self>::from_request_parts(parts, state).await;
        let Query(page) = query.map_err(|rejection| Problem::invalid(rejection.body_text()).help(allowed))?;
        match (1..=LIMIT_MAX).contains(&page.limit) {
            true => Ok(page),
            false => Err(Problem::invalid(format!("limit: {} is out of range", page.limit)).help(allowed)),
        }
    }
}

/// A reason that somebody has to give: it is what the record is read for afterwards.
#[derive(Debug, Clone)]
pub(crate) struct Reason(pub(crate) String);

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match text.trim().is_empty() {
            true => Err(D::Error::custom("`reason` is empty; say why, it goes on record")),
            false => Ok(Self(text)),
        }
    }
}
