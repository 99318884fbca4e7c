//! Waiting for something that another process does.

use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Looks again and again until `look` finds something, for a minute at most. Panics with `what` if it never does.
#[track_caller]
pub fn wait_until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_until_within(PATIENCE, what, look)
}

/// [`wait_until`] with another patience.
#[track_caller]
pub fn wait_until_within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain for {what}");
        std::thread::sleep(BETWEEN_LOOKS);
    }
}
