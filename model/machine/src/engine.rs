// SPDX-License-Identifier: GPL-2.0

//! One interface to the two engines that schedule the threads of an execution.
//!
//! Both engines run the threads as coroutines of one thread of the host. They switch between them
//! only inside the functions of this file. So the other state of the machine needs no locks, and it
//! changes atomically with the operation before it.

use std::{
    cell::Cell,
    sync::atomic::Ordering, //
};

/// The engine that schedules.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Engine {
    /// Explores all interleavings and all outcomes of weak memory, up to a number of preemptions.
    Loom,
    /// Explores random interleavings. Memory is sequentially consistent.
    Shuttle,
}

/// The identity of a thread.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ThreadId {
    Loom(loom::thread::ThreadId),
    Shuttle(shuttle::thread::ThreadId),
}

/// A thread that can be unparked.
#[derive(Clone)]
pub(crate) enum Thread {
    Loom(loom::thread::Thread),
    Shuttle(shuttle::thread::Thread),
}

/// A thread that can be joined.
pub enum Handle {
    /// A thread of loom.
    Loom(loom::thread::JoinHandle<()>),
    /// A thread of shuttle.
    Shuttle(shuttle::thread::JoinHandle<()>),
}

impl Handle {
    /// Waits until the thread has ended.
    pub fn join(self) {
        let result = match self {
            Self::Loom(handle) => handle.join(),
            Self::Shuttle(handle) => handle.join(),
        };
        result.expect("a thread panicked");
    }
}

/// The size of a stack: enough for a thread that panics, too.
const STACK: usize = 1 << 18;

impl Engine {
    pub(crate) fn spawn(self, f: impl FnOnce() + Send + 'static) -> Handle {
        match self {
            Self::Loom => {
                let builder = loom::thread::Builder::new().stack_size(STACK);
                Handle::Loom(builder.spawn(f).expect("no thread"))
            }
            Self::Shuttle => Handle::Shuttle(shuttle::thread::spawn(f)),
        }
    }

    pub(crate) fn current(self) -> ThreadId {
        match self {
            Self::Loom => ThreadId::Loom(loom::thread::current().id()),
            Self::Shuttle => ThreadId::Shuttle(shuttle::thread::current().id()),
        }
    }

    pub(crate) fn handle(self) -> Thread {
        match self {
            Self::Loom => Thread::Loom(loom::thread::current()),
            Self::Shuttle => Thread::Shuttle(shuttle::thread::current()),
        }
    }

    /// Waits until this thread is unparked. May return earlier.
    pub(crate) fn park(self) {
        match self {
            Self::Loom => loom::thread::park(),
            Self::Shuttle => shuttle::thread::park(),
        }
    }

    pub(crate) fn yield_now(self) {
        match self {
            Self::Loom => loom::thread::yield_now(),
            Self::Shuttle => shuttle::thread::yield_now(),
        }
    }

    pub(crate) fn fence(self, order: Ordering) {
        match self {
            Self::Loom => loom::sync::atomic::fence(order),
            Self::Shuttle => {}
        }
    }

    /// Returns true by chance, if the engine explores by chance. Otherwise returns false.
    pub(crate) fn toss(self) -> bool {
        match self {
            Self::Loom => false,
            Self::Shuttle => {
                use shuttle::rand::Rng;
                shuttle::rand::thread_rng().gen()
            }
        }
    }
}

impl Thread {
    pub(crate) fn unpark(&self) {
        match self {
            Self::Loom(thread) => thread.unpark(),
            Self::Shuttle(thread) => thread.unpark(),
        }
    }
}

/// A word of memory that the engine schedules. It starts at 0.
///
/// Shuttle's own atomics also let other threads run after an operation, before the machine has
/// noted its outcome. This one lets them run only before it.
pub(crate) enum Word {
    Loom(loom::sync::atomic::AtomicU64),
    Shuttle(Cell<u64>),
}

impl Word {
    pub(crate) fn new(engine: Engine) -> Self {
        match engine {
            Engine::Loom => Self::Loom(loom::sync::atomic::AtomicU64::new(0)),
            Engine::Shuttle => Self::Shuttle(Cell::new(0)),
        }
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        match self {
            Self::Loom(word) => word.load(order),
            Self::Shuttle(word) => scheduled(word).get(),
        }
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        match self {
            Self::Loom(word) => word.store(value, order),
            Self::Shuttle(word) => scheduled(word).set(value),
        }
    }

    pub(crate) fn swap(&self, value: u64, order: Ordering) -> u64 {
        match self {
            Self::Loom(word) => word.swap(value, order),
            Self::Shuttle(word) => scheduled(word).replace(value),
        }
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        match self {
            Self::Loom(word) => word.fetch_add(value, order),
            Self::Shuttle(word) => {
                let word = scheduled(word);
                word.replace(word.get().wrapping_add(value))
            }
        }
    }

    pub(crate) fn compare_exchange(&self, old: u64, new: u64, order: Ordering) -> Result<u64, u64> {
        match self {
            Self::Loom(word) => word.compare_exchange(old, new, order, Ordering::Relaxed),
            Self::Shuttle(word) => {
                let word = scheduled(word);
                if word.get() == old {
                    Ok(word.replace(new))
                } else {
                    Err(word.get())
                }
            }
        }
    }
}

/// Lets other threads run before an operation on a word.
fn scheduled(word: &Cell<u64>) -> &Cell<u64> {
    shuttle::thread::yield_now();
    word
}
