//! What was sent so far, and how long ago.

use std::time::Duration;

use belay_core::change::{Assessment, Outcome, Progress, Receipt, Report, Sent as Send, SentOutcome};
use belay_plan::duration::format as duration_format;
use jiff::Timestamp;

/// The sends of a step, as of one look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) sends: &'a [Send],
    pub(super) receipts: &'a [Receipt],
    pub(super) looked: Timestamp,
}

impl Sent<'_> {
    fn receipt(&self, change: &str) -> Option<&Receipt> {
        self.receipts.iter().rev().find(|receipt| receipt.change == change)
    }

    /// When AWS accepted a change.
    pub(super) fn at(&self, change: &str) -> Option<Timestamp> {
        self.receipt(change).map(|receipt| receipt.at)
    }

    /// The same, if that is so short ago that its effect may still come.
    pub(super) fn recently(&self, change: &str, within: Duration) -> Option<Timestamp> {
        self.at(change).filter(|at| self.looked < *at + within)
    }

    /// Whether a change was sent so short ago that it may be under way: accepted, or its answer was lost. Where the resource is
    /// listed under neither name, only this tells a rename under way from a database that is gone.
    pub(super) fn perhaps(&self, change: &str, within: Duration) -> bool {
        self.sends.iter().any(|sent| {
            sent.change == change
                && !matches!(sent.outcome, SentOutcome::Declined { .. })
                && self.looked < sent.at + within
        })
    }

    /// The same of a change or of that of a member, whose id begins so: `rename_restored:shop-1`.
    pub(super) fn perhaps_any(&self, change: &str, within: Duration) -> bool {
        let changes = self.sends.iter().map(|sent| sent.change.as_str());
        let is_it = |sent: &&str| sent.split_once(':').map_or(*sent, |(change, _)| change) == change;
        changes.filter(is_it).any(|change| self.perhaps(change, within))
    }

    /// Whether anything was accepted within this time, or may have been.
    pub(super) fn lately(&self, within: Duration) -> bool {
        self.perhaps_sent().any(|(_, at)| self.looked < at + within)
    }

    /// When a change of one of these kinds was last accepted, or may have been: `carry` is also `carry:shop-1`.
    pub(super) fn last_of(&self, kinds: &[&str]) -> Option<Timestamp> {
        let of_kind = |change: &str| kinds.contains(&change.split_once(':').map_or(change, |(kind, _)| kind));
        self.perhaps_sent().filter(|(change, _)| of_kind(change)).map(|(_, at)| at).max()
    }

    fn perhaps_sent(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        let sends = self.sends.iter().filter(|sent| !matches!(sent.outcome, SentOutcome::Declined { .. }));
        let receipts = self.receipts.iter().map(|receipt| (receipt.change.as_str(), receipt.at));
        sends.map(|sent| (sent.change.as_str(), sent.at)).chain(receipts)
    }

    /// Waits for what was accepted at `began`. `percent`: how far it is, where AWS tells.
    pub(super) fn settling(
        &self,
        began: Option<Timestamp>,
        expected: Duration,
        percent: Option<u8>,
        note: String,
    ) -> Assessment {
        let fraction = percent.map(|percent| f64::from(percent) / 100.0);
        let Some(gone) = began.map(|began| self.looked.duration_since(began).unsigned_abs()) else {
            return Assessment::Settling(Progress { fraction, note, expected_left_s: None });
        };
        let gone = Duration::from_secs(gone.as_secs());
        Assessment::Settling(Progress {
            fraction,
            note: format!("{note} ({} of about {})", duration_format(gone), duration_format(expected)),
            expected_left_s: Some(expected.saturating_sub(gone).as_secs()),
        })
    }
}

/// Waits for what nobody knows the time of.
pub(super) fn settling(note: String) -> Assessment {
    Assessment::Settling(Progress { fraction: None, note, expected_left_s: None })
}

/// The target holds, and the record says where the restored database answers: nobody else would.
pub(super) fn answering(name: &str, endpoint: Option<&str>) -> Assessment {
    let endpoint = endpoint.unwrap_or("an endpoint that RDS does not tell");
    reporting(format!("{name} answers at {endpoint}"))
}

/// The target holds, with something for the record.
pub(super) fn reporting(output: String) -> Assessment {
    Assessment::Over(Outcome { failure: None, report: Report { output, logs: String::new() } })
}

pub(super) fn failed(why: String) -> Assessment {
    Assessment::Failed { why }
}
