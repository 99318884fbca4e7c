//! Lists in pages.

use serde_json::{Value, json};

use crate::answer::Refusal;

/// One page of a list, and the marker of the next. `most`: how many the caller wants at most.
pub(crate) fn page<T>(
    mut all: Vec<T>,
    size: usize,
    most: Option<i64>,
    marker: Option<&str>,
) -> Result<(Vec<T>, Value), Refusal> {
    let from: usize = match marker {
        None => 0,
        Some(marker) => marker
            .strip_prefix("after-")
            .and_then(|from| from.parse().ok())
            .filter(|from| *from <= all.len())
            .ok_or_else(|| Refusal::bad("InvalidParameterValue", format!("Invalid marker: {marker}")))?,
    };
    let size = most.and_then(|most| usize::try_from(most).ok()).map_or(size, |most| most.min(size)).max(1);
    let mut rest = all.split_off(from);
    let next = (rest.len() > size).then(|| format!("after-{}", from + size));
    rest.truncate(size);
    Ok((rest, json!(next)))
}
