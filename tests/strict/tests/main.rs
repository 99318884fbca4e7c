//! The real engine and the real actuators against the strict stand-in, in virtual time.

mod blows;
mod jobs;
mod losses;
mod moves;
mod restore_cluster;
mod restore_instance;
mod restore_test;
mod traffic;
mod watching;
