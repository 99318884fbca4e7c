//! What is going to happen, in the order of time.

use std::collections::BTreeMap;

use jiff::Timestamp;

#[derive(Debug, Clone)]
pub(crate) struct Agenda<E> {
    due: BTreeMap<(Timestamp, u64), E>,
    made: u64,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self { due: BTreeMap::new(), made: 0 }
    }
}

impl<E> Agenda<E> {
    /// What is due at the same time happens in the order in which it was put here.
    pub(crate) fn at(&mut self, time: Timestamp, event: E) {
        self.due.insert((time, self.made), event);
        self.made += 1;
    }

    /// The next thing that is due by now, and when it was.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<(Timestamp, E)> {
        let first = self.due.first_entry()?;
        let (time, _) = *first.key();
        (time <= now).then(|| (time, first.remove()))
    }
}
