//! The process as the kernel sees it. What cannot be read (there is no `/proc`) is left out.

use std::fs;

use prometheus_client::{
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::table::register;

/// The unit of processor times in `/proc`: it is 100 on every Linux that Belay is built for.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn registry() -> Registry {
    let mut registry = Registry::default();
    if let Some(bytes) = resident_bytes() {
        register(&mut registry, "process_resident_memory_bytes", ConstGauge::new(bytes));
    }
    if let Some(seconds) = cpu_seconds() {
        register(&mut registry, "process_cpu_seconds_total", ConstCounter::new(seconds));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        let open = i64::try_from(open.count()).unwrap_or(i64::MAX);
        register(&mut registry, "process_open_fds", ConstGauge::new(open));
    }
    registry
}

fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the process, in parentheses, may hold spaces; user and system time are the 12th and 13th after it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let mut ticks = || times.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}
