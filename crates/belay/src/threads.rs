//! The threads of the process. In a daemon one answers people, and the watch has the others: no flood of requests holds a
//! rollback up.

use std::{io, num::NonZero, thread};

use rustix::process::setpriority_process;
use tokio::runtime::{Builder, Handle, Runtime};

/// Belay mostly waits: more threads than this, on a large machine, would only take memory. And not only one, so that
/// whatever is slow holds nothing else up.
const MIN: usize = 2;
const MAX: usize = 4;

/// The lowest priority of a thread: setpriority(2), "nice".
const LOWEST: i32 = 19;

/// Lets every other thread of this machine go first. It changes this thread alone, as Linux has it; an error changes nothing.
pub(crate) fn give_way() {
    let _ = setpriority_process(None, LOWEST);
}

/// The runtime of a command. That of a daemon is the thread that the process began with.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn of_command(is_daemon: bool) -> io::Result<Runtime> {
    match is_daemon {
        true => Builder::new_current_thread().enable_all().build(),
        false => Builder::new_multi_thread().worker_threads(count()).enable_all().build(),
    }
}

/// The threads of a daemon's watch: its loops, its reads, its calls. They end when this is dropped, wherever that is.
pub(crate) struct Watch(Option<Runtime>);

impl Watch {
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start() -> io::Result<Self> {
        // One answers people.
        let count = count() - 1;
        let threads = Builder::new_multi_thread().worker_threads(count).thread_name("watch").enable_all().build()?;
        Ok(Self(Some(threads)))
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.0.as_ref().expect("it is taken when it is dropped").handle()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A runtime may not be waited for inside another.
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

fn count() -> usize {
    thread::available_parallelism().map_or(MIN, NonZero::get).clamp(MIN, MAX)
}
