//! A reverse proxy between Belay and AWS that records every call, and makes some of them go wrong.

mod call;
mod fault;
mod forward;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::http::request::Parts;

pub use call::{Call, Outcome};
pub use fault::{Hold, Kind, When};

use crate::server::{Cut, Server};
use fault::Rule;

const PATIENCE: Duration = Duration::from_secs(60);

type Hook = Arc<dyn Fn(&Call) -> Reaction + Send + Sync>;

/// What a hook wants to be done with an answer; see [`Proxy::on_call`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It goes to the caller.
    Forward,
    /// The connection is cut instead.
    Cut,
}

/// A running proxy. It stops when it is dropped.
pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
    _server: Server,
}

struct Shared {
    upstream: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    // Calls before this one were cleared.
    cleared: usize,
    rules: Vec<Rule>,
    rules_made: usize,
    hook: Option<Hook>,
}

/// A fault that was set up. It stays until [`Proxy::clear_faults`], whether this is kept or not.
pub struct FaultHandle {
    id: usize,
    shared: Arc<Shared>,
}

impl FaultHandle {
    /// How many calls have gone wrong by it.
    pub fn hits(&self) -> usize {
        let state = self.shared.lock();
        state.rules.iter().find(|rule| rule.id == self.id).map_or(0, |rule| rule.hits)
    }

    /// Ends it.
    pub fn remove(self) {
        self.shared.lock().rules.retain(|rule| rule.id != self.id);
    }
}

impl Proxy {
    /// Starts one before the endpoint `upstream`, `http://HOST:PORT`.
    pub fn to(upstream: &str) -> Self {
        let upstream = upstream.strip_prefix("http://").expect("emulators speak plain HTTP").trim_end_matches('/');
        let shared =
            Arc::new(Shared { upstream: upstream.to_owned(), state: Mutex::default(), changed: Condvar::new() });
        let handler = Arc::clone(&shared);
        let server = Server::start(move |request| {
            // A task of its own: what has been sent reaches AWS, and is recorded, also when the caller dies meanwhile.
            let forwarded = tokio::spawn(forward::forward(Arc::clone(&handler), request));
            async { forwarded.await.unwrap_or(Err(Cut)) }
        });
        Self { url: format!("http://{}", server.address), shared, _server: server }
    }

    /// Where it listens, as for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on, `kind` befalls the calls of `service` and `action` (`*`: any) that `when` names. All rules that
    /// meet a call act on it, in the order they were made: delays are waited for, and the first error or cut ends it.
    pub fn fault(&self, service: &str, action: &str, when: When, kind: Kind) -> FaultHandle {
        let mut state = self.shared.lock();
        let id = state.rules_made;
        state.rules_made += 1;
        let (service, action) = (service.to_owned(), action.to_owned());
        state.rules.push(Rule { id, service, action, when, kind, seen: 0, hits: 0, recent: VecDeque::new() });
        FaultHandle { id, shared: Arc::clone(&self.shared) }
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        self.shared.lock().rules.clear();
    }

    /// Calls `hook` for each call that AWS has answered, before the answer goes on: when the effect is there, and the
    /// caller does not know yet. The place to kill it. The hook may block. It replaces an earlier one.
    pub fn on_call(&self, hook: impl Fn(&Call) -> Reaction + Send + Sync + 'static) {
        self.shared.lock().hook = Some(Arc::new(hook));
    }

    /// No hook any more.
    pub fn clear_hook(&self) {
        self.shared.lock().hook = None;
    }

    /// All calls so far, in the order of their arrival.
    pub fn calls(&self) -> Vec<Call> {
        let state = self.shared.lock();
        state.calls.iter().filter(|call| call.index >= state.cleared).cloned().collect()
    }

    /// Those that can change something.
    pub fn mutating_calls(&self) -> Vec<Call> {
        self.calls().into_iter().filter(Call::is_mutating).collect()
    }

    /// How many calls there were of this kind (`*`: any), whatever became of them.
    pub fn count(&self, service: &str, action: &str) -> usize {
        self.calls().iter().filter(|call| call.is(service, action)).count()
    }

    /// Forgets the calls so far. Faults and hook stay.
    pub fn clear(&self) {
        let mut state = self.shared.lock();
        state.cleared = state.calls.len();
    }

    /// Waits until the n-th call of this kind (`*`: any) since [`Proxy::clear`] is decided - answered, refused, cut
    /// or lost - and gives it back.
    /// Panics after a minute, with all calls.
    #[track_caller]
    pub fn wait_for(&self, service: &str, action: &str, n: usize) -> Call {
        self.wait_until(&format!("call {n} of {service} {action}"), |calls| {
            let mut decided = calls.iter().filter(|call| call.is(service, action) && call.outcome != Outcome::Pending);
            decided.nth(n.checked_sub(1)?).cloned()
        })
    }

    /// Waits until `look` finds something in the calls since [`Proxy::clear`]. Panics after a minute, with all calls.
    #[track_caller]
    pub fn wait_until<T>(&self, what: &str, look: impl Fn(&[Call]) -> Option<T>) -> T {
        let mut found = None;
        let state = self.shared.lock();
        let unmet = |state: &mut State| {
            found = look(&state.calls[state.cleared..]);
            found.is_none()
        };
        let (state, _) = self.shared.changed.wait_timeout_while(state, PATIENCE, unmet).expect("nobody panics in here");
        let seen = state.calls.iter().map(|call| format!("{} {} {:?}\n", call.service, call.action, call.outcome));
        let seen: String = seen.collect();
        drop(state);
        found.unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain for {what}; the calls were:\n{seen}"))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked in `look` must not hide its own message behind a poisoned lock.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn hook(&self) -> Option<Hook> {
        self.lock().hook.clone()
    }

    /// Records a call, and says what befalls it.
    fn arrived(&self, request: &Parts, body: &Bytes) -> (Call, Vec<Kind>) {
        let mut state = self.lock();
        let call = Call::identify(state.calls.len(), request, body);
        state.calls.push(call.clone());
        let faults = state.rules.iter_mut().filter_map(|rule| rule.strikes(&call).then(|| rule.kind.clone())).collect();
        drop(state);
        self.changed.notify_all();
        (call, faults)
    }

    fn settle(&self, index: usize, outcome: Outcome) {
        self.lock().calls[index].outcome = outcome;
        self.changed.notify_all();
    }
}
