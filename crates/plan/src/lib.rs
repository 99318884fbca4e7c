//! The plan language: from the text of a plan file to a [`model::Plan`]. No I/O.
//!
//! A file goes through `syntax` (text to a tree with places), `decode` (the tree against the shapes of `grammar`, to a
//! normal form), `check` (what it means) and `lower` (to the model). The JSON Schema comes from the same shapes.
//! `settings` takes other files the same way.

pub mod builtin;
pub mod catalogue;
pub mod diagnostic;
pub mod duration;
pub mod graph;
pub mod model;
pub mod settings;
pub mod shape;
pub mod suggest;

mod check;
mod check_steps;
mod decode;
mod grammar;
mod lower;
mod order;
mod schema;
mod svg;
mod syntax;

use sha2::{Digest, Sha256};

pub use schema::schema;

use catalogue::Catalogue;
use diagnostic::{Diagnostic, diagnose};
use syntax::{NodeValue, Problem};

/// A plan that holds together, with the text it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub plan: model::Plan,
    /// SHA-256 of the text, in hexadecimal: what arming pins.
    pub sha256: String,
    pub text: String,
}

/// Reads a plan file. All errors come at once, in the order of the file; `file_name` is what they call it.
pub fn load(file_name: &str, text: &str, catalogue: &Catalogue) -> Result<Loaded, Vec<Diagnostic>> {
    let plan = read(text, catalogue).map_err(|problems| diagnose(file_name, text, problems, Vec::new()))?;
    let sha256 = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Loaded { plan, sha256, text: text.to_owned() })
}

fn read(text: &str, catalogue: &Catalogue) -> Result<model::Plan, Vec<Problem>> {
    let (root, mut problems) = syntax::parse(text)?;
    if matches!(root.value, NodeValue::Null) {
        return Err(vec![Problem::new(0..0, "the file holds no plan").help("a plan starts with `belay: 1`")]);
    }
    let mut decoded = decode::decode(&grammar::plan(catalogue), &root, text);
    problems.append(&mut decoded.problems);
    problems.extend(check::check(&decoded, catalogue));
    if !problems.is_empty() {
        return Err(problems);
    }
    lower::lower(&decoded.value, catalogue)
        .map_err(|error| vec![Problem::new(0..0, format!("this plan has no meaning for Belay: {error}"))])
}
