//! One connection for each database, kept between reads and closed when nothing reads any more.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use belay_ports::Clock;
use futures::future::{join_all, select};
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard},
    task::JoinSet,
};

use super::{
    address::Address,
    connection::{Connection, Problem},
    spec::Question,
    value::Answer,
};

/// A connection that nothing was read through for so long is closed.
const IDLE: Duration = Duration::from_secs(60);

/// How long a server may take to hear that a connection is closed.
const GOODBYE: Duration = Duration::from_secs(1);

/// The connections of all signals. Whoever asks a database waits for those that ask it already: monitoring takes one
/// connection of each, and no more.
pub(super) struct Pool {
    clock: Arc<dyn Clock>,
    kept: Arc<Mutex<Kept>>,
    sweeper: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Kept {
    places: HashMap<Address, Arc<AsyncMutex<Place>>>,
    /// Whether something closes what is idle.
    swept: bool,
}

/// Nobody else asks the database as long as it is held.
pub(super) type Turn = OwnedMutexGuard<Place>;

pub(super) struct Place {
    connection: Option<Connection>,
    last_used: Duration,
}

impl Pool {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, kept: Arc::default(), sweeper: Mutex::default() }
    }

    /// Waits until nobody else asks the database.
    pub(super) async fn turn(&self, address: &Address) -> Turn {
        self.place(address).lock_owned().await
    }

    /// Asks through the kept connection, or a new one. When the caller gives up waiting, the connection is closed.
    pub(super) async fn ask(
        &self,
        place: &mut Turn,
        address: &Address,
        question: &Question,
    ) -> Result<Answer, Problem> {
        // It is put back only after a whole answer: an interrupted one leaves the connection in the middle of it.
        if let Some(mut connection) = place.connection.take() {
            let answer = connection.ask(question).await;
            // The server may have closed it since.
            if !matches!(answer, Err(Problem::Away(_))) {
                self.keep(place, connection);
                return answer;
            }
        }
        let mut connection = Connection::open(address).await?;
        let answer = connection.ask(question).await;
        if !matches!(answer, Err(Problem::Away(_))) {
            self.keep(place, connection);
        }
        answer
    }

    fn place(&self, address: &Address) -> Arc<AsyncMutex<Place>> {
        let now = self.clock.monotonic();
        let mut kept = lock(&self.kept);
        let place = kept.places.entry(address.clone());
        let place =
            Arc::clone(place.or_insert_with(|| Arc::new(AsyncMutex::new(Place { connection: None, last_used: now }))));
        if !std::mem::replace(&mut kept.swept, true) {
            let mut sweeper = self.sweeper.lock().unwrap_or_else(PoisonError::into_inner);
            while sweeper.try_join_next().is_some() {}
            sweeper.spawn(sweep(Arc::clone(&self.clock), Arc::clone(&self.kept)));
        }
        place
    }

    fn keep(&self, place: &mut Place, connection: Connection) {
        *place = Place { connection: Some(connection), last_used: self.clock.monotonic() };
    }
}

/// Closes what is idle, and ends when nothing is kept.
async fn sweep(clock: Arc<dyn Clock>, kept: Arc<Mutex<Kept>>) {
    loop {
        clock.sleep(IDLE).await;
        let now = clock.monotonic();
        let mut idle = Vec::new();
        let is_over = {
            let mut kept = lock(&kept);
            kept.places.retain(|_, place| {
                // Whoever holds it is about to use it.
                let Some(alone) = Arc::get_mut(place) else { return true };
                let place = alone.get_mut();
                let is_idle = now.saturating_sub(place.last_used) >= IDLE;
                idle.extend(place.connection.take_if(|_| is_idle));
                !is_idle
            });
            kept.swept = !kept.places.is_empty();
            kept.places.is_empty()
        };
        let goodbyes = idle.into_iter().map(|connection| select(Box::pin(connection.close()), clock.sleep(GOODBYE)));
        drop(join_all(goodbyes).await);
        if is_over {
            return;
        }
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
