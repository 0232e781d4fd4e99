// SPDX-License-Identifier: GPL-2.0

//! Where the dead go: what is still linked is unlinked, then, a grace period later, values are
//! dropped and memory is freed.
//!
//! Anyone hands over in any context, NMI included, by a push on a lock-free list of this processor.
//! The first one on an empty list rings for a kworker, which the next tick wakes: so there is at
//! most one wake-up a jiffy and processor, however many die. It holds nothing
//! and may sleep. It takes the list as a whole, finishes unlinking, waits for a grace period and
//! frees. What still cannot be unlinked goes on the list again.
//!
//! A value with a drop goes on to a kworker of its map's own: a drop that sleeps holds up its map
//! and nobody else.
//!
//! # Bounds
//!
//! What waits for its grace period is counted in bytes. From [`Watermarks::expedite`] on, grace periods are
//! expedited and nobody waits for a tick. From [`Watermarks::limit`] on, [`Reaper::is_full`]: nothing
//! is created until something is free. Who may sleep waits for that in [`Reaper::make_room`]. What
//! waits for a drop is bounded for each map by itself, by the same limit.

use super::{
    drops::Drops,
    element::{
        Element,
        Freed, //
    },
    lock_mode::Spin,
    pending::{
        CpuPending,
        Objects,
        Pending,
        Watermark,
        Watermarks, //
    },
    reap_node::{
        ReapNode,
        Reapable, //
    },
    runtime::Runtime,
    store::Storage,
    unlink, //
};
use crate::sync::{
    clock::Stopwatch,
    counter::Counter,
    deferred::{
        self,
        DeferredWork,
        Work,
        WorkFn,
        Workqueue, //
    },
    fault::{
        self,
        Site, //
    },
    llist::{
        LList,
        Link,
        Links, //
    },
    per_cpu::PerCpu,
    rcu, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

/// The reaper.
pub(super) struct Reaper {
    lists: PerCpu<DeferredWork<CpuList>>,
    pending: Pending,
    /// Who waits for room.
    waiters: Counter,
    expedite: Watermark,
    limit: Watermark,
    limit_bytes: u64,
    // Dropped after the lists' bells, which ring in it.
    queue: Workqueue,
}

/// What is handed over together.
pub(super) struct Batch {
    links: Links,
    objects: Objects,
}

impl Batch {
    /// Nothing.
    pub(super) const fn new() -> Self {
        Self {
            links: Links::new(),
            objects: Objects::NONE,
        }
    }

    /// Adds an object of `bytes` bytes.
    ///
    /// # Safety
    ///
    /// The caller must own the object, and leave its link alone.
    #[inline(always)]
    pub(super) unsafe fn add(&mut self, reap_node: &ReapNode, bytes: usize) {
        // SAFETY: By the contract.
        unsafe { self.links.push(reap_node.link()) };
        self.objects = self.objects.and(Objects::one(bytes));
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// The links of the reap_node, which come first in the objects.
    pub(super) fn links(&self) -> impl Iterator<Item = NonNull<Link>> + '_ {
        self.links.iter()
    }
}

/// The objects that were handed over on one CPU.
///
/// # Invariants
///
/// `runtime` is the address of the runtime that the list's reaper is a part of. The runtime is
/// there before the first object is handed over, and until the list is dropped.
#[repr(align(64))]
struct CpuList {
    dead: LList,
    /// The objects on `dead`, and those that the reaper took from it and has neither freed nor
    /// handed to their map's drops.
    pending: CpuPending,
    runtime: NonNull<Runtime>,
}

// SAFETY: `runtime` is only ever shared, and a `Runtime` may be shared between threads.
unsafe impl Sync for CpuList {}
// SAFETY: As above.
unsafe impl Send for CpuList {}

impl CpuList {
    /// An empty list.
    ///
    /// # Safety
    ///
    /// As [`Reaper::new`].
    const unsafe fn new(runtime: NonNull<Runtime>) -> Self {
        // INVARIANT: By the contract.
        Self {
            dead: LList::new(),
            pending: CpuPending::new(),
            runtime,
        }
    }

    /// The runtime. Called only after an object was handed over.
    #[inline(always)]
    fn runtime(&self) -> &Runtime {
        // SAFETY: By the type invariant the runtime is there.
        unsafe { self.runtime.as_ref() }
    }
}

impl WorkFn for CpuList {
    fn run(list: &DeferredWork<Self>) {
        let runtime = list.runtime();
        runtime.reaper.reap(list, runtime);
    }

    fn is_urgent(&self) -> bool {
        self.runtime().reaper.is_expedited()
    }
}

impl Reaper {
    /// A reaper with nothing to do. May sleep.
    ///
    /// # Safety
    ///
    /// `runtime` must be where the caller puts the runtime that the reaper becomes a part of. It
    /// must do so before anything is handed over.
    pub(super) unsafe fn new(runtime: NonNull<Runtime>, watermarks: Watermarks) -> Result<Self> {
        let queue = Workqueue::new()?;
        // SAFETY: By the contract. A reaper drops its lists before the rest of it, and a runtime
        // its reaper before the rest of it.
        let list = || DeferredWork::new(&queue, unsafe { CpuList::new(runtime) });
        Ok(Self {
            lists: PerCpu::new(|| KBox::pin_init(list(), GFP_KERNEL))?,
            pending: Pending::new(),
            waiters: Counter::new(),
            expedite: Watermark::new(watermarks.expedite),
            limit: Watermark::new(watermarks.limit),
            limit_bytes: watermarks.limit,
            queue,
        })
    }

    /// Takes over an object of `bytes` bytes that is dead, and that `reap_node` say is unlinked or
    /// not. Any context.
    ///
    /// # Safety
    ///
    /// The caller must own the object and not use it again, but for reading it under an RCU guard
    /// that it holds already. If it is unlinked, new readers must not come to it.
    pub(super) unsafe fn take(&self, reap_node: &ReapNode, bytes: usize) {
        let mut dead = Batch::new();
        // SAFETY: By the contract.
        unsafe { dead.add(reap_node, bytes) };
        // SAFETY: Likewise.
        unsafe { self.take_all(dead) };
    }

    /// Takes over what is dead, one object at least. Any context.
    ///
    /// # Safety
    ///
    /// As [`Reaper::take`], for each object.
    #[inline(always)]
    pub(super) unsafe fn take_all(&self, dead: Batch) {
        fault::pause(Site::HandOver);
        let list = self.lists.this_cpu();
        list.pending.add(dead.objects, &self.pending);
        if list.dead.push_all(dead.links) {
            list.queue();
        }
    }

    /// Whether nothing may be created, since too much waits to be freed. Any context.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.pending.has_reached(&self.limit)
    }

    fn is_expedited(&self) -> bool {
        self.pending.has_reached(&self.expedite) || self.waiters.get() != 0
    }

    /// What may wait for the drops of one map, in bytes.
    pub(super) fn limit(&self) -> u64 {
        self.limit_bytes
    }

    /// Whether anything waits to be freed or to go on to a drop.
    pub(super) fn has_dead(&self) -> bool {
        self.lists
            .iter()
            .any(|list| list.pending.get().count() != 0)
    }

    /// Objects and bytes that wait to be freed or to go on to a drop.
    pub(super) fn pending(&self) -> (u64, u64) {
        self.lists.iter().fold((0, 0), |(objects, bytes), list| {
            let pending = list.pending.get();
            (objects + pending.count(), bytes + pending.bytes())
        })
    }

    /// Unlinks, waits for a grace period and frees, for one processor.
    fn reap(&self, list: &DeferredWork<CpuList>, runtime: &Runtime) {
        let mut unlinked = list.dead.take();
        if !unlinked.iter().all(is_unlinked) {
            unlinked = unlink_all(unlinked, list, runtime);
        }
        if !unlinked.is_empty() {
            #[cfg(OSTOR_TEST)]
            unlinked.iter().for_each(|link| {
                // SAFETY: The reaper owns what it took from the list, and the link comes first in
                // it.
                unsafe { link.cast::<ReapNode>().as_ref() }.age.advance();
            });
            fault::pause(Site::GracePeriod);
            self.wait_for_readers();
            self.free_all(list, unlinked, runtime);
        }
    }

    fn wait_for_readers(&self) {
        if self.is_expedited() {
            rcu::synchronize_rcu_expedited();
        } else {
            rcu::synchronize_rcu();
        }
    }

    /// Frees what nobody can reach. Values with a drop come last, so that whoever waits for one of
    /// them finds freed what was handed over before it.
    fn free_all(&self, list: &CpuList, dead: Links, runtime: &Runtime) {
        /// Objects after which others may run, and after which what is freed is counted.
        const BATCH: usize = 32;

        let watch = Stopwatch::start();
        let mut with_drop = Links::new();
        let (mut objects, mut count) = (Objects::NONE, 0);
        let mut freed = Freed::new();
        for link in dead {
            let reap_node = link.cast::<ReapNode>();
            // SAFETY: The reaper owns what it took from the list, and no reader is left.
            let object = unsafe { reap_node.as_ref() };
            object.age.advance();
            let bytes = match object.kind() {
                Reapable::Element => {
                    let elem = reap_node.cast::<Element>();
                    // SAFETY: `reap_node` is the first field of an element.
                    let map = unsafe { elem.as_ref() }.map();
                    let bytes = map.element_size();
                    if map.drops_values() {
                        // SAFETY: Owned by the reaper.
                        unsafe { with_drop.push(link) };
                    } else {
                        // SAFETY: Nobody else can reach it.
                        unsafe { freed.free(elem) };
                    }
                    bytes
                }
                Reapable::Storage => {
                    // SAFETY: `reap_node` is the first field of a storage, which nobody can reach.
                    unsafe { Storage::free(reap_node.cast(), &runtime.stats) };
                    size_of::<Storage>()
                }
            };
            objects = objects.and(Objects::one(bytes));
            count += 1;
            if count == BATCH {
                list.pending.sub(objects, &self.pending);
                (objects, count) = (Objects::NONE, 0);
                deferred::cond_resched();
            }
        }
        list.pending.sub(objects, &self.pending);
        drop(freed);
        for link in with_drop {
            // SAFETY: `link` is the first field of an element that the reaper owns.
            let map = unsafe { link.cast::<Element>().as_ref() }.map();
            // SAFETY: Likewise, and no reader is left.
            unsafe { map.drops().take(link, map.element_size()) };
        }
        runtime.stats.reap_ns.add(watch.elapsed_ns());
    }

    /// Hurries what has died so far, and waits until it is freed or on its way to a drop, if no
    /// lock fails. May sleep.
    pub(super) fn make_room(&self) {
        self.waiters.add(1);
        let has_work = |list: &&DeferredWork<CpuList>| list.pending.get().count() != 0;
        self.lists
            .iter()
            .filter(has_work)
            .for_each(DeferredWork::queue_now);
        self.lists.iter().for_each(DeferredWork::flush);
        self.waiters.sub(1);
    }

    /// As [`Reaper::make_room`], and waits for drops. May sleep, but not in a drop.
    pub(super) fn flush(&self) {
        self.make_room();
        self.queue.flush();
    }

    /// What drops the values of a map that is being made.
    pub(super) fn new_drops(&self) -> impl PinInit<Work<Drops>> {
        Drops::new(&self.queue)
    }
}

/// Whether an object that the reaper took from a list is on no other one any more.
fn is_unlinked(link: NonNull<Link>) -> bool {
    // SAFETY: The reaper owns what it took from the list, and the link comes first in it.
    unsafe { link.cast::<ReapNode>().as_ref() }.is_unlinked()
}

/// Unlinks what the reaper took from the list of a processor as far as the locks allow, and returns
/// what is unlinked. The rest goes on the list again.
#[cold]
fn unlink_all(dead: Links, list: &DeferredWork<CpuList>, runtime: &Runtime) -> Links {
    let mut unlinked = Links::new();
    let mut is_stuck = false;
    for link in dead {
        if is_unlinked(link) {
            // SAFETY: The reaper's.
            unsafe { unlinked.push(link) };
            continue;
        }
        // SAFETY: Likewise.
        if unsafe { finish_unlinking(link, runtime) } {
            // SAFETY: Likewise.
            unsafe { unlinked.push(link) };
        } else {
            // SAFETY: Likewise.
            unsafe { list.dead.push(link) };
            is_stuck = true;
        }
        deferred::cond_resched();
    }
    if is_stuck {
        // No ring: whoever holds the lock needs a moment.
        list.queue_delayed(1);
    }
    unlinked
}

/// Unlinks an object as far as the locks allow; true when it is on no list any more.
///
/// # Safety
///
/// `link` must be in a dead object that the caller owns.
unsafe fn finish_unlinking(link: NonNull<Link>, runtime: &Runtime) -> bool {
    let reap_node = link.cast::<ReapNode>();
    // SAFETY: By the contract; the link is the first field of the reap_node.
    let kind = unsafe { reap_node.as_ref() }.kind();
    let rcu = rcu::read_lock();
    let done = match kind {
        // SAFETY: `reap_node` is the first field of an element that the caller owns.
        Reapable::Element => unsafe { unlink::unlink(reap_node.cast().as_ref(), &rcu) },
        // SAFETY: `reap_node` is the first field of a storage that the caller owns.
        Reapable::Storage => unsafe {
            unlink::unlink_storage::<Spin>(runtime, reap_node.cast().as_ref(), &rcu)
        },
    };
    if done {
        runtime.stats.finished.add(1);
    }
    done
}
