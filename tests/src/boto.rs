//! AWS as boto3 sees it: a second client, independent of the one that Belay uses.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::testbed;

/// A session of `testbed/world.py` at one endpoint: an emulator, or a [`crate::Proxy`] before it.
pub struct Boto {
    session: Mutex<Session>,
}

struct Session {
    process: Child,
    // Only taken when dropped: its end is the session's.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Boto {
    /// Starts one.
    pub fn at(endpoint: &str) -> Self {
        let mut command = Command::new(testbed::installed(testbed::PYTHON));
        command.arg(testbed::script("world.py")).arg("session");
        for name in testbed::UNWANTED {
            command.env_remove(name);
        }
        command.envs(testbed::aws_environment(endpoint));
        command.env("BELAY_TESTBED", testbed::folder()).env("PYTHONDONTWRITEBYTECODE", "1");
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the test bed has a Python");
        let requests = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("it was asked for"));
        Self { session: Mutex::new(Session { process, requests, answers }) }
    }

    /// Any call, made once, without retries: its answer, or `{ error, status, message }`. The method is named as in
    /// boto3: `call("route53", "get_change", &json!({ "Id": "C1" }))`.
    #[track_caller]
    pub fn call(&self, service: &str, method: &str, arguments: &Value) -> Value {
        self.ask("call", &[service, method, &arguments.to_string()], &Value::Null)
    }

    /// Any command of `world.py`. Panics with what it says if it fails.
    #[track_caller]
    pub(crate) fn ask(&self, command: &str, arguments: &[&str], input: &Value) -> Value {
        let command = [&[command], arguments].concat();
        let answer = {
            let mut session = self.session.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let request = json!({ "command": command, "input": input });
            let requests = session.requests.as_mut().expect("it is only taken when dropped");
            writeln!(requests, "{request}").expect("world.py reads as long as it runs");
            let mut line = String::new();
            session.answers.read_line(&mut line).expect("world.py writes text");
            line
        };
        let mut answer: Value =
            serde_json::from_str(&answer).unwrap_or_else(|error| panic!("world.py {command:?}: {error}: {answer}"));
        if let Some(error) = answer["error"].as_str() {
            panic!("world.py {command:?} failed:\n{error}");
        }
        answer["ok"].take()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.requests.take());
        // It ends with its input.
        let _ = self.process.wait();
    }
}
