//! One template, rendered within bounds.

use belay_plan::notify::NoticeKind;
use jiff::{Timestamp, tz::TimeZone};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, escape_formatter,
    value::{Rest, Serde, Value},
};

use super::{
    escape::Markup,
    library::{self, PARTS, Style},
    time, values,
};

/// The budget of instructions for one rendering; a long incident takes about 500.
const FUEL: u64 = 50_000;
/// The bound of a rendered text.
const OUTPUT_BYTES_MAX: usize = 32 * 1024;
/// The name of a template of the plan.
const OWN: &str = "text";

pub(super) struct Template {
    source: String,
    lines: usize,
}

impl Template {
    pub(super) fn own(source: &str) -> Self {
        Self { source: with_tags_on_lines_of_their_own(source), lines: source.lines().count().max(1) }
    }

    /// # Errors
    /// The style has no text for this kind of notice.
    pub(super) fn built_in(style: Style, kind: NoticeKind) -> Result<Self, String> {
        library::source(style, kind).map(Self::own).ok_or_else(|| format!("customers are not told of `{kind}`"))
    }

    /// # Errors
    /// Why it cannot be rendered, with the line.
    pub(super) fn render(
        &self,
        values: serde_json::Value,
        markup: Markup,
        zone: &Option<TimeZone>,
    ) -> Result<String, String> {
        let environment = environment(markup, zone);
        let rendered = environment.template_from_named_str(OWN, &self.source);
        let rendered = rendered.and_then(|template| template.render(Value::from(Serde(values))));
        match rendered {
            Ok(text) if text.len() > OUTPUT_BYTES_MAX => {
                Err(format!("it renders to more than {} KiB", OUTPUT_BYTES_MAX / 1024))
            }
            Ok(text) => Ok(text),
            Err(error) => Err(told(&error, self.lines)),
        }
    }

    /// Checks all names statically, also those in branches that no sample reaches.
    pub(super) fn check_names(&self) -> Result<(), String> {
        let environment = environment(Markup::None, &None);
        let template =
            environment.template_from_named_str(OWN, &self.source).map_err(|error| told(&error, self.lines))?;
        let mut unknown: Vec<(usize, String)> = template
            .undeclared_variables(true)
            .into_iter()
            .filter(|path| !environment.globals().any(|(name, _)| path.split('.').next() == Some(name)))
            .filter_map(|path| Some((self.line_of(&path), values::unknown(&path)?)))
            .collect();
        unknown.sort();
        match unknown.first() {
            Some((line, why)) => Err(format!("line {line}: {why}")),
            None => Ok(()),
        }
    }

    fn line_of(&self, path: &str) -> usize {
        self.source.lines().position(|line| line.contains(path)).unwrap_or(0) + 1
    }
}

/// A tag that is alone on its line produces no line. Its line end moves into the tag, so that line numbers stay the same.
pub(crate) fn with_tags_on_lines_of_their_own(source: &str) -> String {
    let line = |line: &str| {
        let trimmed = line.trim();
        let inside = trimmed.strip_prefix("{%").and_then(|rest| rest.strip_suffix("%}"));
        match inside.filter(|inside| !inside.contains("{%") && !inside.contains("%}")) {
            Some(inside) => format!("{{%{}\n%}}", inside.trim_end_matches('-')),
            None => format!("{line}\n"),
        }
    };
    source.lines().map(line).collect()
}

fn environment(markup: Markup, zone: &Option<TimeZone>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(50);
    // Captured text (`{% set %}`) is escaped already, and marked as safe.
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("channel".into()));
    environment.set_formatter(move |out, state, value| match value.as_str() {
        Some(text) if value.is_safe() => Ok(out.write_str(text)?),
        Some(text) => Ok(out.write_str(&markup.escaped(text))?),
        None if value.is_none() => Ok(()),
        None if value.is_undefined() => escape_formatter(out, state, value),
        None => Ok(out.write_str(&markup.escaped(&value.to_string()))?),
    });
    // These would let a value through unescaped.
    for name in ["safe", "escape", "e"] {
        environment.remove_filter(name);
    }
    add_filters(&mut environment, zone);
    for (name, source) in PARTS {
        let added = environment.add_template_owned(name, with_tags_on_lines_of_their_own(source));
        added.expect("built-in texts are templates");
    }
    environment
}

fn add_filters(environment: &mut Environment<'static>, zone: &Option<TimeZone>) {
    let (of_time, of_clock) = (zone.clone(), zone.clone());
    environment.add_filter("time", move |value: Value| in_time(&value, |at| time::told(at, of_time.as_ref())));
    environment.add_filter("clock", move |value: Value| in_time(&value, |at| time::clock(at, of_clock.as_ref())));
    environment.add_filter("lasted", |from: Value, until: Value| -> Result<String, Error> {
        let (Some(from), Some(until)) = (timestamp(&from)?, timestamp(&until)?) else { return Ok(String::new()) };
        Ok(time::lasted(from, until))
    });
    environment.add_filter("names", |items: Value, all: Rest<bool>| -> Result<String, Error> {
        let items: Vec<String> = items.try_iter()?.map(|item| item.to_string()).collect();
        let last = if all.first().is_some_and(|all| !all) { "or" } else { "and" };
        Ok(match items.split_last() {
            None => String::new(),
            Some((only, [])) => only.clone(),
            Some((end, rest)) => format!("{} {last} {end}", rest.join(", ")),
        })
    });
    environment.add_filter("words", |word: String| word.replace('_', " "));
    environment.add_filter("does", |answer: String| match answer.as_str() {
        "fix_forward" => "rolls nothing back",
        "decide" => "starts nothing by itself and waits on",
        _ => "rolls back",
    });
}

fn in_time(value: &Value, told: impl Fn(Timestamp) -> String) -> Result<String, Error> {
    Ok(timestamp(value)?.map_or_else(String::new, told))
}

/// None for a time that is not known.
fn timestamp(value: &Value) -> Result<Option<Timestamp>, Error> {
    match value.as_str() {
        Some("") => Ok(None),
        Some(text) => match text.parse() {
            Ok(time) => Ok(Some(time)),
            Err(_) => Err(Error::new(ErrorKind::InvalidOperation, format!("`{text}` is no time"))),
        },
        None if value.is_undefined() => Err(Error::new(ErrorKind::UndefinedError, "there is no such value")),
        None => Err(Error::new(ErrorKind::InvalidOperation, "this is no time")),
    }
}

/// `line 3: unknown filter: filter tme is unknown`, in a text of so many lines.
fn told(error: &Error, lines: usize) -> String {
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    let known = match error.kind() {
        ErrorKind::UnknownFilter => "; for times and names there are time, clock, lasted, names, words and does",
        ErrorKind::OutOfFuel => ": it takes more than any text needs",
        _ => "",
    };
    let what = format!("{}{detail}{known}", error.kind());
    match error.line() {
        Some(line) => format!("line {}: {what}", line.min(lines)),
        None => what,
    }
}
