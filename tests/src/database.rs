//! Databases and a Prometheus that the test bed starts: see `testbed/server.py`.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::testbed::{PYTHON, installed, script};

/// A real server on loopback, which ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    runner: Child,
    /// What `server.py` prints.
    found: Value,
}

impl Server {
    /// `arguments` are those of `server.py`. None: this machine cannot run it so, which is printed.
    #[allow(clippy::print_stdout)] // what a test passes over is for the person who runs it
    pub fn start(arguments: &[&str]) -> Option<Self> {
        let mut runner = Command::new(installed(PYTHON))
            .arg(script("server.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test bed's Python starts");
        let mut line = String::new();
        let stdout = runner.stdout.take().expect("it is piped");
        let mut server = Self { runner, found: Value::Null };
        BufReader::new(stdout).read_line(&mut line).expect("it prints text");
        server.found = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{arguments:?} does not start"));
        if let Some(missing) = server.found["missing"].as_str() {
            println!("passed over: {arguments:?} needs {missing}");
            return None;
        }
        Some(server)
    }

    pub fn port(&self) -> u64 {
        self.found["port"].as_u64().expect("it prints its port")
    }

    /// The file with the certificate of its CA.
    pub fn ca(&self) -> &str {
        self.found["ca"].as_str().expect("it prints its CA")
    }

    /// Runs SQL as its superuser, and gives back what is printed.
    pub fn sql(&self, sql: &str) -> String {
        let client = self.found["client"].as_array().expect("it prints its client");
        let client: Vec<&str> = client.iter().filter_map(Value::as_str).collect();
        let done = Command::new(client[0]).args(&client[1..]).arg(sql).output().expect("the client starts");
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// Stops the server's process, as a machine does that hangs; `Signal::CONT` lets it go on.
    pub fn signal(&self, signal: Signal) {
        let pid = self.found["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        kill_process(pid.expect("it prints its process"), signal).expect("it runs");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.runner.stdin.take());
        let _ = self.runner.wait();
    }
}
