// SPDX-License-Identifier: GPL-2.0

//! Objects by the number of their map.

use kernel::rbtree::{
    RBTree,
    RBTreeNode, //
};

/// An object with its number, in memory for its place among the [`Numbered`].
pub(crate) type Node<T> = RBTreeNode<u64, T>;

/// Objects of type `T`, at most one for each map.
pub(crate) struct Numbered<T>(Option<RBTree<u64, T>>);

impl<T> Numbered<T> {
    /// No objects.
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Puts an object in, whose number no other one has.
    pub(crate) fn insert(&mut self, node: Node<T>) {
        let _ = self.0.get_or_insert_with(RBTree::new).insert(node);
    }

    /// The object with this number.
    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        self.0.as_ref()?.get(&number)
    }

    /// Takes the object with this number out.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Node<T>> {
        self.0.as_mut()?.remove_node(&number)
    }

    /// The lowest number above `after`, and its object.
    pub(crate) fn next(&self, after: u64) -> Option<(u64, &T)> {
        let objects = self.0.as_ref()?;
        let cursor = objects.cursor_lower_bound(&after.checked_add(1)?)?;
        // The cursor does not lend its object beyond itself.
        let number = *cursor.current().0;
        Some((number, objects.get(&number)?))
    }
}
