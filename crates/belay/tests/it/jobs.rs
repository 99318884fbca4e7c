//! What can be wrong with a job in a plan, and what is said of it.

use std::fs;

use crate::{belay, text};

#[test]
fn bad_jobs_are_told_with_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    for (step, why) in [
        ("command\n    with: { argv: [] }", "at least one"),
        ("command\n    with: { argv: fence }", "argv"),
        ("command\n    with: { argv: [./fence] }", "`./fence` is a relative path"),
        ("command\n    with: { argv: [fence], enviroment: { A: b } }", "unknown key `enviroment`"),
        ("command\n    with: { argv: [fence], env: { \"A-B\": b } }", "the name of an environment variable"),
        ("command\n    with: { argv: [fence], directory: here }", "an absolute path"),
        ("command\n    with: { argv: [fence] }\n    to: baseline", "`command` names its own target"),
        ("lambda.invoke\n    with: { funktion: fence }", "did you mean `function`?"),
        ("lambda.invoke\n    with: { function: \"a b\" }", "the name or the ARN of a Lambda function"),
        ("lambda.invoke\n    with: { function: fence, idempotent: maybe }", "true"),
        ("stepfunctions.execution\n    with: { state_machine: fence }", "the ARN of a state machine"),
        ("ssm.automation\n    with: { document: Fence, version: newest }", "$LATEST"),
        (
            "ssm.automation\n    with: { document: Fence, parameters: { Hosts: { a: b } } }",
            "a text, or a list of texts",
        ),
        ("rds.backtrack\n    with: { cluster: shop, time: yesterday }", "`cutover` or a timestamp"),
        ("rds.backtrack\n    with: { cluster: shop, time: latest }", "`cutover` or a timestamp"),
        ("rds.failover\n    with: { cluster: shop, instance: shop }", "exactly one of `cluster`, `instance`"),
        ("rds.failover\n    with: { cluster: shop }\n    to: { writer: a, zone: b }", "exactly one of"),
        ("rds.switch_back\n    with: { instance: shop, old1: x }", "old1"),
    ] {
        let plan = format!("belay: 1\nmigration: shop\nsteps:\n  back:\n    action: {step}\n");
        fs::write(folder.path().join("plan.yaml"), &plan).unwrap();
        let done = belay(folder.path(), &["validate", "plan.yaml"]).assert().code(2).get_output().clone();
        let said = text(&done.stdout) + &text(&done.stderr);
        assert!(said.contains(why), "{why}: {said}\n{plan}");
    }
}
