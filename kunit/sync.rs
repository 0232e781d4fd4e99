// SPDX-License-Identifier: GPL-2.0

//! The primitives of `rust/sync`.

use kernel::prelude::*;

#[kunit_tests(ostor_sync)]
mod tests {
    use super::super::{
        context::{
            self,
            Context, //
        },
        inject::inject,
        inside::with_probe, //
    };
    use super::*;
    use crate::sync::{
        counter::Counter,
        fault::Site,
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
        ptr::NonNull, //
    };
    use kernel::cpu::nr_cpu_ids;

    #[test]
    fn a_lock_gives_access_to_its_data() -> Result {
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
    fn a_lock_refuses_recursion_and_recovers() -> Result {
        let lock = KBox::new(ResLock::new(()), GFP_KERNEL)?;
        let mut inner = None;
        let reported = lock_order::count_violations(|| {
            let _ = lock.with(Site::LinkLock, |()| {
                inner = Some(lock.with(Site::LinkLock, |()| ()));
            });
        });
        assert!(inner == Some(Err(LockError::Deadlock)));
        assert!(reported == 1);
        assert!(lock.with(Site::LinkLock, |()| ()).is_ok());
        Ok(())
    }

    #[test]
    fn llist_keeps_the_order() -> Result {
        let list = KBox::new(LList::new(), GFP_KERNEL)?;
        let links = KBox::new([const { Link::new() }; 3], GFP_KERNEL)?;
        for (i, link) in links.iter().enumerate() {
            // SAFETY: Each link is pushed once, and is taken off before it is freed.
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
    fn nolock_allocates_up_to_its_largest_size() -> Result {
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
    fn per_cpu_counters_add_up() -> Result {
        #[derive(Default)]
        struct Pair {
            one: LocalCounter,
            other: LocalCounter,
        }

        let counters = PerCpuCounters::<Pair>::new()?;
        let sums = || {
            (
                counters.sum(|here| &here.one),
                counters.sum(|here| &here.other),
            )
        };
        assert!(sums() == (0, 0));
        counters.this_cpu().one.add(5);
        counters.this_cpu().one.sub(2);
        // A sum that is below 0 meanwhile reads as 0.
        counters.this_cpu().other.sub(1);
        assert!(sums() == (3, 0));
        counters.this_cpu().other.add(2);
        assert!(sums() == (3, 1));
        let cpus = nr_cpu_ids() as usize;
        assert!(counters.bytes() == cpus * (64 + size_of::<usize>()));
        Ok(())
    }

    #[test]
    fn holds_no_lock_sees_what_may_hold_one() -> Result {
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
    fn a_probe_runs_once() -> Result {
        let mut order = [0; 2];
        let mut at = 0;
        let mut note = |what: usize| {
            if at < order.len() {
                order[at] = what;
            }
            at += 1;
        };
        let note = core::cell::RefCell::new(&mut note);
        with_probe(Event::Enter, 42, &mut || note.borrow_mut()(1), || {
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
}
