//! Kills its own process at a chosen sync, so that a test can crash the unmodified binary at each journal append.
//!
//! It is preloaded (`LD_PRELOAD`) and stands before the C library's `fsync` and `fdatasync`. The environment says what
//! it does; without any of these it only passes the call on:
//!
//! | variable | meaning |
//! |---|---|
//! | `KILL_FILE` | only syncs of files whose path contains this count; unset: all |
//! | `KILL_AT_SYNC` | the number, from 1 on, of the sync at which the process dies |
//! | `KILL_BEFORE` | `1`: right before that sync; else right after it |
//! | `SYNC_COUNT_FILE` | a file to which one line is appended for each counted sync, so that its lines are the count |

#![allow(unsafe_code)] // Standing in for two functions of the C library cannot be said in safe Rust.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::raw::{c_int, c_long};
use std::sync::atomic::{AtomicU64, Ordering};

static SYNCS: AtomicU64 = AtomicU64::new(0);

/// # Safety
/// As the C library's: any number may be given, a bad one is refused by the kernel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    intercept(fd, libc::SYS_fsync)
}

/// # Safety
/// As the C library's: any number may be given, a bad one is refused by the kernel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    intercept(fd, libc::SYS_fdatasync)
}

fn intercept(fd: c_int, call: c_long) -> c_int {
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
    let path = path.to_string_lossy();
    if !std::env::var("KILL_FILE").is_ok_and(|part| !path.contains(&part)) {
        let number = SYNCS.fetch_add(1, Ordering::SeqCst) + 1;
        log(number, &path);
        let fatal = std::env::var("KILL_AT_SYNC").is_ok_and(|at| at.parse() == Ok(number));
        let before = std::env::var("KILL_BEFORE").is_ok_and(|value| value == "1");
        if fatal && before {
            die();
        }
        let answer = sync(fd, call);
        if fatal {
            die();
        }
        return answer;
    }
    sync(fd, call)
}

fn sync(fd: c_int, call: c_long) -> c_int {
    // SAFETY: the two calls take one number and touch no memory of ours. `syscall` sets errno as the originals do.
    unsafe { libc::syscall(call, fd) as c_int }
}

fn log(number: u64, path: &str) {
    let Ok(file) = std::env::var("SYNC_COUNT_FILE") else { return };
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(file) {
        // A failed line is noticed by the test, which then counts too few.
        let _ = writeln!(file, "{number} {path}");
    }
}

fn die() -> ! {
    // SAFETY: sends a signal to ourselves. Nothing is unwound and nothing flushed: that is the point.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    loop {
        std::hint::spin_loop();
    }
}
