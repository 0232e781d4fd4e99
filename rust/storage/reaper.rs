// SPDX-License-Identifier: GPL-2.0

//! Where the dead go: what is left to unlink is unlinked, then, a grace period later, values are
//! dropped and memory is freed.
//!
//! Anyone hands over in any context, NMI included, by a push on a lock-free list. Two works in
//! kworkers, which hold nothing and may sleep, take over: one finishes unlinking, and tries again a
//! moment later where a lock still fails; the other one waits for a grace period and frees. So
//! a value is dropped in a kworker, once, whatever context ended its element, and its drop may
//! sleep.

use super::{
    charge::Paid,
    element::Element,
    runtime::Runtime,
    store::Storage,
    unlink, //
};
use crate::sync::{
    clock::Stopwatch,
    deferred::{
        self,
        Bell,
        Listener,
        Queue, //
    },
    fault::{
        self,
        Point, //
    },
    llist::{
        LList,
        Link, //
    },
    nolock,
    rcu, //
};
use core::{
    cell::Cell,
    ptr::NonNull, //
};
use kernel::prelude::*;

/// What a dead object is.
#[derive(Copy, Clone)]
#[repr(u8)]
pub(super) enum Kind {
    /// An [`Element`].
    Element,
    /// A [`Storage`].
    Storage,
}

const ON_STORAGE: u8 = 1;
const ON_TABLE: u8 = 2;

/// What an object that can die has in it, in first place.
#[repr(C)]
pub(super) struct Remains {
    link: Link,
    kind: Kind,
    /// The lists an element is still on. Its owner's, see [`Element`].
    todo: Cell<u8>,
    /// Whether an element is charged. Here, since here is room.
    pub(super) paid: Paid,
}

impl Remains {
    /// Of an object that is on no list.
    pub(super) const fn new(kind: Kind) -> Self {
        Self {
            link: Link::new(),
            kind,
            todo: Cell::new(0),
            paid: Paid::no(),
        }
    }

    /// The element is about to be put on both lists.
    pub(super) fn link_both(&self) {
        self.todo.set(ON_STORAGE | ON_TABLE);
    }

    /// Whether the element is on its storage's list.
    pub(super) fn on_storage(&self) -> bool {
        self.todo.get() & ON_STORAGE != 0
    }

    /// Whether the element is in its map's table.
    pub(super) fn on_table(&self) -> bool {
        self.todo.get() & ON_TABLE != 0
    }

    /// The element was taken off its storage's list.
    pub(super) fn left_storage(&self) {
        self.todo.set(self.todo.get() & !ON_STORAGE);
    }

    /// The element was taken out of its map's table.
    pub(super) fn left_table(&self) {
        self.todo.set(self.todo.get() & !ON_TABLE);
    }
}

/// The reaper.
#[pin_data]
pub(super) struct Reaper {
    /// The dead that are still linked.
    linked: LList,
    /// The dead that are not.
    unlinked: LList,
    #[pin]
    unlinker: Bell<Unlinker>,
    #[pin]
    freer: Bell<Freer>,
    // Dropped after the bells, which ring in it.
    queue: Queue,
}

struct Unlinker;

impl Listener for Unlinker {
    fn answer() {
        if let Some(runtime) = Runtime::get() {
            runtime.reaper.unlink_all(runtime);
        }
    }
}

struct Freer;

impl Listener for Freer {
    fn answer() {
        if let Some(runtime) = Runtime::get() {
            runtime.reaper.free_all(runtime);
        }
    }
}

impl Reaper {
    /// A reaper with nothing to do. May sleep.
    pub(super) fn new() -> Result<impl PinInit<Self>> {
        let queue = Queue::new()?;
        Ok(pin_init!(Self {
            linked: LList::new(),
            unlinked: LList::new(),
            unlinker <- Bell::new(&queue),
            freer <- Bell::new(&queue),
            queue,
        }))
    }

    /// Takes over an object that is on no list any more. Any context.
    ///
    /// # Safety
    ///
    /// The caller must own the object and not use it again, but for reading it under an RCU guard
    /// that it holds already. New readers must not come to it.
    pub(super) unsafe fn free(&self, remains: &Remains) {
        fault::pause(Point::HandOver);
        // SAFETY: Owned by the caller, and valid until `free_all` has taken it.
        if unsafe { self.unlinked.push(NonNull::from(&remains.link)) } {
            self.freer.ring();
        }
    }

    /// Takes over an object that is dead but still linked. Any context.
    ///
    /// # Safety
    ///
    /// As [`Reaper::free`], but readers may still come.
    pub(super) unsafe fn finish(&self, remains: &Remains) {
        if let Some(runtime) = Runtime::get() {
            runtime.stats.deferred.add(1);
        }
        fault::pause(Point::HandOver);
        // SAFETY: Owned by the caller, and valid until `unlink_all` has taken it.
        if unsafe { self.linked.push(NonNull::from(&remains.link)) } {
            self.unlinker.ring();
        }
    }

    fn unlink_all(&self, runtime: &Runtime) {
        let mut again = false;
        for link in self.linked.take() {
            let rcu = rcu::read_lock();
            let remains = link.cast::<Remains>();
            // SAFETY: The reaper owns what it took from the list: remains, whose first field the
            // link is.
            let kind = unsafe { remains.as_ref() }.kind;
            let done = match kind {
                // SAFETY: `remains` is the first field of an element that the reaper owns.
                Kind::Element => unsafe { unlink::unlink(remains.cast().as_ref(), &rcu) },
                // SAFETY: `remains` is the first field of a storage that the reaper owns.
                Kind::Storage => unsafe {
                    unlink::unlink_storage(runtime, remains.cast().as_ref(), &rcu)
                },
            };
            if done {
                runtime.stats.finished.add(1);
                // SAFETY: Owned by the reaper, and unlinked.
                unsafe { self.free(remains.as_ref()) };
            } else {
                // No ring: whoever holds the lock needs a moment.
                //
                // SAFETY: Owned by the reaper.
                unsafe { self.linked.push(link) };
                again = true;
            }
            drop(rcu);
            deferred::cond_resched();
        }
        if again {
            self.unlinker.ring_later(1);
        }
    }

    fn free_all(&self, runtime: &Runtime) {
        let dead = self.unlinked.take();
        fault::pause(Point::GracePeriod);
        rcu::synchronize_rcu();
        let watch = Stopwatch::start();
        for link in dead {
            let remains = link.cast::<Remains>();
            // SAFETY: The reaper owns what it took from the list, and no reader is left.
            match unsafe { remains.as_ref() }.kind {
                // SAFETY: `remains` is the first field of an element.
                Kind::Element => unsafe { free_element(remains.cast()) },
                // SAFETY: `remains` is the first field of a storage.
                Kind::Storage => unsafe { free_storage(runtime, remains.cast()) },
            }
            deferred::cond_resched();
        }
        runtime.stats.reap_ns.add(watch.elapsed_ns());
    }

    /// Waits until all that was handed over so far has been looked at. May sleep.
    pub(super) fn flush(&self) {
        self.unlinker.flush();
        self.freer.flush();
    }
}

/// # Safety
///
/// The caller must own the element, and nobody else may be able to reach it.
unsafe fn free_element(elem: NonNull<Element>) {
    // SAFETY: Valid by the contract.
    let header = unsafe { elem.as_ref() };
    // The map stays until `element_freed` has counted this element.
    let map = header.map();
    // SAFETY: The value is initialised, and nobody else can reach it.
    unsafe { map.drop_value(header.value()) };
    // SAFETY: It was allocated so, and the header needs no drop.
    unsafe { nolock::free_in_task(elem.cast()) };
    map.element_freed();
}

/// # Safety
///
/// As [`free_element`].
unsafe fn free_storage(runtime: &Runtime, storage: NonNull<Storage>) {
    // SAFETY: It was allocated so, and needs no drop.
    unsafe { nolock::free_in_task(storage.cast()) };
    runtime.stats.storages.sub(1);
}
