// SPDX-License-Identifier: GPL-2.0

//! That a lock taken inside another one's section is noticed, and recursion is not mistaken for it.

use kernel::prelude::*;

#[kunit_tests(ostor_lock_order)]
mod tests {
    use super::*;
    use crate::sync::{
        fault::Site,
        lock_order::violations,
        res_lock::{
            LockError,
            ResLock, //
        },
        trace::{
            self,
            Event, //
        }, //
    };

    type Lock = KBox<ResLock<()>>;

    fn locks() -> Result<(Lock, Lock)> {
        Ok((
            KBox::new(ResLock::new(()), GFP_KERNEL)?,
            KBox::new(ResLock::new(()), GFP_KERNEL)?,
        ))
    }

    #[test]
    fn nesting_is_noticed() -> Result {
        let (one, two) = locks()?;
        let mut inner = None;
        let noticed = violations(|| {
            let _ = one.with(Site::LinkLock, |()| {
                inner = Some(two.with(Site::BucketLock, |()| one.with(Site::UnlinkLock, |()| ())));
            });
        });
        assert!(inner == Some(Ok(Err(LockError::Deadlock))));
        assert!(noticed == 2);
        assert!(one.with(Site::LinkLock, |()| ()).is_ok());
        assert!(two.with(Site::BucketLock, |()| ()).is_ok());
        Ok(())
    }

    #[test]
    fn one_after_the_other_is_in_order() -> Result {
        let (one, two) = locks()?;
        let noticed = violations(|| {
            for lock in [&one, &two, &one] {
                let _ = lock.with(Site::IndexLock, |()| ());
            }
        });
        assert!(noticed == 0);
        Ok(())
    }

    /// Inside a section, a probe may take locks, one at a time; the section itself may not, before
    /// nor after.
    #[test]
    fn a_probe_is_outside_the_section() -> Result {
        let (one, two) = locks()?;
        let mut in_probe = 0;
        let mut probe = || {
            let _ = two.with(Site::IndexLock, |()| {
                in_probe += 1;
            });
        };
        let noticed = trace::with_probe(Event::StorageLocked, 42, &mut probe, || {
            let section = || {
                let _ = one.with(Site::LinkLock, |()| {
                    trace::event(Event::StorageLocked, 42);
                });
            };
            violations(section)
        })?;
        assert!(in_probe == 1 && noticed == 0);

        let mut probe = || {
            let _ = two.with(Site::IndexLock, |()| {
                let _ = one.with(Site::BucketLock, |()| ());
            });
        };
        let noticed = trace::with_probe(Event::StorageLocked, 42, &mut probe, || {
            violations(|| {
                let _ = one.with(Site::LinkLock, |()| {
                    trace::event(Event::StorageLocked, 42);
                    let _ = two.with(Site::IndexLock, |()| ());
                });
            })
        })?;
        assert!(noticed == 2);
        Ok(())
    }
}
