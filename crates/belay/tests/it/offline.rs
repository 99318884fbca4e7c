//! What works without AWS and without a daemon.

use std::fs;

use serde_json::Value;

use crate::{belay, examples, repository, text};

const BROKEN: &str = "belay: 1\nmigration: m\nsteps:\n  a: { action: wait, with: { fro: 5s } }\n";

#[test]
fn the_examples_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<String> = examples().iter().map(|path| path.display().to_string()).collect();
    let mut arguments = vec!["validate"];
    arguments.extend(paths.iter().map(String::as_str));
    let done = belay(folder.path(), &arguments).assert().code(0).get_output().clone();
    assert_eq!(text(&done.stdout).lines().filter(|line| line.starts_with("valid ")).count(), paths.len());
}

#[test]
fn every_error_of_a_plan_is_shown_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plan.yaml"), BROKEN).unwrap();
    for command in ["validate", "graph", "explore", "dry-run", "capture", "iam"] {
        let done = belay(folder.path(), &[command, "plan.yaml"]).assert().code(2).get_output().clone();
        let shown = text(&done.stderr);
        assert!(shown.contains("plan.yaml:4:22") && shown.contains("`for` is missing"), "{command}: {shown}");
        assert!(done.stdout.is_empty(), "{command}");
    }
}

#[test]
fn every_file_is_checked_also_behind_one_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("broken.yaml"), BROKEN).unwrap();
    let files = ["nowhere.yaml", "broken.yaml"];
    let done = belay(folder.path(), &[&["validate"], &files[..]].concat()).assert().code(2).get_output().clone();
    let said = text(&done.stderr);
    assert!(said.contains("nowhere.yaml cannot be read") && said.contains("broken.yaml:4:22"), "{said}");
    let done =
        belay(folder.path(), &[&["validate", "--json"], &files[..]].concat()).assert().code(2).get_output().clone();
    let document: Value = serde_json::from_slice(&done.stdout).unwrap();
    let found: Vec<&str> =
        document["plans"].as_array().unwrap().iter().filter_map(|plan| plan["file"].as_str()).collect();
    assert_eq!(found, files);
    assert!(document["plans"][0]["errors"][0]["message"].as_str().unwrap().contains("cannot be read"));
}

#[test]
fn validate_answers_programs_in_json() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plan.yaml"), BROKEN).unwrap();
    let done = belay(folder.path(), &["validate", "plan.yaml", "--json"]).assert().code(2).get_output().clone();
    let document: Value = serde_json::from_slice(&done.stdout).unwrap();
    insta::assert_json_snapshot!(document, @r#"
    {
      "valid": false,
      "plans": [
        {
          "file": "plan.yaml",
          "valid": false,
          "errors": [
            {
              "message": "`for` is missing",
              "file": "plan.yaml",
              "line": 4,
              "column": 22,
              "column_end": 26,
              "source_line": "  a: { action: wait, with: { fro: 5s } }",
              "help": "`for`: How long to wait. It is a duration such as `30s`, `15m` or `1h30m`."
            },
            {
              "message": "unknown key `fro`",
              "file": "plan.yaml",
              "line": 4,
              "column": 30,
              "column_end": 33,
              "source_line": "  a: { action: wait, with: { fro: 5s } }",
              "help": "did you mean `for`?"
            }
          ]
        }
      ]
    }
    "#);
}

#[test]
fn the_schemas_that_ship_are_those_of_this_binary() {
    let folder = tempfile::tempdir().unwrap();
    let shipped =
        [(&["schema"][..], "belay"), (&["schema", "--daemon"], "daemon"), (&["schema", "--scenario"], "scenario")];
    for (arguments, file) in shipped {
        let done = belay(folder.path(), arguments).assert().code(0).get_output().clone();
        let file = format!("config/{file}.schema.json");
        let shipped: Value = serde_json::from_slice(&fs::read(repository(&file)).unwrap()).unwrap();
        let printed: Value = serde_json::from_slice(&done.stdout).unwrap();
        // What an editor loads with each plan.
        assert!(done.stdout.len() < 120_000, "{file} has {} bytes", done.stdout.len());
        assert!(printed == shipped, "{file} is not what `belay {}` prints", arguments.join(" "));
    }
}

#[test]
fn graphs_are_drawn_in_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let plan = repository("config/demo.yaml").display().to_string();
    let mermaid = belay(folder.path(), &["graph", &plan]).assert().code(0).get_output().clone();
    assert!(text(&mermaid.stdout).starts_with("flowchart TD"));
    let svg = belay(folder.path(), &["graph", &plan, "--format", "svg"]).assert().code(0).get_output().clone();
    assert!(text(&svg.stdout).starts_with("<svg"));
}

#[test]
fn help_lists_what_is_built_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let done = belay(folder.path(), &["--help"]).assert().code(0).get_output().clone();
    let help = text(&done.stdout);
    for command in [
        "validate",
        "dry-run",
        "drill",
        "explore",
        "demo",
        "serve",
        "rollback",
        "watch",
        "undo",
        "token",
        "audit",
        "report",
        "guard",
        "checklist",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
    }
    assert!(!help.contains("\n  help "));
    belay(folder.path(), &["completions", "bash"]).assert().code(0);
    belay(folder.path(), &["drill"]).assert().code(2);
}

/// Traffic to blue, and nothing in the plan that could tell whether blue is there.
const UNPROVEN: &str = "\
belay: 1
migration: shop
aws: { account: \"111122223333\", region: eu-west-1 }
steps:
  stop: { action: manual, with: { instructions: Stop the writers. } }
  dns_back:
    action: route53.weights
    with: { zone: Z0123456789ABC, record: shop.example.com, type: A }
    to: { blue: 100, green: 0 }
";

#[test]
fn every_example_is_searched_completely_and_proven() {
    let folder = tempfile::tempdir().unwrap();
    for path in examples() {
        let path = path.display().to_string();
        let done = belay(folder.path(), &["explore", &path, "--json"]).assert().code(0).get_output().clone();
        let report: Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!((report["verdict"].as_str(), report["complete"].as_bool()), (Some("proven"), Some(true)), "{path}");
        assert!(report["ends"].as_array().unwrap().iter().any(|end| end["outcome"] == "rolled_back"), "{path}");
        assert!(report["states"].as_u64().unwrap() > 10, "{path}");
    }
}

#[test]
fn a_flaw_is_refuted_with_its_counter_example_and_its_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plan.yaml"), UNPROVEN).unwrap();
    let done = belay(folder.path(), &["explore", "plan.yaml", "--json"]).assert().code(3).get_output().clone();
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let proofs = report["properties"].as_array().unwrap();
    let refuted: Vec<&Value> = proofs.iter().filter(|proof| proof["verdict"] == "refuted").collect();
    assert_eq!(refuted.len(), 1);
    assert_eq!(
        (&refuted[0]["property"], refuted[0]["counter_example"].as_array().unwrap().len()),
        (&"proof".into(), 2)
    );
    let advice = report["advice"].as_array().unwrap().iter().find(|advice| advice["rule"] == "no_interlock").unwrap();
    assert_eq!((&advice["line"], &advice["column"]), (&6.into(), &3.into()));
    let done = belay(folder.path(), &["explore", "plan.yaml"]).assert().code(3).get_output().clone();
    let shown = text(&done.stdout);
    for part in ["refuted  no traffic to a destination", "counter-example:", "dns_back: FAILED", "plan.yaml:6:3"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 200), "{shown}");
}

#[test]
fn a_bounded_search_says_so_and_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = examples()[0].display().to_string();
    let done = belay(folder.path(), &["explore", &path, "--max-states", "20"]).assert().code(0).get_output().clone();
    let shown = text(&done.stdout);
    assert!(shown.contains("bounded") && !shown.contains("proven: every property"), "{shown}");
}

/// A plan with a database and two roles, and its answer to `iam` with these arguments: standard output and error.
fn iam(arguments: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let plan = "belay: 1\nmigration: shop\naws: { account: \"111122223333\", region: eu-west-1 }\nsteps:\n  \
                back:\n    action: rds.restore\n    with: { instance: orders, from: { snapshot: before } }\n    \
                loses_data: true\n  other:\n    action: rds.failover\n    with: { instance: carts }\n    \
                aws: { account: \"444455556666\", role: \"arn:aws:iam::444455556666:role/belay\" }\n";
    fs::write(folder.path().join("plan.yaml"), plan).unwrap();
    let baseline = serde_json::json!({
        "migration": "shop", "captured": "2026-11-28T22:00:00Z", "plan_sha256": "0",
        "steps": { "back": { "action": "rds.restore", "resource": "rds:orders", "doc": {
            "instance": { "kms_key": "arn:aws:kms:eu-west-1:111122223333:key/k", "settings": {}, "attached": {} },
        } } },
    });
    fs::write(folder.path().join("baseline.json"), baseline.to_string()).unwrap();
    let done = belay(folder.path(), &[&["iam", "plan.yaml"], arguments].concat()).assert().code(0).get_output().clone();
    (text(&done.stdout), text(&done.stderr))
}

#[test]
fn the_policy_of_an_example_is_the_one_in_deploy() {
    let folder = tempfile::tempdir().unwrap();
    let plan = repository("config/examples/blue-green-web.yaml").display().to_string();
    let done = belay(folder.path(), &["iam", &plan]).assert().code(0).get_output().clone();
    assert_eq!(text(&done.stdout), fs::read_to_string(repository("deploy/iam/blue-green-web.json")).unwrap());
    assert!(text(&done.stderr).contains("on every resource: cloudwatch:DescribeAlarms"), "{}", text(&done.stderr));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind, no journal either");
}

#[test]
fn policies_of_several_roles_are_told_apart() {
    let (printed, said) = iam(&[]);
    let policies: Value = serde_json::from_str(&printed).unwrap();
    let names: Vec<_> = policies.as_array().unwrap().iter().map(|policy| policy["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["belay-shop-111122223333", "belay-shop-444455556666-belay"]);
    assert!(said.contains("2 policies") && said.contains("for arn:aws:iam::444455556666:role/belay"), "{said}");
    assert!(printed.contains("sts:AssumeRole"), "{printed}");
    assert!(said.contains("no baseline is known") && !printed.contains("kms:"), "{said}");

    let (printed, said) = iam(&["--baseline", "baseline.json"]);
    assert!(printed.contains("arn:aws:kms:eu-west-1:111122223333:key/k") && !said.contains("no baseline"), "{said}");
}

#[test]
fn the_forms_and_parts_of_a_policy_are_chosen() {
    let (watch, _) = iam(&["--only", "watch", "--format", "terraform"]);
    assert!(watch.contains("resource \"aws_iam_policy\" \"belay_shop_111122223333_watch\" {"), "{watch}");
    assert!(watch.contains("rds:DescribeDBInstances") && !watch.contains("rds:Modify"), "{watch}");
    let (act, _) = iam(&["--only", "act", "--format", "cloudformation"]);
    let act: Value = serde_json::from_str(&act).unwrap();
    assert_eq!(act["Resources"]["BelayShop444455556666BelayAct"]["Type"], "AWS::IAM::ManagedPolicy", "{act:#}");
    assert!(!act.to_string().contains("rds:Describe"), "{act:#}");
    let (boundary, _) = iam(&["--boundary"]);
    assert!(boundary.contains("belay-shop-111122223333-boundary") && boundary.contains("rds:Delete*"), "{boundary}");
}

/// Valid all the same: each is said with its place and what would be right.
#[test]
fn what_does_not_go_together_in_a_decision_is_remarked_on() {
    let folder = tempfile::tempdir().unwrap();
    let plan = r#"belay: 1
migration: m
objectives: { rto: 15m }
signals: { port: { tcp: { address: "127.0.0.1:1" } } }
triggers: { hurt: { when: port, severity: critical, scope: isolated, fix: short, problem: data_integrity } }
decision:
  rules:
    - { problem: data_integrty, do: roll_back }
    - { severity: critical, do: decide, timebox: 30m }
    - { do: fix_forward }
window: { past: refuse }
steps: { by_hand: { action: manual, with: { instructions: Do it. } } }
"#;
    let said = |plan: &str| {
        fs::write(folder.path().join("plan.yaml"), plan).unwrap();
        let done = belay(folder.path(), &["validate", "plan.yaml"]).assert().code(0).get_output().clone();
        text(&done.stdout) + &text(&done.stderr)
    };
    let found = said(plan);
    for expected in [
        "plan.yaml:8:9",
        "no trigger has the problem `data_integrty`",
        "did you mean `data_integrity`?",
        "plan.yaml:9:41",
        "people have 30m, and the rto is 15m: a rollback after that is late",
        "give people less time, or the objective more",
        "plan.yaml:11:11",
        "`past` says what happens past the point of no return, and the window has none",
        "add `point_of_no_return`",
    ] {
        assert!(found.contains(expected), "{expected}\nis not in\n{found}");
    }
    assert!(!found.contains('┆'), "Belay's own line breaks are not marked as those of others: {found}");
    // The rules that a plan gets by default are no exception.
    let begin = plan.find("decision:").unwrap();
    let without = format!("{}{}", &plan[..begin], &plan[plan.find("steps:").unwrap()..]);
    let found = said(&without);
    assert!(
        found.contains("plan.yaml:3:15") && found.contains("people have 30m for trigger `hurt` by the default rules"),
        "{found}"
    );
    assert!(!said(&without.replace("rto: 15m", "rto: 31m")).contains("people have"));
}
