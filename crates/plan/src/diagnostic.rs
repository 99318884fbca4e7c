//! What is wrong in a file, where, and what would be right.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use crate::{
    syntax::{Problem, Span},
    visible,
};

/// One error in a file. It carries the lines it points at, so it can be shown without the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub message: String,
    #[serde(flatten)]
    pub place: Place,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// A second place that belongs to it: where a duplicate key was first given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<Related>,
}

/// A stretch of one line. What spans several lines is cut to the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The column just behind the last character that is meant.
    pub column_end: usize,
    pub source_line: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Related {
    pub message: &'static str,
    #[serde(flatten)]
    pub place: Place,
}

impl Diagnostic {
    /// As a compiler would show it: the place, the source line with the culprit underlined, the help. No line end follows.
    pub fn render(&self, colour: bool) -> String {
        self.render_as(Level::ERROR, colour)
    }

    /// The same for what is not wrong, but could be better.
    pub fn render_as_advice(&self, colour: bool) -> String {
        self.render_as(Level::WARNING.with_name("advice"), colour)
    }

    /// The same for a flaw of a plan that is valid.
    pub fn render_as_finding(&self, colour: bool) -> String {
        self.render_as(Level::WARNING.with_name("finding"), colour)
    }

    /// The same for what is right, and should be known.
    pub fn render_as_note(&self, colour: bool) -> String {
        self.render_as(Level::NOTE, colour)
    }

    fn render_as(&self, level: Level<'_>, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let place = self.place.shown();
        let primary = AnnotationKind::Primary.span(place.bytes());
        let mut group = level.primary_title(visible::line(&self.message)).element(place.snippet().annotation(primary));
        let related = self.related.as_ref().map(|related| (related.message, related.place.shown()));
        if let Some((message, place)) = &related {
            let context = AnnotationKind::Context.span(place.bytes()).label(*message);
            group = group.element(place.snippet().annotation(context));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(visible::line(help)));
        }
        renderer.render(&[group])
    }
}

impl Place {
    /// The same place in a text that can be looked at.
    fn shown(&self) -> Self {
        let (file, source_line) = (visible::line(&self.file).into_owned(), visible::in_columns(&self.source_line));
        Self { file, source_line, ..self.clone() }
    }

    fn snippet<T: Clone>(&self) -> Snippet<'_, T> {
        Snippet::source(self.source_line.as_str()).line_start(self.line).path(self.file.as_str())
    }

    fn bytes(&self) -> Span {
        let offset = |column: usize| {
            self.source_line.char_indices().nth(column - 1).map_or(self.source_line.len(), |(offset, _)| offset)
        };
        offset(self.column)..offset(self.column_end)
    }
}

/// The texts that problems point into: the file, and what the command line lays over it. To everybody else they are one
/// text, so that a place is a stretch of bytes whatever it is in.
pub(crate) struct Texts {
    text: String,
    /// Where each text begins, and what errors call it.
    parts: Vec<(usize, String)>,
}

impl Texts {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        Self { text: text.to_owned(), parts: vec![(0, file.to_owned())] }
    }

    /// One more, behind the others; where it begins.
    pub(crate) fn add(&mut self, name: &str, text: &str) -> usize {
        self.text.push('\n');
        let start = self.text.len();
        self.text.push_str(text);
        self.parts.push((start, name.to_owned()));
        start
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where the second text begins, if there is one.
    pub(crate) fn arguments(&self) -> usize {
        self.parts.get(1).map_or(usize::MAX, |(start, _)| *start)
    }

    /// Problems as diagnostics, in the order of the texts. `secrets`: places that are shown by none of them.
    pub(crate) fn diagnose(&self, mut problems: Vec<Problem>, mut secrets: Vec<Span>) -> Vec<Diagnostic> {
        problems.sort_by_key(|problem| problem.span.start);
        secrets.extend(problems.iter().flat_map(|problem| problem.conceal.clone()));
        let text = without_secrets(&self.text, secrets);
        let ends = self.parts.iter().skip(1).map(|(start, _)| start - 1).chain([text.len()]);
        let sources: Vec<Source<'_>> = self
            .parts
            .iter()
            .zip(ends)
            .map(|((start, file), end)| Source::new(file, *start, &text[*start..end]))
            .collect();
        let place = |span: &Span| {
            let index = sources.partition_point(|source| source.start <= span.start);
            sources[index.saturating_sub(1)].place(span)
        };
        let mut diagnostics: Vec<Diagnostic> = problems
            .into_iter()
            .map(|problem| Diagnostic {
                message: problem.message,
                place: place(&problem.span),
                help: problem.help,
                related: problem.related.map(|(span, message)| Related { message, place: place(&span) }),
            })
            .collect();
        diagnostics.dedup();
        diagnostics
    }
}

/// The text with stars for every byte that must not be shown, so that all places stay where they are.
fn without_secrets(text: &str, secrets: Vec<Span>) -> String {
    let mut text = text.to_owned();
    for span in secrets {
        text.replace_range(span.clone(), &"*".repeat(span.len()));
    }
    text
}

/// One text with the places where its lines start, so that many places are found quickly.
struct Source<'t> {
    file: &'t str,
    /// Where it begins among all texts.
    start: usize,
    text: &'t str,
    line_starts: Vec<usize>,
}

impl<'t> Source<'t> {
    fn new(file: &'t str, start: usize, text: &'t str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        Self { file, start, text, line_starts }
    }

    fn place(&self, span: &Span) -> Place {
        let start = (span.start - self.start).min(self.text.len());
        let line = self.line_starts.partition_point(|line_start| *line_start <= start);
        let line_start = self.line_starts[line - 1];
        let line_end = self.text[start..].find(['\n', '\r']).map_or(self.text.len(), |newline| start + newline);
        let end = span.end.saturating_sub(self.start).clamp(start, line_end);
        let column = self.text[line_start..start].chars().count() + 1;
        Place {
            file: self.file.to_owned(),
            line,
            column,
            column_end: column + self.text[start..end].chars().count(),
            source_line: self.text[line_start..line_end].to_owned(),
        }
    }
}
