//! Reads IAM policies back from the forms that `belay iam` prints.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// One action on one resource, under all of the conditions: operator, key, values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Granted {
    pub effect: String,
    pub action: String,
    pub resource: String,
    pub conditions: BTreeSet<(String, String, Vec<String>)>,
}

/// What a policy document grants.
pub fn of_document(document: &Value) -> BTreeSet<Granted> {
    assert_eq!(document["Version"], "2012-10-17", "{document:#}");
    let statements = document["Statement"].as_array().expect("statements");
    let sids: BTreeSet<&str> = statements.iter().filter_map(|statement| statement["Sid"].as_str()).collect();
    assert_eq!(sids.len(), statements.len(), "each statement has a name of its own: {document:#}");
    statements.iter().flat_map(of_statement).collect()
}

fn of_statement(statement: &Value) -> Vec<Granted> {
    let keys: BTreeSet<&str> = statement.as_object().expect("a statement").keys().map(String::as_str).collect();
    assert!(keys.is_subset(&BTreeSet::from(["Sid", "Effect", "Action", "Resource", "Condition"])), "{statement:#}");
    let mut conditions = BTreeSet::new();
    for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
        for (key, values) in keys.as_object().expect("keys") {
            conditions.insert((operator.clone(), key.clone(), texts(values)));
        }
    }
    let effect = statement["Effect"].as_str().expect("an effect").to_owned();
    let (actions, resources) = (texts(&statement["Action"]), texts(&statement["Resource"]));
    let pairs = actions.iter().flat_map(|action| resources.iter().map(move |resource| (action, resource)));
    let granted = pairs.map(|(action, resource)| Granted {
        effect: effect.clone(),
        action: action.clone(),
        resource: resource.clone(),
        conditions: conditions.clone(),
    });
    granted.collect()
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().unwrap_or_else(|| panic!("a list: {value}"));
    list.iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// The documents of `--format json`, by name where there are several.
pub fn in_json(printed: &Value) -> Vec<Value> {
    match printed.as_array() {
        None => vec![printed.clone()],
        Some(several) => several.iter().map(|policy| policy["policy"].clone()).collect(),
    }
}

/// The documents of `--format cloudformation`.
pub fn in_cloudformation(template: &Value) -> Vec<Value> {
    assert_eq!(template["AWSTemplateFormatVersion"], "2010-09-09");
    let resources = template["Resources"].as_object().into_iter().flatten();
    let documents = resources.map(|(id, resource)| {
        assert!(id.chars().all(|letter| letter.is_ascii_alphanumeric()) && id.len() <= 255, "{id}");
        assert_eq!(resource["Type"], "AWS::IAM::ManagedPolicy");
        let name = resource["Properties"]["ManagedPolicyName"].as_str().expect("a name");
        assert!(name.len() <= 128, "{name}");
        assert!(template["Outputs"][format!("{id}Arn")]["Value"]["Ref"] == id.as_str(), "{template:#}");
        if let Some(condition) = resource["Condition"].as_str() {
            assert!(template["Conditions"][condition].is_object(), "{template:#}");
        }
        resource["Properties"]["PolicyDocument"].clone()
    });
    documents.collect()
}

/// The documents of `--format terraform`.
pub fn in_terraform(text: &str) -> Vec<Value> {
    let blocks = Hcl::parse(text);
    let mut documents = BTreeMap::new();
    let mut used = Vec::new();
    for Block { kind, labels, attributes, blocks } in blocks {
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        match (kind.as_str(), labels.as_slice()) {
            ("data", ["aws_iam_policy_document", label]) => {
                assert!(attributes.is_empty(), "{attributes:?}");
                let statements = blocks.iter().map(statement).collect::<Vec<_>>();
                let document = json!({ "Version": "2012-10-17", "Statement": statements });
                assert!(documents.insert((*label).to_owned(), document).is_none(), "{label} is there twice");
            }
            ("resource", ["aws_iam_policy", label]) => {
                let expected = Expression::Reference(format!("data.aws_iam_policy_document.{label}.json"));
                assert_eq!(attributes["policy"], expected);
                assert!(matches!(&attributes["name"], Expression::Text(name) if name.len() <= 128));
                used.push((*label).to_owned());
            }
            other => panic!("no such block is expected: {other:?}"),
        }
    }
    assert_eq!(used.len(), documents.len());
    used.iter().map(|label| documents[label].clone()).collect()
}

fn statement(block: &Block) -> Value {
    assert_eq!(block.kind, "statement");
    let text = |name: &str| match &block.attributes[name] {
        Expression::Text(text) => json!(text),
        other => panic!("{name}: {other:?}"),
    };
    let list = |block: &Block, name: &str| match &block.attributes[name] {
        Expression::List(texts) => json!(texts),
        other => panic!("{name}: {other:?}"),
    };
    let mut document = json!({
        "Sid": text("sid"), "Effect": text("effect"),
        "Action": list(block, "actions"), "Resource": list(block, "resources"),
    });
    for condition in &block.blocks {
        assert_eq!(condition.kind, "condition");
        let of = |name: &str| match &condition.attributes[name] {
            Expression::Text(text) => text.clone(),
            other => panic!("{name}: {other:?}"),
        };
        document["Condition"][of("test")][of("variable")] = list(condition, "values");
    }
    document
}

#[derive(Debug, PartialEq, Eq)]
enum Expression {
    Text(String),
    List(Vec<String>),
    /// `data.aws_iam_policy_document.x.json`
    Reference(String),
}

struct Block {
    kind: String,
    labels: Vec<String>,
    attributes: BTreeMap<String, Expression>,
    blocks: Vec<Block>,
}

/// As much of HCL as policies need, and strict about it.
struct Hcl<'t> {
    rest: &'t str,
}

impl<'t> Hcl<'t> {
    fn parse(text: &'t str) -> Vec<Block> {
        let mut hcl = Self { rest: text };
        let mut blocks = Vec::new();
        while !hcl.ahead().is_empty() {
            let kind = hcl.word();
            blocks.push(hcl.block(kind));
        }
        blocks
    }

    /// What follows spaces and comments.
    fn ahead(&mut self) -> &'t str {
        self.rest = self.rest.trim_start();
        while self.rest.starts_with('#') {
            self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
        }
        self.rest
    }

    fn takes(&mut self, mark: char) -> bool {
        let rest = self.ahead().strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, mark: char) {
        assert!(self.takes(mark), "{mark} is expected before: {}", self.rest);
    }

    fn word(&mut self) -> String {
        let part = |letter: char| letter.is_ascii_alphanumeric() || "_.".contains(letter);
        let end = self.ahead().find(|letter| !part(letter)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        assert!(!word.is_empty(), "a word is expected before: {}", self.rest);
        self.rest = rest;
        word.to_owned()
    }

    fn block(&mut self, kind: String) -> Block {
        let mut block = Block { kind, labels: Vec::new(), attributes: BTreeMap::new(), blocks: Vec::new() };
        while self.ahead().starts_with('"') {
            block.labels.push(self.text());
        }
        self.expect('{');
        while !self.takes('}') {
            let name = self.word();
            match self.takes('=') {
                true => assert!(block.attributes.insert(name, self.expression()).is_none(), "it is there twice"),
                false => block.blocks.push(self.block(name)),
            }
        }
        block
    }

    fn expression(&mut self) -> Expression {
        if self.ahead().starts_with('"') {
            return Expression::Text(self.text());
        }
        if !self.takes('[') {
            return Expression::Reference(self.word());
        }
        let mut texts = Vec::new();
        while !self.takes(']') {
            texts.push(self.text());
            if !self.takes(',') {
                self.expect(']');
                break;
            }
        }
        Expression::List(texts)
    }

    /// A quoted template in which nothing is evaluated.
    fn text(&mut self) -> String {
        self.expect('"');
        let mut text = String::new();
        loop {
            let letter = self.letter();
            match letter {
                '"' => return text,
                '\\' => text.push(self.escaped()),
                '\n' => panic!("a text ends on its line"),
                '$' | '%' if self.rest.starts_with('{') => panic!("{letter}{{ would be evaluated"),
                '$' | '%' if self.rest.starts_with(&format!("{letter}{{")) => {
                    text.extend([self.letter(), self.letter()]);
                }
                plain => text.push(plain),
            }
        }
    }

    fn letter(&mut self) -> char {
        let letter = self.rest.chars().next().expect("the text goes on");
        self.rest = &self.rest[letter.len_utf8()..];
        letter
    }

    fn escaped(&mut self) -> char {
        match self.letter() {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            mark @ ('"' | '\\') => mark,
            'U' => {
                let (digits, rest) = self.rest.split_at(8);
                self.rest = rest;
                u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).expect("a code point")
            }
            other => panic!("HCL has no escape \\{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_evaluated_or_breaks_out_is_no_text() {
        for bad in ["a = \"${b}\"", "a = \"%{if}\"", "a = \"x\ny\"", "a = \"\\q\"", "a = [\"x\" \"y\"]", "a \"b\""] {
            let text = format!("data \"x\" \"y\" {{ {bad} }}");
            assert!(std::panic::catch_unwind(|| Hcl::parse(&text).len()).is_err(), "{bad}");
        }
        let blocks = Hcl::parse("# x\ndata \"a\" \"b\" {\n  t = \"$${x} %%{y} $5 \\\"\\\\ \\U0000202e\"\n}\n");
        let expected = Expression::Text("${x} %{y} $5 \"\\ \u{202e}".to_owned());
        assert_eq!(blocks[0].attributes["t"], expected);
    }
}
