//! Reports to the daemon that guard is there, and how far it is: of one that is killed it hears nothing more, and says so.

use std::{future::Future, time::Duration};

use serde::Serialize;
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::client::Client;

const EVERY: Duration = Duration::from_secs(5);

/// A daemon that does not answer holds nothing up.
const PATIENCE: Duration = Duration::from_secs(2);

/// As the daemon knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    Before,
    Command,
    Soak,
    Over,
}

pub(super) struct Beat {
    client: Client,
    path: String,
    stage: watch::Sender<Stage>,
    beating: JoinSet<()>,
}

impl Beat {
    pub(super) fn start(client: &Client, migration: &str) -> Self {
        let (client, path) = (client.clone(), format!("migrations/{migration}/guard"));
        let (stage, mut seen) = watch::channel(Stage::Before);
        let mut beating = JoinSet::new();
        beating.spawn({
            let (client, path) = (client.clone(), path.clone());
            async move {
                loop {
                    let stage = *seen.borrow_and_update();
                    in_time(client.report(&path, &json!({ "stage": stage }))).await;
                    tokio::select! {
                        () = sleep(EVERY) => {}
                        changed = seen.changed() => if changed.is_err() { return },
                    }
                }
            }
        });
        Self { client, path, stage, beating }
    }

    /// Comes back when the daemon knows it: what happens from here on happens in this stage.
    pub(super) async fn reaches(&self, stage: Stage) {
        in_time(self.client.report(&self.path, &json!({ "stage": stage }))).await;
        self.stage.send_replace(stage);
    }

    /// `ended`: why nothing was rolled back, where the command did not end well.
    pub(super) async fn over(&mut self, ended: Option<String>) {
        self.beating.shutdown().await;
        in_time(self.client.report(&self.path, &json!({ "stage": Stage::Over, "ended": ended }))).await;
    }
}

/// What the daemon answers changes nothing for guard: a lost connection is found out by its looks.
async fn in_time(report: impl Future<Output = bool>) {
    let _ = timeout(PATIENCE, report).await;
}
