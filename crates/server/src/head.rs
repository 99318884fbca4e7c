//! One head over all streams of the journal leaves this host: in the log and with each heartbeat. Kept elsewhere, it shows
//! later whether records were changed, cut off or removed (`belay audit --heads FILE`).

use std::time::Duration;

use belay_ports::{Head, ReadFailure};
use tokio::time::sleep;

use crate::daemon::Daemon;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(60);

/// Goes on until it is dropped.
pub(crate) async fn keep(daemon: Daemon) {
    loop {
        // What keeps the journal from being read is told by the pulse.
        let _ = look(&daemon).await;
        sleep(PERIOD).await;
    }
}

/// Goes to the last record, and logs the head that is new.
pub async fn look(daemon: &Daemon) -> Result<Head, ReadFailure> {
    let before = daemon.vitals().noticed().head.clone();
    let mut head = before.clone().unwrap_or_else(Head::of_nothing);
    let journal = daemon.ports().journal.clone();
    loop {
        let next = journal.advance(&head, u64::MAX).await?;
        if next == head {
            break;
        }
        head = next;
    }
    if before.as_ref() != Some(&head) {
        tracing::info!(journal_head = %head, "the journal so far");
        daemon.vitals().noticed().head = Some(head.clone());
    }
    Ok(head)
}
