//! What is usual: how long steps take, and how soon signals show what has changed. `config/scenarios/README.md` has the
//! same tables, with the sources.

use std::time::Duration;

use crate::spread::Spread;

/// How long a step of an action takes from its first call to the last effect.
const ACTIONS: [(&str, Spread); 7] = [
    // "generally ... within 60 seconds": API reference, ChangeResourceRecordSets.
    ("route53.weights", Spread::seconds(10, 35, 60)),
    // AWS names no figure; it is in force within seconds of the answer.
    ("alb.forward", Spread::seconds(1, 3, 10)),
    // Five health checks 30 s apart, then 300 s of draining, both by default; without open connections draining is over at
    // once.
    ("alb.targets", Spread::seconds(60, 180, 600)),
    // AWS gives no figures: the copy grows with the volume, the engine and Multi-AZ; then two renames with their reboots.
    ("rds.restore", Spread::seconds(12 * 60, 26 * 60, 50 * 60)),
    // The snapshot, which is incremental, then minutes: Aurora User Guide, "Backtracking an Aurora DB cluster".
    ("rds.backtrack", Spread::seconds(4 * 60, 8 * 60, 20 * 60)),
    // "Typically 60 to 120 seconds" for an instance, less for Aurora: RDS User Guide, "Failing over a Multi-AZ DB instance".
    ("rds.failover", Spread::seconds(30, 60, 120)),
    // Two renames, each with a reboot.
    ("rds.switch_back", Spread::seconds(4 * 60, 6 * 60, 15 * 60)),
];

/// Of an action that is not in the table.
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

/// How long a step of this action usually takes.
pub fn of_action(action: &str) -> Spread {
    ACTIONS.iter().find(|(name, _)| *name == action).map_or(OTHER, |(_, spread)| *spread)
}

/// Whether the usual time of an action has a source; otherwise it is a guess.
pub fn is_known(action: &str) -> bool {
    ACTIONS.iter().any(|(name, _)| *name == action)
}

/// How long a signal of this kind usually takes to show what has changed; what is asked directly shows it at once.
pub fn of_signal(kind: &str) -> Spread {
    SIGNALS.iter().find(|(name, _)| *name == kind).map_or(Spread::exactly(Duration::ZERO), |(_, spread)| *spread)
}
