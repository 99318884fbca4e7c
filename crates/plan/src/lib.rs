//! The plan language: from the text of a plan file to a [`model::Plan`]. No I/O.
//!
//! A file goes through `syntax` (text to a tree with places), `overlay` (what is laid over it), `decode` (the tree against
//! the shapes of `grammar`, to a normal form), `check` (what it means) and `lower` (to the model). The JSON Schema comes
//! from the same shapes.
//! `settings` takes other files the same way.

pub mod builtin;
pub mod catalogue;
pub mod checklist;
pub mod comparison;
pub mod decimal;
pub mod diagnostic;
pub mod duration;
pub mod graph;
pub mod model;
pub mod notify;
pub mod settings;
pub mod shape;
pub mod suggest;
pub mod visible;

mod argument;
mod check;
mod check_checklist;
mod check_decision;
mod check_notify;
mod check_phases;
mod check_steps;
mod decode;
mod grammar;
mod load;
mod lower;
mod order;
mod overlay;
mod places;
mod remark;
mod schema;
mod svg;
mod syntax;
mod texts;
mod unparsed;

pub use decode::below;
pub use load::{Changes, Loaded, load, load_with};
pub use places::PlanPlaces;
pub use remark::{remark, remarks};
pub use schema::schema;
