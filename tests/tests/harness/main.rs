//! The harness tests itself: what it says about AWS, faults and processes must be so before a test may build on it.

mod process;
mod proxy;
mod world;
