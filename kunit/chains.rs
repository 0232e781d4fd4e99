// SPDX-License-Identifier: GPL-2.0

//! How many members a walk of a chain visits while the chain changes, and what a removal leaves.

use kernel::prelude::*;

#[kunit_tests(ostor_chains)]
mod tests {
    use super::super::inside::with_probe;
    use super::*;
    use crate::{
        storage::{
            lock_mode::Spin,
            owner::{
                OwnerId,
                OwnerOps,
                Visits, //
            },
            table::{
                Node,
                Table, //
            },
        },
        sync::{
            fault::Site,
            hlist::{
                HListHead,
                HNode, //
            },
            rcu,
            trace::{
                self,
                Event, //
            }, //
        },
    };
    use core::{
        cell::Cell,
        ptr::{
            self,
            NonNull, //
        }, //
    };

    /// Members of the chain when the walk begins.
    const MEMBERS: usize = 1000;

    /// Most members that are pushed during a walk, so that a walk which visits too many ends.
    const PUSHED_MAX: usize = 10 * MEMBERS;

    /// A chain of numbered members.
    trait Chain: Sized {
        /// An empty chain with memory for `room` members.
        fn new(room: usize) -> Result<Self>;

        /// Pushes member number `n`.
        fn push(&self, n: usize);

        /// Removes member number `n`.
        fn remove(&self, n: usize);

        /// Walks to the end and calls `visit` at each member.
        fn walk(&self, visit: impl Fn());
    }

    static OPS: OwnerOps = OwnerOps {
        kind: 0,
        number_of: |id, _| id.addr() as u64,
        visits: Visits::Nothing,
    };

    /// The identity of member number `n` of a bucket. No object is at its address, and none is
    /// needed: a node is compared by its identity alone.
    fn id(n: usize) -> OwnerId {
        OwnerId::new(ptr::without_provenance::<u32>((n + 1) << 2), OPS.kind, 0)
    }

    /// A table of one bucket.
    struct Bucket {
        table: Table,
        nodes: KVVec<Node>,
    }

    impl Chain for Bucket {
        fn new(room: usize) -> Result<Self> {
            let mut nodes = KVVec::with_capacity(room, GFP_KERNEL)?;
            for n in 0..room {
                nodes.push(Node::new(id(n)), GFP_KERNEL)?;
            }
            let table = Table::new(0)?;
            Ok(Self { table, nodes })
        }

        fn push(&self, n: usize) {
            let node = NonNull::from(&self.nodes[n]);
            // SAFETY: Each node is pushed once, and is freed after the table.
            unsafe { self.table.push(node, &rcu::read_lock()) };
        }

        fn remove(&self, n: usize) {
            let node = &self.nodes[n];
            if node.claim(Site::ElementClaim) {
                let locked = || trace::event(Event::BucketLocked, node.addr());
                let (node, rcu) = (NonNull::from(node), rcu::read_lock());
                // If the lock fails, the member stays, and the test fails.
                //
                // SAFETY: The node is a member, and was claimed above.
                unsafe {
                    self.table
                        .unlink::<Spin>(node, Site::BucketLock, locked, &rcu)
                };
            }
        }

        fn walk(&self, visit: impl Fn()) {
            let visit = |_: &Node| {
                visit();
                false
            };
            self.table.find_by(0, visit, &rcu::read_lock());
        }
    }

    /// A list without a lock, which one thread uses.
    struct List {
        head: KBox<HListHead>,
        nodes: KVVec<HNode>,
    }

    impl Chain for List {
        fn new(room: usize) -> Result<Self> {
            let head = KBox::new(HListHead::new(), GFP_KERNEL)?;
            let mut nodes = KVVec::with_capacity(room, GFP_KERNEL)?;
            for _ in 0..room {
                nodes.push(HNode::new(), GFP_KERNEL)?;
            }
            Ok(Self { head, nodes })
        }

        fn push(&self, n: usize) {
            // SAFETY: The test's thread is the only one that uses the list. Each node is pushed
            // once, and is freed with the list.
            unsafe {
                let mut list = self.head.assume_locked();
                list.push(NonNull::from(&self.nodes[n]));
            }
        }

        fn remove(&self, n: usize) {
            // SAFETY: The test's thread is the only one that uses the list. The node is a member.
            unsafe {
                let mut list = self.head.assume_locked();
                list.remove(NonNull::from(&self.nodes[n]));
            }
        }

        fn walk(&self, visit: impl Fn()) {
            let rcu = rcu::read_lock();
            self.head.catch_up(&rcu).for_each(|_| visit());
        }
    }

    /// Walks a chain of [`MEMBERS`]. At every second visit it calls `before` with the chain and the
    /// number of its head, and then pushes a member. Returns how many members were visited, and how
    /// many were pushed.
    fn walk<C: Chain>(before: impl Fn(&C, usize)) -> Result<(usize, usize)> {
        let chain = C::new(MEMBERS + PUSHED_MAX)?;
        (0..MEMBERS).for_each(|n| chain.push(n));
        let (visited, pushed) = (Cell::new(0), Cell::new(0));
        chain.walk(|| {
            visited.set(visited.get() + 1);
            if visited.get() % 2 == 0 && pushed.get() < PUSHED_MAX {
                let next = MEMBERS + pushed.get();
                before(&chain, next - 1);
                chain.push(next);
                pushed.set(pushed.get() + 1);
            }
        });
        Ok((visited.get(), pushed.get()))
    }

    // Each round visits the members that were pushed during the round before, which are half as
    // many as that one visited. In all that is as many as the first round visited.

    #[test]
    fn pushes_cost_a_walk_of_a_bucket_only_themselves() -> Result {
        let (visited, pushed) = walk::<Bucket>(|_, _| ())?;
        assert!(visited == MEMBERS + pushed && pushed < MEMBERS);
        Ok(())
    }

    #[test]
    fn pushes_cost_a_walk_of_a_list_only_themselves() -> Result {
        let (visited, pushed) = walk::<List>(|_, _| ())?;
        assert!(visited == MEMBERS + pushed && pushed < MEMBERS);
        Ok(())
    }

    // The head is removed before each push. So one member of those that were pushed is left at the
    // end of the first round.

    #[test]
    fn a_head_that_is_removed_costs_a_walk_of_a_bucket_nothing() -> Result {
        let (visited, pushed) = walk(Bucket::remove)?;
        assert!(visited == MEMBERS + 1 && pushed == MEMBERS / 2);
        Ok(())
    }

    #[test]
    fn a_head_that_is_removed_costs_a_walk_of_a_list_nothing() -> Result {
        let (visited, pushed) = walk(List::remove)?;
        assert!(visited == MEMBERS + 1 && pushed == MEMBERS / 2);
        Ok(())
    }

    /// The head of a bucket is removed. A member was pushed in front of it since the removal looked
    /// at it, before its lock was taken.
    #[test]
    fn a_member_pushed_in_front_of_a_removed_one_stays() -> Result {
        let bucket = Bucket::new(3)?;
        bucket.push(0);
        bucket.push(1);
        with_probe(
            Event::BucketLocked,
            bucket.nodes[1].addr(),
            &mut || bucket.push(2),
            || bucket.remove(1),
        )?;
        let rcu = rcu::read_lock();
        let left = bucket.table.iter(0, &rcu).map(ptr::from_ref);
        assert!(left.eq([&bucket.nodes[2], &bucket.nodes[0]].map(ptr::from_ref)));
        Ok(())
    }
}
