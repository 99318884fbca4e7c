//! How long RDS takes for everything. The defaults are those of a small database on a good day.

use std::time::Duration;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// Until something new is listed.
    pub listed: Duration,
    pub restore: Duration,
    pub restore_cluster: Duration,
    pub create_member: Duration,
    /// The first automated backup, which RDS takes right after a restore.
    pub backup: Duration,
    /// The status stays `available` for so long after a modification was accepted (the Terraform provider's waiters begin
    /// with a delay of 30 s for it).
    pub begins: Duration,
    pub modify: Duration,
    /// Settings that are never pending show as soon as they are accepted, before the status changes; else at the end.
    pub shows_first: bool,
    pub upgrade: Duration,
    /// In the background: the database is usable meanwhile.
    pub optimize_storage: Duration,
    /// Until settings show that are never pending: monitoring, Performance Insights, the maintenance window.
    pub settings_show: Duration,
    /// For so long after such settings RDS refuses every modification.
    pub configuring: Duration,
    pub renaming: Duration,
    /// In a rename: listed under neither name.
    pub rename_gap: Duration,
    /// After a rename: until another database may have the old name.
    pub name_freed: Duration,
    /// After a rename: until calls find the new name that lists already show.
    pub spread: Duration,
    /// After a rename: until the new name is in the DNS. The old one leaves it at once.
    pub resolvable: Duration,
    pub reboot: Duration,
    pub start: Duration,
    /// From an accepted failover, reboot or start to the moment at which it shows.
    pub failover_shows: Duration,
    pub failover: Duration,
    /// After a failover: until another one is taken.
    pub failover_again: Duration,
    /// After a reboot with failover: until the zones show.
    pub zone_shows: Duration,
    /// From an accepted backtrack to the moment at which it is listed.
    pub backtrack_shows: Duration,
    pub backtrack: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            listed: seconds(3),
            restore: minutes(12),
            restore_cluster: minutes(8),
            create_member: minutes(6),
            backup: minutes(3),
            begins: seconds(25),
            modify: minutes(4),
            shows_first: false,
            upgrade: minutes(20),
            optimize_storage: minutes(6 * 60),
            settings_show: seconds(50),
            configuring: minutes(4),
            renaming: seconds(20),
            rename_gap: seconds(15),
            name_freed: seconds(10),
            spread: seconds(5),
            resolvable: seconds(40),
            reboot: seconds(60),
            start: minutes(6),
            failover_shows: seconds(4),
            failover: seconds(35),
            failover_again: seconds(60),
            zone_shows: seconds(90),
            backtrack_shows: seconds(4),
            backtrack: seconds(150),
        }
    }
}

impl Pace {
    /// Everything so many times as fast: for true time.
    #[must_use]
    pub fn faster(mut self, factor: u32) -> Self {
        for time in [
            &mut self.listed,
            &mut self.restore,
            &mut self.restore_cluster,
            &mut self.create_member,
            &mut self.backup,
            &mut self.begins,
            &mut self.modify,
            &mut self.upgrade,
            &mut self.optimize_storage,
            &mut self.settings_show,
            &mut self.configuring,
            &mut self.renaming,
            &mut self.rename_gap,
            &mut self.name_freed,
            &mut self.spread,
            &mut self.resolvable,
            &mut self.reboot,
            &mut self.start,
            &mut self.failover_shows,
            &mut self.failover,
            &mut self.failover_again,
            &mut self.zone_shows,
            &mut self.backtrack_shows,
            &mut self.backtrack,
        ] {
            *time /= factor;
        }
        self
    }
}
