// SPDX-License-Identifier: GPL-2.0

//! One owner's value in one map.

use super::{
    owner::OwnerId,
    raw_map::RawMap,
    reap_node::{
        ReapNode,
        Reapable, //
    },
    store::Storage,
    table::Node, //
};
use crate::sync::{
    fault::Site,
    hlist::HNode,
    nolock::{
        self,
        AllocSource, //
    },
    rcu::Guard,
    Atomic,
    Cell,
    Relaxed, //
};
use core::{
    alloc::Layout,
    mem::offset_of,
    ptr::NonNull, //
};

/// An element: header, then the value.
///
/// The header's first line is for those who create and delete; the node and the beginning of the
/// value share the second one, so that a lookup touches the bucket and one line more.
///
/// # Life
///
/// | state    | key in `node` | lists                | who may do what                         |
/// |----------|---------------|----------------------|-----------------------------------------|
/// | new      | live          | none                 | its creator alone                       |
/// | linked   | live          | storage, then bucket | lookups find it; anyone may claim it    |
/// | claimed  | dead          | as `reap_node` says    | the claimer unlinks it                  |
/// | unlinked | dead          | none                 | readers may still stand on it           |
/// | freed    |               |                      | a grace period later, by the reaper     |
///
/// `reap_node` belongs to the creator first, then to the claimer, then to the reaper, each
/// of whom hands it on with full ordering (the push into the bucket, the claim, the reaper's list).
#[repr(C)]
pub(crate) struct Element {
    pub(super) reap_node: ReapNode,
    map: NonNull<RawMap>,
    pub(super) storage: Cell<Option<NonNull<Storage>>>,
    pub(super) peers: HNode,
    seq: Atomic<u64>,
    pub(super) node: Node,
}

/// Where the value begins.
const VALUE: usize = size_of::<Element>();

/// Largest value in bytes.
pub(crate) const VALUE_SIZE_MAX: usize = nolock::MAX_SIZE - 128;

// The reaper comes back from the reap_node to the element.
const _: () = assert!(offset_of!(Element, reap_node) == 0);
const _: () = assert!(VALUE % nolock::MAX_ALIGN == 0);
// The largest value fits.
const _: () = assert!(Element::size(VALUE_SIZE_MAX) <= nolock::MAX_SIZE);

impl Element {
    /// Bytes of an element whose value has `value_size` bytes.
    pub(super) const fn size(value_size: usize) -> usize {
        VALUE + value_size
    }

    fn layout(map: &RawMap) -> Layout {
        let size = map.element_size();
        // SAFETY: The alignment is a power of two, and the size far below the limit.
        unsafe { Layout::from_size_align_unchecked(size, nolock::MAX_ALIGN) }
    }

    /// Allocates an element with an uninitialised value.
    pub(super) fn alloc(
        map: &RawMap,
        id: OwnerId,
        source: AllocSource<'_>,
    ) -> Option<NonNull<Element>> {
        let memory = nolock::alloc(Self::layout(map), Site::ElementAlloc, source)?;
        let elem = memory.cast::<Element>();
        let header = Element {
            reap_node: ReapNode::new(Reapable::Element),
            map: NonNull::from(map),
            storage: Cell::new(None),
            peers: HNode::new(),
            seq: Atomic::new(0),
            node: Node::new(id),
        };
        // SAFETY: The memory is large enough, aligned, and ours.
        unsafe { elem.write(header) };
        Some(elem)
    }

    /// The element that `node` is in.
    ///
    /// # Safety
    ///
    /// `node` must be the node of an element.
    #[inline(always)]
    pub(super) unsafe fn of_node(node: &Node) -> &Element {
        // SAFETY: By the contract the element is around the node, and lives as long.
        unsafe { &*kernel::container_of!(core::ptr::from_ref(node), Element, node) }
    }

    /// The element that `peers` is in.
    ///
    /// # Safety
    ///
    /// `peers` must be the list links of an element.
    pub(super) unsafe fn of_peers(peers: &HNode) -> &Element {
        // SAFETY: By the contract the element is around the links, and lives as long.
        unsafe { &*kernel::container_of!(core::ptr::from_ref(peers), Element, peers) }
    }

    /// The value's address. Whether it may be read is between the map and its user.
    #[inline(always)]
    pub(super) fn value(&self) -> NonNull<u8> {
        let node = NonNull::from(&self.node).cast::<u8>();
        // SAFETY: The value is behind the header in the same allocation.
        unsafe { node.add(VALUE - offset_of!(Element, node)) }
    }

    /// The map.
    pub(crate) fn map(&self) -> &RawMap {
        // SAFETY: A map waits for its elements before it goes.
        unsafe { self.map.as_ref() }
    }

    /// The storage the element was linked to.
    ///
    /// The element must have been found under the guard, or be owned by the caller and still be on
    /// the storage's list.
    pub(super) fn storage<'a>(&'a self, _rcu: &'a Guard) -> Option<&'a Storage> {
        let storage = self.storage.get()?;
        // SAFETY: A storage is freed no earlier than a grace period after its last element has left
        // it, which under this guard has not passed.
        Some(unsafe { storage.as_ref() })
    }

    /// The element's number in its map, which an update passes on.
    ///
    /// It rises once, while the lock of the storage is held, if the element was linked in place of
    /// another one and a delete claimed that one first. Two calls can return two numbers.
    pub(crate) fn seq(&self) -> u64 {
        self.seq.load(Relaxed)
    }

    /// Sets the number. The element must be new, or the lock of its storage held.
    pub(super) fn set_seq(&self, seq: u64) {
        self.seq.store(seq, Relaxed);
    }
}

/// Frees elements, and tells their maps when another map's come or at the end, which is its drop:
/// one count for many.
pub(super) struct Freed {
    /// The map of the elements that are freed and not counted yet. Since they are not, it stays.
    map: Option<NonNull<RawMap>>,
    count: usize,
}

impl Freed {
    /// Nothing is freed.
    pub(super) const fn new() -> Self {
        Self {
            map: None,
            count: 0,
        }
    }

    /// Drops the value of an element and frees it. Process context; as long as the drop takes.
    ///
    /// # Safety
    ///
    /// The caller must own the element, and nobody else may be able to reach it. Its map may be
    /// gone when the drop of this object is over.
    pub(super) unsafe fn free(&mut self, elem: NonNull<Element>) {
        // SAFETY: Valid by the contract.
        let header = unsafe { elem.as_ref() };
        let map = NonNull::from(header.map());
        if self.map != Some(map) {
            self.tell();
            self.map = Some(map);
        }
        // SAFETY: The value is initialised, and nobody else can reach it.
        unsafe { header.map().drop_value(header.value()) };
        // SAFETY: It was allocated so, and the header needs no drop.
        unsafe { nolock::free_in_task(elem.cast()) };
        self.count += 1;
    }

    fn tell(&mut self) {
        if let Some(map) = self.map.take() {
            // SAFETY: The map stays until its elements are counted, and so many are freed.
            unsafe { map.as_ref().elements_freed(self.count) };
            self.count = 0;
        }
    }
}

impl Drop for Freed {
    fn drop(&mut self) {
        self.tell();
    }
}
