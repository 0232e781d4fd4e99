// SPDX-License-Identifier: GPL-2.0

//! Checks that no object is freed while a reader holds it, by its age. That needs no KASAN.

use super::{
    element::Element,
    owner::OwnerId,
    raw_map::RawMap,
    reap_node::ReapNode,
    runtime::Runtime,
    store::Storage,
    table::Node, //
};
use crate::sync::rcu::Guard;

/// A member of a table, live or dead, that a reader has visited and still holds.
pub(crate) struct Held<'a> {
    reap_node: &'a ReapNode,
    node: &'a Node,
    /// The address of the owner when the reader visited the member. [`None`] if that address did
    /// not belong into the bucket in which the member was found.
    addr: Option<usize>,
}

impl<'a> Held<'a> {
    fn new(reap_node: &'a ReapNode, node: &'a Node, is_member: bool) -> Self {
        Self {
            reap_node,
            node,
            addr: is_member.then(|| node.addr()),
        }
    }

    /// The age of the member: 0 until the reaper found it on no list, then 1, and 2 after a grace
    /// period. [`None`] if the member was freed and its memory was reused.
    ///
    /// Called at the end of the read section. If the member was freed in spite of the section, this
    /// reads what is in that memory now, or KASAN reports it.
    pub(crate) fn age(&self) -> Option<i8> {
        (self.addr == Some(self.node.addr())).then(|| self.reap_node.age.get())
    }
}

impl RawMap {
    /// All elements in the table, as a reader visits them, from the bucket of `id` on. Any context.
    pub(crate) fn held<'a>(
        &'a self,
        id: OwnerId,
        rcu: &'a Guard,
    ) -> impl Iterator<Item = Held<'a>> {
        self.table
            .iter_from(id.addr(), rcu)
            .map(|(node, is_member)| {
                // SAFETY: By the type invariant of `RawMap` the members of its table are the nodes
                // of elements.
                let elem = unsafe { Element::of_node(node) };
                Held::new(&elem.reap_node, node, is_member)
            })
    }
}

impl Runtime {
    /// All storages in the index, as a reader visits them, from the bucket of `id` on. Any context.
    pub(crate) fn held<'a>(
        &'a self,
        id: OwnerId,
        rcu: &'a Guard,
    ) -> impl Iterator<Item = Held<'a>> {
        self.index
            .iter_from(id.addr(), rcu)
            .map(|(node, is_member)| {
                // SAFETY: The members of the index are the nodes of storages, by the type invariant
                // of `Runtime`.
                let storage = unsafe { Storage::of_node(node) };
                Held::new(&storage.reap_node, node, is_member)
            })
    }
}
