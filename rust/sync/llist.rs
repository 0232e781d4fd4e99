// SPDX-License-Identifier: GPL-2.0

//! A lock-free list that anyone may push to, in any context, and one takes as a whole.
//!
//! The algorithm is that of [`include/linux/llist.h`](srctree/include/linux/llist.h).

use super::{
    Atomic,
    Cell,
    Full,
    Relaxed, //
};
use core::{
    iter,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// The link of an object that can be on one [`LList`] at a time.
pub(crate) struct Link(Cell<*mut Link>);

impl Link {
    /// The link of an object that is on no list.
    pub(crate) const fn new() -> Self {
        Self(Cell::new(ptr::null_mut()))
    }
}

/// The list.
///
/// # Invariants
///
/// From `head` on, every link is valid, and is owned by the list: only [`LList::take`] ends that.
pub(crate) struct LList {
    head: Atomic<*mut Link>,
}

impl LList {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self {
            head: Atomic::new(ptr::null_mut()),
        }
    }

    /// Pushes `link` and returns whether the list was empty. NMI-safe.
    ///
    /// # Safety
    ///
    /// `link` must be valid until it comes out of [`LList::take`], be on no list, and be the
    /// caller's alone.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, link: NonNull<Link>) -> bool {
        // INVARIANT: By the contract.
        self.push_all(Links {
            first: link.as_ptr(),
            last: link.as_ptr(),
        })
    }

    /// Pushes all links of a chain, the first one last, and returns whether the list was empty.
    /// NMI-safe. The chain has a link.
    #[inline(always)]
    pub(crate) fn push_all(&self, chain: Links) -> bool {
        let Some(last) = NonNull::new(chain.last) else {
            return false;
        };
        let mut head = self.head.load(Relaxed);
        loop {
            // SAFETY: Valid and ours by the type invariant of the chain, until the exchange below.
            unsafe { last.as_ref() }.0.set(head);
            // Full: what was written to the objects is visible to the CPU that takes the links.
            match self.head.cmpxchg(head, chain.first, Full) {
                Ok(_) => return head.is_null(),
                Err(now) => head = now,
            }
        }
    }

    /// Takes all links, in the order in which they were pushed.
    pub(crate) fn take(&self) -> Links {
        let mut newest = self.head.xchg(ptr::null_mut(), Full);
        let last = newest;
        let mut first = ptr::null_mut();
        while let Some(link) = NonNull::new(newest) {
            // SAFETY: By the type invariant the link is valid, and the exchange made it ours.
            let next = unsafe { link.as_ref() }.0.replace(first);
            first = newest;
            newest = next;
        }
        // INVARIANT: As the list's, whose they were.
        Links { first, last }
    }
}

/// Links in a row, of one owner; iterating hands out one at a time for good.
///
/// # Invariants
///
/// From `first` to `last`, every link is valid and owned by this object; both are null if there is
/// none.
pub(crate) struct Links {
    first: *mut Link,
    last: *mut Link,
}

impl Links {
    /// Without links.
    pub(crate) const fn new() -> Self {
        // INVARIANT: There is none.
        Self {
            first: ptr::null_mut(),
            last: ptr::null_mut(),
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Looks at the links, which stay.
    pub(crate) fn iter(&self) -> impl Iterator<Item = NonNull<Link>> + '_ {
        let mut next = self.first;
        iter::from_fn(move || {
            let link = NonNull::new(next)?;
            next = if ptr::eq(next, self.last) {
                ptr::null_mut()
            } else {
                // SAFETY: By the type invariant the link is valid and ours.
                unsafe { link.as_ref() }.0.get()
            };
            Some(link)
        })
    }

    /// Adds a link at the end.
    ///
    /// # Safety
    ///
    /// As [`LList::push`], until the link comes out of the chain.
    pub(crate) unsafe fn push(&mut self, link: NonNull<Link>) {
        // SAFETY: Valid by the contract.
        unsafe { link.as_ref() }.0.set(ptr::null_mut());
        match NonNull::new(self.last) {
            // SAFETY: Valid and ours by the type invariant.
            Some(last) => unsafe { last.as_ref() }.0.set(link.as_ptr()),
            None => self.first = link.as_ptr(),
        }
        // INVARIANT: By the contract.
        self.last = link.as_ptr();
    }
}

impl Iterator for Links {
    type Item = NonNull<Link>;

    fn next(&mut self) -> Option<NonNull<Link>> {
        let link = NonNull::new(self.first)?;
        // SAFETY: By the type invariant the link is valid and ours.
        self.first = unsafe { link.as_ref() }.0.replace(ptr::null_mut());
        if self.first.is_null() {
            self.last = ptr::null_mut();
        }
        Some(link)
    }
}
