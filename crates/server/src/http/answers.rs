//! Answers that were given under an idempotency key, as they were given.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use belay_core::{input::CommandKey, migration::KEYS_KEPT};
use indexmap::IndexMap;
use tokio::sync::OnceCell;

use super::{idempotency::REPLAYED, kind::Kind, problem::Problem};

const KEYS_MAX: usize = 1024;
const BYTES_MAX: usize = 4 << 20;

/// By caller and key, the oldest first.
#[derive(Default)]
pub(super) struct Answers(Mutex<IndexMap<(String, String), Arc<Entry>>>);

/// A request that was made under a key. Its answer is there as soon as one of those who made it got one.
pub(super) struct Entry {
    fingerprint: String,
    /// On the monotonic clock.
    made: Duration,
    pub(super) answer: OnceCell<Answer>,
}

pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answers {
    /// What is known of a request, or a new entry for it. `now` is monotonic.
    pub(super) fn entry(&self, caller: &str, key: &CommandKey, now: Duration) -> Result<Arc<Entry>, Problem> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| now.saturating_sub(entry.made) < KEYS_KEPT);
        let whose = (caller.to_owned(), key.key.clone());
        if let Some(known) = entries.get(&whose) {
            return match known.fingerprint == key.fingerprint {
                true => Ok(known.clone()),
                false => Err(reused(&key.key)),
            };
        }
        make_room(&mut entries);
        let entry = Arc::new(Entry { fingerprint: key.fingerprint.clone(), made: now, answer: OnceCell::new() });
        entries.insert(whose, entry.clone());
        Ok(entry)
    }
}

/// Forgets the oldest that nobody waits for, until there is room for one more. What changed something is on record.
fn make_room(entries: &mut IndexMap<(String, String), Arc<Entry>>) {
    let bytes = |entry: &Arc<Entry>| entry.answer.get().map_or(0, |answer| answer.body.len());
    let mut kept: usize = entries.values().map(bytes).sum();
    while entries.len() >= KEYS_MAX || kept > BYTES_MAX {
        let Some(oldest) = entries.values().position(|entry| Arc::strong_count(entry) == 1) else { return };
        let Some((_, entry)) = entries.shift_remove_index(oldest) else { return };
        kept -= bytes(&entry);
    }
}

pub(super) fn reused(key: &str) -> Problem {
    let detail = format!("the key {key} was used for another request within the last 24 hours");
    Problem::new(Kind::IdempotencyKeyReused, detail).help("nothing of this request was done; give it a key of its own")
}

impl Answer {
    /// What failed on the daemon's side is not kept, nor what was refused for the state of things: asked again, it is tried
    /// again.
    pub(super) async fn of(response: Response) -> Result<Self, Response> {
        if response.status().is_server_error() || response.status() == StatusCode::CONFLICT {
            return Err(response);
        }
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await;
        let body = body.map_err(|error| Problem::new(Kind::Bug, error.to_string()).into_response())?;
        Ok(Self { status: parts.status, headers: parts.headers, body })
    }

    pub(super) fn give(&self, replayed: bool) -> Response {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = self.status;
        response.headers_mut().clone_from(&self.headers);
        if replayed {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str, fingerprint: &str) -> CommandKey {
        CommandKey { key: key.to_owned(), fingerprint: fingerprint.to_owned() }
    }

    fn answered(answers: &Answers, word: &str, bytes: usize) {
        let entry = answers.entry("somebody", &key(word, ""), Duration::ZERO).unwrap();
        let body = Bytes::from(vec![0; bytes]);
        assert!(entry.answer.set(Answer { status: StatusCode::OK, headers: HeaderMap::new(), body }).is_ok());
    }

    fn is_kept(answers: &Answers, word: &str) -> bool {
        answers.0.lock().unwrap().contains_key(&("somebody".to_owned(), word.to_owned()))
    }

    #[test]
    fn a_key_stands_for_one_request_of_one_caller_for_a_day() {
        let answers = Answers::default();
        let first = answers.entry("somebody", &key("k", "one"), Duration::ZERO).unwrap();
        let again = answers.entry("somebody", &key("k", "one"), KEYS_KEPT - Duration::from_secs(1)).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert!(answers.entry("somebody", &key("k", "other"), Duration::ZERO).is_err());
        assert!(answers.entry("somebody else", &key("k", "other"), Duration::ZERO).is_ok());
        assert!(answers.entry("somebody", &key("k", "other"), KEYS_KEPT).is_ok());
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_under_way_stays() {
        let answers = Answers::default();
        let under_way = answers.entry("somebody", &key("under way", ""), Duration::ZERO).unwrap();
        for count in 0..2 * KEYS_MAX {
            answered(&answers, &count.to_string(), 1);
        }
        assert_eq!(answers.0.lock().unwrap().len(), KEYS_MAX);
        assert!(is_kept(&answers, "under way") && !is_kept(&answers, "0"));
        drop(under_way);
        for count in 0..6 {
            answered(&answers, &format!("large {count}"), BYTES_MAX / 4);
        }
        assert!(!is_kept(&answers, "large 0") && is_kept(&answers, "large 5"));
    }
}
