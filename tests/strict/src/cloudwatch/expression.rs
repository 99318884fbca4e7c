//! Metric math, as much of it as plans in tests need: numbers, ids, `+ - * /`, brackets, `FILL(id, number)`.

use std::collections::BTreeMap;

use super::metric::{Series, Span};
use crate::answer::Refusal;

/// What an expression comes to, and its period. `period_s`: where no metric has one.
pub(super) fn evaluate(
    text: &str,
    series: &BTreeMap<&str, (i64, Series)>,
    span: Span,
    period_s: Option<i64>,
) -> Result<(i64, Series), Refusal> {
    let period_s = series.values().map(|(period_s, _)| *period_s).next().or(period_s).unwrap_or(60);
    let mut parser = Parser { rest: text, series, span, period_s };
    let value = parser.sum()?;
    parser.space();
    match (parser.rest, value) {
        ("", Value::Series(points)) => Ok((period_s, points)),
        ("", Value::Number(_)) => Err(refused("the result is not a time series")),
        (rest, _) => Err(refused(&format!("unexpected: {rest}"))),
    }
}

fn refused(why: &str) -> Refusal {
    Refusal::bad("ValidationError", format!("Error in expression: {why}"))
}

enum Value {
    Number(f64),
    Series(Series),
}

struct Parser<'a> {
    rest: &'a str,
    series: &'a BTreeMap<&'a str, (i64, Series)>,
    span: Span,
    period_s: i64,
}

impl Parser<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, sign: char) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn sum(&mut self) -> Result<Value, Refusal> {
        let mut value = self.product()?;
        loop {
            value = match () {
                () if self.takes('+') => both(value, self.product()?, |one, other| one + other),
                () if self.takes('-') => both(value, self.product()?, |one, other| one - other),
                () => return Ok(value),
            };
        }
    }

    fn product(&mut self) -> Result<Value, Refusal> {
        let mut value = self.factor()?;
        loop {
            value = match () {
                () if self.takes('*') => both(value, self.factor()?, |one, other| one * other),
                () if self.takes('/') => both(value, self.factor()?, |one, other| one / other),
                () => return Ok(value),
            };
        }
    }

    fn factor(&mut self) -> Result<Value, Refusal> {
        if self.takes('(') {
            let value = self.sum()?;
            return if self.takes(')') { Ok(value) } else { Err(refused("a bracket is open")) };
        }
        self.space();
        let end = self.rest.find(|next: char| !next.is_ascii_alphanumeric() && next != '_' && next != '.');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        if let Ok(number) = word.parse() {
            return Ok(Value::Number(number));
        }
        if word == "FILL" && self.takes('(') {
            return self.fill();
        }
        match self.series.get(word) {
            Some((_, points)) => Ok(Value::Series(points.clone())),
            None => Err(refused(&format!("unknown id or function {word}"))),
        }
    }

    /// Every period that has no value gets one: also the newest, whose data is only late (user guide, "Using metric math").
    fn fill(&mut self) -> Result<Value, Refusal> {
        let Value::Series(mut points) = self.sum()? else { return Err(refused("FILL wants a time series")) };
        let filler = match (self.takes(','), self.sum()?) {
            (true, Value::Number(number)) => number,
            _ => return Err(refused("FILL wants a number")),
        };
        if !self.takes(')') {
            return Err(refused("a bracket is open"));
        }
        for begin_s in self.span.periods(self.period_s) {
            points.entry(begin_s).or_insert(filler);
        }
        Ok(Value::Series(points))
    }
}

/// Of two series, the periods that both have.
fn both(one: Value, other: Value, with: impl Fn(f64, f64) -> f64) -> Value {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => Value::Number(with(one, other)),
        (Value::Series(points), Value::Number(number)) => {
            Value::Series(points.into_iter().map(|(at, value)| (at, with(value, number))).collect())
        }
        (Value::Number(number), Value::Series(points)) => {
            Value::Series(points.into_iter().map(|(at, value)| (at, with(number, value))).collect())
        }
        (Value::Series(one), Value::Series(other)) => {
            let shared = one.into_iter().filter_map(|(at, value)| Some((at, with(value, *other.get(&at)?))));
            Value::Series(shared.filter(|(_, value)| value.is_finite()).collect())
        }
    }
}
