// SPDX-License-Identifier: GPL-2.0

//! What a reader holds, seen to age: that nothing is freed under a reader, without KASAN.

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

/// A member of a table, live or dead, that a read section has come to.
pub(crate) struct Held<'a> {
    reap_node: &'a ReapNode,
    node: &'a Node,
    /// The owner's address when the section came to it, if it was a member then.
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

    /// How many grace periods ago it was unlinked; [`None`] if it was freed, and its memory is used
    /// for something else.
    ///
    /// To be asked at the end of the section. If the member was freed in spite of it, this reads
    /// what is left there, or KASAN reports it.
    pub(crate) fn age(&self) -> Option<i8> {
        (self.addr == Some(self.node.addr())).then(|| self.reap_node.age.get())
    }
}

impl RawMap {
    /// All elements in the table from the bucket of `id` on, as the read section comes to them. Any
    /// context.
    pub(crate) fn held<'a>(
        &'a self,
        id: OwnerId,
        rcu: &'a Guard,
    ) -> impl Iterator<Item = Held<'a>> {
        self.table
            .iter_from(id.addr(), rcu)
            .map(|(node, is_member)| {
                // SAFETY: The members of a map's table are elements.
                let elem = unsafe { Element::of_node(node) };
                Held::new(&elem.reap_node, node, is_member)
            })
    }
}

impl Runtime {
    /// All storages in the index, likewise. Any context.
    pub(crate) fn held<'a>(
        &'a self,
        id: OwnerId,
        rcu: &'a Guard,
    ) -> impl Iterator<Item = Held<'a>> {
        self.index
            .iter_from(id.addr(), rcu)
            .map(|(node, is_member)| {
                // SAFETY: The members of the index are nodes of storages.
                let storage = unsafe { Storage::of_node(node) };
                Held::new(&storage.reap_node, node, is_member)
            })
    }
}
