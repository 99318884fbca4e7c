//! A real mail server (aiosmtpd of the test bed) in the background of a test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::testbed;
use crate::wait::wait_until;

/// Takes mails without TLS and login, on loopback. Recipients that begin with `unknown` are refused.
pub struct MailServer {
    process: Child,
    port: u64,
    mails: Arc<Mutex<Vec<Value>>>,
}

impl MailServer {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// One that takes the first mail, and never answers it.
    pub fn holding_the_first() -> Self {
        Self::with(&["--hold-first"])
    }

    fn with(options: &[&str]) -> Self {
        let mut command = Command::new(testbed::installed(testbed::PYTHON));
        command.arg(testbed::script("smtp.py")).arg("--no-login").args(options).env("PYTHONDONTWRITEBYTECODE", "1");
        // It ends when its standard input does, so it never outlives the test.
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the test bed has a Python");
        let mut lines = BufReader::new(process.stdout.take().expect("it was asked for")).lines();
        let mut next = move || -> Option<Value> { serde_json::from_str(&lines.next()?.ok()?).ok() };
        let port = next().and_then(|begun| begun["port"].as_u64()).expect("smtp.py shows its port");
        let mails = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&mails);
        std::thread::spawn(move || {
            while let Some(mail) = next() {
                taken.lock().expect("nobody panics while holding it").push(mail);
            }
        });
        Self { process, port, mails }
    }

    /// `smtp://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// The mails that it has taken, with `from`, `to` and `mail`.
    pub fn mails(&self) -> Vec<Value> {
        self.mails.lock().expect("nobody panics while holding it").clone()
    }

    /// Waits until so many have come, and gives them.
    #[track_caller]
    pub fn wait_for_count(&self, count: usize) -> Vec<Value> {
        wait_until(&format!("{count} mails"), || Some(self.mails()).filter(|mails| mails.len() >= count))
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
