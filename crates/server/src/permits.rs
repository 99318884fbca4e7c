//! What plans may do beyond AWS: the lists of the configuration, and what of a plan they do not have.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::{fs::Metadata, path::Path};

use belay_channels::Channels;
use belay_local::permit::{self, Reach};
use belay_plan::model::Plan;
use belay_probes::Probes;

use crate::daemon::Daemon;

/// What a plan does beyond AWS: which secrets it sends where, which hosts it asks, which programs it runs.
pub fn reaches(plan: &Plan) -> Vec<Reach> {
    let probes = Probes::reaches(plan).into_iter();
    probes.chain(permit::commands(plan)).chain(Channels::reaches(&plan.notify)).collect()
}

impl Daemon {
    /// Whether the configuration permits everything that a plan does.
    ///
    /// # Errors
    /// The first thing that it does not.
    pub(crate) fn judge(&self, plan: &Plan) -> Result<(), String> {
        reaches(plan).iter().try_for_each(|reach| self.config().permits.judge(reach))
    }

    /// The same where nobody has asked for it: `arm: on_start`.
    ///
    /// # Errors
    /// The first thing that it does not permit.
    pub(crate) fn judge_unasked(&self, plan: &Plan) -> Result<(), String> {
        reaches(plan).iter().try_for_each(|reach| self.config().permits.judge_unasked(reach))
    }
}

/// Who else than root and the user of Belay can write to a plan file, if anybody can.
pub(crate) fn others(metadata: &Metadata) -> Option<String> {
    let (owner, own) = (metadata.uid(), rustix::process::geteuid().as_raw());
    let mode = metadata.permissions().mode();
    match () {
        () if mode & 0o002 != 0 => Some("everybody on this host".to_owned()),
        () if owner != 0 && owner != own => Some(format!("the user {owner}")),
        () if mode & 0o020 != 0 => Some(format!("the group {}", metadata.gid())),
        () => None,
    }
}

/// Whether everybody on this host can replace a file: by writing to it, or by its folder.
pub(crate) fn is_everybodys(path: &Path, metadata: &Metadata) -> bool {
    const STICKY: u32 = 0o1000;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.metadata().map_or(0, |found| found.permissions().mode());
    metadata.permissions().mode() & 0o002 != 0 || (folder & 0o002 != 0 && folder & STICKY == 0)
}
