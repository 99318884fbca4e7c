//! What an account may ask: a token bucket for each API.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::service::Service;

#[derive(Debug, Clone)]
struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    filled: Option<Timestamp>,
}

/// The limits of an account: of a service, or of one operation of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits {
    buckets: BTreeMap<(Service, &'static str), Bucket>,
}

impl Limits {
    /// `operation`: empty for all that has no limit of its own.
    pub(crate) fn set(&mut self, service: Service, operation: &'static str, rate: f64, burst: f64) {
        self.buckets.insert((service, operation), Bucket { rate, burst, tokens: burst, filled: None });
    }

    /// Takes a token, if there is one.
    pub(crate) fn allow(&mut self, service: Service, operation: &str, now: Timestamp) -> bool {
        let own = self.buckets.keys().find(|(of, name)| *of == service && *name == operation).copied();
        let Some(bucket) = self.buckets.get_mut(&own.unwrap_or((service, ""))) else { return true };
        let gone = bucket.filled.map_or(Duration::ZERO, |at| now.duration_since(at).unsigned_abs());
        bucket.filled = Some(now);
        bucket.tokens = (bucket.tokens + gone.as_secs_f64() * bucket.rate).min(bucket.burst);
        let allowed = bucket.tokens >= 1.0;
        bucket.tokens -= f64::from(u8::from(allowed));
        allowed
    }
}
