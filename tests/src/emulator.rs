//! AWS emulators that somebody else wrote, each on a loopback port of its own.

use std::fs::{File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::http::http_get;
use crate::testbed;
use crate::wait::{wait_until, wait_until_within};

/// A port that was free can be taken by another test before the emulator binds it.
const START_ATTEMPTS: usize = 3;
/// The keeper gives databases five seconds to leave.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// A running emulator. Dropping it stops it and its databases, and removes its folder.
pub struct Emulator {
    keeper: Child,
    folder: TempDir,
    url: String,
}

impl Emulator {
    /// fakecloud: the most faithful. RDS instances are PostgreSQL servers on loopback, with rows that move; targets on
    /// loopback are really probed; changes of Route 53 are pending for a second.
    pub fn fakecloud() -> Self {
        Self::start("/_fakecloud/health", |port, folder| {
            let mut command = keeper(folder, testbed::FAKECLOUD);
            command
                .env("FAKECLOUD_ADDR", format!("127.0.0.1:{port}"))
                .env("FAKECLOUD_REGION", testbed::REGION)
                .env("FAKECLOUD_CONTAINER_CLI", testbed::script("pgdocker"))
                .env("PGDOCKER_STATE", folder.path());
            command
        })
    }

    /// moto: broad, and at once. It does not speak the CBOR of the Rust SDK for CloudWatch.
    pub fn moto() -> Self {
        Self::start("/moto-api/data.json", |port, folder| {
            let mut command = keeper(folder, testbed::MOTO);
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            command
        })
    }

    /// Where it listens, as for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn start(health: &str, command: impl Fn(u16, &TempDir) -> Command) -> Self {
        for _ in 0..START_ATTEMPTS {
            let folder = tempfile::Builder::new().prefix("belay-emulator-").tempdir().expect("a temporary folder");
            // The databases may run as another user, who must be able to reach their folders in here.
            std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).expect("it is our own folder");
            let port = free_port();
            let log = File::create(folder.path().join("log")).expect("the folder is fresh");
            let keeper = command(port, &folder)
                .stdin(Stdio::piped())
                .stdout(log.try_clone().expect("an open file can be duplicated"))
                .stderr(log)
                .spawn()
                .expect("the keeper is a script in this checkout");
            let mut emulator = Self { keeper, folder, url: format!("http://127.0.0.1:{port}") };
            let up = wait_until(&format!("{} to be ready", emulator.url), || {
                if emulator.keeper.try_wait().expect("it is our child").is_some() {
                    return Some(false);
                }
                http_get(&format!("{}{health}", emulator.url)).is_ok_and(|answer| answer.status == 200).then_some(true)
            });
            if up {
                return emulator;
            }
            assert!(emulator.log().contains("in use"), "the emulator ended at once:\n{}", emulator.log());
        }
        panic!("no free port in {START_ATTEMPTS} attempts");
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // The keeper sees the end of its standard input, and cleans up.
        drop(self.keeper.stdin.take());
        if std::thread::panicking() {
            // A second panic would abort before the first one is told; the keeper finishes by itself.
            let _ = self.keeper.wait();
        } else {
            wait_until_within(STOP_PATIENCE, "the emulator to stop", || {
                self.keeper.try_wait().expect("it is our child")
            });
        }
    }
}

fn keeper(folder: &TempDir, program: &str) -> Command {
    let mut command = Command::new(testbed::script("keeper"));
    command.arg(folder.path()).arg(testbed::installed(program));
    command.env("BELAY_TESTBED", testbed::folder()).env("PYTHONDONTWRITEBYTECODE", "1");
    for name in testbed::UNWANTED {
        command.env_remove(name);
    }
    // An interrupt from the terminal must not reach the keeper: it is the one that cleans up.
    command.process_group(0);
    command
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}
