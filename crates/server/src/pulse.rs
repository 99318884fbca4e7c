//! The daemon's pulse: every loop is asked for a sign of life, again and again, and whoever watches from outside is told.
//! When one hangs, the service manager hears nothing more, and ends the process: the next one goes on where it stopped.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{sleep, timeout};

use crate::{
    daemon::Daemon,
    health::{Part, Trouble, Weight},
    service_manager,
};

/// Between two rounds; less where the service manager waits for less.
const PERIOD_MAX: Duration = Duration::from_secs(1);

/// A loop that has not come round for this long hangs. The longest that one may take is an append on a slow disk.
const PATIENCE: Duration = Duration::from_secs(15);

/// Goes on until it is dropped.
pub(crate) async fn beat(daemon: Daemon) {
    let watchdog = service_manager::watchdog();
    let period = watchdog.map_or(PERIOD_MAX, |watchdog| PERIOD_MAX.min(watchdog / 4));
    let patience = watchdog.map_or(PATIENCE, |watchdog| PATIENCE.min(watchdog / 2));
    let mut shown = String::new();
    loop {
        let alive = look(&daemon, patience).await;
        if alive && watchdog.is_some() {
            service_manager::alive();
        }
        let status = service_manager::status(&daemon);
        if status != shown {
            service_manager::show(&status);
            shown = status;
        }
        sleep(period).await;
    }
}

/// One round: asks every loop for a sign of life, for so long, and publishes what is wrong. True when all have answered.
pub async fn look(daemon: &Daemon, patience: Duration) -> bool {
    let (hung, journal) = tokio::join!(hung(daemon, patience), journal(daemon, patience));
    let alive = hung.is_empty();
    note_journal(daemon, journal);
    let before = std::mem::replace(&mut daemon.vitals().noticed().hung, hung.clone());
    tell_turns(&before, &hung);
    daemon.vitals().publish(daemon.troubles());
    alive
}

/// The loops that give no sign of life.
async fn hung(daemon: &Daemon, patience: Duration) -> Vec<Trouble> {
    let hangs = |part, migration, why| Some(Trouble { part, migration, why, weight: Weight::Stopped });
    let limit = belay_plan::duration::format(patience);
    let engines = daemon.guards().into_iter().map(async |guard| {
        let name = Some(guard.name().to_owned());
        match timeout(patience, guard.handle.turn()).await {
            Ok(Ok(())) => None,
            Ok(Err(_)) => hangs(Part::Engine, name, "its loop has ended; the log says more; restart Belay".to_owned()),
            Err(_) => {
                let why = format!("its loop has not come round for {limit}; if the disk answers, restart Belay");
                hangs(Part::Engine, name, why)
            }
        }
    });
    let sampler = async {
        let turned = timeout(patience, daemon.sampler().turn()).await;
        let why = || format!("the loop that reads signals has not come round for {limit}; restart Belay");
        turned.err().and_then(|_| hangs(Part::Sampler, None, why()))
    };
    let (engines, sampler) = tokio::join!(join_all(engines), sampler);
    engines.into_iter().flatten().chain(sampler).collect()
}

/// Why the journal would take no record now. That its file has gone is found out before anybody wants to write.
async fn journal(daemon: &Daemon, patience: Duration) -> Option<String> {
    match timeout(patience, daemon.ports().journal.check()).await {
        Ok(checked) => checked.err().map(|error| error.to_string()),
        Err(_) => Some(format!("the journal has not answered for {}", belay_plan::duration::format(patience))),
    }
}

fn note_journal(daemon: &Daemon, why: Option<String>) {
    let before = std::mem::replace(&mut daemon.vitals().noticed().journal, why.clone());
    match (&before, &why) {
        (_, Some(why)) if before.as_ref() != Some(why) => tracing::error!("nothing is done any more: {why}"),
        (Some(_), None) => tracing::info!("the journal takes records again"),
        _ => {}
    }
}

fn tell_turns(before: &[Trouble], now: &[Trouble]) {
    for trouble in now.iter().filter(|trouble| !before.contains(trouble)) {
        tracing::error!(migration = trouble.migration, part = ?trouble.part, "{}", trouble.why);
    }
    for trouble in before.iter().filter(|trouble| !now.contains(trouble)) {
        tracing::info!(migration = trouble.migration, part = ?trouble.part, "it comes round again");
    }
}
