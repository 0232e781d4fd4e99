// SPDX-License-Identifier: GPL-2.0

//! How long walks of a chain take that others change meanwhile, and what leaving one leaves.

use kernel::prelude::*;

#[kunit_tests(ostor_chains)]
mod tests {
    use super::*;
    use crate::{
        owner::phantom::Phantom,
        storage::{
            lock_mode::Spin,
            owner::Owner,
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

    /// Members of a chain when a walk begins.
    const MEMBERS: usize = 1000;

    /// Members that are pushed during a walk at most: a walk that takes much too long ends.
    const PUSHED_MAX: usize = 10 * MEMBERS;

    /// A chain of numbered members.
    trait Chain: Sized {
        /// A chain with this room for members. It has none.
        fn new(room: usize) -> Result<Self>;

        /// Pushes member number `n`.
        fn push(&self, n: usize);

        /// Takes out member number `n`.
        fn take_out(&self, n: usize);

        /// Walks to the end and calls `visit` at each member.
        fn walk(&self, visit: impl Fn());
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
                nodes.push(Node::new(Phantom::new(n).id()), GFP_KERNEL)?;
            }
            let table = Table::new(0)?;
            Ok(Self { table, nodes })
        }

        fn push(&self, n: usize) {
            let node = NonNull::from(&self.nodes[n]);
            // SAFETY: Each is pushed once, and stays as long as the table.
            unsafe { self.table.push(node, &rcu::read_lock()) };
        }

        fn take_out(&self, n: usize) {
            let node = &self.nodes[n];
            if node.claim(Site::ElementClaim) {
                let (node, rcu) = (NonNull::from(node), rcu::read_lock());
                // A lock that fails leaves the member where a test does not want it.
                //
                // SAFETY: A member, claimed above.
                unsafe {
                    self.table
                        .unlink::<Spin>(node, Site::BucketLock, || (), &rcu)
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

    /// A list that one thread changes.
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
            // SAFETY: One thread changes the list; each node is pushed once, and stays as long.
            unsafe {
                let mut list = self.head.assume_locked();
                list.push(NonNull::from(&self.nodes[n]));
            }
        }

        fn take_out(&self, n: usize) {
            // SAFETY: One thread changes the list, and this is a member.
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

    /// Walks a chain of [`MEMBERS`], and pushes another one at every second that it visits, after
    /// `before` is done with the chain and the number of its head. Returns how many members were
    /// visited and how many were pushed.
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

    // Each round visits what was pushed during the one before, half as many as that one visited:
    // as many in all as the first round.

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

    // The member that a round began at is taken out each time, and of all that are pushed one is
    // left at the end of the first round.

    #[test]
    fn a_head_that_leaves_a_bucket_costs_a_walk_nothing() -> Result {
        let (visited, pushed) = walk(Bucket::take_out)?;
        assert!(visited == MEMBERS + 1 && pushed == MEMBERS / 2);
        Ok(())
    }

    #[test]
    fn a_head_that_leaves_a_list_costs_a_walk_nothing() -> Result {
        let (visited, pushed) = walk(List::take_out)?;
        assert!(visited == MEMBERS + 1 && pushed == MEMBERS / 2);
        Ok(())
    }

    /// The head of a bucket is taken out, and before the lock is held another member is in front.
    #[test]
    fn a_member_pushed_in_front_of_one_that_leaves_stays() -> Result {
        let bucket = Bucket::new(3)?;
        bucket.push(0);
        bucket.push(1);
        trace::with_probe(
            Event::BucketLocked,
            bucket.nodes[1].addr(),
            &mut || bucket.push(2),
            || bucket.take_out(1),
        )?;
        let rcu = rcu::read_lock();
        let left = bucket.table.iter(0, &rcu).map(ptr::from_ref);
        assert!(left.eq([&bucket.nodes[2], &bucket.nodes[0]].map(ptr::from_ref)));
        Ok(())
    }
}
