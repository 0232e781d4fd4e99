// SPDX-License-Identifier: GPL-2.0

//! A doubly linked list that is changed under a lock and walked under RCU.
//!
//! The algorithm is that of `hlist_add_head_rcu()` and `hlist_del_rcu()` in
//! [`include/linux/rculist.h`](srctree/include/linux/rculist.h).

use super::rcu::{
    Guard,
    RcuPtr, //
};
use core::{
    cell::Cell,
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::sync::barrier::{
    self,
    ordering::Read, //
};

/// The links of a member.
pub(crate) struct HNode {
    next: RcuPtr<HNode>,
    /// Address of the pointer that points here. Accessed by who may change the list.
    pprev: Cell<*const RcuPtr<HNode>>,
}

impl HNode {
    /// The links of an object that is on no list.
    pub(crate) const fn new() -> Self {
        Self {
            next: RcuPtr::null(),
            pprev: Cell::new(ptr::null()),
        }
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

/// What changes a list: it is made by who holds the list's lock.
pub(crate) struct HListMut<'a>(&'a HListHead);

impl HListHead {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self {
            first: RcuPtr::null(),
        }
    }

    /// The right to change the list.
    ///
    /// # Safety
    ///
    /// The caller must hold the lock that serialises all changes of this list while the result
    /// lives, and the head must not move while it has members.
    pub(crate) unsafe fn assume_locked(&self) -> HListMut<'_> {
        HListMut(self)
    }

    /// What `look` makes of a walk that nobody came in front of: where members are put in before
    /// others are taken out, it has seen one of the two. Others may have left meanwhile.
    pub(crate) fn stable<'a, R>(&self, rcu: &'a Guard, look: impl Fn(Iter<'a>) -> R) -> R {
        loop {
            let first = self.first.load();
            let seen = look(self.iter(rcu));
            // The loads of the walk come before the load of the head.
            barrier::smp_mb(Read);
            if ptr::eq(self.first.load(), first) {
                return seen;
            }
        }
    }

    /// Walks the members. Whoever is a member throughout the walk is seen.
    pub(crate) fn iter<'a>(&self, _rcu: &'a Guard) -> Iter<'a> {
        Iter(self.first.load(), PhantomData)
    }
}

impl HListMut<'_> {
    /// Adds a member in front.
    ///
    /// # Safety
    ///
    /// `node` must be on no list, and valid until a grace period after its removal.
    pub(crate) unsafe fn push(&mut self, node: NonNull<HNode>) {
        let first = self.0.first.load();
        // SAFETY: Valid by the contract.
        let new = unsafe { node.as_ref() };
        new.next.set(first);
        new.pprev.set(&self.0.first);
        if let Some(first) = NonNull::new(first) {
            // SAFETY: A member is valid by the type invariant, and its `pprev` is ours to change.
            unsafe { first.as_ref() }.pprev.set(&new.next);
        }
        self.0.first.assign(node.as_ptr());
    }

    /// Takes a member out. Readers that stand on it still find their way on.
    ///
    /// # Safety
    ///
    /// `node` must be a member of this list.
    pub(crate) unsafe fn remove(&mut self, node: NonNull<HNode>) {
        // SAFETY: A member is valid by the type invariant.
        let node = unsafe { node.as_ref() };
        let next = node.next.load();
        // SAFETY: `pprev` points into the head or into the member before, both valid.
        unsafe { &*node.pprev.get() }.set(next);
        if let Some(next) = NonNull::new(next) {
            // SAFETY: A member is valid by the type invariant, and its `pprev` is ours to change.
            unsafe { next.as_ref() }.pprev.set(node.pprev.get());
        }
    }

    /// Whether the list has no member.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.first.load().is_null()
    }
}

/// A walk under RCU.
pub(crate) struct Iter<'a>(*mut HNode, PhantomData<&'a Guard>);

impl<'a> Iterator for Iter<'a> {
    type Item = &'a HNode;

    fn next(&mut self) -> Option<&'a HNode> {
        // SAFETY: A member that was reached under the guard is not freed while the guard lives.
        let node: &'a HNode = unsafe { NonNull::new(self.0)?.as_ref() };
        self.0 = node.next.load();
        Some(node)
    }
}
