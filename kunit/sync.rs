// SPDX-License-Identifier: GPL-2.0

//! The primitives.

use kernel::prelude::*;

#[kunit_tests(ostor_sync)]
mod tests {
    use super::super::inject::{
        inject,
        inject_some, //
    };
    use super::*;
    use crate::sync::{
        context::{
            self,
            Context, //
        },
        counter::Counter,
        fault::{
            self,
            Site, //
        },
        hlist::{
            HListHead,
            HNode, //
        },
        irq::with_irqs_off,
        llist::{
            LList,
            Link, //
        },
        lock_order,
        nolock::{
            self,
            AllocSource,
            Payer, //
        },
        per_cpu::{
            LocalCounter,
            PerCpuCounters, //
        },
        rcu,
        res_lock::{
            LockError,
            ResLock, //
        },
        trace::{
            self,
            Event, //
        }, //
    };
    use core::{
        alloc::Layout,
        ptr::{
            self,
            NonNull, //
        }, //
    };
    use kernel::cpu::nr_cpu_ids;

    #[test]
    fn lock_gives_its_data() -> Result {
        let lock = KBox::new(ResLock::new(1), GFP_KERNEL)?;
        let twice = lock.with(Site::LinkLock, |n| {
            *n *= 2;
            *n
        });
        assert!(twice == Ok(2));
        assert!(lock.with(Site::LinkLock, |n| *n) == Ok(2));
        Ok(())
    }

    #[test]
    fn lock_refuses_recursion_and_recovers() -> Result {
        let lock = KBox::new(ResLock::new(()), GFP_KERNEL)?;
        let mut inner = None;
        let noticed = lock_order::violations(|| {
            let _ = lock.with(Site::LinkLock, |()| {
                inner = Some(lock.with(Site::LinkLock, |()| ()));
            });
        });
        assert!(inner == Some(Err(LockError::Deadlock)));
        assert!(noticed == 1);
        assert!(lock.with(Site::LinkLock, |()| ()).is_ok());
        Ok(())
    }

    #[test]
    fn faults_come_and_go() -> Result {
        let lock = KBox::new(ResLock::new(()), GFP_KERNEL)?;
        let fault = inject(Site::BucketLock, 2)?;
        assert!(lock.with(Site::LinkLock, |()| ()).is_ok());
        assert!(lock.with(Site::BucketLock, |()| ()).is_err());
        assert!(lock.with(Site::BucketLock, |()| ()).is_err());
        assert!(lock.with(Site::BucketLock, |()| ()).is_ok());
        drop(fault);
        let fault = inject(Site::BucketLock, -1)?;
        assert!(lock.with(Site::BucketLock, |()| ()).is_err());
        drop(fault);
        assert!(lock.with(Site::BucketLock, |()| ()).is_ok());
        Ok(())
    }

    #[test]
    fn faults_come_by_chance() -> Result {
        for percent in [1, 10, 50, 99] {
            let _fault = inject_some(Site::BucketLock, percent)?;
            let failed = (0..10_000)
                .filter(|_| fault::alloc(Site::BucketLock))
                .count() as u32;
            assert!(failed.abs_diff(100 * percent) < 300);
        }
        assert!(!fault::alloc(Site::BucketLock));
        Ok(())
    }

    #[test]
    fn llist_keeps_the_order() -> Result {
        let list = KBox::new(LList::new(), GFP_KERNEL)?;
        let links = KBox::new([const { Link::new() }; 3], GFP_KERNEL)?;
        for (i, link) in links.iter().enumerate() {
            // SAFETY: Each link is pushed once, and taken before it goes.
            let was_empty = unsafe { list.push(NonNull::from(link)) };
            assert!(was_empty == (i == 0));
        }
        let mut taken = list.take();
        for link in links.iter() {
            assert!(taken.next() == Some(NonNull::from(link)));
        }
        assert!(taken.next().is_none());
        assert!(list.take().next().is_none());
        Ok(())
    }

    #[test]
    fn hlist_removes_anywhere() -> Result {
        for gone in 0..3 {
            let head = KBox::new(HListHead::new(), GFP_KERNEL)?;
            let nodes = KBox::new([const { HNode::new() }; 3], GFP_KERNEL)?;
            // SAFETY: Nobody else knows the list.
            let mut list = unsafe { head.assume_locked() };
            assert!(list.is_empty());
            for node in nodes.iter() {
                // SAFETY: Each node is pushed once, and outlives the list.
                unsafe { list.push(NonNull::from(node)) };
            }
            // SAFETY: Pushed above.
            unsafe { list.remove(NonNull::from(&nodes[gone])) };
            let rcu = rcu::read_lock();
            let left = nodes.iter().enumerate().filter(|(i, _)| *i != gone);
            assert!(left
                .rev()
                .map(|(_, node)| node)
                .eq_by_address(head.iter(&rcu)));
            for (_, node) in nodes.iter().enumerate().filter(|(i, _)| *i != gone) {
                assert!(!list.is_empty());
                // SAFETY: Pushed above, and not removed yet.
                unsafe { list.remove(NonNull::from(node)) };
            }
            assert!(list.is_empty());
        }
        Ok(())
    }

    #[test]
    fn nolock_allocates_up_to_its_limit() -> Result {
        for size in [1, 8, 96, 4096, nolock::MAX_SIZE] {
            let layout = Layout::from_size_align(size, nolock::MAX_ALIGN);
            let layout = layout.map_err(|_| EINVAL)?;
            let alloc = || {
                let rcu = rcu::read_lock();
                nolock::alloc(
                    layout,
                    Site::ElementAlloc,
                    AllocSource::new(Payer::NONE, &rcu),
                )
            };
            let fault = inject(Site::ElementAlloc, 1)?;
            assert!(alloc().is_none());
            drop(fault);
            let memory = alloc().ok_or(ENOMEM)?;
            // SAFETY: Allocated above, and not used.
            unsafe { nolock::free_in_task(memory) };
        }
        Ok(())
    }

    #[test]
    fn shares_add_up_from_nothing() -> Result {
        #[derive(Default)]
        struct Pair {
            one: LocalCounter,
            other: LocalCounter,
        }

        let shares = PerCpuCounters::<Pair>::new()?;
        let sums = || (shares.sum(|here| &here.one), shares.sum(|here| &here.other));
        assert!(sums() == (0, 0));
        shares.this_cpu().one.add(5);
        shares.this_cpu().one.sub(2);
        // It may be counted down before it is counted up.
        shares.this_cpu().other.sub(1);
        assert!(sums() == (3, 0));
        shares.this_cpu().other.add(2);
        assert!(sums() == (3, 1));
        let cpus = nr_cpu_ids() as usize;
        assert!(shares.bytes() == cpus * (64 + size_of::<usize>()));
        Ok(())
    }

    #[test]
    fn what_could_hold_a_lock_is_seen() -> Result {
        let holds_no_lock = || nolock::holds_no_lock(&rcu::read_lock());
        let is_seen = cfg!(CONFIG_PREEMPT_COUNT);
        assert!(holds_no_lock() == is_seen);
        assert!(!with_irqs_off(holds_no_lock));
        let lock = KBox::new(ResLock::new(()), GFP_KERNEL)?;
        assert!(lock.with(Site::LinkLock, |()| holds_no_lock()) == Ok(false));
        let outer = rcu::read_lock();
        assert!(holds_no_lock() == (is_seen && cfg!(CONFIG_PREEMPT_RCU)));
        drop(outer);
        for context in [Context::Softirq, Context::Timer, Context::IrqWork] {
            let (calls, safe) = (Counter::new(), Counter::new());
            let inside = |_| {
                calls.add(1);
                safe.add(holds_no_lock().into());
            };
            context::on_demand(context, &inside, |raiser| raiser.raise())?;
            assert!((calls.get(), safe.get()) == (1, 0));
        }
        assert!(holds_no_lock() == is_seen);
        Ok(())
    }

    #[test]
    fn probe_runs_once_inside() -> Result {
        let mut order = [0; 2];
        let mut at = 0;
        let mut note = |what: usize| {
            if at < order.len() {
                order[at] = what;
            }
            at += 1;
        };
        let note = core::cell::RefCell::new(&mut note);
        trace::with_probe(Event::Enter, 42, &mut || note.borrow_mut()(1), || {
            trace::event(Event::Enter, 43);
            trace::event(Event::StorageLocked, 42);
            trace::event(Event::Enter, 42);
            trace::event(Event::Enter, 42);
            note.borrow_mut()(2);
        })?;
        assert!(at == 2);
        assert!(order == [1, 2]);
        Ok(())
    }

    trait EqByAddress<'a, T: 'a> {
        fn eq_by_address(self, other: impl Iterator<Item = &'a T>) -> bool;
    }

    impl<'a, T: 'a, I: Iterator<Item = &'a T>> EqByAddress<'a, T> for I {
        fn eq_by_address(mut self, mut other: impl Iterator<Item = &'a T>) -> bool {
            loop {
                match (self.next(), other.next()) {
                    (None, None) => return true,
                    (Some(one), Some(two)) if ptr::eq(one, two) => {}
                    _ => return false,
                }
            }
        }
    }
}
