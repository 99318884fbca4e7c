//! "Did you mean", and lists of what is allowed.

/// The candidate that the word is most likely a misspelling of.
pub fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let distance_max = (word.chars().count() / 4).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Two names count as similar from here on, where 1 is the same: one of them begins like the other, or has the same letters.
const SIMILARITY_LEAST: f64 = 0.85;

/// The candidates that resemble a word, the most similar first: for names that people and tools compose of parts, as
/// `checkout-5xx` and `checkout-prod-5xx`.
pub fn similar<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>, at_most: usize) -> Vec<&'c str> {
    let word = word.to_lowercase();
    let scored = candidates.into_iter().map(|name| (strsim::jaro_winkler(&word, &name.to_lowercase()), name));
    let mut similar: Vec<(f64, &str)> = scored.filter(|(score, _)| *score >= SIMILARITY_LEAST).collect();
    similar.sort_by(|(one, a), (other, b)| other.total_cmp(one).then(a.cmp(b)));
    similar.into_iter().take(at_most).map(|(_, name)| name).collect()
}

/// "did you mean `x`?", or else everything that is allowed.
pub fn instead_of<'c>(word: &str, allowed: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match closest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if candidates.is_empty() => format!("{allowed}: none"),
        None => format!("{allowed}: {}", quoted(candidates, ", ")),
    }
}

/// `a`, `b`, `c`
pub fn quoted<'c>(words: impl IntoIterator<Item = &'c str>, between: &str) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_come_first_and_strangers_not_at_all() {
        let names = ["checkout-5xx", "checkout-latency", "Chekout-5XX", "orders-depth", "prod-checkout-5xx"];
        assert_eq!(similar("chekout-5xx", names, 3), ["Chekout-5XX", "checkout-5xx"]);
        assert_eq!(similar("checkout-5xx-errors", names, 1), ["checkout-5xx"]);
        assert_eq!(similar("replica-lag", names, 3), [""; 0]);
    }
}
