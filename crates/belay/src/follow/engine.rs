//! Following a run of an engine in this process.

use std::{future::Future, sync::Arc, time::Duration};

use belay_core::{event::Record, id::RunId};
use belay_engine::{Handle, Snapshot};
use belay_ports::Clock;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{MissedTickBehavior, interval},
};

use crate::{
    board::Detail,
    document::{Migration, Run},
    exit::{Exit, Failure},
    follow::{Approvals, Screen, approvals::Answer},
};

/// How often the picture turns.
const TICK: Duration = Duration::from_millis(120);

/// How following ended.
pub(crate) enum Ending {
    /// The run is over, or halted.
    Stopped(Run),
    /// It was interrupted. The run goes on when Belay is started again.
    Interrupted,
    /// This step waits for a person, and nobody can be asked. So it is left waiting.
    Deserted(String),
}

/// `records`: subscribed before the run began, so that nothing is missed. `approvals`: who is asked, if anybody.
pub(crate) async fn follow(
    handle: &Handle,
    records: &mut Receiver<Arc<Record>>,
    run: &str,
    clock: &dyn Clock,
    screen: &mut Screen,
    mut approvals: Option<Approvals>,
    interrupt: impl Future<Output = ()>,
) -> Result<Ending, Failure> {
    let mut snapshots = handle.watch();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    tokio::pin!(interrupt);
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        drain(records, screen);
        refuse_fault(&snapshot)?;
        let migration = Migration::of(&snapshot, clock.now())?;
        let seen = migration.run.clone().filter(|seen| seen.id == run);
        if let Some(seen) = seen {
            screen.board(vec![migration.clone()], Detail::Run);
            if seen.has_stopped() {
                return Ok(Ending::Stopped(seen));
            }
            if let Some(approvals) = &mut approvals {
                approvals.ask(&migration, &seen, screen);
                if let Some(step) = approvals.deserted(&seen) {
                    handle.shutdown().await;
                    drain(records, screen);
                    return Ok(Ending::Deserted(step.to_owned()));
                }
            }
        }
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() {
                return Err(loop_ended());
            },
            record = records.recv() => show(record, screen),
            _ = tick.tick() => {}
            answer = Approvals::answer(&mut approvals) => {
                screen.heard();
                match answer {
                    // It may have timed out while the person was typing; the next snapshot shows.
                    Answer::Command(command) => if let Err(error) = handle.command(command).await {
                        screen.note(&error.to_string());
                    },
                    Answer::Unclear(why) => screen.note(&why),
                    Answer::Nobody => screen.answered(),
                }
            }
            () = &mut interrupt => {
                handle.shutdown().await;
                drain(records, screen);
                return Ok(Ending::Interrupted);
            }
        }
    }
}

/// Waits for the run of the drill under way; none when it was interrupted before.
pub(crate) async fn await_run(
    handle: &Handle,
    records: &mut Receiver<Arc<Record>>,
    clock: &dyn Clock,
    screen: &mut Screen,
    interrupt: impl Future<Output = ()>,
) -> Result<Option<RunId>, Failure> {
    let mut snapshots = handle.watch();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    tokio::pin!(interrupt);
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        refuse_fault(&snapshot)?;
        if let Some(run) = snapshot.state.drill.as_ref().and_then(|drill| drill.run.clone()) {
            return Ok(Some(run));
        }
        screen.board(vec![Migration::of(&snapshot, clock.now())?], Detail::Short);
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() {
                return Err(loop_ended());
            },
            record = records.recv() => show(record, screen),
            _ = tick.tick() => {}
            () = &mut interrupt => {
                handle.shutdown().await;
                drain(records, screen);
                return Ok(None);
            }
        }
    }
}

fn refuse_fault(snapshot: &Snapshot) -> Result<(), Failure> {
    match snapshot.faults.first() {
        None => Ok(()),
        Some(fault) => Err(Failure::message(Exit::Unexpected, format!("Belay has stopped acting: {fault}"))
            .help("nothing is lost: when the cause is gone, run again to go on")),
    }
}

fn loop_ended() -> Failure {
    Failure::message(Exit::Unexpected, "the loop of this migration has ended")
        .help("nothing is lost: run again to go on")
}

fn show(record: Result<Arc<Record>, RecvError>, screen: &mut Screen) {
    match record {
        Ok(record) => screen.record(&record),
        Err(RecvError::Lagged(missed)) => {
            screen.note(&format!("{missed} records went by unseen; they are in the journal"))
        }
        Err(RecvError::Closed) => {}
    }
}

fn drain(records: &mut Receiver<Arc<Record>>, screen: &mut Screen) {
    while let Ok(record) = records.try_recv() {
        screen.record(&record);
    }
}
