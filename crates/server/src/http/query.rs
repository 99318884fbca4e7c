//! What lists and events can be asked for.

use belay_core::run::RunState;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::report::Format;

/// Which part of a list: at most so many items (fewer where they are long), behind this one. What is added meanwhile shifts nothing.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    #[serde(default)]
    #[param(inline)]
    pub(super) limit: Limit,
    #[param(inline)]
    pub(super) after: Option<Cursor>,
}

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunsQuery {
    #[serde(default)]
    #[param(inline)]
    pub(super) limit: Limit,
    #[param(inline)]
    pub(super) after: Option<Cursor>,
    /// Those of this one only.
    pub(super) migration: Option<String>,
    /// Those in this state only.
    pub(super) state: Option<RunState>,
}

/// In which format.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReportQuery {
    #[serde(default)]
    #[param(inline)]
    pub(super) format: Format,
}

/// Which incidents.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct IncidentsQuery {
    #[serde(default)]
    #[param(inline)]
    pub(super) limit: Limit,
    #[param(inline)]
    pub(super) after: Option<Cursor>,
    /// Those of this one only.
    pub(super) migration: Option<String>,
}

/// Where to begin, and what of.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// A cursor: go on behind it. Empty: from the first record. Left out: from now on.
    #[param(pattern = "^(0|[1-9][0-9]{0,18}-[0-9a-f]{12})?$")]
    pub(super) after: Option<String>,
    /// The events of this migration alone.
    pub(super) migration: Option<String>,
}

/// What a client sends that connects again by itself.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the document: an empty one counts as none")]
pub(super) struct LastEvent {
    /// The last `id` that came. It goes before `after`.
    #[param(
        rename = "Last-Event-ID",
        required = false,
        nullable = false,
        pattern = "^(0|[1-9][0-9]{0,18}-[0-9a-f]{12})?$"
    )]
    last: Option<String>,
}

/// Items of a page: 1 to 500.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(try_from = "usize")]
#[schema(minimum = 1, maximum = 500, default = 100)]
pub(super) struct Limit(usize);

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl Limit {
    pub(super) fn items(self) -> usize {
        self.0
    }
}

impl TryFrom<usize> for Limit {
    type Error = String;

    fn try_from(limit: usize) -> Result<Self, String> {
        match limit {
            1..=500 => Ok(Self(limit)),
            _ => Err(format!("{limit} is out of range: a page has 1 to 500 items")),
        }
    }
}

/// The `next` of the page before: the key of its last item, which need not be there any more.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(pattern = "^[a-z0-9_-]{1,63}$")]
pub(super) struct Cursor(String);

impl Cursor {
    pub(super) fn key(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Cursor {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
        match (1..=63).contains(&text.len()) && text.chars().all(plain) {
            true => Ok(Self(text)),
            false => Err(format!("{text:?} is not the `next` of a page")),
        }
    }
}
