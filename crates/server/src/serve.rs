//! From a configuration to a daemon that answers, and back to a process that has ended in order.

use std::{io, thread, time::Duration};

use tokio::{runtime, sync::oneshot, task::JoinSet, time::timeout};

use crate::{
    config::{Config, ConfigError},
    daemon::{BuildError, Daemon, Parts},
    head, heartbeat, http,
    listener::{Address, Listeners},
    pulse, service_manager,
    unix_signals::{UnixSignals, Wish},
};

/// How long a stop may take: the engines wait 6 s for the answers of calls under way.
const STOP_MAX: Duration = Duration::from_millis(9_500);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{listen} cannot be listened on: {source}")]
    Bind { listen: Address, source: io::Error },
    #[error("Unix signals cannot be caught: {0}")]
    Signals(io::Error),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("the HTTP interface has ended: {0}")]
    Http(io::Error),
    #[error("the thread that watches the loops could not be started: {0}")]
    Watching(io::Error),
}

/// Runs the daemon until a Unix signal stops it.
///
/// The port is bound before an engine is opened: a daemon that nobody could reach must not begin to act. It is served
/// after that.
///
/// # Errors
/// [`ServeError`] when it could not start, or could not go on.
pub async fn run(config: Config, parts: Parts) -> Result<(), ServeError> {
    // From here on SIGUSR1 does not end the process any more.
    let signals = UnixSignals::install().map_err(ServeError::Signals)?;
    let listeners = bind(&config).await?;
    tell_start(&config, &parts);
    let daemon = Daemon::build(config, parts).await?;
    serve(daemon, listeners, signals).await
}

fn tell_start(config: &Config, parts: &Parts) {
    let file =
        config.file.as_ref().map_or_else(|| "none: the defaults hold".to_owned(), |file| file.display().to_string());
    let (version, state) = (&parts.belay_version, &config.state);
    tracing::info!(version, config = file, state, arm = ?config.arm, poll = ?config.poll, "starting");
    if config.tokens.is_empty() {
        tracing::info!("there are no tokens: every user of this machine may do everything");
    }
    match &config.heartbeat {
        // Where it goes is nobody's business.
        Some(heartbeat) => tracing::info!(every = ?heartbeat.every, "a heartbeat is sent"),
        None => tracing::info!("no `heartbeat` is set up: nobody outside would notice if Belay died"),
    }
}

/// Listens on every address of the configuration; port 0 takes a free one.
///
/// # Errors
/// [`ServeError::Config`] when others could reach it without a token; [`ServeError::Bind`] when an address is taken.
pub async fn bind(config: &Config) -> Result<Listeners, ServeError> {
    config.refuse_exposed()?;
    Listeners::bind(&config.listen).await.map_err(|(listen, source)| ServeError::Bind { listen, source })
}

/// Answers there, and does what signals ask for, until one of them says stop.
///
/// # Errors
/// [`ServeError::Http`] when nobody can be answered any more.
pub async fn serve(daemon: Daemon, listeners: Listeners, mut signals: UnixSignals) -> Result<(), ServeError> {
    if let Some(address) = listeners.port() {
        tracing::info!("listening on http://{address}");
    }
    for socket in daemon.config().listen.iter().filter(|address| matches!(address, Address::Socket(_))) {
        tracing::info!("listening on {socket}");
    }
    // After the addresses: the first address in the log is where Belay answers.
    daemon.ports().actuators.detours().iter().for_each(|detour| tracing::warn!("{detour}"));
    let mut http = listeners.serve(&http::at_port(daemon.clone()), &daemon.stopping());
    service_manager::ready(&daemon);

    daemon.vitals().publish(daemon.troubles());
    let watching = watch(daemon.clone()).map_err(ServeError::Watching)?;
    let mut wishes = JoinSet::new();
    let starting = daemon.clone();
    wishes.spawn(async move { starting.arm_on_start().await });
    let ended = loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::Stop => break Ok(()),
                wish => drop(wishes.spawn(fulfil(daemon.clone(), wish))),
            },
            Some(done) = wishes.join_next() => if let Err(error) = done {
                tracing::error!(%error, "what was asked for was not done");
            },
            Some(ended) = http.join_next() => break Err(ServeError::Http(match ended {
                Ok(()) => io::Error::other("it stopped by itself"),
                Err(error) => io::Error::other(error),
            })),
        }
    };
    tracing::info!("stopping");
    service_manager::stopping();
    drop(watching);
    wishes.abort_all();
    let drained = async { while http.join_next().await.is_some() {} };
    let stopping = async { tokio::join!(daemon.shutdown(), drained) };
    match timeout(STOP_MAX, stopping).await {
        Ok(_) => tracing::info!("stopped; the journal is complete"),
        // Calls whose answer is still out have their intent on record: the next start looks what has become of them.
        Err(_) => tracing::warn!("stopped with answers still out; the next start finds out"),
    }
    ended
}

/// Watches the loops, and tells the outside: on a thread and a runtime of its own, so that it sees and tells also when
/// every thread of the loops is held up. Ends when what it gives is dropped.
fn watch(daemon: Daemon) -> io::Result<oneshot::Sender<()>> {
    let (watching, over) = oneshot::channel();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let watch = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = over => {}
                () = pulse::beat(daemon.clone()) => {}
                () = heartbeat::beat(daemon.clone()) => {}
                () = head::keep(daemon.clone()) => {}
            }
        });
        runtime.shutdown_background(); // a file of the heartbeat may hang
    };
    thread::Builder::new().name("pulse".to_owned()).spawn(watch)?;
    Ok(watching)
}

async fn fulfil(daemon: Daemon, wish: Wish) {
    match wish {
        Wish::RollBack => daemon.roll_back_by_signal().await,
        Wish::DryRun => daemon.dry_run_by_signal().await,
        Wish::Reload => {
            service_manager::reloading();
            daemon.read_again().await;
            service_manager::ready(&daemon);
            daemon.arm_on_start().await;
        }
        Wish::Stop => {}
    }
}
