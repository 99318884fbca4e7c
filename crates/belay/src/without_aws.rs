//! A build without AWS: this stands in the place of `aws`. What needs AWS ends with how to build one that has it; all else works.

use std::sync::Arc;

use belay_draft::{
    choice::{Choice, Wanted},
    inventory::Inventory,
};
use belay_local::permit::Gate;
use belay_ports::{Access, Journal, Observer, Ports};

use crate::{
    commands::iam,
    exit::{Exit, Failure},
    output::Output,
};

fn absent() -> Failure {
    Failure::message(Exit::Usage, "this belay was built without AWS, which this command needs")
        .help("build one with it: `cargo build --release`, without `--no-default-features`")
}

/// For commands that write something before they reach AWS.
pub(crate) fn built_in() -> Result<(), Failure> {
    Err(absent())
}

pub(crate) fn ports(_: Access, _: Arc<dyn Journal>, _: Arc<dyn Observer>, _: Gate) -> Result<Ports, Failure> {
    Err(absent())
}

pub(crate) async fn print_policies(_: &iam::Args, _: Output) -> Result<Exit, Failure> {
    Err(absent())
}

/// There is none.
pub(crate) enum Account {}

impl Account {
    pub(crate) async fn open(_: Option<&str>, _: Output) -> Result<Self, Failure> {
        Err(absent())
    }

    pub(crate) async fn look(&self, _: &Wanted) -> Result<Inventory, Failure> {
        match *self {}
    }

    pub(crate) async fn look_closer(&self, _: &mut Inventory, _: &Choice) {
        match *self {}
    }
}
