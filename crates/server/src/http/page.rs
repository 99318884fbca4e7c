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

/// Bytes of a page; the item that goes beyond is its last. Whoever reads slowly holds no more than that.
const PAGE_BYTES_MAX: usize = 256 * 1024;

/// The items of one page, fewer than the limit where they are long. `items` are in their order, each under a key that is
/// unique and stays; `past` says whether a key comes behind the cursor. Only the items of the page are turned into what
/// is shown.
pub(crate) fn page<I, T: Serialize>(
    limit: Limit,
    after: Option<&Cursor>,
    items: impl IntoIterator<Item = (String, I)>,
    past: impl Fn(&str, &str) -> bool,
    show: impl Fn(I) -> T,
) -> Json<Page<T>> {
    let behind = |key: &str| after.is_none_or(|cursor| past(key, cursor.key()));
    let mut left = items.into_iter().filter(|(key, _)| behind(key)).peekable();
    let mut shown = Vec::new();
    let (mut last, mut bytes) = (None, 0);
    while shown.len() < limit.items()
        && bytes < PAGE_BYTES_MAX
        && let Some((key, item)) = left.next()
    {
        let item = show(item);
        // What cannot be written down is found out when the page is.
        bytes += serde_json::to_vec(&item).map_or(0, |text| text.len());
        shown.push(item);
        last = Some(key);
    }
    let next = left.peek().and(last);
    Json(Page { items: shown, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_items_make_short_pages_that_lead_on_to_each_other() {
        let items = || (10..40).map(|number| (number.to_string(), "x".repeat(50_000)));
        let (mut seen, mut after) = (0, None);
        loop {
            let cursor = after.map(|next: String| Cursor::try_from(next).unwrap());
            let Json(page) = page(Limit::default(), cursor.as_ref(), items(), |key, cursor| key > cursor, |item| item);
            assert!((1..=6).contains(&page.items.len()), "{}", page.items.len());
            seen += page.items.len();
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, 30);
    }
}
