// SPDX-License-Identifier: GPL-2.0

//! The fault sites: which calls they make fail, how long they delay, and that a life of elements
//! passes each of them.

use kernel::prelude::*;

#[kunit_tests(ostor_fault_sites)]
mod tests {
    use super::super::inject::{
        delay,
        inject,
        inject_as,
        inject_nth,
        inject_some, //
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
                knobs::Settings,
                Site, //
            },
            rcu,
            res_lock::ResLock, //
        },
    };

    /// Sites that [`live`] does not pass: those of accepted sockets, of the device and of the end
    /// of the module.
    const ELSEWHERE: [Site; 4] = [
        Site::DeviceAlloc,
        Site::CloneHook,
        Site::ChildHook,
        Site::HookDetach,
    ];

    /// Passes a site ten times. Bit `n` of the result is set if the `n`th call was to fail.
    fn failures(site: Site) -> u32 {
        (0..10).fold(0, |failed, n| failed | u32::from(fault::skip(site)) << n)
    }

    #[test]
    fn injected_lock_errors_end() -> Result {
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
    fn calls_fail_as_often_as_set() -> Result {
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
    fn a_site_that_only_delays_cannot_fail() -> Result {
        for site in Site::ALL {
            let is_set = inject(*site, 1).is_ok();
            assert!(is_set == site.can_fail());
            assert!(site.name().to_bytes().len() < 24);
        }
        // The last site that can fail, and the first that only delays.
        assert!(Site::HookDetach.can_fail() && !Site::Gate.can_fail());
        Ok(())
    }

    #[test]
    fn a_delay_takes_as_long_as_set() -> Result {
        for site in [Site::ElementClaim, Site::IndexLock] {
            let fault = delay(site, 1000)?;
            let watch = Stopwatch::start();
            for _ in 0..5 {
                fault::pause(site);
            }
            // `udelay()` may be a loop that was calibrated at boot, on a virtual machine whose host
            // had little time for it. Without a delay all this takes less than a microsecond.
            assert!(watch.elapsed_ns() >= 500_000);
            assert!(fault.passed() == 5 && fault.failed() == 0);
        }
        Ok(())
    }

    /// Creates, updates, copies and deletes elements, and lets their owners die. Passes every site
    /// but those of [`ELSEWHERE`].
    fn live() -> Result {
        let runtime = Runtime::get().ok_or(ENODEV)?;
        let f = Fixture::cloning()?;
        let (owner, child) = (Mock::charged(1, 1 << 20)?, Mock::charged(2, 1 << 20)?);
        f.create(&owner, 1)?;
        {
            let rcu = rcu::read_lock();
            f.map.update(&*owner, Mode::Any, f.values.value(2), &rcu)?;
        }
        runtime.inherit(owner.id(), &*child);
        assert_eq(f.number(&child), Some(2))?;
        f.map.delete(&*child, &rcu::read_lock())?;
        runtime.rename(owner.id(), owner.id());
        owner.leave();
        // SAFETY: The gate has let no creator through since a grace period.
        unsafe { kinds::death_notice(owner.ops(), owner.id()) };
        // SAFETY: As above.
        unsafe { kinds::backstop_notice(owner.id()) };
        let values = f.values.clone();
        assert_eq(values.wait_for(0), true)?;
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
    fn every_site_is_passed_and_may_delay() -> Result {
        for site in Site::ALL {
            let fault = delay(*site, 10)?;
            live()?;
            let is_passed = fault.passed() > 0;
            assert!(is_passed != ELSEWHERE.contains(site));
        }
        Ok(())
    }

    #[test]
    fn notices_are_lost_and_counted() -> Result {
        let late_free = &Runtime::get().ok_or(ENODEV)?.stats.late_free;
        let before = late_free.get();
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        f.create(&owner, 1)?;
        owner.leave();
        // SAFETY: The gate has let no creator through since a grace period.
        let death_notice = || unsafe { kinds::death_notice(owner.ops(), owner.id()) };
        // SAFETY: As above.
        let backstop_notice = || unsafe { kinds::backstop_notice(owner.id()) };
        // All notices fail: meanwhile, other tasks can end.
        let fault = inject(Site::DeathNotice, -1)?;
        death_notice();
        assert!(fault.failed() >= 1 && f.number(&owner) == Some(1));
        drop(fault);
        let fault = inject(Site::Backstop, -1)?;
        backstop_notice();
        assert!(fault.failed() >= 1 && f.number(&owner) == Some(1));
        assert!(late_free.get() == before);
        drop(fault);
        backstop_notice();
        assert!(f.number(&owner).is_none() && late_free.get() == before + 1);
        assert!(f.values.wait_for(0));
        Ok(())
    }
}
