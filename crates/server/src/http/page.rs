//! Lists, a page at a time.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::query::{Cursor, Limit};

#[derive(Debug, Serialize, ToSchema)]
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
    let behind = |key: &str| after.is_none_or(|cursor| past(key, cursor.key()));
    let mut left = items.into_iter().filter(|(key, _)| behind(key)).peekable();
    let mut shown = Vec::new();
    let mut last = None;
    while shown.len() < limit.items()
        && let Some((key, item)) = left.next()
    {
        shown.push(show(item));
        last = Some(key);
    }
    let next = left.peek().and(last);
    Json(Page { items: shown, next })
}
