//! The ids of traces and of the spans that outlive a process. They derive from the ids on record: a daemon that starts
//! again goes on with the same trace, and nothing has to be held open for the hours that a run may take.

use jiff::Timestamp;
use opentelemetry::trace::{SpanId, TraceId};
use sha2::{Digest, Sha256};

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

fn span(parts: &[&str]) -> SpanId {
    let digest = digest(parts);
    let mut id = [0; 8];
    id.copy_from_slice(&digest[..8]);
    SpanId::from_bytes(id)
}

/// One trace for an incident with its run, or for a run that a person asked for.
pub(super) fn trace(incident: Option<&str>, run: Option<&str>) -> TraceId {
    let digest = digest(&["trace", incident.or(run).unwrap_or_default()]);
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    TraceId::from_bytes(id)
}

pub(super) fn incident(incident: &str) -> SpanId {
    span(&["incident", incident])
}

pub(super) fn run(run: &str) -> SpanId {
    span(&["run", run])
}

/// `began`: a step that is tried again has a span for each time.
pub(super) fn step(run: &str, step: &str, began: Timestamp) -> SpanId {
    span(&["step", run, step, &began.to_string()])
}
