//! What the demo plays on.

use std::{fs, net::SocketAddr, sync::Arc, time::Duration};

use belay_core::reading::Health;
use belay_engine::Handle;
use belay_journal::MemoryJournal;
use belay_local::permit::Gate;
use belay_plan::model::Plan;
use belay_ports::{Clock, Ports};
use belay_server::{Address, Config, Daemon, Listeners, Metrics, Parts, PlanFile, serve::bind};
use belay_sim::{Faults, Rule, SimClock, World, ports, read_only_ports};
use tempfile::TempDir;

use super::{SPEED, dress::dress};
use crate::{
    assembly::catalogue,
    clock::{SystemClock, SystemEntropy},
    exit::{Exit, Failure},
};

const PLAN: &str = include_str!("../../../../config/demo.yaml");
const POLL: Duration = Duration::from_secs(5);

pub(crate) struct Stage {
    pub(crate) world: Arc<World>,
    pub(crate) journal: Arc<MemoryJournal>,
    pub(crate) daemon: Daemon,
    pub(crate) handle: Handle,
    pub(crate) plan: Plan,
    pub(crate) url: String,
    /// Where the plan lies for as long as the demo plays.
    _folder: TempDir,
}

impl Stage {
    /// With a listener on a free port of this machine.
    pub(crate) async fn build() -> Result<(Self, Listeners), Failure> {
        let folder = tempfile::Builder::new().prefix("belay-demo-").tempdir()?;
        let path = folder.path().join("demo.yaml");
        fs::write(&path, PLAN)?;
        let catalogue = catalogue();
        let file = PlanFile::load(&path, &catalogue)?;
        let plan = file.loaded.plan.clone();
        let clock = Arc::new(SimClock::new(SystemClock::start().now(), SPEED));
        let world = Arc::new(world(&plan, clock));
        let journal = Arc::new(MemoryJournal::default());
        let simulated = ports(&world, journal.clone(), Arc::new(SystemEntropy));
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), simulated.clock.now());
        let simulated = Ports { observer: Arc::new(metrics.clone()), ..simulated };
        let config = Config {
            listen: vec![Address::Port(SocketAddr::from(([127, 0, 0, 1], 0)))],
            poll: POLL,
            ..Config::default()
        };
        let listeners = bind(&config).await?;
        let parts = Parts {
            read_only: dress(read_only_ports(&world, &simulated)),
            gate: Gate::default(),
            ports: dress(simulated),
            catalogue,
            plans: vec![file],
            unusable: Vec::new(),
            belay_version: env!("CARGO_PKG_VERSION").to_owned(),
            metrics,
            traces: belay_server::Traces::default(),
            readiness: None,
            watch: tokio::runtime::Handle::current(),
        };
        let daemon = Daemon::build(config, parts).await?;
        let handle = daemon.handle(&plan.migration);
        let handle = handle.ok_or_else(|| Failure::message(Exit::Unexpected, "the demo's daemon has no migration"))?;
        let port = listeners.port();
        let port = port.ok_or_else(|| Failure::message(Exit::Unexpected, "the demo's daemon has no port"))?;
        let url = format!("http://{port}");
        Ok((Self { world, journal, daemon, handle, plan, url, _folder: folder }, listeners))
    }
}

/// The shop before its cutover: everybody is served by blue, and all is well.
fn world(plan: &Plan, clock: Arc<dyn Clock>) -> World {
    let world = World::new(plan, clock, Faults::none());
    for blue in ["blue", "shop-blue"] {
        world.set_destination(blue, true);
    }
    world.set_rule("blue_ready", Rule::Destination("shop-blue".to_owned()));
    world.set_rule("database_ready", Rule::AtTarget(vec!["database_back".to_owned()]));
    world.set_rule("checkout_errors", Rule::Always(Health::Healthy));
    world.set_pace("dns_back", Duration::from_secs(45));
    world.set_pace("listener_back", Duration::from_secs(5));
    world.set_pace("database_back", Duration::from_secs(100));
    world
}
