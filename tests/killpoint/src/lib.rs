//! Goes wrong below the unmodified binary: kills its process at a chosen sync, fills its disk, moves its clock.
//!
//! It is preloaded (`LD_PRELOAD`) and stands before some functions of the C library. The environment says what it does;
//! without any of these it only passes the calls on:
//!
//! | variable | meaning |
//! |---|---|
//! | `KILL_FILE` | only syncs and writes of files whose path contains this count; unset: all |
//! | `KILL_AT_SYNC` | the number, from 1 on, of the sync at which the process dies |
//! | `KILL_BEFORE` | `1`: right before that sync; else right after it |
//! | `SYNC_COUNT_FILE` | a file to which one line is appended for each counted sync, so that its lines are the count |
//! | `DISK_FAULT_FILE` | while this file exists: `full` in it, no write gets through for want of space; `sync`, every sync fails; `hang`, no sync ends |
//! | `CLOCK_FILE` | a file with so many seconds, which the wall clock is ahead |

#![allow(unsafe_code)] // Standing in for functions of the C library cannot be said in safe Rust.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::raw::{c_int, c_long, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libc::{clockid_t, off_t, size_t, ssize_t, timespec};

/// How often a sync that hangs looks whether it still does.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

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

/// # Safety
/// As the C library's: `count` bytes can be read at `data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, data: *const c_void, count: size_t) -> ssize_t {
    if meets(fd, "full") {
        return fail(libc::ENOSPC);
    }
    // SAFETY: what we were given is passed on.
    unsafe { libc::syscall(libc::SYS_write, fd, data, count) as ssize_t }
}

/// # Safety
/// As the C library's: `count` bytes can be read at `data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(fd: c_int, data: *const c_void, count: size_t, offset: off_t) -> ssize_t {
    if meets(fd, "full") {
        return fail(libc::ENOSPC);
    }
    // SAFETY: what we were given is passed on.
    unsafe { libc::syscall(libc::SYS_pwrite64, fd, data, count, offset) as ssize_t }
}

/// # Safety
/// As the C library's: `count` bytes can be read at `data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(fd: c_int, data: *const c_void, count: size_t, offset: off_t) -> ssize_t {
    // SAFETY: it is the same function on systems whose offsets have 64 bits.
    unsafe { pwrite(fd, data, count, offset) }
}

/// # Safety
/// As the C library's: a timespec can be written at `time`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    // SAFETY: what we were given is passed on, and what was written there is ours to change.
    unsafe {
        let answer = libc::syscall(libc::SYS_clock_gettime, clock, time) as c_int;
        if answer == 0 && clock == libc::CLOCK_REALTIME {
            (*time).tv_sec += ahead_s();
        }
        answer
    }
}

/// How far the wall clock is ahead. Nothing in here may ask for the time.
fn ahead_s() -> i64 {
    static FILE: OnceLock<Option<String>> = OnceLock::new();
    let file = FILE.get_or_init(|| std::env::var("CLOCK_FILE").ok());
    let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Whether a file meets this fault of its disk now.
fn meets(fd: c_int, fault: &str) -> bool {
    static FILE: OnceLock<Option<String>> = OnceLock::new();
    let file = FILE.get_or_init(|| std::env::var("DISK_FAULT_FILE").ok());
    let now = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    now.is_some_and(|now| now.trim() == fault) && is_meant(&path(fd))
}

fn fail(error: c_int) -> ssize_t {
    // SAFETY: the C library gives each thread an errno of its own.
    unsafe { *libc::__errno_location() = error };
    -1
}

fn path(fd: c_int) -> String {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default().to_string_lossy().into_owned()
}

fn is_meant(path: &str) -> bool {
    !std::env::var("KILL_FILE").is_ok_and(|part| !path.contains(&part))
}

#[expect(clippy::disallowed_methods, reason = "to hang is itself what befalls the process")]
fn intercept(fd: c_int, call: c_long) -> c_int {
    if meets(fd, "sync") {
        return fail(libc::EIO) as c_int;
    }
    while meets(fd, "hang") {
        std::thread::sleep(LOOK_AGAIN);
    }
    let path = path(fd);
    if is_meant(&path) {
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
