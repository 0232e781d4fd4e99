// SPDX-License-Identifier: GPL-2.0

//! Walks of a chain whose members are replaced meanwhile.
//!
//! Members are pushed in front. An updater that replaces a member pushes the new one before it
//! kills the old one. A reader whose walk began before the push, and that comes to the old member
//! after its death, sees neither of the two. It has been *overtaken*: the head has changed, and the
//! reader has to visit what was pushed.

use super::{
    compat::barrier::{
        self,
        ordering::Read, //
    },
    rcu::{
        Guard,
        RcuPtr, //
    }, //
};
use core::{
    marker::PhantomData,
    mem,
    ptr, //
};

/// A member of a chain.
pub(crate) trait Member: Sized {
    /// The next member: the last one of those pushed earlier that had not been removed, now, or
    /// when this member was removed.
    fn next(&self) -> *mut Self;

    /// Whether the member was removed.
    ///
    /// The thread that removes a member sets this, with release or inside a lock, before a
    /// releasing store links the members around it. The load acquires: if it returns true,
    /// [`Member::next`] does not change any more.
    fn has_left(&self) -> bool;
}

/// A walk that goes on until no member was pushed during its last round.
///
/// The first round begins at the head and visits the whole chain. After each round the walk loads
/// the head again. If the head has changed, another round begins there, and ends where the round
/// before it began. Otherwise the iterator ends; if it is advanced again, it loads the head again.
///
/// # What it sees
///
/// Let a value be in the chain throughout, by a member that is replaced any number of times. Each
/// new member is pushed, fully ordered, before the old one is killed, fully ordered, and a member
/// is killed before it is removed. Then the walk meets a live member of the value.
///
/// Take a round that began when `m` was the newest member of the value. `m` is newer than the head
/// at which the round before began: there is no round before the first one, and for the others it
/// follows from what comes below. The links lead from newer members to older ones, and around
/// removed members only. So the round meets `m`, or finds it removed, before it ends. If it does
/// not see `m` live, it has seen a store that came after the death of `m`. After the read barrier
/// it then sees the head as the push of the value's next member left it, or a later one. That is
/// not the head at which this round began: a removed member is not pushed again, since the guard
/// keeps its memory from being reused, and the value's next member stands in front of that head
/// until another one replaces it. So there is another round, and the newest member of the value is
/// newer than the head at which this round began.
///
/// # How long it takes
///
/// A round ends at the member at which the round before it began. That member may have been removed
/// meanwhile, so that the links lead around it. They then lead to the first member behind it that
/// is still in the chain: to its [`Member::next`] or, if that was removed too, to the `next` of
/// that, and so on. The round moves its end along these.
///
/// A member is visited once. A member that is removed meanwhile is visited once more at most: if a
/// round comes to it by the link of another one that was removed earlier. So the walk visits no
/// more than the members that the chain had, those that are pushed and those that are removed
/// meanwhile.
///
/// # Invariants
///
/// `first`, `end` and `next` are null, or were loaded from the chain under the guard.
pub(crate) struct CatchUp<'h, 'a, M> {
    head: &'h RcuPtr<M>,
    /// The head when this round began.
    first: *mut M,
    /// Where this round ends: all members from here on were visited.
    end: *mut M,
    /// The member that is visited next.
    next: *mut M,
    _rcu: PhantomData<&'a Guard>,
}

impl<'h, 'a, M: Member> CatchUp<'h, 'a, M> {
    /// A walk after a first round that the caller made, which began at the head `first` under this
    /// guard. If `first` is null, a walk of the whole chain.
    ///
    /// # Safety
    ///
    /// Every member of the chain must be valid until a grace period after its removal.
    #[inline(always)]
    pub(crate) unsafe fn new(head: &'h RcuPtr<M>, first: *mut M, _rcu: &'a Guard) -> Self {
        // INVARIANT: `first` was loaded under the guard, by the contract.
        Self {
            head,
            first,
            end: first,
            next: first,
            _rcu: PhantomData,
        }
    }

    /// The head when this round began. The first call of [`Iterator::next`] loads it.
    pub(crate) fn first(&self) -> *mut M {
        self.first
    }

    /// The next member, unless the round ends there.
    fn ahead(&mut self) -> Option<&'a M> {
        // SAFETY: By the type invariant it was loaded under the guard, so by the contract of `new`
        // it is valid while the guard lives.
        let member = unsafe { self.next.as_ref() }?;
        loop {
            if ptr::eq(self.next, self.end) {
                return None;
            }
            // SAFETY: As above.
            let Some(end) = (unsafe { self.end.as_ref() }) else {
                return Some(member);
            };
            // Pairs with the releasing store that links the members around a removed one. If links
            // led around `end`, the walk came here by that store.
            barrier::smp_mb(Read);
            if !end.has_left() {
                return Some(member);
            }
            self.end = end.next();
        }
    }
}

impl<'a, M: Member + 'a> Iterator for CatchUp<'_, 'a, M> {
    type Item = &'a M;

    #[inline]
    fn next(&mut self) -> Option<&'a M> {
        loop {
            if let Some(member) = self.ahead() {
                self.next = member.next();
                return Some(member);
            }
            // Pairs with the full ordering of deaths: orders the loads of the round before that of
            // the head.
            barrier::smp_mb(Read);
            let head = self.head.load();
            if ptr::eq(head, self.first) {
                return None;
            }
            self.end = mem::replace(&mut self.first, head);
            self.next = head;
        }
    }
}
