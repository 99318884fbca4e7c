//! What follows the journal as it grows: every record of every migration, in the order in which it became durable.
//!
//! Readers pull. Each record is read and put into its frame once for all who are near the end, and what they share is
//! bounded; who is further behind reads the journal, a page at a time. So nobody who reads slowly holds anybody up, and
//! however many read, the journal is asked by one at a time.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex as StdMutex, PoisonError},
};

use belay_ports::{Journal, ReadFailure};
use tokio::sync::Mutex;

use super::frame::{Cursor, Frame};

/// Records of one read of the journal.
const PAGE: usize = 64;
/// Records that are kept for those who are near the end, and the bytes they may have together.
const RECENT_MAX: usize = 1024;
const RECENT_BYTES_MAX: usize = 1 << 20;
/// How many may read at once. Each holds a connection and up to a page.
pub(crate) const READERS_MAX: usize = 256;
/// And how many of them one person may have: whoever leaves connections open shuts nobody else out.
pub(crate) const READERS_OF_ONE: usize = 128;

/// Why nobody can read on from a cursor.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CursorError {
    #[error("it is ahead of this journal, whose last record has the position {head}")]
    Ahead { head: u64 },
    #[error("this journal has another record at the position {position}")]
    OfAnother { position: u64 },
    #[error(transparent)]
    Unreadable(#[from] ReadFailure),
}

pub(crate) struct Feed {
    journal: Arc<dyn Journal>,
    recent: Mutex<Recent>,
    readers: Readers,
}

/// The frames of all records behind a position, up to some end.
#[derive(Default)]
struct Recent {
    after: u64,
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
}

/// How many follow, by the name of who was let in.
type Readers = Arc<StdMutex<BTreeMap<String, usize>>>;

/// Given back when it is dropped.
pub(crate) struct ReaderPlace {
    readers: Readers,
    who: String,
}

impl Drop for ReaderPlace {
    fn drop(&mut self) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = readers.get_mut(&self.who) {
            *own -= 1;
        }
        readers.retain(|_, own| *own > 0);
    }
}

/// Which places are all taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    OfAll,
    OfOne,
}

impl Feed {
    pub(crate) fn new(journal: Arc<dyn Journal>) -> Self {
        Self { journal, recent: Mutex::default(), readers: Arc::default() }
    }

    /// A place among the readers, while there is one for whoever asks. `most`: of one person.
    ///
    /// # Errors
    /// Which places are all taken.
    pub(crate) fn admit(&self, who: &str, most: usize) -> Result<ReaderPlace, Full> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.values().sum::<usize>() >= READERS_MAX {
            return Err(Full::OfAll);
        }
        let own = readers.entry(who.to_owned()).or_default();
        if *own >= most {
            return Err(Full::OfOne);
        }
        *own += 1;
        Ok(ReaderPlace { readers: self.readers.clone(), who: who.to_owned() })
    }

    /// The cursor of the last record.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(crate) async fn now(&self) -> Result<Cursor, ReadFailure> {
        let found = self.at(self.journal.head()).await?;
        Ok(found.map_or_else(Cursor::beginning, |frame| frame.cursor.clone()))
    }

    /// Whether a cursor is one of this journal.
    ///
    /// # Errors
    /// [`CursorError`] when it is not, or when that cannot be found out.
    pub(crate) async fn verify(&self, cursor: &Cursor) -> Result<(), CursorError> {
        let (position, head) = (cursor.position(), self.journal.head());
        if position > head {
            return Err(CursorError::Ahead { head });
        }
        let found = self.at(position).await?;
        match position == 0 || found.is_some_and(|frame| frame.cursor == *cursor) {
            true => Ok(()),
            false => Err(CursorError::OfAnother { position }),
        }
    }

    /// The next frames behind a position; waits until there is one.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(crate) async fn next(&self, position: u64) -> Result<Vec<Arc<Frame>>, ReadFailure> {
        self.journal.grown(position).await;
        self.behind(position).await
    }

    async fn at(&self, position: u64) -> Result<Option<Arc<Frame>>, ReadFailure> {
        let Some(before) = position.checked_sub(1) else { return Ok(None) };
        let found = self.behind(before).await?.into_iter().next();
        Ok(found.filter(|frame| frame.cursor.position() == position))
    }

    /// Up to a page of what is behind a position now.
    async fn behind(&self, position: u64) -> Result<Vec<Arc<Frame>>, ReadFailure> {
        // Held while the journal is read: one page at a time, whoever asks.
        let mut recent = self.recent.lock().await;
        if (recent.after..recent.end()).contains(&position) {
            return Ok(recent.behind(position));
        }
        let placed = self.journal.across(position + 1, PAGE).await?;
        let frames: Vec<Arc<Frame>> = placed.iter().map(|placed| Arc::new(Frame::new(placed))).collect();
        // Who is far behind must not push out what the others share.
        if position >= recent.end() {
            recent.extend(position, &frames);
        }
        Ok(frames)
    }
}

impl Recent {
    fn end(&self) -> u64 {
        self.frames.back().map_or(self.after, |frame| frame.cursor.position())
    }

    fn behind(&self, position: u64) -> Vec<Arc<Frame>> {
        let first = self.frames.partition_point(|frame| frame.cursor.position() <= position);
        self.frames.range(first..).take(PAGE).cloned().collect()
    }

    /// Takes up what is behind a position at or after the end; a gap between makes what it had useless.
    fn extend(&mut self, position: u64, frames: &[Arc<Frame>]) {
        if position > self.end() {
            *self = Self { after: position, ..Self::default() };
        }
        self.bytes += frames.iter().map(|frame| frame.data.len()).sum::<usize>();
        self.frames.extend(frames.iter().cloned());
        while (self.frames.len() > RECENT_MAX || self.bytes > RECENT_BYTES_MAX)
            && let Some(oldest) = self.frames.pop_front()
        {
            self.bytes -= oldest.data.len();
            self.after = oldest.cursor.position();
        }
    }
}

#[cfg(test)]
mod tests {
    use belay_core::event::Event;
    use belay_journal::MemoryJournal;
    use belay_ports::{AppendError, Fut, NewRecord, Placed};
    use jiff::Timestamp;

    use super::*;

    async fn append(journal: &dyn Journal, count: u64, bytes: usize) {
        let record = || {
            let event = Event::Disarmed { why: "x".repeat(bytes) };
            NewRecord { at: Timestamp::UNIX_EPOCH, actor: "ana".to_owned(), event }
        };
        journal.append("s", journal.head(), (0..count).map(|_| record()).collect()).await.expect("it takes them");
    }

    /// Readers at every distance from the end, in an order that mixes them, while the journal grows.
    #[tokio::test]
    async fn what_is_shared_is_bounded_and_the_same_for_all() {
        let journal = Arc::new(MemoryJournal::default());
        let feed = Feed::new(journal.clone());
        let mut readers = [0_u64; 7];
        for turn in 0..60 {
            append(journal.as_ref(), 50, if turn % 3 == 0 { 2_500 } else { 10 }).await;
            for (number, position) in readers.iter_mut().enumerate() {
                // The first reads all there is each time; the others ever more rarely.
                while *position < journal.head() && (number == 0 || turn % (number * 5) == 0) {
                    let frames = feed.next(*position).await.unwrap();
                    let found: Vec<u64> = frames.iter().map(|frame| frame.cursor.position()).collect();
                    assert!(found.iter().copied().eq(*position + 1..=*position + found.len() as u64), "{found:?}");
                    *position += found.len() as u64;
                }
            }
            let recent = feed.recent.lock().await;
            assert!(recent.frames.len() <= RECENT_MAX && recent.bytes <= RECENT_BYTES_MAX);
            assert!(turn < 30 || recent.after > 0, "something was let go");
            assert_eq!(recent.bytes, recent.frames.iter().map(|frame| frame.data.len()).sum::<usize>());
        }
        assert_eq!(readers[0], 3_000);
    }

    #[test]
    fn one_person_does_not_take_all_places() {
        let feed = Feed::new(Arc::new(Broken));
        let mut places: Vec<_> = (0..READERS_OF_ONE).map(|_| feed.admit("ana", READERS_OF_ONE).ok().unwrap()).collect();
        assert_eq!(feed.admit("ana", READERS_OF_ONE).err(), Some(Full::OfOne));
        places.extend((READERS_OF_ONE..READERS_MAX).map(|_| feed.admit("bob", READERS_OF_ONE).ok().unwrap()));
        assert_eq!(feed.admit("cem", READERS_OF_ONE).err(), Some(Full::OfAll));
        places.remove(0);
        feed.admit("cem", READERS_OF_ONE).ok().unwrap();
        drop(places);
        assert!(feed.readers.lock().unwrap().is_empty(), "nothing is kept of who has gone");
    }

    /// A journal that grows, and of which nothing can be read.
    struct Broken;

    impl Journal for Broken {
        fn append<'a>(
            &'a self,
            _: &'a str,
            _: u64,
            _: Vec<NewRecord>,
        ) -> Fut<'a, Result<Vec<belay_core::event::Record>, AppendError>> {
            Box::pin(async { Ok(Vec::new()) })
        }

        fn read<'a>(&'a self, _: &'a str, _: u64) -> Fut<'a, Result<Vec<belay_core::event::Record>, ReadFailure>> {
            Box::pin(async { Ok(Vec::new()) })
        }

        fn page<'a>(
            &'a self,
            _: &'a str,
            _: u64,
            _: usize,
        ) -> Fut<'a, Result<Vec<belay_core::event::Record>, ReadFailure>> {
            Box::pin(async { Ok(Vec::new()) })
        }

        fn snapshot<'a>(&'a self, _: &'a str) -> Fut<'a, Result<Option<belay_ports::Snapshot>, ReadFailure>> {
            Box::pin(async { Ok(None) })
        }

        fn keep_snapshot<'a>(&'a self, _: &'a str, _: belay_ports::Snapshot) -> Fut<'a, Result<(), ReadFailure>> {
            Box::pin(async { Ok(()) })
        }

        fn streams<'a>(&'a self) -> Fut<'a, Result<Vec<String>, ReadFailure>> {
            Box::pin(async { Ok(Vec::new()) })
        }

        fn across<'a>(&'a self, _: u64, _: usize) -> Fut<'a, Result<Vec<Placed>, ReadFailure>> {
            Box::pin(async { Err(ReadFailure::Unreadable { why: "the disk is gone".to_owned() }) })
        }

        fn head(&self) -> u64 {
            1
        }

        fn grown<'a>(&'a self, _: u64) -> Fut<'a, ()> {
            Box::pin(async {})
        }

        fn check<'a>(&'a self) -> Fut<'a, Result<(), ReadFailure>> {
            Box::pin(async { Ok(()) })
        }

        fn advance<'a>(
            &'a self,
            from: &'a belay_ports::Head,
            _: u64,
        ) -> Fut<'a, Result<belay_ports::Head, ReadFailure>> {
            Box::pin(async { Ok(from.clone()) })
        }

        fn rescue<'a>(&'a self) -> Fut<'a, Result<belay_ports::Rescued, ReadFailure>> {
            Box::pin(async { Err(ReadFailure::Unreadable { why: "the disk is gone".to_owned() }) })
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_an_error_for_everybody() {
        let feed = Feed::new(Arc::new(Broken));
        assert!(feed.now().await.is_err());
        assert!(feed.next(0).await.is_err());
        assert!(matches!(
            feed.verify(&Cursor::parse("1-abcdefabcdef").unwrap()).await,
            Err(CursorError::Unreadable(_))
        ));
    }
}
