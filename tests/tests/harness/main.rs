//! The harness tests itself: what it says about AWS, faults and processes must be so before a test may build on it.

#![allow(clippy::disallowed_methods)] // what the harness does takes true time

mod process;
mod proxy;
mod world;
