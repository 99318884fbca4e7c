//! Plan files: read, checked, or refused with every error at once.

use std::{fs, path::Path};

use belay_plan::{Loaded, catalogue::Catalogue, diagnostic::Diagnostic};

use crate::{
    exit::{Exit, Failure},
    output::Output,
    text,
};

/// A plan that is valid; otherwise its errors are shown, and the failure only counts them.
pub(crate) fn load(path: &Path, catalogue: &Catalogue, output: Output) -> Result<Loaded, Failure> {
    check(path, catalogue)?.map_err(|errors| {
        show_errors(&errors, output);
        let count = text::count(errors.len(), "error");
        Failure::message(Exit::Usage, format!("the plan {} is not valid: {count}", path.display()))
            .help("correct what is marked above; `belay schema` lets an editor mark it while you type")
    })
}

pub(crate) fn show_errors(errors: &[Diagnostic], output: Output) {
    for error in errors {
        output.note(format_args!("{}\n", error.render(output.colour_errors())));
    }
}

/// The plan, or what is wrong with it.
pub(crate) fn check(path: &Path, catalogue: &Catalogue) -> Result<Result<Loaded, Vec<Diagnostic>>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        let what = anyhow::Error::new(error).context(format!("the plan {} cannot be read", path.display()));
        Failure::new(Exit::Usage, what).help("give the path of a plan file; `config/examples/` has some to start from")
    })?;
    Ok(belay_plan::load(&path.display().to_string(), &text, catalogue))
}
