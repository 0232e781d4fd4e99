// SPDX-License-Identifier: GPL-2.0

//! A doubly linked list that is changed under a lock, and walked under RCU.
//!
//! The algorithm is that of `hlist_add_head_rcu()` and `hlist_del_rcu()` in
//! [`include/linux/rculist.h`](srctree/include/linux/rculist.h).

use super::{
    chain::{
        CatchUp,
        Member, //
    },
    rcu::{
        Guard,
        RcuPtr, //
    },
    Acquire, Atomic, Relaxed, Release,
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// The links of a member.
///
/// | `pprev` | `next`                                | state                                     |
/// |---------|---------------------------------------|-------------------------------------------|
/// | null    | any; a reader may still follow it     | on no list, or removed                    |
/// | a link  | the next member, or null              | on a list: the link points to this node   |
///
/// Only the holder of the list's lock writes the two, and follows `pprev`. Readers follow `next`,
/// and compare `pprev` with null.
pub(crate) struct HNode {
    next: RcuPtr<HNode>,
    /// Address of the pointer that points to this node.
    pprev: Atomic<*mut RcuPtr<HNode>>,
}

impl HNode {
    /// The links of an object that is on no list.
    pub(crate) const fn new() -> Self {
        Self {
            next: RcuPtr::null(),
            pprev: Atomic::new(ptr::null_mut()),
        }
    }

    fn set_pprev(&self, link: &RcuPtr<HNode>) {
        self.pprev.store(ptr::from_ref(link).cast_mut(), Relaxed);
    }
}

impl Member for HNode {
    #[inline]
    fn next(&self) -> *mut Self {
        self.next.load()
    }

    #[inline]
    fn has_left(&self) -> bool {
        self.pprev.load(Acquire).is_null()
    }
}

/// The head of a list.
///
/// # Invariants
///
/// Every member is valid from its [`HListMut::push`] until a grace period after its
/// [`HListMut::remove`].
pub(crate) struct HListHead {
    first: RcuPtr<HNode>,
}

/// The right to change a list, which the holder of the list's lock has.
pub(crate) struct HListMut<'a>(&'a HListHead);

impl HListHead {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self {
            first: RcuPtr::null(),
        }
    }

    /// Gives the right to change the list.
    ///
    /// # Safety
    ///
    /// The caller must hold the lock that serialises all changes of this list while the result
    /// lives, and the head must not move while it has members.
    pub(crate) unsafe fn assume_locked(&self) -> HListMut<'_> {
        HListMut(self)
    }

    /// Walks the members, then those that were pushed meanwhile, and so on. See [`CatchUp`].
    pub(crate) fn catch_up<'h, 'a>(&'h self, rcu: &'a Guard) -> CatchUp<'h, 'a, HNode> {
        // SAFETY: By the type invariant, each member is valid until a grace period after its
        // removal.
        unsafe { CatchUp::new(&self.first, ptr::null_mut(), rcu) }
    }

    /// Walks the members. Sees each that is a member throughout the walk.
    pub(crate) fn iter<'a>(&self, _rcu: &'a Guard) -> Iter<'a> {
        Iter(self.first.load(), PhantomData)
    }
}

impl HListMut<'_> {
    /// Pushes a member in front.
    ///
    /// # Safety
    ///
    /// `node` must be on no list, and valid until a grace period after its removal.
    pub(crate) unsafe fn push(&mut self, node: NonNull<HNode>) {
        let first = self.0.first.load();
        // SAFETY: The node is valid by the contract.
        let new = unsafe { node.as_ref() };
        new.next.set(first);
        new.set_pprev(&self.0.first);
        if let Some(first) = NonNull::new(first) {
            // SAFETY: A member is valid by the type invariant.
            unsafe { first.as_ref() }.set_pprev(&new.next);
        }
        self.0.first.assign(node.as_ptr());
    }

    /// Removes a member. A reader that has come to it can still follow its `next`.
    ///
    /// # Safety
    ///
    /// `node` must be a member of this list.
    pub(crate) unsafe fn remove(&mut self, node: NonNull<HNode>) {
        // SAFETY: A member is valid by the type invariant.
        let node = unsafe { node.as_ref() };
        let next = node.next.load();
        // SAFETY: `pprev` points into the head, which does not move, or into the member before this
        // one, which is valid by the type invariant.
        let link = unsafe { &*node.pprev.load(Relaxed) };
        node.pprev.store(ptr::null_mut(), Release);
        link.assign(next);
        if let Some(next) = NonNull::new(next) {
            // SAFETY: A member is valid by the type invariant.
            unsafe { next.as_ref() }.set_pprev(link);
        }
    }

    /// Whether the list has no member.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.first.load().is_null()
    }
}

/// A walk under RCU.
///
/// # Invariants
///
/// The pointer is null, or was loaded from the list under the guard.
pub(crate) struct Iter<'a>(*mut HNode, PhantomData<&'a Guard>);

impl<'a> Iterator for Iter<'a> {
    type Item = &'a HNode;

    fn next(&mut self) -> Option<&'a HNode> {
        // SAFETY: By the type invariants, the member was loaded under the guard, and is valid until
        // a grace period after its removal.
        let node: &'a HNode = unsafe { NonNull::new(self.0)?.as_ref() };
        self.0 = node.next.load();
        Some(node)
    }
}
