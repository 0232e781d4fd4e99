// SPDX-License-Identifier: GPL-2.0

//! What waits to be freed: its bounds, and drops that sleep or end maps.

use kernel::prelude::*;

#[kunit_tests(ostor_storage_reaper)]
mod tests {
    use super::super::mock::{
        Fixture,
        Mock,
        Value, //
    };
    use super::*;
    use crate::{
        storage::{
            create::Mode,
            error::Refusal,
            map::{
                ByteMap,
                Map, //
            },
            runtime::Runtime, //
        },
        sync::{
            deferred::{
                self,
                Workqueue, //
            },
            rcu,
            Atomic,
            Completion,
            Relaxed, //
        },
    };
    use kernel::{
        new_mutex,
        sync::{
            Arc,
            Mutex, //
        }, //
    };

    fn runtime() -> Result<&'static Runtime> {
        Runtime::get().ok_or(ENODEV)
    }

    /// Whether it becomes so, within two seconds.
    fn becomes(is_so: impl Fn() -> bool) -> bool {
        for _ in 0..200 {
            if is_so() {
                return true;
            }
            deferred::sleep_10ms();
        }
        false
    }

    /// Keeps drops from returning until it is opened.
    #[pin_data]
    struct Gate {
        entered: Atomic<bool>,
        #[pin]
        open: Completion,
    }

    /// A value whose drop waits for a gate.
    struct Sleeper {
        gate: Arc<Gate>,
        _ballast: [u8; 4000],
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            self.gate.entered.store(true, Relaxed);
            self.gate.open.wait_for_completion();
        }
    }

    /// While a drop in one map sleeps, others come and go, and so do their maps; the bound of what
    /// waits for its drops is that map's own.
    #[test]
    fn a_drop_that_sleeps_holds_up_its_map_only() -> Result {
        let gate = Arc::pin_init(
            pin_init!(Gate {
                entered: Atomic::new(false),
                open <- Completion::new(),
            }),
            GFP_KERNEL,
        )?;
        let map = KBox::new(Map::<Sleeper>::new()?, GFP_KERNEL)?;
        let owner = Mock::new(1)?;
        let once = || {
            let rcu = rcu::read_lock();
            let new = || Sleeper {
                gate: gate.clone(),
                _ballast: [0; 4000],
            };
            map.get_or_create(&*owner, new, &rcu)?;
            map.delete(&*owner, &rcu)?;
            Ok::<_, Refusal>(())
        };
        once()?;
        let is_asleep = becomes(|| gate.entered.load(Relaxed));
        let f = Fixture::new()?;
        f.create(&owner, 2)?;
        let is_deleted = f.map.delete(&*owner, &rcu::read_lock()).is_ok();
        let is_dropped = f.tally.wait_for(0);
        drop(f);
        // Of a map that ends, nobody else waits for the drops either.
        let ends = Workqueue::new()?;
        let mut is_refused = false;
        for _ in 0..1 << 16 {
            // What waits for a grace period does not refuse who waits for one.
            is_refused = map.raw().retry_after_reap(|| Ok(once()?)) == Err(ENOMEM);
            if is_refused {
                break;
            }
            deferred::cond_resched();
        }
        let others = Fixture::new()?;
        let other = others.create(&owner, 3);
        ends.spawn(move || drop(map))?;
        drop(others);
        gate.open.complete_all();
        drop(ends);
        assert!(is_asleep && is_deleted && is_dropped && is_refused);
        assert!(other == Ok(3));
        Ok(())
    }

    /// A value that ends a map when it is dropped.
    struct Ender(Arc<Slot>);

    #[pin_data]
    struct Slot {
        #[pin]
        map: Mutex<Option<KBox<dyn core::any::Any + Send + Sync>>>,
    }

    impl Slot {
        fn new() -> Result<Arc<Self>> {
            Arc::pin_init(
                pin_init!(Self {
                    map <- new_mutex!(None),
                }),
                GFP_KERNEL,
            )
        }
    }

    impl Drop for Ender {
        fn drop(&mut self) {
            let map = self.0.map.lock().take();
            drop(map);
        }
    }

    /// It does not wait there, where it could be for itself, and nothing else stops.
    #[test]
    fn a_drop_may_end_maps() -> Result {
        let maps = runtime()?.stats.maps.get();
        let (own, other) = (Slot::new()?, Slot::new()?);
        let owner = Mock::new(1)?;
        let f = Fixture::new()?;
        f.create(&owner, 1)?;
        let Fixture { map, tally } = f;
        *other.map.lock() = Some(KBox::new(map, GFP_KERNEL)?);
        let map = KBox::new(Map::<Ender>::new()?, GFP_KERNEL)?;
        let second = Mock::new(2)?;
        let third = Mock::new(3)?;
        {
            let rcu = rcu::read_lock();
            map.get_or_create(&*owner, || Ender(other.clone()), &rcu)?;
            map.get_or_create(&*second, || Ender(own.clone()), &rcu)?;
            map.get_or_create(&*third, || Ender(own.clone()), &rcu)?;
        }
        *own.map.lock() = Some(map);
        let is_alive = runtime()?.stats.maps.get() == maps + 2;
        // The map of the first two values goes with the second one.
        owner.die();
        second.die();
        let is_gone = becomes(|| runtime().is_ok_and(|r| r.stats.maps.get() == maps));
        assert!(is_alive && is_gone);
        assert!(tally.dropped() == tally.made() && tally.made() == 1);
        assert!(own.map.lock().is_none() && other.map.lock().is_none());
        Ok(())
    }

    /// Without a grace period nothing is freed: there is an end to what can be created and deleted,
    /// and who may sleep has it wait.
    #[test]
    fn what_waits_for_a_grace_period_is_bounded() -> Result {
        const SIZE: usize = 8000;

        let runtime = runtime()?;
        let map = KBox::new(ByteMap::new(SIZE)?, GFP_KERNEL)?;
        let owner = Mock::new(1)?;
        let limit = runtime.pending_limit();
        let mut count = 0u64;
        let refusal = {
            let rcu = rcu::read_lock();
            loop {
                if let Err(refusal) = map.put(&*owner, Mode::Any, &[1], &rcu) {
                    break refusal;
                }
                count += 1;
                if count > limit / SIZE as u64 + 1000 {
                    break Refusal::Exists;
                }
            }
        };
        let most = map.raw().unfreed() as u64 * map.raw().element_size() as u64;
        let result = map.raw().retry_after_reap(|| {
            let rcu = rcu::read_lock();
            map.put(&*owner, Mode::Any, &[2], &rcu)?;
            Ok(())
        });
        assert!(refusal == Refusal::NoMemory);
        assert!(most > limit / 2 && most < limit + (1 << 20));
        assert!(result.is_ok());
        assert!(map.raw().counters().nomem.get() == 1);
        Ok(())
    }

    /// All that was handed over is counted, and counted down.
    #[test]
    fn pending_is_counted() -> Result {
        let runtime = runtime()?;
        runtime.flush();
        let before = runtime.pending();
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        f.create(&owner, 1)?;
        let rcu = rcu::read_lock();
        let deleted: Result<&Value, _> = f.map.delete(&*owner, &rcu);
        let during = runtime.pending();
        let is_deleted = deleted.is_ok();
        drop(rcu);
        let is_down = becomes(|| runtime.pending().0 <= before.0);
        assert!(is_deleted && is_down);
        assert!(during.0 >= before.0 + 2);
        assert!(during.1 >= before.1 + f.map.raw().element_size() as u64);
        Ok(())
    }
}
