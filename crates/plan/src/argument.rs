//! `PATH=VALUE`: one value of a plan, given on the command line.

use crate::syntax::{self, Node, Problem, Span};

/// One value, and where it goes.
pub(crate) struct Setting {
    /// The keys from the root on, each with its place.
    pub(crate) path: Vec<(String, Span)>,
    pub(crate) value: Node,
    pub(crate) span: Span,
}

/// Reads an argument that stands at `offset` among the texts.
pub(crate) fn parse(argument: &str, offset: usize) -> Result<Setting, Vec<Problem>> {
    let span = offset..offset + argument.len();
    let (path, value) = argument.split_once('=').ok_or_else(|| {
        vec![Problem::new(span.clone(), "this sets nothing").help("write PATH=VALUE: `steps.dns_back.with.zone=Z0...`")]
    })?;
    let mut keys = Vec::new();
    let mut at = offset;
    for key in path.split('.') {
        if key.is_empty() {
            let problem = Problem::new(at..at, "a key of the path is empty");
            return Err(vec![problem.help("write the keys with a dot between: `steps.dns_back.with.zone=Z0...`")]);
        }
        keys.push((key.to_owned(), at..at + key.len()));
        at += key.len() + 1;
    }
    let shift = |mut problem: Problem| {
        problem.shift(at);
        problem
    };
    let (mut value, duplicates) =
        syntax::parse(value).map_err(|problems| problems.into_iter().map(shift).collect::<Vec<_>>())?;
    if !duplicates.is_empty() {
        return Err(duplicates.into_iter().map(shift).collect());
    }
    value.shift(at);
    Ok(Setting { path: keys, value, span })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::NodeValue;

    #[test]
    fn places_are_among_all_texts() {
        let setting = parse("a.b={ c: [1] }", 100).expect("a setting");
        assert_eq!(setting.path, [("a".to_owned(), 100..101), ("b".to_owned(), 102..103)]);
        assert_eq!(setting.value.span, 104..114);
        let NodeValue::Map(entries) = &setting.value.value else { panic!("a map") };
        assert_eq!((entries[0].key_span.clone(), entries[0].value.span.clone()), (106..107, 109..112));
        assert_eq!(parse("a=b=c", 0).expect("a setting").value.span, 2..5);
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for (argument, at) in [("a.b", 7), ("a..b=1", 9), ("=1", 7), ("a=[", 9)] {
            let Err(problems) = parse(argument, 7) else { panic!("{argument}") };
            assert!(problems[0].span.start >= at, "{argument}: {problems:?}");
        }
    }
}
