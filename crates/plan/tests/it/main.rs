//! The plan language from the outside.

#[path = "../catalogue/mod.rs"]
pub mod catalogue;
mod fuzz;
mod graph;
mod overlays;
mod samples;
mod schema;
mod texts;

use std::{fs, path::Path};

fn samples_in(directory: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(directory);
    let files = fs::read_dir(root).expect("the directory of samples");
    let mut samples: Vec<(String, String)> = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("a text"))
        })
        .collect();
    samples.sort();
    samples
}

/// Compares with the file of this path below the crate, or writes it when `UPDATE_GOLDEN` is set.
fn golden(path: &str, actual: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(file, actual).expect("writing the golden file");
        return;
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    assert!(expected == actual, "{path} differs (UPDATE_GOLDEN=1 writes it); it would be:\n{actual}");
}
