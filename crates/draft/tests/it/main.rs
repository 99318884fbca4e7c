//! Whole drafts: what is found, what is chosen, what is written.

// What a test cannot set up, it has failed.
#![allow(clippy::unwrap_used)]

mod choices;
mod goldens;
mod states;
mod worlds;
