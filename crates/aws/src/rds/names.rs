//! The names that a restore gives. They derive from the run: so a lost answer is found again by looking.

use belay_core::id::RunId;
use sha2::{Digest, Sha256};

/// The most that RDS allows.
pub(super) const NAME_CHARS_MAX: usize = 63;

/// The characters of a run's id.
const RUN_CHARS: usize = 12;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// The plan's, in the lower case that RDS stores.
    pub(super) own: String,
    pub(super) restored: String,
    pub(super) failed: String,
}

impl Names {
    /// Without a run the names are placeholders, for people and policies: cut where those of a run are.
    pub(super) fn new(name: &str, run: Option<&RunId>) -> Self {
        let own = name.to_ascii_lowercase();
        let (run, chars) = run.map_or(("<run>", RUN_CHARS), |run| (run.0.as_str(), run.0.len()));
        let derived = |word: &str| {
            let suffix = format!("-{word}-");
            format!("{}{suffix}{run}", stem(&own, NAME_CHARS_MAX - suffix.len() - chars))
        };
        Self { restored: derived("restored"), failed: derived("failed"), own }
    }
}

/// As much of a name as fits. Names that differ only behind the cut (the shards of one database) must not become
/// one, so a cut name ends in a hash of the whole.
fn stem(name: &str, chars_max: usize) -> String {
    if name.len() <= chars_max {
        return name.to_owned();
    }
    let digest = Sha256::digest(name);
    let hash = format!("-{:02x}{:02x}", digest[0], digest[1]);
    let cut: String = name.chars().take(chars_max - hash.len()).collect();
    format!("{}{hash}", cut.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(instance: &str) -> Names {
        Names::new(instance, Some(&RunId("01k8abcd2345".to_owned())))
    }

    #[test]
    fn names_derive_from_the_run() {
        let names = names("Checkout");
        assert_eq!(names.own, "checkout");
        assert_eq!(names.restored, "checkout-restored-01k8abcd2345");
        assert_eq!(names.failed, "checkout-failed-01k8abcd2345");
        assert_eq!(Names::new("checkout", None).restored, "checkout-restored-<run>");
    }

    /// IAM goes by the placeholder, with `*` for the run.
    #[test]
    fn a_placeholder_is_cut_where_the_name_of_a_run_is() {
        for length in 1..=63 {
            let name = "a".repeat(length);
            let (placeholder, name) = (Names::new(&name, None), names(&name));
            for (pattern, name) in [(placeholder.restored, name.restored), (placeholder.failed, name.failed)] {
                assert_eq!(pattern.replace("<run>", "01k8abcd2345"), name);
            }
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        for length in 30..=63 {
            let base = "a".repeat(length - 2);
            let (one, two) = (names(&format!("{base}-1")), names(&format!("{base}-2")));
            for name in [&one.restored, &one.failed] {
                assert!(name.len() <= NAME_CHARS_MAX && !name.contains("--"), "{name}");
            }
            assert_ne!(one.restored, two.restored);
            assert_ne!(one.failed, two.failed);
        }
        let hyphens = names(&"a-".repeat(31));
        assert!(!hyphens.restored.contains("--") && !hyphens.failed.contains("--"), "{hyphens:?}");
    }
}
