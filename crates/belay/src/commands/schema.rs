use serde_json::Value;

use crate::{
    assembly::catalogue,
    exit::{Exit, Failure},
    output::Output,
    paint,
};

/// Print the JSON Schema of plans, of scenarios, or of the daemon's configuration
///
/// Editors that know it complete and check plans while you type.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  belay schema > belay.schema.json
  # and as the first line of a plan:
  # yaml-language-server: $schema=belay.schema.json")]
pub(crate) struct Args {
    /// Of the daemon's configuration (`belay serve --config`)
    #[arg(long)]
    daemon: bool,
    /// Of scenarios (`belay drill --scenario`)
    #[arg(long, conflicts_with = "daemon")]
    scenario: bool,
}

impl Args {
    pub(crate) fn run(&self, output: Output) -> Result<Exit, Failure> {
        let schema = match (self.daemon, self.scenario) {
            (true, _) => belay_server::Config::schema(),
            (_, true) => belay_sim::scenario::schema(),
            _ => belay_plan::schema(&catalogue()),
        };
        output.raw(&paint::json(&laid_out(&schema, 0)));
        Ok(Exit::Done)
    }
}

/// A line of a schema has so many characters at most, where it can be broken.
const LINE_MAX: usize = 120;

/// What fits on a line is on one line, and the rest is indented by one blank. Editors load the whole with each plan: with each value
/// on a line of its own, more than a third of a schema would be blanks.
fn laid_out(value: &Value, indent: usize) -> String {
    let line = value.to_string();
    if indent + line.chars().count() <= LINE_MAX {
        return line;
    }
    let inner = indent + 1;
    let lines = |each: Vec<String>| each.join(&format!(",\n{:inner$}", ""));
    let [open, close, lines] = match value {
        Value::Object(fields) => {
            let field =
                |(key, value): (&String, &Value)| format!("{}: {}", Value::from(key.as_str()), laid_out(value, inner));
            ["{".to_owned(), "}".to_owned(), lines(fields.iter().map(field).collect())]
        }
        Value::Array(items) => {
            ["[".to_owned(), "]".to_owned(), lines(items.iter().map(|item| laid_out(item, inner)).collect())]
        }
        _ => return line,
    };
    format!("{open}\n{:inner$}{lines}\n{:indent$}{close}", "", "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_fits_on_a_line_is_on_one_and_nothing_is_lost() {
        let long = "x".repeat(70);
        let value = json!({ "short": { "type": "string" }, "long": [&long, { "a": &long }] });
        let laid_out = laid_out(&value, 0);
        let expected = format!(
            "{{\n \"short\": {{\"type\":\"string\"}},\n \"long\": [\n  \"{long}\",\n  {{\"a\":\"{long}\"}}\n ]\n}}"
        );
        assert_eq!(laid_out, expected);
        assert_eq!(serde_json::from_str::<Value>(&laid_out).unwrap(), value);
    }
}
