// SPDX-License-Identifier: GPL-2.0

//! Lists the elements of a map, or of an owner, in steps, while other CPUs change them.

use super::{
    element::Element,
    owner::Label,
    raw_map::RawMap,
    store::Storage,
    table::Node, //
};
use crate::sync::rcu::Guard;

/// The position of a walk. It names no element, so the walk goes on even if every element that it
/// has visited is freed.
///
/// In each bucket the walk visits elements in descending order of sequence number. An element that
/// is created after the walk has entered its bucket has a higher number than all others there, and
/// is not visited. An element that is live for the whole walk keeps its number, also when it is
/// updated, and is visited once.
///
/// The number of an element rises at most once, if the update that linked it lost to a concurrent
/// delete. That happens before the update returns. A walk that began before may have visited the
/// element by its lower number; since the walk descends, it does not visit the element again. Or
/// the walk has passed the higher number already, and does not visit it at all.
#[derive(Copy, Clone, Default)]
pub(crate) struct Cursor {
    /// The bucket.
    pub(crate) bucket: u64,
    /// The sequence number of the last element that was visited in the bucket. 0 if none was.
    pub(crate) seq: u64,
}

impl RawMap {
    /// The next live element, and the label of its owner. [`None`] at the end of the map. Any
    /// context. `cursor.seq` becomes the number by which the element was found.
    ///
    /// Each step walks a whole bucket, so a bucket of `n` elements takes `n * n` steps in all.
    /// Tables are sized to keep `n` small.
    pub(crate) fn next<'a>(
        &'a self,
        cursor: &mut Cursor,
        rcu: &'a Guard,
    ) -> Option<(&'a Element, Label)> {
        while let Ok(bucket) = usize::try_from(cursor.bucket) {
            if bucket >= self.table.len() {
                break;
            }
            let below = cursor.seq.wrapping_sub(1);
            let seq = |node: &Node| {
                // SAFETY: By the type invariant of `RawMap` the members of its table are the nodes
                // of elements.
                let seq = unsafe { Element::of_node(node) }.seq();
                (seq <= below).then_some(seq)
            };
            if let Some((seq, node)) = self.table.max_live(bucket, seq, rcu) {
                // SAFETY: As above.
                let elem = unsafe { Element::of_node(node) };
                cursor.seq = seq;
                // SAFETY: The element was seen live under this guard.
                let label = unsafe { elem.storage(rcu)?.label(rcu) };
                return Some((elem, label));
            }
            cursor.bucket += 1;
            cursor.seq = 0;
        }
        None
    }
}

impl Storage {
    /// The live element in the map with the lowest number above `after`. Any context.
    ///
    /// An owner has one live element per map. An update links the new element before it claims the
    /// old one, in the same map. So a caller that passes the map of the element that was returned
    /// last visits each element that is live throughout once.
    pub(super) fn next<'a>(&self, after: u64, rcu: &'a Guard) -> Option<&'a Element> {
        self.elements
            .catch_up(rcu)
            // SAFETY: By the type invariant of `Storage` the members of the list are the `peers`
            // fields of elements.
            .map(|peers| unsafe { Element::of_peers(peers) })
            .filter(|elem| elem.node.is_live() && elem.map().id() > after)
            .min_by_key(|elem| elem.map().id())
    }
}
