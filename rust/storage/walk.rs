// SPDX-License-Identifier: GPL-2.0

//! Walking a map, or an owner's elements, in pieces while they change.

use super::{
    element::Element,
    owner::Label,
    raw_map::RawMap,
    store::Storage,
    table::Node, //
};
use crate::sync::rcu::Guard;

/// How far a walk has come: which elements were seen does not depend on any of them being there
/// still.
///
/// Within a bucket elements are seen from the highest number down. What is created after the walk
/// came to the bucket has a higher number than all before it and is not seen; what lives
/// throughout keeps its number, through updates too, and is seen once.
///
/// The number of an element rises while it is linked if its update lost to a delete. That happens
/// before the update returns, and from then on the number stays. A walk that began earlier may have
/// seen the element by the lower number, and does not see it again, for the walk goes down; or it
/// has passed the higher one and does not see it at all.
#[derive(Copy, Clone, Default)]
pub(crate) struct Cursor {
    /// The bucket the walk is in.
    pub(crate) bucket: u64,
    /// The number of the last element seen there, 0 for none.
    pub(crate) seq: u64,
}

impl RawMap {
    /// The next live element and how its owner is shown now, or [`None`] at the end. Any context.
    /// `cursor.seq` is the number that the element was found by.
    ///
    /// One bucket that holds `n` elements costs `n` squared steps in all; tables keep `n` small.
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
                // SAFETY: The members of a map's table are elements.
                let seq = unsafe { Element::of_node(node) }.seq();
                (seq <= below).then_some(seq)
            };
            if let Some((seq, node)) = self.table.max_live(bucket, seq, rcu) {
                // SAFETY: As above.
                let elem = unsafe { Element::of_node(node) };
                cursor.seq = seq;
                // SAFETY: The element was live under this guard.
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
    /// An owner has one element per map, and an update makes a new one in the same map before it
    /// ends the old one. So whoever asks on with the number of the map that was returned sees what
    /// lives throughout once.
    pub(super) fn next<'a>(&self, after: u64, rcu: &'a Guard) -> Option<&'a Element> {
        self.elements
            .catch_up(rcu)
            // SAFETY: The members of the list are elements.
            .map(|peers| unsafe { Element::of_peers(peers) })
            .filter(|elem| elem.node.is_live() && elem.map().id() > after)
            .min_by_key(|elem| elem.map().id())
    }
}
