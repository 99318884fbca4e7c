//! Names of signals and steps, made of names that AWS allows. Pure.

use std::collections::BTreeSet;

/// What a plan's name can have (`belay_plan::shape::NAME`).
const LENGTH_MAX: usize = 63;

/// Room for a number behind a name that is taken.
const BASE_MAX: usize = 48;

/// YAML reads these as something else than text: as a name they would need quotes wherever a plan has them.
const NOT_TEXT: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// `web-5xx` as `web_5xx`, `*.example.com` as `example_com`: small letters, digits and single underscores, with a letter first.
pub(crate) fn slug(text: &str, separator: char) -> String {
    let mut slug = String::new();
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with(separator) {
            slug.push(separator);
        }
    }
    let slug = slug.trim_end_matches(separator).to_owned();
    let begin = slug.find(|letter: char| letter.is_ascii_lowercase());
    let slug = match begin {
        Some(0) if !NOT_TEXT.contains(&slug.as_str()) => slug,
        // A digit may not come first, and a truth value is no name.
        _ if !slug.is_empty() => format!("x{separator}{slug}"),
        _ => slug,
    };
    let slug: String = slug.chars().take(BASE_MAX).collect();
    slug.trim_end_matches(separator).to_owned()
}

/// Hands out names, each once.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    /// A name made of the text, with `suffix`; `fallback` where nothing of the text can stand in a name.
    pub(crate) fn of(&mut self, text: &str, suffix: &str, fallback: &str) -> String {
        let slug = slug(text, '_');
        let base = if slug.is_empty() { fallback.to_owned() } else { format!("{slug}{suffix}") };
        let mut name = base.clone();
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            name = format!("{base}_{number}");
            number += 1;
        }
        debug_assert!(name.len() <= LENGTH_MAX);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_what_a_plan_allows() {
        for (text, expected) in [
            ("web-5xx", "web_5xx"),
            ("*.example.com", "example_com"),
            ("5xx rate: too high!", "x_5xx_rate_too_high"),
            ("größe", "gr_e"),
            ("日本", ""),
            ("\u{1b}[2J", "x_2j"),
            ("__a__", "a"),
            ("true", "x_true"),
            ("NULL", "x_null"),
            ("yes!", "x_yes"),
            ("true-5xx", "true_5xx"),
        ] {
            assert_eq!(slug(text, '_'), expected, "{text}");
        }
        assert_eq!(slug("www.example.com", '-'), "www-example-com");
        assert!(slug(&"a".repeat(300), '_').len() <= BASE_MAX);
    }

    #[test]
    fn a_name_is_handed_out_once() {
        let mut names = Names::default();
        assert_eq!(names.of("web-5xx", "", "alarm"), "web_5xx");
        assert_eq!(names.of("web_5xx", "", "alarm"), "web_5xx_2");
        assert_eq!(names.of("日本", "", "alarm"), "alarm");
        assert_eq!(names.of("日本", "", "alarm"), "alarm_2");
    }
}
