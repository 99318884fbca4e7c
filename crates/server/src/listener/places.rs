//! Who has a place. A connection *waits* as long as no request of it is being answered: before its first whole request, and between
//! two of them. Who waits is closed as soon as the place is needed; who is being answered keeps the place to the end.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What is told of connections that were closed is told once in this time: a log that is flooded helps nobody.
const TELL_PAUSE: Duration = Duration::from_secs(60);

/// How many have a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// In all.
    pub(super) connections: usize,
    pub(super) answered: usize,
    /// Of those that are answered. What comes from one address leaves room for others.
    pub(super) answered_from_one_place: usize,
}

pub(super) struct Places {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Counts connections, and the moments at which one begins to wait.
    count: u64,
    waiting: BTreeMap<u64, Waiting>,
    answered: BTreeMap<IpAddr, usize>,
    told: Option<Instant>,
}

struct Waiting {
    from: IpAddr,
    /// Whether it has ever sent a whole request.
    asked: bool,
    since: u64,
    close: CancellationToken,
}

impl Places {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, state: Mutex::default() })
    }

    /// What is counted is changed whole or not at all, so a panic elsewhere has not spoilt it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, id: u64, from: IpAddr, asked: bool, close: CancellationToken) {
        let mut state = self.lock();
        if state.waiting.len() + state.answered_in_all() >= self.limits.connections {
            state.close_one();
        }
        state.count += 1;
        let since = state.count;
        state.waiting.insert(id, Waiting { from, asked, since, close });
    }
}

impl State {
    fn answered_in_all(&self) -> usize {
        self.answered.values().sum()
    }

    /// Closes the connection that has the least right to its place: of the address with the most of them, one that has never
    /// sent a request, and of these the oldest.
    fn close_one(&mut self) {
        let mut places: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for waiting in self.waiting.values() {
            *places.entry(waiting.from).or_default() += 1;
        }
        let least_right = |waiting: &Waiting| (usize::MAX - places[&waiting.from], waiting.asked, waiting.since);
        let Some((&id, _)) = self.waiting.iter().min_by_key(|(_, waiting)| least_right(waiting)) else { return };
        let Some(closed) = self.waiting.remove(&id) else { return };
        closed.close.cancel();
        if self.told.is_none_or(|told| told.elapsed() >= TELL_PAUSE) {
            self.told = Some(Instant::now());
            tracing::warn!(
                from = %closed.from,
                "too many connections are open; of those without a request the oldest are closed to let others in: look for a \
                 client that opens connections and sends nothing"
            );
        }
    }
}

/// One connection.
pub(crate) struct Visit {
    places: Arc<Places>,
    id: u64,
    peer: IpAddr,
    close: CancellationToken,
}

impl Visit {
    pub(super) fn begin(places: &Arc<Places>, peer: IpAddr) -> Arc<Self> {
        let id = {
            let mut state = places.lock();
            state.count += 1;
            state.count
        };
        let visit = Self { places: places.clone(), id, peer: peer.to_canonical(), close: CancellationToken::new() };
        places.wait(id, network(peer), false, visit.close.clone());
        Arc::new(visit)
    }

    /// The address at the other end: of a client, or of a proxy.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Comes to an end when the place is needed for somebody else.
    pub(super) async fn closed(&self) {
        self.close.cancelled().await;
    }

    /// A place for a whole request, for as long as it is being answered; `client` is who has sent it.
    ///
    /// # Errors
    /// All places are taken, or those for one address.
    pub(crate) fn answer(self: &Arc<Self>, client: IpAddr) -> Result<Answering, Full> {
        let client = network(client);
        let limits = self.places.limits;
        let mut state = self.places.lock();
        if state.answered_in_all() >= limits.answered {
            return Err(Full { most: limits.answered, from_one_place: false });
        }
        let count = state.answered.entry(client).or_default();
        if *count >= limits.answered_from_one_place {
            return Err(Full { most: *count, from_one_place: true });
        }
        *count += 1;
        state.waiting.remove(&self.id);
        Ok(Answering { visit: self.clone(), client })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.places.lock().waiting.remove(&self.id);
    }
}

/// No place is free for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) most: usize,
    pub(crate) from_one_place: bool,
}

/// A request that is being answered.
pub(crate) struct Answering {
    visit: Arc<Visit>,
    client: IpAddr,
}

impl Drop for Answering {
    fn drop(&mut self) {
        let Visit { places, id, peer, close } = self.visit.as_ref();
        let mut state = places.lock();
        if let Some(count) = state.answered.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                state.answered.remove(&self.client);
            }
        }
        drop(state);
        places.wait(*id, network(*peer), true, close.clone());
    }
}

/// Where an address belongs: in IPv6, one host has all addresses of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { connections: 4, answered: 4, answered_from_one_place: 3 };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn begin(places: &Arc<Places>, peer: &str) -> Arc<Visit> {
        Visit::begin(places, address(peer))
    }

    fn open<'a>(visits: impl IntoIterator<Item = &'a Arc<Visit>>) -> Vec<bool> {
        visits.into_iter().map(|visit| !visit.close.is_cancelled()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_has_sent_nothing_makes_room() {
        let places = Places::new(LIMITS);
        let asked = begin(&places, "192.0.2.1");
        drop(asked.answer(address("192.0.2.1")).unwrap());
        let silent: Vec<_> = (0..3).map(|_| begin(&places, "192.0.2.1")).collect();
        let new = begin(&places, "192.0.2.1");
        assert_eq!(open([&asked, &new]), [true, true]);
        assert_eq!(open(&silent), [false, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_opens_many_closes_their_own() {
        let places = Places::new(LIMITS);
        let other = begin(&places, "198.51.100.1");
        let flood: Vec<_> = (0..20).map(|_| begin(&places, "192.0.2.1")).collect();
        assert_eq!(open([&other]), [true]);
        assert_eq!(open(&flood).iter().filter(|open| **open).count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_answered_keeps_the_place_and_waits_again_after_it() {
        let places = Places::new(LIMITS);
        let answered = begin(&places, "192.0.2.1");
        let answering = answered.answer(answered.peer()).unwrap();
        let _flood: Vec<_> = (0..20).map(|_| begin(&places, "192.0.2.1")).collect();
        assert_eq!(open([&answered]), [true]);
        drop(answering);
        assert!(places.lock().waiting.contains_key(&answered.id));
        let _flood: Vec<_> = (0..4).map(|_| begin(&places, "192.0.2.1")).collect();
        assert_eq!(open([&answered]), [true], "those that have sent nothing go first");
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_leaves_room_for_others_and_all_have_a_bound() {
        let places = Places::new(Limits { connections: 6, ..LIMITS });
        let visits: Vec<_> = (0..4).map(|_| begin(&places, "192.0.2.1")).collect();
        let of = |visit: usize, client: &str| visits[visit].answer(address(client));
        let one: Vec<_> = (0..3).map(|visit| of(visit, "192.0.2.7").unwrap()).collect();
        assert_eq!(of(3, "::ffff:192.0.2.7").err(), Some(Full { most: 3, from_one_place: true }));
        let other = of(3, "2001:db8::1").unwrap();
        let late = begin(&places, "198.51.100.1");
        assert_eq!(late.answer(late.peer()).err(), Some(Full { most: 4, from_one_place: false }));
        drop(other);
        assert!(late.answer(late.peer()).is_ok());
        drop((one, visits, late));
        let state = places.lock();
        assert!(state.waiting.is_empty() && state.answered.is_empty());
    }

    #[test]
    fn a_host_with_many_addresses_is_one_place() {
        let of = |text: &str| network(address(text));
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
