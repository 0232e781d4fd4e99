// SPDX-License-Identifier: GPL-2.0

//! The value of one owner in one map.

use super::{
    owner::OwnerId,
    raw_map::RawMap,
    reap_node::{
        ReapNode,
        Reapable, //
    },
    reserve::Source,
    store::Storage,
    table::Node, //
};
use crate::sync::{
    hlist::HNode,
    nolock,
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

/// An element: a header, and the value behind it.
///
/// Creates and deletes use the first cache line of the header. `node` and the beginning of the
/// value share the second one, so a lookup touches the bucket and one more cache line.
///
/// # States
///
/// | state    | key in `node` | lists                | access                                |
/// |----------|---------------|----------------------|---------------------------------------|
/// | new      | live          | none                 | the creator only                      |
/// | linked   | live          | storage, then bucket | readers find it; any CPU may claim it |
/// | claimed  | dead          | those in `reap_node` | the claimer unlinks it                |
/// | unlinked | dead          | none                 | readers that have found it before     |
/// | freed    |               |                      | none; a grace period after `unlinked` |
///
/// `reap_node` belongs to the creator, then to the claimer, then to the reaper. Each hand-over is
/// fully ordered: the push into the bucket, the claim, the push on the reaper's list.
///
/// # Invariants
///
/// - `map` is valid until the element is freed: a map is not freed before its elements.
/// - `storage` is [`None`] until the element is linked. From then on it is the storage whose
///   element list the element was put on. The storage is valid until a grace period after the
///   element has left that list.
/// - `value_size` bytes of `map` behind the header are the value. They are initialised once the
///   element is linked, or handed to the reaper.
#[repr(C)]
pub(crate) struct Element {
    pub(super) reap_node: ReapNode,
    map: NonNull<RawMap>,
    pub(super) storage: Cell<Option<NonNull<Storage>>>,
    pub(super) peers: HNode,
    seq: Atomic<u64>,
    pub(super) node: Node,
}

/// Offset of the value.
const VALUE: usize = size_of::<Element>();

/// The largest size of a value in bytes.
pub(crate) const VALUE_SIZE_MAX: usize = nolock::MAX_SIZE - 128;

// The reaper casts a pointer to a `ReapNode` to one to its element.
const _: () = assert!(offset_of!(Element, reap_node) == 0);
const _: () = assert!(VALUE % nolock::MAX_ALIGN == 0);
// The largest value fits.
const _: () = assert!(Element::size(VALUE_SIZE_MAX) <= nolock::MAX_SIZE);

impl Element {
    /// The size in bytes of an element whose value has `value_size` bytes.
    pub(super) const fn size(value_size: usize) -> usize {
        VALUE + value_size
    }

    /// The layout of the elements of `map`.
    pub(super) fn layout(map: &RawMap) -> Layout {
        let size = map.element_size();
        // SAFETY: `MAX_ALIGN` is a power of two. A map's element size is `MAX_SIZE` at most, so it
        // does not overflow when it is rounded up.
        unsafe { Layout::from_size_align_unchecked(size, nolock::MAX_ALIGN) }
    }

    /// Allocates an element whose value is not initialised.
    pub(super) fn alloc(
        map: &RawMap,
        id: OwnerId,
        source: impl Source,
    ) -> Option<NonNull<Element>> {
        let memory = source.take_element(Self::layout(map))?;
        let elem = memory.cast::<Element>();
        let header = Element {
            reap_node: ReapNode::new(Reapable::Element),
            map: NonNull::from(map),
            storage: Cell::new(None),
            peers: HNode::new(),
            seq: Atomic::new(0),
            node: Node::new(id),
        };
        // SAFETY: `nolock::alloc()` returned memory for this layout, which is as large and as
        // aligned as an `Element` at least. No other CPU knows it.
        unsafe { elem.write(header) };
        Some(elem)
    }

    /// The element that `node` is a field of.
    ///
    /// # Safety
    ///
    /// `node` must be the `node` field of an element.
    #[inline(always)]
    pub(super) unsafe fn of_node(node: &Node) -> &Element {
        // SAFETY: By the safety requirements `node` is a field of an `Element`, which is valid as
        // long as the reference to its field.
        unsafe { &*kernel::container_of!(core::ptr::from_ref(node), Element, node) }
    }

    /// The element that `peers` is a field of.
    ///
    /// # Safety
    ///
    /// `peers` must be the `peers` field of an element.
    pub(super) unsafe fn of_peers(peers: &HNode) -> &Element {
        // SAFETY: By the safety requirements `peers` is a field of an `Element`, which is valid as
        // long as the reference to its field.
        unsafe { &*kernel::container_of!(core::ptr::from_ref(peers), Element, peers) }
    }

    /// The address of the value. [`RawMap`] and its user see to it that accesses are allowed.
    #[inline(always)]
    pub(crate) fn value(&self) -> NonNull<u8> {
        let node = NonNull::from(&self.node).cast::<u8>();
        // SAFETY: The value is in the same allocation as the header, at offset `VALUE`.
        unsafe { node.add(VALUE - offset_of!(Element, node)) }
    }

    /// The map.
    #[inline]
    pub(crate) fn map(&self) -> &RawMap {
        // SAFETY: By the type invariant `map` is valid as long as the element.
        unsafe { self.map.as_ref() }
    }

    /// The storage that the element was linked to.
    ///
    /// The caller must have found the element under the guard, or have claimed it while it still is
    /// on the storage's list.
    pub(super) fn storage<'a>(&'a self, _rcu: &'a Guard) -> Option<&'a Storage> {
        let storage = self.storage.get()?;
        // SAFETY: By the type invariant the storage is valid until a grace period after the element
        // has left its list. That has not passed under this guard.
        Some(unsafe { storage.as_ref() })
    }

    /// The sequence number of the element in its map. An update passes it on to the element that
    /// replaces this one.
    ///
    /// It changes at most once after the element was linked. It rises, with the storage's lock
    /// held, if an update linked the element in place of another one which a concurrent delete had
    /// claimed first. So two calls can return two numbers.
    pub(crate) fn seq(&self) -> u64 {
        self.seq.load(Relaxed)
    }

    /// Sets the sequence number. The caller must be the creator of a new element, or hold the lock
    /// of its storage.
    pub(super) fn set_seq(&self, seq: u64) {
        self.seq.store(seq, Relaxed);
    }
}

/// Frees elements, and counts them as freed in their maps. It counts once for a run of elements of
/// one map: when an element of another map comes, and on drop.
///
/// # Invariants
///
/// `map` is the map of the last `count` elements that were freed. They are not counted yet, so the
/// map is valid.
pub(super) struct Freed {
    /// The map of the elements that are freed and not counted yet.
    map: Option<NonNull<RawMap>>,
    count: usize,
}

impl Freed {
    /// Nothing was freed yet.
    pub(super) const fn new() -> Self {
        Self {
            map: None,
            count: 0,
        }
    }

    /// Drops the value of an element, and frees the element. Process context; may sleep if the drop
    /// of the value does.
    ///
    /// # Safety
    ///
    /// The caller must own the element, and no reader may be able to reach it. The map may be freed
    /// when this object is dropped.
    pub(super) unsafe fn free(&mut self, elem: NonNull<Element>) {
        // SAFETY: By the safety requirements the element is valid.
        let header = unsafe { elem.as_ref() };
        let map = NonNull::from(header.map());
        if self.map != Some(map) {
            self.tell();
            self.map = Some(map);
        }
        // SAFETY: The value belongs to this map and is initialised by the type invariant of
        // `Element`. The caller owns the element, and it is freed below, so the value is not used
        // again.
        unsafe { header.map().drop_value(header.value()) };
        // SAFETY: The memory came from `nolock::alloc()`. The caller owns it, and the header needs
        // no drop.
        unsafe { nolock::free_in_task(elem.cast()) };
        self.count += 1;
    }

    fn tell(&mut self) {
        if let Some(map) = self.map.take() {
            // SAFETY: By the type invariant the map is valid, and `count` of its elements are freed
            // and not counted.
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
