//! The parameters of a call. A parameter that the API does not have is an error, so that a misspelt one is seen.

use serde_json::Value;

use crate::answer::Refusal;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a>(pub(crate) &'a Value);

impl<'a> Input<'a> {
    /// Refuses what is not among these names, which stand in one text.
    pub(crate) fn only(self, known: &str) -> Result<Self, Refusal> {
        let names = self.0.as_object().into_iter().flat_map(|input| input.keys());
        for name in names {
            if !known.split_whitespace().any(|known| known == name) {
                return Err(Refusal::bad("UnknownParameter", format!("the stand-in knows no parameter {name} here")));
            }
        }
        Ok(self)
    }

    /// None where it is not given, or empty.
    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    pub(crate) fn wanted(self, name: &str) -> Result<&'a str, Refusal> {
        self.text(name).ok_or_else(|| Refusal::bad("MissingParameter", format!("{name} is not given")))
    }

    pub(crate) fn is_on(self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    pub(crate) fn number(self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// The elements of a list of the query protocol.
    pub(crate) fn list(self, name: &str, element: &str) -> &'a [Value] {
        self.0.get(name).and_then(|list| list.get(element)).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Those that are texts.
    pub(crate) fn texts(self, name: &str, element: &str) -> Vec<&'a str> {
        self.list(name, element).iter().filter_map(Value::as_str).collect()
    }

    /// The values of `Filters`, by the name of the filter.
    pub(crate) fn filters(self) -> Vec<(&'a str, Vec<&'a str>)> {
        let filters = self.list("Filters", "Filter").iter().map(Input);
        filters.filter_map(|filter| Some((filter.text("Name")?, filter.texts("Values", "Value")))).collect()
    }
}
