// SPDX-License-Identifier: GPL-2.0

//! Frees dead objects: finishes their unlinking, waits for a grace period, drops values and frees
//! memory.
//!
//! Any context, NMI included, hands an object over by a push on a lock-free list of its CPU. A push
//! on an empty list queues work for a kworker, and the next tick wakes that: so each CPU causes one
//! wake-up a jiffy at most, however many objects die. The kworker holds no lock and may sleep. It
//! takes the list as a whole, finishes unlinking, waits for a grace period and frees. An object
//! that still cannot be unlinked goes back on the list.
//!
//! A value with a drop goes on to a kworker of its own map. A drop that sleeps delays its own map,
//! and no other.
//!
//! # Bounds
//!
//! The bytes that wait for a grace period are counted. From [`Watermarks::expedite`] on, grace
//! periods are expedited and work does not wait for a tick. From [`Watermarks::limit`] on,
//! [`Reaper::is_full`] is true and nothing is created until something was freed. A caller that may
//! sleep waits for that in [`Reaper::make_room`]. What waits for a drop is bounded for each map by
//! itself, by the same limit.

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
///
/// # Invariants
///
/// - `pending` is the sum of the lists' `pending`, in steps.
/// - `waiters` is the number of CPUs in [`Reaper::make_room`]. While it is not 0, grace periods are
///   expedited.
pub(super) struct Reaper {
    lists: PerCpu<DeferredWork<CpuList>>,
    pending: Pending,
    waiters: Counter,
    expedite: Watermark,
    limit: Watermark,
    limit_bytes: u64,
    // Dropped after the lists, whose work runs on it.
    queue: Workqueue,
}

/// Dead objects that are handed over together.
///
/// # Invariants
///
/// The batch owns its objects. `links` are the first fields of their `ReapNode`s, and `objects` is
/// their number and size.
pub(super) struct Batch {
    links: Links,
    objects: Objects,
}

impl Batch {
    /// No objects.
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
    /// The caller must own the object, and not use its link until the batch was handed over.
    #[inline(always)]
    pub(super) unsafe fn add(&mut self, reap_node: &ReapNode, bytes: usize) {
        // SAFETY: By the safety requirements the caller owns the object, so its link is valid and
        // on no list. The batch owns it from here on.
        unsafe { self.links.push(reap_node.link()) };
        self.objects = self.objects.plus(Objects::one(bytes));
    }

    /// Returns whether the batch has no object.
    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// The links of the objects. A link is the first field of its object.
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
    /// handed to the drops of their map.
    pending: CpuPending,
    runtime: NonNull<Runtime>,
}

// SAFETY: `runtime` is only used to share the runtime, and a `Runtime` may be shared between
// threads.
unsafe impl Sync for CpuList {}
// SAFETY: As above.
unsafe impl Send for CpuList {}

impl CpuList {
    /// An empty list.
    ///
    /// # Safety
    ///
    /// As for [`Reaper::new`].
    const unsafe fn new(runtime: NonNull<Runtime>) -> Self {
        // INVARIANT: By the safety requirements the runtime is put there before an object is handed
        // over. It drops its reaper, and that its lists, first.
        Self {
            dead: LList::new(),
            pending: CpuPending::new(),
            runtime,
        }
    }

    /// The runtime. To be called after an object was handed over only.
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
    /// The caller must put the runtime that the reaper becomes a part of at `runtime`, before
    /// anything is handed over. That runtime must drop its reaper first.
    pub(super) unsafe fn new(runtime: NonNull<Runtime>, watermarks: Watermarks) -> Result<Self> {
        let queue = Workqueue::new()?;
        // SAFETY: The safety requirements are those of this function.
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

    /// Takes over a dead object of `bytes` bytes. It may be on lists still, as `reap_node` tells.
    /// Any context.
    ///
    /// # Safety
    ///
    /// The caller must own the object, and must not use it again, except for reading it under an
    /// RCU guard that it holds already. If the object is on no list, no reader may be able to find
    /// it any more.
    pub(super) unsafe fn take(&self, reap_node: &ReapNode, bytes: usize) {
        let mut dead = Batch::new();
        // SAFETY: By the safety requirements the caller owns the object, and does not use its link
        // again.
        unsafe { dead.add(reap_node, bytes) };
        // SAFETY: The safety requirements are those of this function, for the only object.
        unsafe { self.take_all(dead) };
    }

    /// Takes over a batch of one dead object or more. Any context.
    ///
    /// # Safety
    ///
    /// As for [`Reaper::take`], for each object.
    #[inline(always)]
    pub(super) unsafe fn take_all(&self, dead: Batch) {
        fault::pause(Site::HandOver);
        let list = self.lists.this_cpu();
        list.pending.add(dead.objects, &self.pending);
        if list.dead.push_all(dead.links) {
            list.queue();
        }
    }

    /// Returns whether too much waits to be freed for anything to be created. Any context.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.pending.has_reached(&self.limit)
    }

    fn is_expedited(&self) -> bool {
        self.pending.has_reached(&self.expedite) || self.waiters.get() != 0
    }

    /// The bound on what waits for the drops of one map, in bytes.
    pub(super) fn limit(&self) -> u64 {
        self.limit_bytes
    }

    /// Returns whether any object waits to be freed or to be handed to the drops of its map.
    pub(super) fn has_dead(&self) -> bool {
        self.lists
            .iter()
            .any(|list| list.pending.get().count() != 0)
    }

    /// The number and the size in bytes of the objects that wait to be freed or to be handed to the
    /// drops of their map.
    pub(super) fn pending(&self) -> (u64, u64) {
        self.lists.iter().fold((0, 0), |(objects, bytes), list| {
            let pending = list.pending.get();
            (objects + pending.count(), bytes + pending.bytes())
        })
    }

    /// Unlinks what was handed over on one CPU, waits for a grace period, and frees it.
    fn reap(&self, list: &DeferredWork<CpuList>, runtime: &Runtime) {
        let mut unlinked = list.dead.take();
        if !unlinked.iter().all(is_unlinked) {
            unlinked = unlink_all(unlinked, list, runtime);
        }
        if !unlinked.is_empty() {
            #[cfg(OSTOR_TEST)]
            unlinked.iter().for_each(|link| {
                // SAFETY: The reaper owns what it took from the list. The link is the first field
                // of a `ReapNode`.
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

    /// Frees objects that no reader can reach. Values with a drop are handed on last. So a thread
    /// that waits for such a drop finds everything freed that was handed over before.
    fn free_all(&self, list: &CpuList, dead: Links, runtime: &Runtime) {
        /// The number of objects after which to reschedule, and to count what was freed.
        const BATCH: usize = 32;

        let watch = Stopwatch::start();
        let mut with_drop = Links::new();
        let (mut objects, mut count) = (Objects::NONE, 0);
        let mut freed = Freed::new();
        for link in dead {
            let reap_node = link.cast::<ReapNode>();
            // SAFETY: As in `reap`.
            let object = unsafe { reap_node.as_ref() };
            object.age.advance();
            let bytes = match object.kind() {
                Reapable::Element => {
                    let elem = reap_node.cast::<Element>();
                    // SAFETY: By its type invariant `reap_node` is the first field of an element.
                    let map = unsafe { elem.as_ref() }.map();
                    let bytes = map.element_size();
                    if map.drops_values() {
                        // SAFETY: The reaper owns the object, and its link is on no list.
                        unsafe { with_drop.push(link) };
                    } else {
                        // SAFETY: The reaper owns the element, and a grace period has passed since
                        // it was unlinked.
                        unsafe { freed.free(elem) };
                    }
                    bytes
                }
                Reapable::Storage => {
                    // SAFETY: By its type invariant `reap_node` is the first field of a storage.
                    // The reaper owns it, and a grace period has passed since it was unlinked.
                    unsafe { Storage::free(reap_node.cast(), &runtime.stats) };
                    size_of::<Storage>()
                }
            };
            objects = objects.plus(Objects::one(bytes));
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
            // SAFETY: As above. The drops are those of the element's map. A grace period has passed
            // since the element was unlinked.
            unsafe { map.drops().take(link, map.element_size()) };
        }
        runtime.stats.reap_ns.add(watch.elapsed_ns());
    }

    /// Frees what has died so far, at once, and waits until that is done. What still cannot be
    /// unlinked, and what waits for the drops of its map, is not waited for. May sleep.
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

    /// As [`Reaper::make_room`], and waits for the drops of all maps. May sleep, but must not be
    /// called in a drop.
    pub(super) fn flush(&self) {
        self.make_room();
        self.queue.flush();
    }

    /// An initialiser for the drops of a new map.
    pub(super) fn new_drops(&self) -> impl PinInit<Work<Drops>> {
        Drops::new(&self.queue)
    }
}

/// Returns whether an object that the reaper owns is on no list but the reaper's.
fn is_unlinked(link: NonNull<Link>) -> bool {
    // SAFETY: The reaper owns what it took from the list. The link is the first field of a
    // `ReapNode`.
    unsafe { link.cast::<ReapNode>().as_ref() }.is_unlinked()
}

/// Unlinks what the reaper took from a CPU's list as far as the locks allow. Returns what is
/// unlinked, and puts the rest back on the list.
#[cold]
fn unlink_all(dead: Links, list: &DeferredWork<CpuList>, runtime: &Runtime) -> Links {
    let mut unlinked = Links::new();
    let mut is_stuck = false;
    for link in dead {
        if is_unlinked(link) {
            // SAFETY: The reaper owns the object, and its link is on no list.
            unsafe { unlinked.push(link) };
            continue;
        }
        // SAFETY: The reaper owns the object.
        if unsafe { finish_unlinking(link, runtime) } {
            // SAFETY: The reaper owns the object, and its link is on no list.
            unsafe { unlinked.push(link) };
        } else {
            // SAFETY: As above, and the object stays until it is taken from the list.
            unsafe { list.dead.push(link) };
            is_stuck = true;
        }
        deferred::cond_resched();
    }
    if is_stuck {
        // The holder of the lock needs some time, so wait a jiffy.
        list.queue_delayed(1);
    }
    unlinked
}

/// Unlinks an object as far as the locks allow. Returns whether it is on no list any more.
///
/// # Safety
///
/// `link` must be the first field of a dead object that the caller owns.
unsafe fn finish_unlinking(link: NonNull<Link>, runtime: &Runtime) -> bool {
    let reap_node = link.cast::<ReapNode>();
    // SAFETY: By the safety requirements the object is valid. The link is the first field of its
    // `ReapNode`.
    let kind = unsafe { reap_node.as_ref() }.kind();
    let rcu = rcu::read_lock();
    let done = match kind {
        // SAFETY: By its type invariant `reap_node` is the first field of an element, which the
        // caller owns.
        Reapable::Element => unsafe { unlink::unlink(reap_node.cast().as_ref(), &rcu) },
        // SAFETY: By its type invariant `reap_node` is the first field of a storage, which the
        // caller owns.
        Reapable::Storage => unsafe {
            unlink::unlink_storage::<Spin>(runtime, reap_node.cast().as_ref(), &rcu)
        },
    };
    if done {
        runtime.stats.finished.add(1);
    }
    done
}
