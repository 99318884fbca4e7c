use belay_server::{serve, unix_signals::UnixSignals};
use tokio::task::JoinSet;

use crate::{
    demo::{Play, SPEED, Stage},
    exit::{Exit, Failure},
    output::Output,
};

/// Watch a bad cutover being rolled back: no AWS, no set-up
///
/// A daemon guards a simulated shop on a free port of this machine. The cutover goes wrong, an alarm fires, and the
/// rollback runs. Only the world is simulated; the daemon and the rollback are the real ones.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// JSON lines on standard output, and nothing else: each record as it happens, the run itself as the last
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let signals = UnixSignals::install()?;
        let (stage, listener) = Stage::build().await?;
        output.line(output.bold().apply_to("Belay demo"));
        output.line(format_args!(
            "A web shop moves from its old stack (blue) to a new one (green). The world is simulated, {SPEED} times faster; \
             nothing of it is on AWS."
        ));
        output.line(format_args!("The daemon that guards it is the real one: {}", stage.url));
        output.line("");
        let mut daemon = JoinSet::new();
        daemon.spawn(serve::serve(stage.daemon.clone(), listener, signals));
        tokio::select! {
            exit = Play::new(&stage, output)?.perform() => exit,
            _ = daemon.join_next() => Err(Failure::message(Exit::Unexpected, "the demo was stopped before its end")),
        }
    }
}
