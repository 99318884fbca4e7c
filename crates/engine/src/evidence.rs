//! The sources that are being asked about an incident, beside everything else: nothing waits for them.

use std::{collections::BTreeSet, panic::AssertUnwindSafe};

use belay_core::{
    evidence::{EvidenceSource, Gathered},
    id::IncidentId,
    input::Input,
    migration::Migration,
    wants::Wants,
};
use belay_ports::{
    Ports,
    evidence::{GATHER_TIME_MAX, Question},
};
use futures::FutureExt;
use tokio::task::JoinSet;

/// Dropping it asks nobody any more; the next start asks again.
pub(crate) struct Gathering {
    ports: Ports,
    begun: BTreeSet<(IncidentId, EvidenceSource)>,
    set: JoinSet<(IncidentId, EvidenceSource, Gathered)>,
}

impl Gathering {
    pub(crate) fn new(ports: Ports) -> Self {
        Self { ports, begun: BTreeSet::new(), set: JoinSet::new() }
    }

    /// Asks the sources that are newly wanted. Who is being asked may answer after the incident is closed.
    pub(crate) fn reconcile(&mut self, wants: &Wants, state: &Migration) {
        let Some((incident, sources)) = &wants.evidence else { return };
        let (Some(plan), Some(open)) = (&state.plan, &state.incident) else { return };
        for source in sources {
            if self.begun.insert((incident.clone(), *source)) {
                let question = Question { source: *source, plan: plan.clone(), opened: open.opened };
                self.set.spawn(ask(self.ports.clone(), incident.clone(), question));
            }
        }
    }

    /// The next answer; never, while nobody is being asked.
    pub(crate) async fn next(&mut self) -> Input {
        loop {
            match self.set.join_next().await {
                Some(Ok((incident, source, gathered))) => return Input::Gathered { incident, source, gathered },
                Some(Err(_)) => {} // it was stopped: panics are caught
                None => return std::future::pending().await,
            }
        }
    }
}

async fn ask(ports: Ports, incident: IncidentId, question: Question) -> (IncidentId, EvidenceSource, Gathered) {
    let gathered = tokio::select! {
        biased;
        gathered = AssertUnwindSafe(ports.evidence.gather(&question)).catch_unwind() => gathered.unwrap_or_else(|_| {
            Gathered::note("asking failed in a way it should not; the log says more")
        }),
        () = ports.clock.sleep(GATHER_TIME_MAX) => {
            Gathered::note(format!("no answer within {} s", GATHER_TIME_MAX.as_secs()))
        }
    };
    (incident, question.source, gathered)
}
