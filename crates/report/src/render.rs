//! The report as Markdown and as one HTML page, by templates. Every value is escaped for its markup.

use std::time::Duration;

use jiff::{
    Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value, context, escape_formatter,
    syntax::SyntaxConfig, value::Serde,
};

use crate::{RunReport, strip, words};

const HTML: &str = include_str!("../templates/report.html");
const MARKDOWN: &str = include_str!("../templates/report.md");

/// One page: no script, and nothing is loaded from elsewhere.
pub fn html(report: &RunReport) -> String {
    render("report.html", HTML, report)
}

/// Markdown as GitHub and most wikis read it.
pub fn markdown(report: &RunReport) -> String {
    render("report.md", MARKDOWN, report)
}

fn render(name: &'static str, source: &'static str, report: &RunReport) -> String {
    let zone = report.timezone.as_ref().and_then(|name| TimeZoneDatabase::bundled().get(name.as_str()).ok());
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    environment.set_syntax(syntax.expect("the delimiters are the usual ones"));
    environment.set_auto_escape_callback(|name| match name.ends_with(".html") {
        true => AutoEscape::Html,
        false => AutoEscape::Custom("markdown".into()),
    });
    environment.set_formatter(|out, state, value| match (state.auto_escape(), value.as_str()) {
        (AutoEscape::Custom(_), Some(text)) if !value.is_safe() => Ok(out.write_str(&in_markdown(text))?),
        (AutoEscape::Custom(_), _) => Ok(out.write_str(&value.to_string())?),
        _ => escape_formatter(out, state, value),
    });
    let local = zone.clone();
    environment.add_filter("at", move |at: &str| moment(at, "%Y-%m-%d %H:%M:%S UTC", None));
    environment.add_filter("clock", move |at: &str| moment(at, "%H:%M:%S", None));
    environment.add_filter("local", move |at: &str| moment(at, "%Y-%m-%d %H:%M:%S %Z", local.as_ref()));
    environment.add_filter("span", |seconds: f64| words::duration(Duration::from_secs_f64(seconds.max(0.0))));
    environment.add_filter("words", |name: &str| words::words(name));
    environment.add_filter("value", words::value);
    environment.add_filter("unit", |number: &str, unit: Option<&str>| words::with_unit(number, unit));
    environment.add_filter("limit", |healthy: &str, unit: Option<&str>| words::limit(healthy, unit));
    let strip = Value::from_safe_string(strip::svg(&report.signals));
    let values = context! { r => Value::from(Serde(report.clone())), strip, zone => zone.is_some() };
    let rendered = environment.add_template(name, source).and_then(|()| environment.get_template(name)?.render(values));
    rendered.expect("the templates are built in, and tests render them with every part of a report")
}

fn moment(at: &str, form: &str, zone: Option<&TimeZone>) -> Result<String, Error> {
    let at: Timestamp = at.parse().map_err(|_| Error::new(ErrorKind::InvalidOperation, "this is no time"))?;
    Ok(at.to_zoned(zone.cloned().unwrap_or(TimeZone::UTC)).strftime(form).to_string())
}

/// Text that Markdown shows as it is: no markup, no HTML, no link, no cell of a table, no beginning of a list. A command of Belay
/// stands in a code span as it is, so that it can be copied.
fn in_markdown(text: &str) -> String {
    let text = text.trim();
    let (mut shown, mut rest) = (String::with_capacity(text.len() + 16), text);
    while let Some((before, command, after)) = command(rest) {
        shown.push_str(&format!("{}`{command}`", without_markup(before)));
        rest = after;
    }
    shown + &without_markup(rest)
}

/// What stands before the first command between backticks, the command, and what stands after it. A pipe would end a cell of a table.
fn command(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (command, after) = rest.split_once('`')?;
    let is_command = command.starts_with("belay ") && !command.contains('|');
    is_command.then_some((before, command, after))
}

fn without_markup(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let letters: Vec<char> = text.chars().collect();
    for (index, letter) in letters.iter().enumerate() {
        let next = letters.get(index + 1);
        let inside_a_word = |letter: Option<&char>| letter.is_some_and(|letter| letter.is_alphanumeric());
        let marks = match letter {
            '\\' | '`' | '*' | '[' | ']' | '<' | '|' | '~' | '#' | '&' | '!' | '$' | '@' => true,
            '_' => !(index > 0 && inside_a_word(letters.get(index - 1)) && inside_a_word(next)),
            '-' | '+' | '=' | '>' => index == 0,
            '.' | ')' if index > 0 && index == digits => next.is_none_or(|next| next.is_whitespace()),
            // `https://` and `www.` make links by themselves.
            ':' => next == Some(&'/'),
            '.' => index >= 3 && letters[index - 3..index].iter().all(|letter| letter.eq_ignore_ascii_case(&'w')),
            _ => false,
        };
        if marks {
            escaped.push('\\');
        }
        escaped.push(*letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_from_outside_is_text_in_markdown() {
        let cases = [
            ("<script>alert(1)</script>", r"\<script>alert(1)\</script>"),
            ("[x](javascript:alert(1))", r"\[x\](javascript:alert(1))"),
            ("![](https://evil.example/a.png)", r"\!\[\](https\://evil.example/a.png)"),
            ("a | b", r"a \| b"),
            ("**bold** _it_ customer_errors", r"\*\*bold\*\* \_it\_ customer_errors"),
            ("- item", r"\- item"),
            ("12. item", r"12\. item"),
            ("> quote -> end", r"\> quote -> end"),
            ("0.1% of 5", "0.1% of 5"),
            ("# title", r"\# title"),
            ("see www.evil.example @all", r"see www\.evil.example \@all"),
            ("&lt;", r"\&lt;"),
            ("    code", "code"),
            ("2 of 3 targets healthy (5.2%)", "2 of 3 targets healthy (5.2%)"),
            ("do `belay disarm --reason \"a_b\"`, _then_ arm", "do `belay disarm --reason \"a_b\"`, \\_then\\_ arm"),
            ("`belay a_` and `belay b <c>`", "`belay a_` and `belay b <c>`"),
            // Not a command, not ended, or the end of a cell.
            ("`rm -rf`", r"\`rm -rf\`"),
            ("`belay arm", r"\`belay arm"),
            ("`belay a | b`", r"\`belay a \| b\`"),
        ];
        for (text, shown) in cases {
            assert_eq!(in_markdown(text), shown, "{text}");
        }
    }
}
