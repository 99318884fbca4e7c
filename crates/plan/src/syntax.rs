//! From text to a tree in which every value and key knows where it stands.
//!
//! The YAML of a plan, and of the daemon's settings, is deliberately small: one document, plain data. Anchors, aliases, merge keys and tags are refused,
//! because what a reviewer reads must be what runs. Scalars are resolved by the YAML 1.2 core schema, so `yes` and `12:30`
//! are texts.

use std::{collections::HashMap, ops::Range};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};

use crate::unparsed::maybe_secrets;

/// Bytes of the text.
pub(crate) type Span = Range<usize>;

/// Larger than any file a person could review.
const TEXT_BYTES_MAX: usize = 256 << 10;

/// Deeper than any file needs; bounds the recursion of everything that walks the tree.
const DEPTH_MAX: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: NodeValue,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum NodeValue {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Node {
    /// The entry of a map; None also where the node is no map.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            NodeValue::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// Moves all places on by so many bytes: the text is one among several.
    pub(crate) fn shift(&mut self, by: usize) {
        shift(&mut self.span, by);
        match &mut self.value {
            NodeValue::List(items) => items.iter_mut().for_each(|item| item.shift(by)),
            NodeValue::Map(entries) => entries.iter_mut().for_each(|entry| {
                shift(&mut entry.key_span, by);
                entry.value.shift(by);
            }),
            _ => {}
        }
    }

    /// Where the single values in it stand.
    pub(crate) fn leaves(&self) -> Vec<Span> {
        match &self.value {
            NodeValue::List(items) => items.iter().flat_map(Node::leaves).collect(),
            NodeValue::Map(entries) => entries.iter().flat_map(|entry| entry.value.leaves()).collect(),
            _ => vec![self.span.clone()],
        }
    }
}

/// Something wrong at a place in the text.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// A second place that belongs to it, with what is there.
    pub(crate) related: Option<(Span, &'static str)>,
    /// Places that must not be shown: a secret may stand there.
    pub(crate) conceal: Vec<Span>,
}

impl Problem {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None, related: None, conceal: Vec::new() }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// As [`Node::shift`].
    pub(crate) fn shift(&mut self, by: usize) {
        shift(&mut self.span, by);
        self.related.iter_mut().for_each(|(span, _)| shift(span, by));
        self.conceal.iter_mut().for_each(|span| shift(span, by));
    }
}

fn shift(span: &mut Span, by: usize) {
    *span = span.start + by..span.end + by;
}

/// The tree (null where the text holds nothing), with the duplicate keys found on the way (their first value stands). What makes the tree
/// unreliable stands alone as the error.
pub(crate) fn parse(text: &str) -> Result<(Node, Vec<Problem>), Vec<Problem>> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(vec![
            Problem::new(0..0, "the file is larger than 256 KiB").help("it is a file that people review"),
        ]);
    }
    let mut builder = Builder {
        events: Parser::new_from_str(text),
        offsets: text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect(),
        text,
        refused: Vec::new(),
        duplicates: Vec::new(),
    };
    let concealed = |problems: Vec<Problem>| {
        let conceal = || maybe_secrets(text);
        problems.into_iter().map(|problem| Problem { conceal: conceal(), ..problem }).collect()
    };
    let root = builder.stream().map_err(|problem| concealed(vec![problem]))?;
    match builder.refused.is_empty() {
        true => Ok((root, builder.duplicates)),
        false => Err(concealed(builder.refused)),
    }
}

struct Builder<'t> {
    events: Parser<'t, StrInput<'t>>,
    /// Byte offset of each character: the parser counts in characters.
    offsets: Vec<usize>,
    text: &'t str,
    refused: Vec<Problem>,
    duplicates: Vec<Problem>,
}

impl<'t> Builder<'t> {
    fn stream(&mut self) -> Result<Node, Problem> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(Problem::new(span, "a second document starts here").help("one file holds one document"));
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                event => root = Some(self.node(event, span, 0)?),
            }
        }
        Ok(root.unwrap_or(Node { value: NodeValue::Null, span: 0..0 }))
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Problem> {
        match self.events.next_event() {
            Some(Ok((event, span))) => {
                let span = self.offset(span.start.index())..self.offset(span.end.index());
                Ok((event, span))
            }
            Some(Err(error)) => Err(self.syntax_error(&error)),
            None => Ok((Event::StreamEnd, self.text.len()..self.text.len())),
        }
    }

    fn offset(&self, characters: usize) -> usize {
        self.offsets.get(characters).copied().unwrap_or(self.text.len())
    }

    fn syntax_error(&self, error: &ScanError) -> Problem {
        let at = self.offset(error.marker().index());
        Problem::new(at..at, format!("this is not YAML: {}", error.info())).help(
            "look here and on the lines above for a quote, bracket or colon that is missing; indent with spaces, not tabs",
        )
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Problem> {
        if depth > DEPTH_MAX {
            return Err(Problem::new(span, format!("nested more than {DEPTH_MAX} levels deep")));
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(anchor, tag.is_some(), &span);
                let span = self.scalar_span(span, style);
                let value = self.scalar(text.into_owned(), style, &span);
                Ok(Node { value, span })
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_extras(anchor, tag.is_some(), &span);
                self.list(span, depth)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_extras(anchor, tag.is_some(), &span);
                self.map(span, depth)
            }
            Event::Alias(_) => {
                let problem = Problem::new(span.clone(), "aliases (`*name`) are refused");
                self.refused.push(problem.help("write the value out: each place says what it means"));
                Ok(Node { value: NodeValue::Null, span })
            }
            // The parser's grammar yields no other event where a node is due.
            _ => Err(Problem::new(span, "a value is missing here")),
        }
    }

    fn list(&mut self, start: Span, depth: usize) -> Result<Node, Problem> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                let span = self.trimmed(start.start..span.end);
                return Ok(Node { value: NodeValue::List(items), span });
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, start: Span, depth: usize) -> Result<Node, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut first_spans: HashMap<String, Span> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                let span = self.trimmed(start.start..span.end);
                return Ok(Node { value: NodeValue::Map(entries), span });
            }
            let (key, key_span) = self.key(event, span, depth)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            match first_spans.get(&key) {
                Some(first) => self.duplicates.push(Problem {
                    related: Some((first.clone(), "first given here")),
                    ..Problem::new(key_span, format!("duplicate key `{key}`")).help("keep one of the two")
                }),
                None => {
                    first_spans.insert(key.clone(), key_span.clone());
                    entries.push(Entry { key, key_span, value });
                }
            }
        }
    }

    /// A key is always a text, as it is in JSON.
    fn key(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<(String, Span), Problem> {
        let Event::Scalar(text, style, anchor, tag) = event else {
            let node = self.node(event, span, depth + 1)?;
            let problem = Problem::new(node.span.clone(), "a key must be a plain text");
            self.refused.push(problem.help("write a name before the colon, such as `errors: ...`"));
            return Ok((String::new(), node.span));
        };
        self.refuse_extras(anchor, tag.is_some(), &span);
        let span = self.scalar_span(span, style);
        if style == ScalarStyle::Plain && text == "<<" {
            let problem = Problem::new(span.clone(), "merge keys (`<<`) are refused");
            self.refused.push(problem.help("write the entries out: each place says what it means"));
        } else if text.is_empty() {
            self.refused.push(Problem::new(span.clone(), "a key is empty"));
        }
        Ok((text.into_owned(), span))
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, span: &Span) -> NodeValue {
        if style != ScalarStyle::Plain {
            return NodeValue::Text(text);
        }
        match text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => NodeValue::Null,
            "true" | "True" | "TRUE" => NodeValue::Boolean(true),
            "false" | "False" | "FALSE" => NodeValue::Boolean(false),
            other => match number(other) {
                Some(NodeValue::Float(value)) if !value.is_finite() => {
                    self.refused.push(Problem::new(span.clone(), format!("`{other}` is no usable number")));
                    NodeValue::Null
                }
                Some(number) => number,
                None => NodeValue::Text(text),
            },
        }
    }

    fn refuse_extras(&mut self, anchor: usize, tag: bool, span: &Span) {
        let help = "the file is plain data: write each value out where it is meant";
        if anchor > 0 {
            self.refused.push(Problem::new(span.clone(), "anchors (`&name`) are refused").help(help));
        }
        if tag {
            self.refused.push(Problem::new(span.clone(), "tags (`!name`) are refused").help(help));
        }
    }

    /// For the parser a quoted text reaches to the next thing, comments included; for a reader it ends at its quote.
    fn scalar_span(&self, span: Span, style: ScalarStyle) -> Span {
        let quote = match style {
            ScalarStyle::SingleQuoted => '\'',
            ScalarStyle::DoubleQuoted => '"',
            ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => return self.trimmed(span),
        };
        let slice = self.text.get(span.clone()).unwrap_or_default();
        let mut characters = slice.char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            if character == '\\' && quote == '"' {
                characters.next();
            } else if character == quote {
                // A doubled single quote ends one stretch and begins the next; the end of the last one is wanted.
                let end = offset + quote.len_utf8();
                if quote == '"' || !slice[end..].starts_with(quote) {
                    return span.start..span.start + end;
                }
                characters.next();
            }
        }
        self.trimmed(span)
    }

    /// The parser counts what follows a value (blanks, line ends) as part of it; a reader does not.
    fn trimmed(&self, span: Span) -> Span {
        let end = span.end.max(span.start);
        let kept = self.text.get(span.start..end).map_or(0, |slice| slice.trim_end().len());
        span.start..span.start + kept
    }
}

/// A number of the core schema, or None for a text.
fn number(text: &str) -> Option<NodeValue> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(NodeValue::Float(f64::INFINITY));
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(NodeValue::Float(f64::NAN));
    }
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let all_digits = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
            return all_digits.then(|| match i64::from_str_radix(digits, radix) {
                Ok(value) => NodeValue::Integer(value),
                Err(_) => NodeValue::Float(f64::INFINITY),
            });
        }
    }
    // Rust reads as a float also `inf`, `nan` and `infinity`; YAML does not.
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(value) = text.parse()
    {
        return Some(NodeValue::Integer(value));
    }
    text.parse().ok().map(NodeValue::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> NodeValue {
        let (root, _) = parse(&format!("value: {text}")).expect("YAML");
        root.get("value").expect("the entry").value.value.clone()
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        for text in ["yes", "no", "on", "12:30", "1_000", "192.0.2.10", "30s", "inf", "nan", "0x", "1e", "."] {
            assert!(matches!(plain(text), NodeValue::Text(_)), "{text}");
        }
        for (text, value) in [("12", 12), ("-3", -3), ("+3", 3), ("012", 12), ("0x1F", 31), ("0o17", 15)] {
            assert!(matches!(plain(text), NodeValue::Integer(n) if n == value), "{text}");
        }
        for (text, value) in [("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-2.5E-1", -0.25)] {
            assert!(matches!(plain(text), NodeValue::Float(n) if n == value), "{text}");
        }
        for text in ["~", "null", ""] {
            assert!(matches!(plain(text), NodeValue::Null), "{text}");
        }
        assert!(matches!(plain("\"12\""), NodeValue::Text(_)));
        assert!(matches!(plain("true"), NodeValue::Boolean(true)));
    }

    #[test]
    fn spans_are_bytes_of_what_is_meant() {
        let text = "größe: \"ä\"   # klein\nzitat: 'it''s' # 'x'\nliste:\n  - a b\n  - c\n";
        let (root, _) = parse(text).expect("YAML");
        let entry = root.get("größe").expect("the entry");
        assert_eq!(&text[entry.key_span.clone()], "größe");
        assert_eq!(&text[entry.value.span.clone()], "\"ä\"");
        assert_eq!(&text[root.get("zitat").expect("the entry").value.span.clone()], "'it''s'");
        let NodeValue::List(items) = &root.get("liste").expect("the entry").value.value else { panic!("a list") };
        assert_eq!(&text[items[0].span.clone()], "a b");
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = |levels| format!("a: {}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&deep(100)).expect_err("too deep")[0].message.contains("levels deep"));
        assert!(parse(&deep(100_000)).is_err());
        assert!(parse(&" ".repeat(TEXT_BYTES_MAX + 1)).expect_err("too large")[0].message.contains("256 KiB"));
    }
}
