//! Lists, a page at a time.

use axum::Json;
use serde::{Deserialize, Serialize};

/// Which part of a list: at most so many items, behind this one. What is added meanwhile shifts nothing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    #[serde(default)]
    pub(crate) limit: Limit,
    pub(crate) after: Option<Cursor>,
}

/// Items of a page: 1 to 500.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "usize")]
pub(crate) struct Limit(usize);

impl Default for Limit {
    fn default() -> Self {
        Self(100)
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
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Cursor(String);

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

#[derive(Debug, Serialize)]
pub(crate) struct Page<T> {
    items: Vec<T>,
    /// Given as `after`, it leads to the next page; null on the last.
    next: Option<String>,
}

/// The items of one page. `items` are in their order, each under a key that is unique and stays; `past`
/// says whether a key comes behind the cursor. Only the items of the page are turned into what is shown.
pub(crate) fn page<I, T>(
    limit: Limit,
    after: Option<&Cursor>,
    items: impl IntoIterator<Item = (String, I)>,
    past: impl Fn(&str, &str) -> bool,
    show: impl Fn(I) -> T,
) -> Json<Page<T>> {
    let behind = |key: &str| after.is_none_or(|Cursor(cursor)| past(key, cursor));
    let mut left = items.into_iter().filter(|(key, _)| behind(key)).peekable();
    let mut shown = Vec::new();
    let mut last = None;
    while shown.len() < limit.0
        && let Some((key, item)) = left.next()
    {
        shown.push(show(item));
        last = Some(key);
    }
    let next = left.peek().and(last);
    Json(Page { items: shown, next })
}
