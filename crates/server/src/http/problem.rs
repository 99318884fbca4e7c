//! Errors as RFC 9457 problem documents.

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};
use strum::VariantArray;
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder, Type},
};

use super::kind::Kind;

/// In how many seconds it is worth another try, where there is too much to do.
const BUSY_RETRY_S: &str = "5";

/// What went wrong, what to do about it, and under which stable name programs know it.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Kind,
    document: Box<Document>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document {
    /// `/problems/KIND`, where the daemon explains it.
    #[serde(rename = "type")]
    #[schema(schema_with = types)]
    path: String,
    /// The same for every problem of a kind.
    title: &'static str,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong this time.
    detail: String,
    /// What to do next, for a person.
    #[serde(skip_serializing_if = "String::is_empty")]
    help: String,
    #[serde(flatten)]
    #[schema(value_type = Members)]
    more: Map<String, Value>,
}

fn types() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(Kind::VARIANTS.iter().map(|kind| kind.path())))
        .build()
}

/// What some kinds carry besides; `PROBLEMS.md` says which.
#[derive(ToSchema)]
#[schema(as = ProblemMembers)]
#[expect(dead_code, reason = "read by the schema")]
struct Members {
    /// The run under way.
    run: Option<String>,
    /// As what was to be moved is now.
    state: Option<String>,
    /// The verbs that this state allows.
    possible: Option<Vec<String>>,
    /// Whoever may do this has it.
    role: Option<String>,
    /// What two migrations act on.
    resource: Option<String>,
    /// The other one.
    migration: Option<String>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (path, title, status) = (kind.path(), kind.title(), kind.status().as_u16());
        let (detail, help, more) = (detail.into(), String::new(), Map::new());
        let document = Document { path, title, status, detail, help, more };
        Self { kind, document: Box::new(document) }
    }

    /// What to do next, for a person.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.document.help = help.into();
        self
    }

    /// A member of its own, for programs.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.document.more.insert(key.to_owned(), value.into());
        self
    }

    /// The document, where it is no answer of its own.
    pub(crate) fn to_json(&self) -> String {
        serde_json::json!(self.document).to_string()
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, detail)
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Kind::InvalidRequest, detail)
    }

    pub(crate) fn wrong_state(detail: impl Into<String>) -> Self {
        Self::new(Kind::WrongState, detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, detail)
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.kind.status(), axum::Json(self.document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.kind == Kind::Busy {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(BUSY_RETRY_S));
        }
        if self.kind == Kind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
