//! Remote jobs: an automation, a state machine, a function. Their steps have the target "an execution has succeeded".

pub mod automation;
pub mod function;
pub mod state_machine;
