//! The machine under the unmodified binary, when it misbehaves: its disk is full, its clock jumps. By `tests/killpoint`,
//! so that it works everywhere, whoever runs the tests.
//!
//! ```no_run
//! use belay_tests::{Belay, Machine};
//!
//! let mut belay = Belay::at("http://127.0.0.1:4566");
//! let machine = Machine::under(&mut belay, "belay.db");
//! let daemon = belay.spawn(&["serve", "--plan", "plan.yaml"]);
//! machine.fill_disk();
//! // ...
//! machine.free_disk();
//! ```

use std::fs;
use std::path::PathBuf;

use crate::belay::Belay;
use crate::killpoint;

/// For the processes that were started after it was made. All is well at first.
pub struct Machine {
    disk: PathBuf,
    clock: PathBuf,
}

impl Machine {
    /// `file`: only files whose path contains this are on the disk that fills.
    pub fn under(belay: &mut Belay, file: &str) -> Self {
        let [disk, clock] = ["fault-of-the-disk", "seconds-ahead"].map(|name| belay.folder().join(name));
        let text = |path: &PathBuf| path.to_str().expect("temporary paths are plain").to_owned();
        killpoint::preload(belay);
        belay.env("KILL_FILE", file).env("DISK_FAULT_FILE", &text(&disk)).env("CLOCK_FILE", &text(&clock));
        Self { disk, clock }
    }

    /// Nothing can be written any more.
    pub fn fill_disk(&self) {
        self.set(&self.disk, "full");
    }

    /// What is written cannot be synced any more.
    pub fn break_syncs(&self) {
        self.set(&self.disk, "sync");
    }

    /// What is written is not synced, for as long as this is so: nobody gets an answer.
    pub fn hang_disk(&self) {
        self.set(&self.disk, "hang");
    }

    /// All is well with the disk again.
    pub fn free_disk(&self) {
        // It may never have been full.
        let _ = fs::remove_file(&self.disk);
    }

    /// From now on the wall clock shows so many seconds more than the true time; the monotonic one goes on.
    pub fn set_clock_ahead(&self, seconds: i64) {
        self.set(&self.clock, &seconds.to_string());
    }

    /// At once, never half written: the process looks at any time.
    fn set(&self, path: &PathBuf, text: &str) {
        let fresh = path.with_extension("new");
        fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, path)).expect("the folder is ours");
    }
}
