// SPDX-License-Identifier: GPL-2.0

//! The fault sites: what they can do, and that whoever should pass them does.

use crate::sync::compat::EDEADLK;
use kernel::prelude::*;

#[kunit_tests(ostor_fault_sites)]
mod tests {
    use super::super::inject::{
        delay,
        inject,
        inject_as,
        inject_nth, //
    };
    use super::super::mock::{
        Fixture,
        Mock, //
    };
    use super::*;
    use crate::{
        owner::kinds,
        storage::{
            create::Mode,
            owner::Owner,
            runtime::Runtime, //
        },
        sync::{
            clock::Stopwatch,
            fault::{
                self,
                knobs::{
                    self,
                    Settings, //
                },
                Site, //
            },
            rcu, //
        },
    };

    /// Sites that only accepted sockets, the device and the end of the module come past.
    const ELSEWHERE: [Site; 4] = [
        Site::DeviceAlloc,
        Site::CloneHook,
        Site::ChildHook,
        Site::HookDetach,
    ];

    /// Bit `n` is set if the `n`th of ten who pass fails.
    fn failures(site: Site) -> u32 {
        (0..10).fold(0, |failed, n| failed | u32::from(fault::skip(site)) << n)
    }

    #[test]
    fn the_nth_fails() -> Result {
        for n in [1, 2, 7, 10] {
            let fault = inject_nth(Site::IndexLock, n)?;
            assert!(failures(Site::IndexLock) == 1 << (n - 1));
            assert!(fault.passed() == 10 && fault.failed() == 1);
        }
        let fault = inject_nth(Site::IndexLock, 11)?;
        assert!(failures(Site::IndexLock) == 0);
        assert!(fault.settings().space == 0 && fault.settings().times == 1);
        assert!(failures(Site::IndexLock) == 1);
        Ok(())
    }

    #[test]
    fn one_in_three_fails_after_two() -> Result {
        let settings = Settings {
            probability: 100,
            interval: 3,
            space: 2,
            ..Settings::OFF
        };
        let fault = inject_as(Site::IndexLock, settings)?;
        assert!(failures(Site::IndexLock) == 0b1_0010_0100);
        drop(fault);
        assert!(failures(Site::IndexLock) == 0);
        Ok(())
    }

    #[test]
    fn settings_out_of_bounds_change_nothing() -> Result {
        let site = Site::IndexLock;
        let good = Settings {
            probability: 100,
            interval: u32::MAX,
            space: u32::MAX,
            times: i32::MIN,
            delay_us: 1000,
        };
        let fault = inject_as(site, good)?;
        for bad in [
            Settings {
                probability: 101,
                ..Settings::OFF
            },
            Settings {
                interval: 0,
                ..Settings::OFF
            },
            Settings {
                delay_us: 1001,
                ..Settings::OFF
            },
        ] {
            assert!(knobs::set(site, bad) == Err(EINVAL));
            assert!(fault.settings() == good);
        }
        Ok(())
    }

    #[test]
    fn who_can_only_wait_cannot_fail() -> Result {
        for site in Site::ALL {
            let is_set = inject(*site, 1).is_ok();
            assert!(is_set == site.can_fail());
            assert!(site.name().to_bytes().len() < 24);
        }
        // The last of those and the first of these.
        assert!(Site::HookDetach.can_fail() && !Site::Gate.can_fail());
        Ok(())
    }

    #[test]
    fn a_delay_takes_its_time() -> Result {
        for site in [Site::ElementClaim, Site::IndexLock] {
            let fault = delay(site, 1000)?;
            let watch = Stopwatch::start();
            for _ in 0..5 {
                fault::pause(site);
            }
            // Where a delay is a loop, that was measured when the machine was started, maybe while
            // its host had little time for it. Without a delay this takes less than a microsecond.
            assert!(watch.elapsed_ns() >= 500_000);
            assert!(fault.passed() == 5 && fault.failed() == 0);
        }
        Ok(())
    }

    /// A life that comes past every site.
    fn live() -> Result {
        let runtime = Runtime::get().ok_or(ENODEV)?;
        let f = Fixture::cloning()?;
        let (owner, child) = (Mock::charged(1, 1 << 20)?, Mock::charged(2, 1 << 20)?);
        f.create(&owner, 1)?;
        {
            let rcu = rcu::read_lock();
            f.map.update(&*owner, Mode::Any, f.tally.value(2), &rcu)?;
        }
        runtime.inherit(owner.id(), &*child);
        assert_eq(f.number(&child), Some(2))?;
        f.map.delete(&*child, &rcu::read_lock())?;
        runtime.rename(owner.id(), owner.id());
        owner.end();
        // SAFETY: The mock's notices of death.
        unsafe { kinds::death_notice(owner.ops(), owner.id()) };
        // SAFETY: As above.
        unsafe { kinds::backstop_notice(owner.id()) };
        let tally = f.tally.clone();
        assert_eq(tally.wait_for(0), true)?;
        drop(f);
        assert_eq(owner.charge_now(), 0)
    }

    fn assert_eq<T: PartialEq>(one: T, other: T) -> Result {
        if one == other {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    #[test]
    fn all_are_passed_and_may_stand_still() -> Result {
        for site in Site::ALL {
            let fault = delay(*site, 10)?;
            live()?;
            let is_passed = fault.passed() > 0;
            assert!(is_passed != ELSEWHERE.contains(site));
        }
        Ok(())
    }

    #[test]
    fn maps_without_memory() -> Result {
        let stats = &Runtime::get().ok_or(ENODEV)?.stats;
        let (maps, bytes) = (stats.maps.get(), stats.map_bytes.get());
        for site in [Site::TableAlloc, Site::MapAlloc] {
            let _fault = inject(site, 1)?;
            assert!(Fixture::new().err() == Some(ENOMEM));
            assert!(stats.maps.get() == maps && stats.map_bytes.get() == bytes);
            assert!(Fixture::new().is_ok());
        }
        Ok(())
    }

    /// Creates fail at the site alone: neither those before nor those after.
    #[test]
    fn the_nth_create_fails() -> Result {
        for (site, err) in [
            (Site::LinkLock, EDEADLK),
            (Site::ElementAlloc, ENOMEM),
            (Site::StorageAlloc, ENOMEM),
        ] {
            for n in 1..=4 {
                let f = Fixture::new()?;
                let _fault = inject_nth(site, n)?;
                let mut owners = KVec::new();
                for i in 1..=4 {
                    let owner = Mock::new(i)?;
                    let must_be = if i == u64::from(n) { Err(err) } else { Ok(i) };
                    assert!(f.create(&owner, i) == must_be);
                    owners.push(owner, GFP_KERNEL)?;
                }
                assert!(f.elements() == 3);
            }
        }
        Ok(())
    }

    #[test]
    fn the_lock_to_link_is_not_the_lock_to_unlink() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        let fault = inject(Site::UnlinkLock, -1)?;
        assert!(f.create(&owner, 1) == Ok(1));
        drop(fault);
        let fault = inject(Site::LinkLock, -1)?;
        assert!(f.map.delete(&*owner, &rcu::read_lock()).is_ok());
        assert!(f.map.raw().counters().sum(|here| &here.deferred) == 0);
        assert!(f.create(&owner, 2) == Err(EDEADLK));
        assert!(fault.failed() == 1);
        Ok(())
    }

    #[test]
    fn notices_are_lost_and_counted() -> Result {
        let late_free = &Runtime::get().ok_or(ENODEV)?.stats.late_free;
        let before = late_free.get();
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        f.create(&owner, 1)?;
        owner.end();
        // SAFETY: The mock's notice of death.
        let death_notice = || unsafe { kinds::death_notice(owner.ops(), owner.id()) };
        // SAFETY: As above.
        let backstop_notice = || unsafe { kinds::backstop_notice(owner.id()) };
        let fault = inject(Site::DeathNotice, 1)?;
        death_notice();
        assert!(fault.failed() == 1 && f.number(&owner) == Some(1));
        drop(fault);
        let fault = inject(Site::Backstop, 1)?;
        backstop_notice();
        assert!(fault.failed() == 1 && f.number(&owner) == Some(1));
        assert!(late_free.get() == before);
        backstop_notice();
        assert!(f.number(&owner).is_none() && late_free.get() == before + 1);
        assert!(f.tally.wait_for(0));
        Ok(())
    }
}
