//! What is usual: how long steps take, and how soon signals show what has changed. `config/scenarios/README.md` has the
//! same tables, with the sources.

use std::time::Duration;

use belay_plan::model::Step;

use crate::spread::Spread;

/// Of an action that no source has a figure for.
const OTHER: Spread = Spread::seconds(2, 10, 60);

/// How long a signal of a kind takes to show what has changed, polling apart.
const SIGNALS: [(&str, Spread); 4] = [
    // A period of a minute has to be over, and its data to arrive.
    ("alarm", Spread::seconds(10, 45, 120)),
    ("metric", Spread::seconds(10, 45, 120)),
    // A few health checks in a row, 5 to 30 s apart.
    ("target_health", Spread::seconds(5, 20, 60)),
    // Until the old answer has run out of the cache.
    ("dns", Spread::seconds(0, 20, 60)),
];

/// How long a step usually takes from its first call to the last effect: as its action says, or a guess.
pub fn of_step(step: &Step) -> Spread {
    step.usual.map_or(OTHER, |usual| Spread::seconds(usual.least_s.into(), usual.usual_s.into(), usual.most_s.into()))
}

/// How long a signal of this kind usually takes to show what has changed; what is asked directly shows it at once.
pub fn of_signal(kind: &str) -> Spread {
    SIGNALS.iter().find(|(name, _)| *name == kind).map_or(Spread::exactly(Duration::ZERO), |(_, spread)| *spread)
}
