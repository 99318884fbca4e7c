//! Reports over journals that core has written.

#[path = "../../../core/tests/it/common/mod.rs"]
mod common;

mod bounds;
mod charts;
mod checklist;
mod escapes;
mod evidence;
mod goldens;
mod history;
mod incident;
mod measures;
mod story;
