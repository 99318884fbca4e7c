//! From a text, and what is laid over it, to a plan.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    argument::{self, Setting},
    catalogue::Catalogue,
    check,
    decode::{Decoded, decode},
    diagnostic::{Diagnostic, Texts},
    grammar, lower,
    model::{Overlaid, Plan},
    overlay::{overlays, with_overlay, with_setting},
    places::PlanPlaces,
    shape::Shape,
    suggest::instead_of,
    syntax::{self, Entry, Node, NodeValue, Problem},
};

/// A plan that holds together, with the text it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub plan: Plan,
    /// SHA-256 of the text and of what was laid over it, in hexadecimal: what arming pins.
    pub sha256: String,
    pub text: String,
}

/// What to lay over a plan file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The name of one of its overlays.
    pub overlay: Option<String>,
    /// `PATH=VALUE` each: `steps.dns_back.with.zone=Z0...`. They stand over the overlay.
    pub set: Vec<String>,
}

/// Reads a plan file as it is written. All errors come at once, in the order of the file; `file_name` is what they call it.
pub fn load(file_name: &str, text: &str, catalogue: &Catalogue) -> Result<Loaded, Vec<Diagnostic>> {
    load_with(file_name, text, catalogue, &Changes::default())
}

/// Reads a plan file with something laid over it. Errors in that point at the overlay's own line, or name the argument.
pub fn load_with(
    file_name: &str,
    text: &str,
    catalogue: &Catalogue,
    changes: &Changes,
) -> Result<Loaded, Vec<Diagnostic>> {
    let laid_over = LaidOver::new(file_name, text, changes);
    let file = File { shape: grammar::plan(catalogue), texts: &laid_over.texts, catalogue };
    let read = || {
        let (root, merged) = file.read(text, &laid_over, changes)?;
        file.lower(&root, merged, changes)
    };
    let plan = read().map_err(|problems| laid_over.texts.diagnose(problems, Vec::new()))?;
    let mut hash = Sha256::new_with_prefix(text);
    if let Some(overlaid) = &plan.overlaid {
        hash.update(json!(overlaid).to_string());
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Loaded { plan, sha256, text: text.to_owned() })
}

impl Loaded {
    /// Where the parts of the plan stand: in the file, which is called `file_name`, or in what is laid over it.
    pub fn places(&self, file_name: &str, catalogue: &Catalogue) -> PlanPlaces {
        let overlaid = self.plan.overlaid.as_ref();
        let changes =
            overlaid.map(|over| Changes { overlay: over.overlay.clone(), set: over.set.clone() }).unwrap_or_default();
        let laid_over = LaidOver::new(file_name, &self.text, &changes);
        let file = File { shape: grammar::plan(catalogue), texts: &laid_over.texts, catalogue };
        match file.read(&self.text, &laid_over, &changes) {
            Ok((_, merged)) => PlanPlaces::new(laid_over.texts, merged.places),
            // It was read before: only a catalogue other than then takes it for wrong.
            Err(_) => PlanPlaces::default(),
        }
    }
}

/// The texts of a plan, and where among them begins what is laid over the file.
struct LaidOver {
    texts: Texts,
    overlay: Option<usize>,
    set: Vec<usize>,
}

impl LaidOver {
    fn new(file_name: &str, text: &str, changes: &Changes) -> Self {
        let mut texts = Texts::new(file_name, text);
        let overlay = changes.overlay.as_deref().map(|name| texts.add("--overlay", name));
        let set = changes.set.iter().map(|argument| texts.add("--set", argument)).collect();
        Self { texts, overlay, set }
    }
}

/// A plan file on its way to a plan.
struct File<'t> {
    shape: Shape,
    texts: &'t Texts,
    catalogue: &'t Catalogue,
}

type Settings = Vec<Result<Setting, Vec<Problem>>>;

impl File<'_> {
    fn root(&self, text: &str) -> Result<(Node, Vec<Problem>), Vec<Problem>> {
        let (root, problems) = syntax::parse(text)?;
        if matches!(root.value, NodeValue::Null) {
            return Err(vec![Problem::new(0..0, "the file holds no plan").help("a plan starts with `belay: 1`")]);
        }
        Ok((root, problems))
    }

    /// The file, and what is chosen laid over it.
    fn read(&self, text: &str, over: &LaidOver, changes: &Changes) -> Result<(Node, Decoded), Vec<Problem>> {
        let (root, problems) = self.root(text)?;
        let chosen = changes.overlay.as_deref().zip(over.overlay);
        let set = changes.set.iter().zip(&over.set).map(|(argument, offset)| argument::parse(argument, *offset));
        let merged = self.merged(&root, problems, chosen, set.collect())?;
        Ok((root, merged))
    }

    /// What is chosen laid over the file, without an error.
    fn merged(
        &self,
        root: &Node,
        mut problems: Vec<Problem>,
        chosen: Option<(&str, usize)>,
        set: Settings,
    ) -> Result<Decoded, Vec<Problem>> {
        let as_written = chosen.is_none() && set.is_empty();
        let mut merged = root.clone();
        let mut decoded = decode(&self.shape, &merged, self.texts);
        if let Some((name, offset)) = chosen {
            let Some(chosen) = overlays(root).iter().find(|overlay| overlay.key == name) else {
                let names = overlays(root).iter().map(|overlay| overlay.key.as_str());
                let problem = Problem::new(offset..offset + name.len(), format!("the plan has no overlay `{name}`"));
                problems.push(problem.help(instead_of(name, "its overlays", names)));
                return Err(problems);
            };
            merged = self.overlaid(root, &decoded, chosen, &mut problems);
            decoded = decode(&self.shape, &merged, self.texts);
        }
        for setting in set {
            let setting = match setting {
                Ok(setting) => setting,
                Err(own) => {
                    problems.extend(own);
                    continue;
                }
            };
            match with_setting(&self.shape, &merged, &setting) {
                Ok(with) => {
                    let changed = decode(&self.shape, &with, self.texts);
                    if changed.problems.is_empty() && changed.value == decoded.value {
                        let problem = Problem::new(setting.span, "this changes nothing: the plan says so already");
                        problems.push(problem.help("leave it out, or check the path and the value"));
                    }
                    (merged, decoded) = (with, changed);
                }
                Err(problem) => problems.push(problem),
            }
        }
        problems.append(&mut decoded.problems);
        problems.extend(check::check(&decoded, self.catalogue));
        // Overlays that nobody has chosen are read too, where the plan itself leaves nothing to complain about.
        if problems.is_empty() && as_written {
            for overlay in overlays(root) {
                let merged = self.overlaid(root, &decoded, overlay, &mut problems);
                let mut with = decode(&self.shape, &merged, self.texts);
                let mut own = std::mem::take(&mut with.problems);
                own.extend(check::check(&with, self.catalogue));
                problems.extend(own.into_iter().map(|problem| with_place_of(problem, overlay)));
            }
        }
        if problems.is_empty() { Ok(decoded) } else { Err(problems) }
    }

    fn overlaid(&self, root: &Node, plain: &Decoded, overlay: &Entry, problems: &mut Vec<Problem>) -> Node {
        let before = problems.len();
        let merged = with_overlay(&self.shape, root, overlay, problems);
        let with = decode(&self.shape, &merged, self.texts);
        let same = |key: &str| overlay.value.get(key).is_none() || with.value[key] == plain.value[key];
        let keys = plain.value.as_object().into_iter().chain(with.value.as_object()).flat_map(|object| object.keys());
        if problems.len() == before && with.problems.is_empty() && keys.map(String::as_str).all(same) {
            let message = format!("the overlay `{}` changes nothing", overlay.key);
            problems.push(
                Problem::new(overlay.key_span.clone(), message)
                    .help("write into it what is different there, as `aws: { account, region }`, or remove it"),
            );
        }
        merged
    }

    fn lower(&self, root: &Node, decoded: Decoded, changes: &Changes) -> Result<Plan, Vec<Problem>> {
        let mut plan = lower::lower(&decoded.value, self.catalogue).map_err(|error| {
            let problem =
                Problem::new(0..0, format!("internal error: the plan is valid but could not be converted: {error}"));
            vec![problem.help("please report it, with the plan")]
        })?;
        if *changes != Changes::default() {
            let as_written = decode(&self.shape, root, self.texts).value;
            let file_migration = as_written["migration"].as_str().unwrap_or(&plan.migration).to_owned();
            let (overlay, set) = (changes.overlay.clone(), changes.set.clone());
            plan.overlaid = Some(Overlaid { file_migration, overlay, set });
        }
        Ok(plan)
    }
}

/// An error that only an overlay brings about says so, wherever it shows.
fn with_place_of(problem: Problem, overlay: &Entry) -> Problem {
    let span = &overlay.value.span;
    let within = span.contains(&problem.span.start) || overlay.key_span.contains(&problem.span.start);
    let related =
        problem.related.clone().or_else(|| (!within).then(|| (overlay.key_span.clone(), "with this overlay")));
    Problem { related, ..problem }
}
