// SPDX-License-Identifier: GPL-2.0

//! A lock-free list. Any context pushes to it; one thread at a time takes all of it.
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
///
/// # Invariants
///
/// On a list or in a [`Links`], the pointer is null or points to the next link there.
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
/// From `head` on, each link is valid, and owned by the list until [`LList::take`] returns it.
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

    /// Pushes `link`. Returns whether the list was empty. Any context.
    ///
    /// # Safety
    ///
    /// `link` must be valid until [`LList::take`] returns it, and on no list. No other thread may
    /// use it.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, link: NonNull<Link>) -> bool {
        // INVARIANT: The link is valid and given up by the caller, by the contract.
        self.push_all(Links {
            first: link.as_ptr(),
            last: link.as_ptr(),
        })
    }

    /// Pushes all of `links`, its first link last. Returns whether the list was empty; false if
    /// there is no link to push. Any context.
    #[inline(always)]
    pub(crate) fn push_all(&self, links: Links) -> bool {
        let Some(last) = NonNull::new(links.last) else {
            return false;
        };
        let mut head = self.head.load(Relaxed);
        loop {
            // SAFETY: By the type invariant of `Links`, the link is valid, and no other thread uses
            // it until the exchange below.
            unsafe { last.as_ref() }.0.set(head);
            // Full: the CPU that takes the links sees what was written to the objects.
            match self.head.cmpxchg(head, links.first, Full) {
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
            // SAFETY: By the type invariant the link is valid. The exchange has taken it from the
            // list.
            let next = unsafe { link.as_ref() }.0.replace(first);
            first = newest;
            newest = next;
        }
        // INVARIANT: The list owned these links, and the exchange has taken all of them.
        Links { first, last }
    }
}

/// Links in a row. Iterating gives them away, one at a time.
///
/// # Invariants
///
/// From `first` to `last`, each link is valid and owned by this object. Both are null if there is
/// none.
pub(crate) struct Links {
    first: *mut Link,
    last: *mut Link,
}

impl Links {
    /// No links.
    pub(crate) const fn new() -> Self {
        // INVARIANT: There is no link.
        Self {
            first: ptr::null_mut(),
            last: ptr::null_mut(),
        }
    }

    /// Whether there is no link.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Iterates over the links, and keeps them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = NonNull<Link>> + '_ {
        let mut next = self.first;
        iter::from_fn(move || {
            let link = NonNull::new(next)?;
            next = if ptr::eq(next, self.last) {
                ptr::null_mut()
            } else {
                // SAFETY: The link is valid and owned by this object, by the type invariant.
                unsafe { link.as_ref() }.0.get()
            };
            Some(link)
        })
    }

    /// Adds a link at the end.
    ///
    /// # Safety
    ///
    /// As for [`LList::push`], until the link is given away.
    pub(crate) unsafe fn push(&mut self, link: NonNull<Link>) {
        // SAFETY: The link is valid by the contract.
        unsafe { link.as_ref() }.0.set(ptr::null_mut());
        match NonNull::new(self.last) {
            // SAFETY: The link is valid and owned by this object, by the type invariant.
            Some(last) => unsafe { last.as_ref() }.0.set(link.as_ptr()),
            None => self.first = link.as_ptr(),
        }
        // INVARIANT: The link is valid and given up by the caller, by the contract.
        self.last = link.as_ptr();
    }
}

impl Iterator for Links {
    type Item = NonNull<Link>;

    fn next(&mut self) -> Option<NonNull<Link>> {
        let link = NonNull::new(self.first)?;
        // SAFETY: The link is valid and owned by this object, by the type invariant.
        self.first = unsafe { link.as_ref() }.0.replace(ptr::null_mut());
        if self.first.is_null() {
            self.last = ptr::null_mut();
        }
        Some(link)
    }
}
