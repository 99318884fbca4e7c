//! The sources that are being asked about an incident, beside everything else: nothing waits for them.

use std::{collections::BTreeSet, panic::AssertUnwindSafe, time::Duration};

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
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

/// What was changed before an incident of the day before yesterday helps nobody.
const LATER_WITHIN: SignedDuration = SignedDuration::from_hours(24);

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
        let now = wants.evidence.iter().flat_map(|(incident, sources)| {
            sources.iter().map(|source| (incident.clone(), *source, None)).collect::<Vec<_>>()
        });
        let later = wants.later_evidence.iter();
        let later = later.map(|(incident, at)| (incident.clone(), EvidenceSource::CloudtrailLater, Some(*at)));
        for (incident, source, not_before) in now.chain(later) {
            let (Some(plan), Some(about)) = (&state.plan, state.find_incident(&incident)) else { continue };
            if self.begun.insert((incident.clone(), source)) {
                let question = Question { source, plan: plan.clone(), opened: about.opened };
                self.set.spawn(ask(self.ports.clone(), incident, question, not_before));
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

async fn ask(
    ports: Ports,
    incident: IncidentId,
    question: Question,
    not_before: Option<Timestamp>,
) -> (IncidentId, EvidenceSource, Gathered) {
    if let Some(at) = not_before {
        let late = ports.clock.now().duration_since(at);
        if late > LATER_WITHIN {
            let note = "not asked a second time: Belay did not run when it was due";
            return (incident, question.source, Gathered::note(note));
        }
        ports.clock.sleep(Duration::try_from(-late).unwrap_or_default()).await;
    }
    let gathered = tokio::select! {
        biased;
        gathered = AssertUnwindSafe(ports.evidence.gather(&question)).catch_unwind() => gathered.unwrap_or_else(|_| {
            Gathered::note("internal error: asking this source panicked; see the daemon log")
        }),
        () = ports.clock.sleep(GATHER_TIME_MAX) => {
            Gathered::note(format!("no answer within {} s", GATHER_TIME_MAX.as_secs()))
        }
    };
    (incident, question.source, gathered)
}
