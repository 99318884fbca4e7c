//! How far a long look around is: nothing for two seconds, then a line now and then.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::output::Output;

const FIRST_AFTER: Duration = Duration::from_secs(2);
const THEN_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Progress {
    output: Output,
    told: Arc<Mutex<String>>,
}

impl Progress {
    pub(super) fn new(output: Output) -> Self {
        Self { output, told: Arc::default() }
    }

    /// Takes what is to be shown next.
    pub(super) fn teller(&self) -> Arc<dyn Fn(String) + Send + Sync> {
        let told = self.told.clone();
        Arc::new(move |what| *told.lock().unwrap_or_else(PoisonError::into_inner) = what)
    }

    /// Shows on standard error how far it is, until it is done.
    pub(super) async fn shown<T>(&self, work: impl Future<Output = T>) -> T {
        let show = || {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.output.note(format_args!("looking: {told}"));
        };
        with_ticks(work, show).await
    }
}

async fn with_ticks<T>(work: impl Future<Output = T>, mut tick: impl FnMut()) -> T {
    tokio::pin!(work);
    let mut wait = FIRST_AFTER;
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(wait) => {
                tick();
                wait = THEN_EVERY;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_silent_for_two_seconds_and_then_speaks_now_and_then() {
        for (seconds, expected) in [(1, 0), (3, 1), (8, 2), (60, 12)] {
            let mut ticks = 0;
            with_ticks(tokio::time::sleep(Duration::from_secs(seconds)), || ticks += 1).await;
            assert_eq!(ticks, expected, "{seconds} s");
        }
    }
}
