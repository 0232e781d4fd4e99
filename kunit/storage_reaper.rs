// SPDX-License-Identifier: GPL-2.0

//! What waits to be freed, with the kernel's own kworkers and grace periods: drops that sleep or
//! end maps, and the bound.

use kernel::prelude::*;

#[kunit_tests(ostor_storage_reaper)]
mod tests {
    use super::super::mock::{
        Fixture,
        Mock, //
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

    /// Waits two seconds at most until `is_so` returns true. Returns whether it did.
    fn becomes(is_so: impl Fn() -> bool) -> bool {
        for _ in 0..200 {
            if is_so() {
                return true;
            }
            deferred::sleep_10ms();
        }
        false
    }

    /// Keeps the drops of [`Sleeper`] from returning until `open` is completed.
    #[pin_data]
    struct DropGate {
        entered: Atomic<bool>,
        #[pin]
        open: Completion,
    }

    /// A value whose drop sleeps until its gate is opened.
    struct Sleeper {
        gate: Arc<DropGate>,
        _ballast: [u8; 4000],
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            self.gate.entered.store(true, Relaxed);
            self.gate.open.wait_for_completion();
        }
    }

    /// A drop in one map sleeps. Other maps create, delete and end meanwhile. Creates in the first
    /// map are refused once too much waits for its drops; creates in other maps are not.
    #[test]
    fn a_drop_that_sleeps_holds_up_its_map_only() -> Result {
        let gate = Arc::pin_init(
            pin_init!(DropGate {
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
        let is_dropped = f.values.wait_for(0);
        drop(f);
        let ends = Workqueue::new()?;
        let mut is_refused = false;
        for _ in 0..1 << 16 {
            // A caller with patience is refused for what waits for drops, and waits for what waits
            // for a grace period.
            is_refused = map.raw().retry_after_reap(|| Ok(once()?)) == Err(ENOMEM);
            if is_refused {
                break;
            }
            deferred::cond_resched();
        }
        let other = Fixture::new()?;
        let created = other.create(&owner, 3);
        ends.spawn(move || drop(map))?;
        // The end of this map does not wait for the drops of that one.
        drop(other);
        gate.open.complete_all();
        drop(ends);
        assert!(is_asleep && is_deleted && is_dropped && is_refused);
        assert!(created == Ok(3));
        Ok(())
    }

    /// A value whose drop ends the map in its slot.
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

    /// The drops of a map's values end another map, and then the map itself. A drop must not wait
    /// for the end of its own map.
    #[test]
    fn a_drop_may_end_maps() -> Result {
        let maps = runtime()?.stats.maps.get();
        let (own, other) = (Slot::new()?, Slot::new()?);
        let owner = Mock::new(1)?;
        let f = Fixture::new()?;
        f.create(&owner, 1)?;
        let Fixture { map, values } = f;
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
        // The first drop ends `other`, the second one the map of all three values.
        owner.die();
        second.die();
        let is_gone = becomes(|| runtime().is_ok_and(|r| r.stats.maps.get() == maps));
        assert!(is_alive && is_gone);
        assert!(values.dropped() == values.made() && values.made() == 1);
        assert!(own.map.lock().is_none() && other.map.lock().is_none());
        Ok(())
    }

    /// Nothing is freed in a read section, so creates there are refused in the end. A caller that
    /// may sleep waits for a grace period instead.
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
}
