//! A bad cutover in a simulated world, with a real daemon in front of it.

mod dress;
mod play;
mod stage;

pub(crate) use self::{play::Play, stage::Stage};

/// So that ten minutes of trouble can be watched in a quarter of a minute.
pub(crate) const SPEED: u32 = 40;
