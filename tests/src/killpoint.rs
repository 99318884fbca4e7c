//! Crashing the unmodified binary at a chosen journal append: builds `tests/killpoint` and sets up its environment.
//!
//! ```no_run
//! use belay_tests::{Belay, KillPoint};
//!
//! # let endpoint = "";
//! // How many syncs does this run make?
//! let mut belay = Belay::at(endpoint);
//! let counter = KillPoint::count("belay.db");
//! counter.prepare(&mut belay);
//! belay.run(&["run", "plan.yaml", "--reason", "test"]);
//!
//! // Crash at each of them.
//! for n in 1..=counter.syncs(&belay) {
//!     let mut belay = Belay::at(endpoint);
//!     KillPoint::after("belay.db", n).prepare(&mut belay);
//!     assert_eq!(belay.run(&["run", "plan.yaml", "--reason", "test"]).code, 137);
//!     KillPoint::disarm(&mut belay); // the next start is left alone
//! }
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::belay::{Belay, target_folder};

const COUNT_FILE: &str = "syncs.log";

/// At which sync of which file a process dies. SQLite syncs its `-wal` file once a commit, and its other files when it
/// creates the database and at checkpoints: name `belay.db-wal` to meet the commits only.
///
/// What a killed process has written survives in the system's cache, synced or not: `before` is the crash of a process
/// that was never told, not the loss of power.
pub struct KillPoint {
    file: String,
    at: Option<(u64, bool)>,
}

impl KillPoint {
    /// Dies right after the n-th sync, from 1 on, of files whose path contains `file`: what was appended is durable,
    /// and nobody has heard of it.
    pub fn after(file: &str, n: u64) -> Self {
        Self { file: file.to_owned(), at: Some((n, false)) }
    }

    /// Dies right before it.
    pub fn before(file: &str, n: u64) -> Self {
        Self { file: file.to_owned(), at: Some((n, true)) }
    }

    /// Never dies, only counts; see [`KillPoint::syncs`].
    pub fn count(file: &str) -> Self {
        Self { file: file.to_owned(), at: None }
    }

    /// Sets it up for the processes that `belay` starts from now on. The count begins anew.
    pub fn prepare(&self, belay: &mut Belay) {
        Self::disarm(belay);
        let count_file = belay.folder().join(COUNT_FILE);
        if count_file.exists() {
            std::fs::remove_file(&count_file).expect("the folder is ours");
        }
        let count_file = count_file.to_str().expect("temporary paths are plain").to_owned();
        preload(belay);
        belay.env("KILL_FILE", &self.file).env("SYNC_COUNT_FILE", &count_file);
        if let Some((n, before)) = self.at {
            belay.env("KILL_AT_SYNC", &n.to_string()).env("KILL_BEFORE", if before { "1" } else { "0" });
        }
    }

    /// Leaves the processes that `belay` starts from now on alone.
    pub fn disarm(belay: &mut Belay) {
        for name in ["LD_PRELOAD", "KILL_FILE", "KILL_AT_SYNC", "KILL_BEFORE", "SYNC_COUNT_FILE"] {
            belay.env_remove(name);
        }
    }

    /// How many syncs there were since [`KillPoint::prepare`].
    pub fn syncs(&self, belay: &Belay) -> u64 {
        let lines = std::fs::read_to_string(belay.folder().join(COUNT_FILE)).unwrap_or_default();
        lines.lines().count() as u64
    }
}

/// For the processes that `belay` starts from now on; see `tests/killpoint` for what else it is told.
pub(crate) fn preload(belay: &mut Belay) {
    let library = library().to_str().expect("the target folder has a plain path");
    belay.env("LD_PRELOAD", library);
}

/// The library, built when it is first needed: cargo does not build a C library for the tests of another crate.
/// It has a target folder of its own, so as not to wait for a build that runs there.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let target = target_folder().join("killpoint");
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("killpoint/Cargo.toml");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(&target);
        let built = cargo.status().expect("cargo runs the tests, so it is there");
        assert!(built.success(), "belay-killpoint does not build");
        target.join("debug/libbelay_killpoint.so")
    })
}
