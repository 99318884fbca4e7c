//! The harness of Belay's end-to-end tests: real processes of other people's making, and ways to make them fail.
//!
//! ```no_run
//! use belay_tests::{Belay, Emulator, Kind, Proxy, When, World};
//!
//! let aws = Emulator::fakecloud();
//! let world = World::seed(aws.url(), &["--prefix", "shop", "--seed", "7"]);
//! let proxy = Proxy::to(aws.url());
//! proxy.fault("route53", "ChangeResourceRecordSets", When::First(2), Kind::Throttle);
//!
//! let belay = Belay::at(proxy.url());
//! let plan = belay.write("plan.yaml", "belay: 1\n...");
//! let done = belay.run(&["run", &plan, "--reason", "test"]);
//! assert_eq!(done.code, 0, "{done}");
//! assert_eq!(world.dns_weights()["blue"], 100);
//! assert_eq!(proxy.count("route53", "ChangeResourceRecordSets"), 3);
//! ```
//!
//! Everything stops when it is dropped, and also when the test process is killed.
//! Nothing here waits for a fixed time: [`wait_until`] polls, bounded, and says what it waited for.

// Where processes are run and waited for, the real clock is the right one.
#![allow(clippy::disallowed_methods)]

mod belay;
mod boto;
mod collector;
mod database;
mod emulator;
mod fuzz;
mod gateway;
mod http;
pub mod killpoint;
mod machine;
mod mail;
pub mod policies;
mod proxy;
mod receiver;
mod server;
mod status_page;
mod targets;
pub mod testbed;
mod vendor;
mod wait;
mod world;

pub use belay::{Belay, Finished, Keyboard, Process, binary};
pub use boto::Boto;
pub use collector::{Span, TraceCollector};
pub use database::Server as DataServer;
pub use emulator::Emulator;
pub use fuzz::fuzz;
pub use gateway::Gateway;
pub use http::{HttpAnswer, http, http_get, http_post};
pub use killpoint::KillPoint;
pub use machine::Machine;
pub use mail::MailServer;
pub use proxy::{Call, FaultHandle, Hold, Kind, Outcome, Proxy, Reaction, When};
pub use receiver::{Hook, Receiver};
pub use rustix::process::Signal;
pub use status_page::StatusPage;
pub use targets::Target;
pub use vendor::Vendor;
pub use wait::{wait_until, wait_until_within};
pub use world::World;
