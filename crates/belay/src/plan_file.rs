//! Plan files: read, checked, or refused with every error at once.

use std::{fs, path::Path};

use belay_local::files;
use belay_plan::{Changes, Loaded, catalogue::Catalogue, diagnostic::Diagnostic, model::Plan};
use clap::builder::NonEmptyStringValueParser;

use crate::{
    exit::{Exit, Failure},
    output::Output,
    text,
};

/// What is laid over a plan file.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Overlay {
    /// The overlay of the plan to use, as `staging`; the migration is then called NAME-OVERLAY
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    overlay: Option<String>,
    /// One value of the plan, over the file and its overlay: steps.dns_back.with.zone=Z0...; may be repeated
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
}

impl Overlay {
    pub(crate) fn changes(&self) -> Changes {
        Changes { overlay: self.overlay.clone(), set: self.set.clone() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.overlay.is_none() && self.set.is_empty()
    }

    /// True where the world is another one, and the migration has no name of its own for it.
    fn shares_the_name(&self) -> bool {
        self.overlay.is_none() && !self.set.is_empty() && !self.set.iter().any(|set| set.starts_with("migration="))
    }

    /// The arguments, as they are typed, each with a blank before it.
    pub(crate) fn typed(&self) -> String {
        let overlay = self.overlay.iter().map(|name| format!(" --overlay {name}"));
        let set = self.set.iter().map(|setting| format!(" --set {}", text::shell_word(setting)));
        overlay.chain(set).collect()
    }
}

/// The same for a drill, which never stands in the records of the migration that it rehearses for: what `--set` alone has moved
/// into another world is called NAME-drill.
pub(crate) fn load_for_drill(
    path: &Path,
    overlay: &Overlay,
    catalogue: &Catalogue,
    output: Output,
) -> Result<Loaded, Failure> {
    let loaded = load(path, overlay, catalogue, output)?;
    if !overlay.shares_the_name() {
        return Ok(loaded);
    }
    let mut named = overlay.clone();
    named.set.push(format!("migration={}-drill", loaded.plan.migration));
    load(path, &named, catalogue, output)
}

/// The phase that a rehearsal is about; none where the plan has no phases.
pub(crate) fn chosen_phase(plan: &Plan, given: Option<&str>) -> Result<Option<String>, Failure> {
    if let Some(unknown) = given.filter(|phase| !plan.phases.contains_key(*phase)) {
        let known: Vec<&str> = plan.phases.keys().map(String::as_str).collect();
        let help = match known.as_slice() {
            [] => "leave `--phase` out: the plan names no `phases`".to_owned(),
            known => format!("its phases are, in order: {}", known.join(", ")),
        };
        return Err(Failure::message(Exit::Usage, format!("the plan has no phase {unknown}")).help(help));
    }
    Ok(given.or(plan.usual_phase()).map(str::to_owned))
}

/// Leaves of the plan what one of its phases has. Says which.
pub(crate) fn keep_phase(plan: &mut Plan, given: Option<&str>) -> Result<Option<String>, Failure> {
    let phase = chosen_phase(plan, given)?;
    *plan = plan.in_phase(phase.as_deref());
    Ok(phase)
}

/// A plan that is valid; otherwise its errors are shown, and the failure only counts them.
pub(crate) fn load(path: &Path, overlay: &Overlay, catalogue: &Catalogue, output: Output) -> Result<Loaded, Failure> {
    check(path, overlay, catalogue)?.map_err(|errors| {
        show_errors(&errors, output);
        let count = text::count(errors.len(), "error");
        Failure::message(Exit::Usage, format!("the plan {} is not valid: {count}", path.display()))
            .help("correct what is marked above; `belay schema` lets an editor mark it while you type")
    })
}

pub(crate) fn show_errors(errors: &[Diagnostic], output: Output) {
    for error in errors {
        output.drawn_note(format_args!("{}\n", error.render(output.colour_errors())));
    }
}

/// The plan, or what is wrong with it.
pub(crate) fn check(
    path: &Path,
    overlay: &Overlay,
    catalogue: &Catalogue,
) -> Result<Result<Loaded, Vec<Diagnostic>>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        let what = anyhow::Error::new(error).context(format!("the plan {} cannot be read", path.display()));
        Failure::new(Exit::Usage, what).help("give the path of a plan file; `config/examples/` has some to start from")
    })?;
    let name = path.display().to_string();
    let loaded = belay_plan::load_with(&name, &text, catalogue, &overlay.changes());
    Ok(loaded.and_then(|loaded| loaded.with_texts(&name, catalogue, |text| files::read_beside(path, text))))
}
