//! The shell lines of `deploy/pipelines`: what a runner would run.

use std::path::Path;

use serde_json::Value;

pub(crate) fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/pipelines").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn lines(list: &Value) -> String {
    let lines = list.as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// Each file with the script that its runner gives to a shell.
pub(crate) fn scripts() -> Vec<(&'static str, String)> {
    let github = yaml("github.yml");
    let run = github["jobs"]["cutover"]["steps"].as_array().unwrap().iter().find_map(|step| step["run"].as_str());
    let jenkins = file("Jenkinsfile");
    let sh = jenkins.lines().find_map(|line| line.trim().strip_prefix("sh '")?.strip_suffix('\''));
    vec![
        ("github.yml", run.unwrap().to_owned()),
        ("gitlab.yml", lines(&yaml("gitlab.yml")["cutover"]["script"])),
        ("Jenkinsfile", sh.unwrap().to_owned()),
        ("buildspec.yml", lines(&yaml("buildspec.yml")["phases"]["build"]["commands"])),
    ]
}
