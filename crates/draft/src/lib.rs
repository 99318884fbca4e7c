//! The first plan of a migration, drafted from an [`inventory::Inventory`]: what an account, or a Terraform state, contains.
//!
//! [`choice`] decides which of it the plan is about, and leaves open what only a person can decide; [`text`] writes the plan.
//! The same inventory and choice give the same text. No I/O.
//!
//! **Invariant:** the text contains names, numbers and times of the inventory and nothing that stands for one. What could not
//! be known is a comment, and an entry of [`text::Draft::not_known`].

pub mod choice;
pub mod inventory;
pub mod terraform;
pub mod text;

mod names;
mod related;
mod yaml;
