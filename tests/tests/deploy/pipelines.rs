//! `deploy/pipelines`: each file is what its system takes, and all guard the same cutover. That they work is tested in `e2e`.

use std::{
    io::Write as _,
    process::{Command, Output},
};

use crate::{
    at,
    pipeline_lines::{file, scripts},
};

#[test]
fn every_pipeline_guards_the_same_cutover() {
    let readme = file("README.md");
    let wanted = readme.lines().find(|line| line.starts_with("belay guard ")).unwrap();
    for (name, script) in scripts() {
        let guards: Vec<&str> = script.lines().filter(|line| line.contains("belay guard")).collect();
        assert_eq!(guards.len(), 1, "{name}: {script}");
        assert_eq!(guards[0].trim_start_matches("exec "), wanted, "{name}");
    }
}

#[test]
fn the_plan_is_valid() {
    let plan = at("deploy/pipelines/checkout.yaml");
    let done = belay_tests::Belay::at("http://127.0.0.1:9").run(&["validate", plan.to_str().unwrap()]);
    assert_eq!(done.code, 0, "{done}");
}

/// Runs a checker of the test bed. Without it, nothing is found out.
fn checked(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(belay_tests::testbed::folder().join("venv/bin").join(program)).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            // Not by a macro, whose text a test that passes keeps to itself.
            let _ = writeln!(std::io::stderr(), "PASSED OVER: deploy/pipelines was not checked, {program}: {error}");
            None
        }
    }
}

/// The file as it is, and after a change that makes it wrong: a checker that finds nothing at all is found out.
#[track_caller]
fn is_what_it_takes(name: &str, program: &str, arguments: &[&str], right: &str, wrong: &str) {
    let text = file(name);
    assert!(text.contains(right), "{name}: {right}");
    let folder = tempfile::tempdir().unwrap();
    for (text, is_right) in [(text.clone(), true), (text.replace(right, wrong), false)] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        if let Some(output) = checked(program, &[arguments, &[path.to_str().unwrap()]].concat()) {
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), is_right, "{name}: {said}");
        }
    }
}

const SCHEMA: &str = "--builtin-schema";

#[test]
fn github_takes_the_workflow() {
    is_what_it_takes("github.yml", "check-jsonschema", &[SCHEMA, "vendor.github-workflows"], "runs-on:", "run-on:");
}

#[test]
fn gitlab_takes_the_job() {
    is_what_it_takes("gitlab.yml", "check-jsonschema", &[SCHEMA, "vendor.gitlab-ci"], "when: manual", "when: by-hand");
}

#[test]
fn cloudformation_takes_the_pipeline() {
    is_what_it_takes("codepipeline.yaml", "cfn-lint", &[], "ConcurrentBuildLimit", "ConcurrentBuildsLimit");
}
