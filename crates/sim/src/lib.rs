//! A simulated world: resources that take their time to change, signals that follow them, and everything that can go
//! wrong with both. It stands behind the same ports as AWS does, so the engine and core are the real ones.
//!
//! Time and chance come from outside. With [`SimClock`] on a paused tokio runtime a day passes in milliseconds, and the
//! same seed gives the same journal to the byte; with a real clock the same world is a demonstration.
//!
//! **Architecture Invariant:** nothing in here is kept: the journal of a rehearsal lives in memory, and whoever plays in
//! the world without one brings a journal, as whoever runs does.

mod actuator;
mod causes;
mod chance;
mod channel;
mod clock;
mod condition;
mod deciding;
pub mod explore;
mod fault;
pub mod invariants;
mod nature;
mod order;
mod place;
pub mod rehearsal;
mod resource;
pub mod scenario;
mod sensor;
mod spread;
mod world;

use std::sync::Arc;

use belay_ports::{Entropy, Journal, Ports};

pub use actuator::SimActuators;
pub use chance::{Chance, SeededEntropy};
pub use channel::{Got, Inbox, Receiver, SimChannels};
pub use clock::SimClock;
pub use condition::{Condition, Trouble};
pub use fault::{Faults, SendFault};
pub use sensor::{Rule, Shown, SimSensors};
pub use spread::Spread;
pub use world::{Call, World};

/// Everything the engine needs, with this world behind it.
pub fn ports(world: &Arc<World>, journal: Arc<dyn Journal>, entropy: Arc<dyn Entropy>) -> Ports {
    Ports {
        actuators: Arc::new(SimActuators::new(world.clone())),
        sensors: Arc::new(SimSensors::new(world.clone())),
        channels: Arc::new(SimChannels(world.inbox())),
        evidence: Arc::new(()),
        journal,
        clock: world.clock(),
        entropy,
        observer: Arc::new(()),
    }
}

/// The same for a dry run: whatever would change the world is refused.
pub fn read_only_ports(world: &Arc<World>, ports: &Ports) -> Ports {
    Ports { actuators: Arc::new(SimActuators::read_only(world.clone())), ..ports.clone() }
}
