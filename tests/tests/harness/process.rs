use std::path::PathBuf;

use belay_tests::{Belay, KillPoint, Target, http_get, http_post, testbed};

/// Stands for the binary: any program that is there.
fn python() -> PathBuf {
    testbed::folder().join("venv/bin/python")
}

#[test]
fn a_process_is_run_and_heard() {
    let mut belay = Belay::with_binary(&python(), "http://127.0.0.1:1");
    belay.env("GREETING", "hello");
    let code = "import json, os, sys; print(json.dumps({'said': os.environ['GREETING'], 'to': os.environ['AWS_ENDPOINT_URL']})); sys.exit(4)";
    let done = belay.run(&["-c", code]);
    assert_eq!(done.code, 4, "{done}");
    assert_eq!(done.json(), serde_json::json!({ "said": "hello", "to": "http://127.0.0.1:1" }));
    assert_eq!(belay.run_with_input(&["-c", "print(input())"], "yes\n").stdout, "yes\n");
}

#[test]
fn a_daemon_is_waited_for_and_signalled() {
    let belay = Belay::with_binary(&python(), "http://127.0.0.1:1");
    let code = "import signal, sys; print('listening on 127.0.0.1:7457', file=sys.stderr, flush=True); signal.pause()";
    let mut daemon = belay.spawn(&["-c", code]);
    assert_eq!(daemon.wait_for_stderr("listening"), "listening on 127.0.0.1:7457");
    assert!(daemon.is_running());
    assert_eq!(daemon.terminate().code, 128 + 15);
    let mut daemon = belay.spawn(&["-c", code]);
    daemon.wait_for_stderr("listening");
    assert_eq!(daemon.kill().code, 128 + 9);
}

#[test]
fn a_process_dies_at_the_chosen_sync() {
    let mut belay = Belay::with_binary(&python(), "http://127.0.0.1:1");
    let script = belay.write(
        "append.py",
        "import os\n\
         for name in ('other', 'belay.db', 'belay.db'):\n\
         \x20   file = os.open(name, os.O_CREAT | os.O_WRONLY)\n\
         \x20   os.fdatasync(file)\n\
         \x20   print('synced', name, flush=True)\n\
         \x20   os.fsync(file)\n",
    );
    let counter = KillPoint::count("belay.db");
    counter.prepare(&mut belay);
    assert_eq!(belay.run(&[&script]).code, 0);
    assert_eq!(counter.syncs(&belay), 4);

    for (point, lines) in [(KillPoint::after("belay.db", 3), 2), (KillPoint::before("belay.db", 2), 2)] {
        point.prepare(&mut belay);
        let done = belay.run(&[&script]);
        assert_eq!(done.code, 128 + 9, "{done}");
        assert_eq!(done.stdout.lines().count(), lines, "{done}");
    }
    KillPoint::disarm(&mut belay);
    assert_eq!(belay.run(&[&script]).code, 0);
}

#[test]
fn a_web_server_is_asked() {
    let target = Target::start("hello");
    assert_eq!(http_get(&target.url()).unwrap().body, "hello");
    target.set_answer(409, r#"{"title":"no"}"#);
    let answer = http_post(&format!("{}/v1/runs", target.url()), &serde_json::json!({ "reason": "test" })).unwrap();
    assert_eq!((answer.status, answer.json()["title"].as_str()), (409, Some("no")));
    assert_eq!(target.received()[1], "POST /v1/runs\n{\"reason\":\"test\"}");
    let url = target.url();
    drop(target);
    assert!(http_get(&url).is_err());
}
