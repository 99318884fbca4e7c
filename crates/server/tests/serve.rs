//! A daemon on a real port, stopped by a real signal.

use std::{sync::Arc, time::Duration};

use belay_journal::MemoryJournal;
use belay_local::permit::Gate;
use belay_plan::catalogue::Catalogue;
use belay_server::{
    Config, Daemon, Metrics, Parts, PlanFile,
    serve::{self, ServeError},
    unix_signals::UnixSignals,
};
use belay_sim::{Faults, SeededEntropy, SimClock, World, ports, read_only_ports};
use rustix::process::{Signal, getpid, kill_process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

const PLAN: &str = "
belay: 1
migration: by-hand
steps:
  by_hand: { action: manual, with: { instructions: Say so. } }
";

fn config(listen: &str) -> Config {
    Config { listen: vec![listen.parse().expect("an address")], ..Config::default() }
}

fn parts() -> Parts {
    let catalogue = Catalogue::new([], []);
    let loaded = Arc::new(belay_plan::load("plan.yaml", PLAN, &catalogue).expect("a valid plan"));
    let clock = Arc::new(SimClock::new("2026-05-05T02:00:00Z".parse().expect("a time"), 1));
    let world = Arc::new(World::new(&loaded.plan, clock, Faults::none()));
    let ports = ports(&world, Arc::new(MemoryJournal::default()), Arc::new(SeededEntropy::new(7)));
    Parts {
        read_only: read_only_ports(&world, &ports),
        gate: Gate::default(),
        metrics: Metrics::new("test", ports.clock.now()),
        traces: belay_server::Traces::default(),
        readiness: None,
        watch: tokio::runtime::Handle::current(),
        ports,
        catalogue,
        plans: vec![PlanFile { path: "plan.yaml".into(), loaded, modified: None, others: None }],
        unusable: Vec::new(),
        belay_version: "test".to_owned(),
    }
}

#[tokio::test]
async fn it_answers_until_a_signal_stops_it() {
    let signals = UnixSignals::install().unwrap();
    let config = config("127.0.0.1:0");
    let listener = serve::bind(&config).await.unwrap();
    let address = listener.port().unwrap();
    let daemon = Daemon::build(config, parts()).await.unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(serve::serve(daemon, listener, signals));

    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(b"GET /v1/migrations HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("\"by-hand\""), "{answer}");

    // An idle connection does not hold the stop up.
    let idle = TcpStream::connect(address).await.unwrap();
    kill_process(getpid(), Signal::TERM).unwrap();
    let ended = timeout(Duration::from_secs(10), serving.join_next()).await.expect("it stops within 10 s");
    ended.unwrap().unwrap().unwrap();
    drop(idle);
}

#[tokio::test]
async fn a_port_that_others_reach_takes_tokens() {
    let error = serve::bind(&config("0.0.0.0:0")).await.unwrap_err();
    assert!(matches!(error, ServeError::Config(_)), "{error}");
    assert!(error.to_string().contains("tokens"));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = serve::bind(&config("127.0.0.1:0")).await.unwrap();
    let listen = taken.port().unwrap().to_string();
    let error = serve::bind(&config(&listen)).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("{listen} cannot be listened on")), "{error}");
}
