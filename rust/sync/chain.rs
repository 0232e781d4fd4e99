// SPDX-License-Identifier: GPL-2.0

//! Walking a chain whose members are replaced while it is walked.
//!
//! Members are pushed in front, and who replaces one pushes the new one before the old one dies. A
//! reader that began before the push and comes to the old member's place after the death sees
//! neither of the two. The head tells, for it has changed: the reader has been *overtaken*, and has
//! to look at what was pushed.

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
    /// The member behind this one: of all that were pushed earlier, the last one that had not been
    /// taken out, now or when this one was.
    fn next(&self) -> *mut Self;

    /// Whether the member was taken out.
    ///
    /// Who takes a member out lets this become true, with release or inside a lock, before a
    /// releasing store leads around the member. It acquires: if it is true, [`Member::next`] stays
    /// what it is.
    fn has_left(&self) -> bool;
}

/// A walk that goes on until nothing was pushed meanwhile.
///
/// It goes in rounds. The first one begins at the head and visits the chain. When it is over, the
/// head is loaded again; if it has changed, the next round begins there and ends where the one
/// before it began, and so on. The iterator ends when the head has not changed during a round; asked
/// again, it looks at the head again.
///
/// # What it sees
///
/// Let a value be in the chain throughout, by a member that is replaced any number of times: each
/// next one is pushed, fully ordered, before the one before it is killed, fully ordered, and a
/// member is killed before it is taken out. Then the walk meets a member of the value that is live.
///
/// Take a round that began when `m` was the newest member of the value. `m` is newer than the head
/// at which the round before began: so much follows for the first round from there being none
/// before it, and for the others from what comes below. The links lead from newer members to older
/// ones and around nothing but what was taken out. So the round meets `m`, or finds it taken out,
/// before it comes to where it ends. If it does not see it live, then it has seen what came after
/// its death, and after the read barrier it sees the head as it was left by the push of the next
/// member of the value, or later. It is not the head at which this round began: members do not come
/// back, as the guard keeps the memory of all that were seen from being used again, and the next
/// member of the value stands in front of that head until it has been replaced by another one in
/// its turn. So there is another round, and the newest member of the value is newer than the head
/// at which this one began.
///
/// # How long it takes
///
/// A round is to end at the member that the round before began at. That one may have been taken out
/// meanwhile, and then the links lead around it. But they cannot lead around it to anything but the
/// first member behind it that is still there: the member that [`Member::next`] of it leads to or,
/// if that was taken out too, `next` of that one, and so on. So where a round ends is moved along
/// these as it goes.
///
/// A member is visited once, and once more at most if it is taken out meanwhile: if the round gets
/// to it by the link of another one that left before it did. The chain as it was, all that is pushed
/// and all that leaves meanwhile are more than the walk visits.
pub(crate) struct CatchUp<'h, 'a, M> {
    head: &'h RcuPtr<M>,
    /// The head when this round began.
    first: *mut M,
    /// Where this round ends: from here on all were visited.
    end: *mut M,
    /// The member that is visited next.
    next: *mut M,
    _rcu: PhantomData<&'a Guard>,
}

impl<'h, 'a, M: Member> CatchUp<'h, 'a, M> {
    /// A walk that begins behind one round, which began at the head `first` under this guard; for
    /// null, a walk of the whole chain.
    ///
    /// # Safety
    ///
    /// Every member of the chain must be valid until a grace period after it was taken out.
    #[inline(always)]
    pub(crate) unsafe fn new(head: &'h RcuPtr<M>, first: *mut M, _rcu: &'a Guard) -> Self {
        Self {
            head,
            first,
            end: first,
            next: first,
            _rcu: PhantomData,
        }
    }

    /// The head when this round began. It is loaded for the first time by [`Iterator::next`].
    pub(crate) fn first(&self) -> *mut M {
        self.first
    }

    /// The member that is next, if the round does not end there.
    fn ahead(&mut self) -> Option<&'a M> {
        // SAFETY: It was reached under the guard, so by the contract of `new` it is valid while
        // the guard lives.
        let member = unsafe { self.next.as_ref() }?;
        loop {
            if ptr::eq(self.next, self.end) {
                return None;
            }
            // SAFETY: As above.
            let Some(end) = (unsafe { self.end.as_ref() }) else {
                return Some(member);
            };
            // Pairs with the release of the store that leads around what was taken out: we have
            // come here by that store, if by any.
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
            // Pairs with the full ordering of deaths: the loads of the round come first.
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
