// SPDX-License-Identifier: GPL-2.0

//! A hash table of owners that readers search without locks, in any context.
//!
//! A bucket is a singly linked chain. A new member is pushed in front with one compare and
//! exchange, so an insertion waits for no lock. A member is taken out with the bucket's lock held.
//! So only one CPU at a time changes the links behind the head.

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
    opaque,
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

/// A member of a table.
///
/// `key` has four states:
///
/// | value        | state  | changed by, and to                                           |
/// |--------------|--------|--------------------------------------------------------------|
/// | address      | live   | any CPU, to dead, by [`Node::claim`], of which one succeeds; |
/// |              |        | a CPU that deletes the member that replaced it, to hidden    |
/// | address \| 2 | hidden | any CPU, to dead, by [`Node::claim`]                         |
/// | address \| 1 | dead   | the claimer, to left, with the bucket's lock held            |
/// | address \| 3 | left   | no CPU; the claimer hands the member to the reaper           |
///
/// Lookups match live members only. A claim is fully ordered: a CPU that sees a later store of the
/// claimer sees the member dead.
///
/// Hidden: an update has replaced the member, and is about to claim it.
///
/// Left: the links are about to lead around the member. `next` does not change any more. A reader
/// that reached another member by such a link sees this one as left.
///
/// `stamp` changes only while no other CPU looks for the old or the new identity, see
/// [`Node::rename`].
pub(crate) struct Node {
    next: RcuPtr<Node>,
    key: Atomic<usize>,
    stamp: Atomic<u64>,
}

const DEAD: usize = 1;
const HIDDEN: usize = 2;
const LEFT: usize = DEAD | 2;
/// The bits of a key that are not the address.
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

    /// Claims the member, if it is live or hidden, and returns whether this call did. Any context.
    /// `site` is passed before the claim.
    pub(crate) fn claim(&self, site: Site) -> bool {
        fault::pause(site);
        let mut key = self.key.load(Relaxed);
        while key & DEAD == 0 {
            match self.key.cmpxchg(key, key & !STATE | DEAD, Full) {
                Ok(_) => return true,
                // Another CPU has claimed or hidden it. A member is hidden at most once.
                Err(now) => key = now,
            }
        }
        false
    }

    /// Hides the member, if it is live. An update has replaced it, and is about to claim it.
    #[cold]
    fn hide(&self) {
        let addr = self.addr();
        // If this fails, another CPU has hidden or claimed it.
        let _ = self.key.cmpxchg(addr, addr | HIDDEN, Full);
    }

    /// Returns whether lookups match the member. Acquires, as [`Node::matches_addr`] does.
    pub(super) fn is_live(&self) -> bool {
        self.key.load(Acquire) & STATE == 0
    }

    /// Returns whether lookups match the member, and its owner is at `addr`.
    ///
    /// Acquires: a lookup that sees a member dead, and goes on to the one that it has replaced,
    /// sees that one hidden or dead, see [`Table::hide_older`].
    #[inline(always)]
    pub(super) fn matches_addr(&self, addr: usize) -> bool {
        self.key.load(Acquire) == addr
    }

    /// The identity of the owner. The member may be dead.
    pub(super) fn id(&self) -> OwnerId {
        // SAFETY: The address and the stamp are those of one identity, or of two with the same
        // address.
        unsafe { OwnerId::from_parts(self.addr(), self.stamp.load(Relaxed)) }
    }

    /// Returns whether the identity has the stamp of `id`. The member may be dead.
    #[inline(always)]
    pub(super) fn has_stamp_of(&self, id: OwnerId) -> bool {
        self.stamp.load(Relaxed) == id.stamp()
    }

    /// The address of the owner. The member may be dead.
    pub(crate) fn addr(&self) -> usize {
        self.key.load(Relaxed) & !STATE
    }

    #[inline(always)]
    fn matches(&self, id: OwnerId) -> bool {
        self.matches_addr(id.addr()) && self.has_stamp_of(id)
    }

    /// Gives the member another identity with the same address. The caller knows that no other CPU
    /// uses the old or the new identity at that time.
    pub(super) fn rename(&self, to: OwnerId) {
        fault::pause(Site::Rename);
        self.stamp.store(to.stamp(), Relaxed);
    }

    /// Marks this dead member as left, before the links lead around it. The bucket's lock is held.
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
    /// Held while a member is taken out.
    lock: ResLock<()>,
}

impl Bucket {
    /// A walk of the members that were pushed since the caller walked the chain from the head
    /// `first`, and of those pushed during this walk. If `first` is null, a walk of the whole
    /// chain.
    #[inline(always)]
    fn catch_up<'h, 'a>(&'h self, first: *mut Node, rcu: &'a Guard) -> CatchUp<'h, 'a, Node> {
        // SAFETY: By the type invariant of `Table` a member is valid until a grace period after it
        // was taken out.
        unsafe { CatchUp::new(&self.head, first, rcu) }
    }

    /// Searches the members that were pushed since `seen`. If none is wanted, checks again what
    /// `seen` had found.
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

    /// The member in front of `node`, which is a member. [`None`] if `node` is the head.
    fn before<'a>(&self, node: NonNull<Node>, _rcu: &'a Guard) -> Option<&'a Node> {
        Chain(self.head.load(), PhantomData::<&'a Guard>)
            .take_while(|member| !ptr::eq(*member, node.as_ptr()))
            .last()
    }
}

/// A hash table.
///
/// # Invariants
///
/// - There are `mask / BUCKET_SIZE + 1` buckets, a power of two, and `mask` is a multiple of
///   `BUCKET_SIZE`.
/// - Every member is valid from its insertion until a grace period after [`Table::unlink`] took it
///   out.
pub(crate) struct Table {
    buckets: KVVec<Bucket>,
    mask: usize,
}

// SAFETY: Atomic operations access the heads and the members. A bucket's lock serializes the
// changes behind its head.
unsafe impl Sync for Table {}
// SAFETY: As above.
unsafe impl Send for Table {}

impl Table {
    /// The upper limit of the module parameters `map_bits` and `index_bits`.
    const BITS_MAX: u32 = 20;

    /// The size of a bucket in bytes.
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
        // INVARIANT: There are `1 << bits` buckets, as `mask` has it, and no member.
        Ok(Self {
            buckets,
            mask: ((1 << bits) - 1) * Self::BUCKET_SIZE,
        })
    }

    /// The number of buckets.
    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// The bucket of an address: multiplicative hashing by the golden ratio, as in `hash_long()`.
    /// The higher a bit of the product, the better it is. The bits from 40 on depend on all bits in
    /// which addresses differ.
    ///
    /// `mask` masks an offset in bytes. That saves a multiplication by the size of a bucket.
    #[inline(always)]
    fn bucket(&self, addr: usize) -> &Bucket {
        const SHIFT: u32 = 40 - Table::BUCKET_SIZE.ilog2();
        // The shifted product has a bit for each bit of the largest mask.
        const { assert!(SHIFT + Table::BITS_MAX + Table::BUCKET_SIZE.ilog2() <= u64::BITS) };

        let at = addr.wrapping_mul(0x61c8_8646_80b5_83eb) >> SHIFT & self.mask;
        // SAFETY: By the type invariant the offset is that of a bucket.
        unsafe { &*self.buckets.as_ptr().byte_add(at) }
    }

    /// Returns whether two addresses share a bucket.
    pub(super) fn share_bucket(&self, one: usize, other: usize) -> bool {
        ptr::eq(self.bucket(one), self.bucket(other))
    }

    /// Finds the live member for `id`. Any context; takes no lock.
    #[inline]
    pub(crate) fn find<'a>(&self, id: OwnerId, rcu: &'a Guard) -> Option<&'a Node> {
        self.lookup(id, rcu).found
    }

    /// As [`Table::find`], for callers that call no function. The rare second walk is inlined here,
    /// so the caller needs no stack frame. Nor does it have to save a register: the bucket is in
    /// one, and not in two that the compiler adds for each use.
    #[inline(always)]
    pub(crate) fn find_in_leaf<'a>(&self, id: OwnerId, rcu: &'a Guard) -> Option<&'a Node> {
        let bucket = opaque(self.bucket(id.addr()));
        let first = bucket.head.load();
        if let Some(node) = walk(first, rcu, |node| node.matches(id)) {
            return Some(node);
        }
        if first.is_null() {
            return None;
        }
        bucket.catch_up(first, rcu).find(|node| node.matches(id))
    }

    /// Looks up the live member for `id`. [`Table::relookup`] can repeat the lookup. Any context;
    /// takes no lock.
    #[inline(always)]
    pub(super) fn lookup<'a>(&self, id: OwnerId, rcu: &'a Guard) -> Lookup<'a> {
        // The closures are moved. With a reference, they would need an address for the rare second
        // walk.
        self.lookup_by(id.addr(), move |node| node.matches(id), rcu)
    }

    /// As [`Table::lookup`], for a live member with this address and any stamp.
    #[inline(always)]
    pub(super) fn lookup_at<'a>(&self, addr: usize, rcu: &'a Guard) -> Lookup<'a> {
        self.lookup_by(addr, move |node| node.matches_addr(addr), rcu)
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

    /// Repeats a lookup under the same guard. It visits only members that were pushed since. Any
    /// context; takes no lock.
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
        self.relookup_by(seen, addr, move |node| node.matches_addr(addr), rcu)
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
        // Pairs with the full ordering of claims, as in `CatchUp`: the loads of the lookup come
        // first. So a reader that has seen a member dead, since it was replaced, finds the member
        // that has replaced it.
        barrier::smp_mb(Read);
        if !ptr::eq(bucket.head.load(), seen.first) {
            return bucket.lookup_newer(seen, wanted, rcu);
        }
        Lookup {
            found: seen.found.filter(|node| wanted(node)),
            ..seen
        }
    }

    /// Hides the member that `node` has replaced, if the update that replaced it has not claimed it
    /// yet. Otherwise lookups would match it again once `node` is dead. `node` is a member. Any
    /// context; takes no lock.
    #[inline(always)]
    pub(crate) fn hide_older(&self, node: &Node, rcu: &Guard) {
        let next = node.next.load();
        // Most chains end here.
        if next.is_null() {
            return;
        }
        let id = node.id();
        if let Some(older) = walk(next, rcu, |older| older.matches(id)) {
            older.hide();
        }
    }

    /// Finds a live member with this address and any stamp. Any context; takes no lock.
    pub(super) fn find_at<'a>(&self, addr: usize, rcu: &'a Guard) -> Option<&'a Node> {
        self.lookup_at(addr, rcu).found
    }

    /// Finds a live member with this address whose identity is of the kind that `ops` describes.
    /// Any context; takes no lock.
    pub(super) fn find_of_kind<'a>(
        &self,
        addr: usize,
        ops: &OwnerOps,
        rcu: &'a Guard,
    ) -> Option<&'a Node> {
        let wanted = move |node: &Node| node.matches_addr(addr) && node.id().is_of(ops);
        self.find_by(addr, wanted, rcu)
    }

    /// Returns whether the bucket of this address has no member. Then no member has this address.
    /// Any context.
    #[inline]
    pub(super) fn is_bucket_empty(&self, addr: usize) -> bool {
        self.bucket(addr).head.is_null()
    }

    /// Finds a live member for which `wanted` returns true. It must return false for dead members.
    /// It is called once for most members, and again for some. Any context; takes no lock.
    #[inline(always)]
    pub(crate) fn find_by<'a>(
        &self,
        addr: usize,
        wanted: impl Fn(&Node) -> bool,
        rcu: &'a Guard,
    ) -> Option<&'a Node> {
        self.lookup_by(addr, wanted, rcu).found
    }

    /// The live member in bucket number `at` with the greatest key, and that key. `key` is called
    /// once per member, and members for which it returns [`None`] are skipped. Of several members
    /// with the same key, the one that was pushed last. Any context; takes no lock.
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

    /// Inserts a member. The caller knows that no other live member has its identity, or is about
    /// to claim that one. Any context; takes no lock.
    ///
    /// # Safety
    ///
    /// `node` must be in no table, and valid until a grace period after it is unlinked.
    pub(crate) unsafe fn push(&self, node: NonNull<Node>, _rcu: &Guard) {
        // SAFETY: By the safety requirements `node` is valid.
        let new = unsafe { node.as_ref() };
        let head = &self.bucket(new.addr()).head;
        loop {
            // No ABA: the guard keeps the memory of `first` from being reused, so it cannot become
            // the head again.
            let first = head.load();
            new.next.set(first);
            if head.replace(first, node.as_ptr()) {
                return;
            }
        }
    }

    /// Inserts a member, unless there is a live one with its address. Returns whether it did.
    /// `seen` is a lookup of that address by [`Table::lookup_at`] under the same guard, which found
    /// nothing. Any context; takes no lock.
    ///
    /// # Safety
    ///
    /// As for [`Table::push`].
    pub(crate) unsafe fn push_unique<'a>(
        &self,
        node: NonNull<Node>,
        mut seen: Lookup<'a>,
        rcu: &'a Guard,
    ) -> bool {
        // SAFETY: By the safety requirements `node` is valid.
        let new = unsafe { node.as_ref() };
        let addr = new.addr();
        let bucket = self.bucket(addr);
        loop {
            // Members are pushed in front. If the head is unchanged, the lookup has visited all
            // members.
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

    /// Takes a member out. Takes the bucket's lock as `L` does, and returns false if that failed.
    /// Calls `locked` each time that it has the lock. Any context.
    ///
    /// The member in front of `node` is searched without the lock, since that takes time in
    /// proportion to the length of the chain. With the lock held, and interrupts off, only one
    /// check is left: whether that member is still in the chain. If another CPU has taken it out,
    /// the search starts again.
    ///
    /// # Safety
    ///
    /// `node` must be a member of this table, dead, and claimed by the caller.
    #[inline(always)]
    pub(crate) unsafe fn unlink<L: LockMode>(
        &self,
        node: NonNull<Node>,
        site: Site,
        locked: impl Fn(),
        rcu: &Guard,
    ) -> bool {
        // SAFETY: By the safety requirements `node` is a member, so by the type invariant it is
        // valid.
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
                // `node` was the head when it was searched, and other members were pushed in front
                // of it since. None of these leaves while the lock is held.
                if let Some(before) = before.or_else(|| bucket.before(node, rcu)) {
                    before.next.assign(next);
                }
                true
            });
            // Otherwise another CPU has taken out the member in front.
            if unlinked != Some(false) {
                return unlinked.is_some();
            }
        }
    }

    /// Walks the members of bucket number `at`, also dead ones.
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

    /// Walks all members, also dead ones, from the bucket of an address on. The second item is
    /// whether the member's own address belongs into the bucket in which the member was found.
    pub(super) fn iter_from<'a>(
        &'a self,
        addr: usize,
        rcu: &'a Guard,
    ) -> impl Iterator<Item = (&'a Node, bool)> {
        let (first, len) = (self.bucket_number(addr), self.len());
        (0..len).flat_map(move |n| {
            // `len` is a power of two, by the type invariant.
            let at = (first + n) & len.wrapping_sub(1);
            self.iter(at, rcu)
                .map(move |node| (node, self.bucket_number(node.addr()) == at))
        })
    }
}

/// The state of a lookup.
///
/// A live member that the lookup did not find was pushed after `first` was loaded. If it had been
/// pushed before, the last round would have visited it, live, and found it.
///
/// # Invariants
///
/// `found` and `first` are members of one table that were reached under the guard of lifetime `'a`,
/// or [`None`] and null. So they are valid while the guard lives.
#[derive(Copy, Clone)]
pub(crate) struct Lookup<'a> {
    /// The live member that the lookup found.
    pub(super) found: Option<&'a Node>,
    /// The head of the chain when the last round began.
    first: *mut Node,
}

/// Follows the chain from `first` to the first member for which `wanted` returns true.
#[inline(always)]
fn walk<'a>(
    first: *mut Node,
    _rcu: &'a Guard,
    mut wanted: impl FnMut(&Node) -> bool,
) -> Option<&'a Node> {
    let mut next = first;
    loop {
        // SAFETY: The pointer was loaded under the guard. By the type invariant of `Table` the
        // member is valid while the guard lives.
        let node: &'a Node = unsafe { next.as_ref() }?;
        if wanted(node) {
            return Some(node);
        }
        next = node.next.load();
    }
}

/// The members of a chain, from this one on.
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
