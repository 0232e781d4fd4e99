// SPDX-License-Identifier: GPL-2.0

//! A hash table of owners, read without locks in any context.
//!
//! A bucket is a singly linked list. Members are pushed in front with one compare and exchange, so
//! that an insertion never waits for anybody. They are taken out under the bucket's lock, which
//! keeps the links behind the head to one CPU.

use super::{
    lock_mode::LockMode,
    owner::{
        OwnerId,
        OwnerOps, //
    },
};
use crate::sync::{
    chain::{
        CatchUp,
        Member, //
    },
    compat::barrier::{
        self,
        ordering::Read, //
    },
    fault::{
        self,
        Site, //
    },
    rcu::{
        Guard,
        RcuPtr, //
    },
    res_lock::ResLock,
    Acquire,
    Atomic,
    Full,
    Relaxed,
    Release, //
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::prelude::*;

/// What a member of a table has in it.
///
/// `key` has four states:
///
/// | value          | state  | who may change it, and to what                               |
/// |----------------|--------|--------------------------------------------------------------|
/// | address        | live   | anyone, to dead, by [`Node::claim`]: one caller succeeds;    |
/// |                |        | who deletes its successor, to hidden                         |
/// | address \| 2   | hidden | anyone, to dead, by [`Node::claim`]                          |
/// | address \| 1   | dead   | the one who claimed it, to left, in the bucket's lock        |
/// | address \| 3   | left   | nobody; the one who claimed it frees the member              |
///
/// A live member is found by its key; no other one matches anything. `claim` is fully ordered: who
/// sees anything that the claimer does afterwards sees the member dead. A hidden member has been
/// replaced, by an update that is about to claim it. A member has left when the links are about to
/// lead around it: who has come to another one by such a link sees it so, and its `next` does not
/// change any more.
pub(crate) struct Node {
    next: RcuPtr<Node>,
    key: Atomic<usize>,
    stamp: Atomic<u64>,
}

const DEAD: usize = 1;
const HIDDEN: usize = 2;
const LEFT: usize = DEAD | 2;
/// All bits of the key that are not of the address.
const STATE: usize = 3;

impl Node {
    /// A live member for `id` that is in no table yet.
    pub(crate) fn new(id: OwnerId) -> Self {
        Self {
            next: RcuPtr::null(),
            key: Atomic::new(id.addr()),
            stamp: Atomic::new(id.stamp()),
        }
    }

    /// Ends the member's life and returns whether this call did it. Any context. A test can have
    /// the caller stand still at `site` before that.
    pub(crate) fn claim(&self, site: Site) -> bool {
        fault::pause(site);
        let mut key = self.key.load(Relaxed);
        while key & DEAD == 0 {
            match self.key.cmpxchg(key, key & !STATE | DEAD, Full) {
                Ok(_) => return true,
                // Claimed, or hidden, which happens once.
                Err(now) => key = now,
            }
        }
        false
    }

    /// Keeps the member from being found, if it is live. It has been replaced, and the update that
    /// has done so is about to claim it.
    #[cold]
    fn hide(&self) {
        let addr = self.addr();
        // Whoever was faster has hidden it, or claimed it.
        let _ = self.key.cmpxchg(addr, addr | HIDDEN, Full);
    }

    /// Whether the member can be found.
    pub(super) fn is_live(&self) -> bool {
        self.key.load(Relaxed) & STATE == 0
    }

    /// The owner's identity, dead or alive.
    pub(super) fn id(&self) -> OwnerId {
        // SAFETY: Both are from one, or from two with one address.
        unsafe { OwnerId::from_parts(self.addr(), self.stamp.load(Relaxed)) }
    }

    /// The owner's address, dead or alive.
    pub(crate) fn addr(&self) -> usize {
        self.key.load(Relaxed) & !STATE
    }

    #[inline(always)]
    fn matches(&self, id: OwnerId) -> bool {
        self.key.load(Relaxed) == id.addr() && self.stamp.load(Relaxed) == id.stamp()
    }

    /// Gives the member another identity with the same address. For whoever knows that nobody uses
    /// the old one or the new one at that time.
    pub(super) fn rename(&self, to: OwnerId) {
        fault::pause(Site::Rename);
        self.stamp.store(to.stamp(), Relaxed);
    }

    /// The links are about to lead around this member, which is dead. The bucket's lock is held.
    fn leave(&self) {
        let key = self.key.load(Relaxed);
        self.key.store(key | LEFT, Release);
    }
}

impl Member for Node {
    #[inline]
    fn next(&self) -> *mut Self {
        self.next.load()
    }

    #[inline]
    fn has_left(&self) -> bool {
        self.key.load(Acquire) & STATE == LEFT
    }
}

struct Bucket {
    head: RcuPtr<Node>,
    /// Held to take a member out.
    lock: ResLock<()>,
}

impl Bucket {
    /// A walk of what was pushed since a walk of the chain from its head `first`, and is pushed
    /// meanwhile; for null, of the whole chain.
    #[inline(always)]
    fn catch_up<'h, 'a>(&'h self, first: *mut Node, rcu: &'a Guard) -> CatchUp<'h, 'a, Node> {
        // SAFETY: By the invariant of `Table`.
        unsafe { CatchUp::new(&self.head, first, rcu) }
    }

    /// Looks at what was pushed since, and again at what was found.
    #[cold]
    #[inline(never)]
    fn lookup_newer<'a>(
        &self,
        seen: Lookup<'a>,
        wanted: impl Fn(&Node) -> bool,
        rcu: &'a Guard,
    ) -> Lookup<'a> {
        let mut newer = self.catch_up(seen.first, rcu);
        let found = newer.find(|node| wanted(node));
        Lookup {
            found: found.or(seen.found.filter(|node| wanted(node))),
            first: newer.first(),
        }
    }

    /// The member in front of `node`, which is a member; [`None`] if that is the head.
    fn before<'a>(&self, node: NonNull<Node>, _rcu: &'a Guard) -> Option<&'a Node> {
        Chain(self.head.load(), PhantomData::<&'a Guard>)
            .take_while(|member| !ptr::eq(*member, node.as_ptr()))
            .last()
    }
}

/// The table.
///
/// # Invariants
///
/// - There are `mask / BUCKET_SIZE + 1` buckets, a power of two, and `mask` is a multiple of that
///   size.
/// - Every member is valid from its insertion until a grace period after its [`Table::unlink`].
pub(crate) struct Table {
    buckets: KVVec<Bucket>,
    mask: usize,
}

// SAFETY: Members are shared by atomic operations, and by locks where it says so.
unsafe impl Sync for Table {}
// SAFETY: As above.
unsafe impl Send for Table {}

impl Table {
    /// Where the ranges of `map_bits` and `index_bits` end.
    const BITS_MAX: u32 = 20;

    /// Bytes of one bucket.
    pub(crate) const BUCKET_SIZE: usize = {
        assert!(size_of::<Bucket>().is_power_of_two());
        size_of::<Bucket>()
    };

    /// An empty table of `1 << bits` buckets. May sleep.
    pub(crate) fn new(bits: u32) -> Result<Self> {
        if fault::alloc(Site::TableAlloc) {
            return Err(ENOMEM);
        }
        let mut buckets = KVVec::with_capacity(1 << bits, GFP_KERNEL)?;
        for _ in 0..1usize << bits {
            let bucket = Bucket {
                head: RcuPtr::null(),
                lock: ResLock::new(()),
            };
            buckets.push(bucket, GFP_KERNEL)?;
        }
        // INVARIANT: As many as `mask` says; no member yet.
        Ok(Self {
            buckets,
            mask: ((1 << bits) - 1) * Self::BUCKET_SIZE,
        })
    }

    /// How many buckets there are.
    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Multiplicative hashing by the golden ratio, as `hash_long()`, whose bits are the better the
    /// higher they are; those from 40 on depend on all that differs between addresses.
    ///
    /// The mask is one of bytes, so that there is nothing to multiply by the size of a bucket.
    #[inline(always)]
    fn bucket(&self, addr: usize) -> &Bucket {
        const SHIFT: u32 = 40 - Table::BUCKET_SIZE.ilog2();
        // What is left of the product has a bit for each of the mask.
        const { assert!(SHIFT + Table::BITS_MAX + Table::BUCKET_SIZE.ilog2() <= u64::BITS) };

        let at = addr.wrapping_mul(0x61c8_8646_80b5_83eb) >> SHIFT & self.mask;
        // SAFETY: In bounds by the type invariant.
        unsafe { &*self.buckets.as_ptr().byte_add(at) }
    }

    /// Whether two addresses have one bucket.
    pub(super) fn share_bucket(&self, one: usize, other: usize) -> bool {
        ptr::eq(self.bucket(one), self.bucket(other))
    }

    /// Finds the live member for `id`. Any context; takes no lock.
    #[inline]
    pub(crate) fn find<'a>(&self, id: OwnerId, rcu: &'a Guard) -> Option<&'a Node> {
        self.lookup(id, rcu).found
    }

    /// As [`Table::find`], for a function that calls nothing: without a call for the rare second walk
    /// it needs no stack frame.
    #[inline(always)]
    pub(crate) fn find_in_leaf<'a>(&self, id: OwnerId, rcu: &'a Guard) -> Option<&'a Node> {
        let bucket = self.bucket(id.addr());
        let first = bucket.head.load();
        if let Some(node) = walk(first, rcu, |node| node.matches(id)) {
            return Some(node);
        }
        if first.is_null() {
            return None;
        }
        bucket.catch_up(first, rcu).find(|node| node.matches(id))
    }

    /// Looks for the live member for `id`, so that it can be done again by [`Table::relookup`]. Any
    /// context; takes no lock.
    #[inline(always)]
    pub(super) fn lookup<'a>(&self, id: OwnerId, rcu: &'a Guard) -> Lookup<'a> {
        // The closures are moved: none needs an address for the sake of the rare second walk.
        self.lookup_by(id.addr(), move |node| node.matches(id), rcu)
    }

    /// As [`Table::lookup`], for a live member with this address, whatever its stamp is.
    #[inline(always)]
    pub(super) fn lookup_at<'a>(&self, addr: usize, rcu: &'a Guard) -> Lookup<'a> {
        self.lookup_by(addr, move |node| node.key.load(Relaxed) == addr, rcu)
    }

    #[inline(always)]
    fn lookup_by<'a>(
        &self,
        addr: usize,
        wanted: impl Fn(&Node) -> bool,
        rcu: &'a Guard,
    ) -> Lookup<'a> {
        let first = self.bucket(addr).head.load();
        let seen = Lookup {
            found: walk(first, rcu, &wanted),
            first,
        };
        if seen.found.is_some() || first.is_null() {
            return seen;
        }
        self.relookup_by(seen, addr, wanted, rcu)
    }

    /// The live member for `id` that there is now, after it was looked for under the same guard. It
    /// does not take as long as the chain is. Any context; takes no lock.
    #[inline(always)]
    pub(super) fn relookup<'a>(&self, seen: Lookup<'a>, id: OwnerId, rcu: &'a Guard) -> Lookup<'a> {
        self.relookup_by(seen, id.addr(), move |node| node.matches(id), rcu)
    }

    /// As [`Table::relookup`], after [`Table::lookup_at`].
    #[inline(always)]
    pub(super) fn relookup_at<'a>(
        &self,
        seen: Lookup<'a>,
        addr: usize,
        rcu: &'a Guard,
    ) -> Lookup<'a> {
        self.relookup_by(seen, addr, move |node| node.key.load(Relaxed) == addr, rcu)
    }

    #[inline(always)]
    fn relookup_by<'a>(
        &self,
        seen: Lookup<'a>,
        addr: usize,
        wanted: impl Fn(&Node) -> bool,
        rcu: &'a Guard,
    ) -> Lookup<'a> {
        let bucket = self.bucket(addr);
        // Pairs with the full ordering of deaths, as in `CatchUp`: the loads so far come first. So
        // a reader that has seen a member replaced finds the one that it was replaced by.
        barrier::smp_mb(Read);
        if !ptr::eq(bucket.head.load(), seen.first) {
            return bucket.lookup_newer(seen, wanted, rcu);
        }
        Lookup {
            found: seen.found.filter(|node| wanted(node)),
            ..seen
        }
    }

    /// Hides the member that `node`, a member itself, has replaced, if the update that does so has
    /// not come to claim it yet: else it would be found again when `node` is dead. Any context; takes
    /// no lock.
    #[inline(always)]
    pub(super) fn hide_older(&self, node: &Node, rcu: &Guard) {
        let id = node.id();
        if let Some(older) = walk(node.next.load(), rcu, |older| older.matches(id)) {
            older.hide();
        }
    }

    /// Finds a live member with this address, whatever its stamp is. Any context; takes no lock.
    pub(super) fn find_at<'a>(&self, addr: usize, rcu: &'a Guard) -> Option<&'a Node> {
        self.lookup_at(addr, rcu).found
    }

    /// Finds a live member with this address and an identity of `kind`. Any context; takes no lock.
    pub(super) fn find_of_kind<'a>(
        &self,
        addr: usize,
        ops: &OwnerOps,
        rcu: &'a Guard,
    ) -> Option<&'a Node> {
        let wanted = move |node: &Node| node.key.load(Relaxed) == addr && node.id().is_of(ops);
        self.find_by(addr, wanted, rcu)
    }

    /// Whether the bucket of this address has no member, which says that none with the address is in
    /// the table. Any context.
    #[inline]
    pub(super) fn is_bucket_empty(&self, addr: usize) -> bool {
        self.bucket(addr).head.is_null()
    }

    /// Finds a live member that is wanted: `wanted` says false of dead ones, and is asked once of
    /// most. Any context; takes no lock.
    #[inline(always)]
    pub(crate) fn find_by<'a>(
        &self,
        addr: usize,
        wanted: impl Fn(&Node) -> bool,
        rcu: &'a Guard,
    ) -> Option<&'a Node> {
        self.lookup_by(addr, wanted, rcu).found
    }

    /// Of the live members in bucket number `at` that have a key, the one with the greatest, and
    /// that key, which is asked for once; of several, the one that was pushed last. Any context;
    /// takes no lock.
    pub(super) fn max_live<'a, K: Ord>(
        &self,
        at: usize,
        key: impl Fn(&Node) -> Option<K>,
        rcu: &'a Guard,
    ) -> Option<(K, &'a Node)> {
        let bucket = self.buckets.get(at)?;
        bucket
            .catch_up(ptr::null_mut(), rcu)
            .filter(|node| node.is_live())
            .filter_map(|node| Some((key(node)?, node)))
            .max_by(|(one, _), (other, _)| one.cmp(other))
    }

    /// Inserts a member for whose identity the caller knows that there is no other, or that it is
    /// about to be killed. Any context; takes no lock.
    ///
    /// # Safety
    ///
    /// `node` must be in no table, and valid until a grace period after it is unlinked.
    pub(crate) unsafe fn push(&self, node: NonNull<Node>, _rcu: &Guard) {
        // SAFETY: Valid by the contract.
        let new = unsafe { node.as_ref() };
        let head = &self.bucket(new.addr()).head;
        loop {
            // The guard keeps the head's memory from being reused, so that it cannot come back.
            let first = head.load();
            new.next.set(first);
            if head.replace(first, node.as_ptr()) {
                return;
            }
        }
    }

    /// Inserts a member unless there is a live one with its address, which was looked for by
    /// [`Table::lookup_at`] under the same guard and not found, and returns whether it did. Any
    /// context; takes no lock.
    ///
    /// # Safety
    ///
    /// As [`Table::push`].
    pub(crate) unsafe fn push_unique<'a>(
        &self,
        node: NonNull<Node>,
        mut seen: Lookup<'a>,
        rcu: &'a Guard,
    ) -> bool {
        // SAFETY: Valid by the contract.
        let new = unsafe { node.as_ref() };
        let addr = new.addr();
        let bucket = self.bucket(addr);
        loop {
            // Members are pushed in front. If the head is still the same at the exchange, all have
            // been looked at.
            new.next.set(seen.first);
            if bucket.head.replace(seen.first, node.as_ptr()) {
                return true;
            }
            seen = self.relookup_at(seen, addr, rcu);
            if seen.found.is_some() {
                return false;
            }
        }
    }

    /// Takes a member out, and returns whether it did: it takes the bucket's lock as `L` says, and
    /// calls `locked` whenever it has it. Any context.
    ///
    /// The member in front of it is looked for before the lock is taken, which takes as long as the
    /// chain is. With the lock held and interrupts off, there is left to look whether that one is
    /// still in the chain. If not, another CPU has taken it out, and the one in front of it is
    /// looked for.
    ///
    /// # Safety
    ///
    /// `node` must be a member of this table, dead, and claimed by the caller.
    pub(crate) unsafe fn unlink<L: LockMode>(
        &self,
        node: NonNull<Node>,
        site: Site,
        locked: impl Fn(),
        rcu: &Guard,
    ) -> bool {
        // SAFETY: A member is valid by the type invariant.
        let old = unsafe { node.as_ref() };
        let bucket = self.bucket(old.addr());
        loop {
            let before = bucket.before(node, rcu);
            let unlinked = L::with(&bucket.lock, site, || {
                locked();
                if before.is_some_and(Node::has_left) {
                    return false;
                }
                fault::pause(Site::TableRemove);
                let next = old.next.load();
                old.leave();
                if before.is_none() && bucket.head.replace(node.as_ptr(), next) {
                    return true;
                }
                // What was pushed in front since we looked stays while the lock is held.
                if let Some(before) = before.or_else(|| bucket.before(node, rcu)) {
                    before.next.assign(next);
                }
                true
            });
            // Else the member in front has left meanwhile.
            if unlinked != Some(false) {
                return unlinked.is_some();
            }
        }
    }

    /// Walks the members of bucket number `at`, dead ones too.
    pub(crate) fn iter<'a>(
        &self,
        at: usize,
        _rcu: &'a Guard,
    ) -> impl Iterator<Item = &'a Node> + use<'a> {
        let first = self
            .buckets
            .get(at)
            .map_or(ptr::null_mut(), |bucket| bucket.head.load());
        Chain(first, PhantomData::<&'a Guard>)
    }
}

#[cfg(OSTOR_TEST)]
impl Table {
    /// The number of the bucket of an address.
    fn bucket_number(&self, addr: usize) -> usize {
        let first = self.buckets.as_ptr().addr();
        (ptr::from_ref(self.bucket(addr)).addr() - first) / Self::BUCKET_SIZE
    }

    /// Walks all members, dead ones too, from the bucket of an address on. Says of each whether it
    /// is one: whether its own address has the bucket that it was found in.
    pub(super) fn iter_from<'a>(
        &'a self,
        addr: usize,
        rcu: &'a Guard,
    ) -> impl Iterator<Item = (&'a Node, bool)> {
        let (first, len) = (self.bucket_number(addr), self.len());
        (0..len).flat_map(move |n| {
            let at = (first + n) % len;
            self.iter(at, rcu)
                .map(move |node| (node, self.bucket_number(node.addr()) == at))
        })
    }
}

/// How far a lookup has come.
///
/// What is live and was not found was pushed since: else it was pushed before the head at which the
/// last round of the lookup began, and was live then, and would have been found.
#[derive(Copy, Clone)]
pub(crate) struct Lookup<'a> {
    /// The live member that was found.
    pub(super) found: Option<&'a Node>,
    /// The head when the last round began.
    first: *mut Node,
}

/// Follows a chain from `first` to the first member that is wanted.
#[inline(always)]
fn walk<'a>(
    first: *mut Node,
    _rcu: &'a Guard,
    mut wanted: impl FnMut(&Node) -> bool,
) -> Option<&'a Node> {
    let mut next = first;
    loop {
        // SAFETY: A member that was reached under the guard is valid while the guard lives, by
        // the invariant of `Table`.
        let node: &'a Node = unsafe { next.as_ref() }?;
        if wanted(node) {
            return Some(node);
        }
        next = node.next.load();
    }
}

/// All members of a chain, from this one on.
struct Chain<'a>(*mut Node, PhantomData<&'a Guard>);

impl<'a> Iterator for Chain<'a> {
    type Item = &'a Node;

    fn next(&mut self) -> Option<&'a Node> {
        // SAFETY: As in `walk`.
        let node: &'a Node = unsafe { self.0.as_ref() }?;
        self.0 = node.next.load();
        Some(node)
    }
}
