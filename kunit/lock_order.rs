// SPDX-License-Identifier: GPL-2.0

//! That lock_order reports a lock taken in another lock's section, and does not report recursion.

use kernel::prelude::*;

#[kunit_tests(ostor_lock_order)]
mod tests {
    use super::super::inside::with_probe;
    use super::*;
    use crate::sync::{
        fault::Site,
        lock_order::count_violations,
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
    fn nesting_is_reported() -> Result {
        let (one, two) = locks()?;
        let mut inner = None;
        let reported = count_violations(|| {
            let _ = one.with(Site::LinkLock, |()| {
                inner = Some(two.with(Site::BucketLock, |()| one.with(Site::UnlinkLock, |()| ())));
            });
        });
        assert!(inner == Some(Ok(Err(LockError::Deadlock))));
        assert!(reported == 2);
        assert!(one.with(Site::LinkLock, |()| ()).is_ok());
        assert!(two.with(Site::BucketLock, |()| ()).is_ok());
        Ok(())
    }

    #[test]
    fn one_lock_after_another_is_not_reported() -> Result {
        let (one, two) = locks()?;
        let reported = count_violations(|| {
            for lock in [&one, &two, &one] {
                let _ = lock.with(Site::IndexLock, |()| ());
            }
        });
        assert!(reported == 0);
        Ok(())
    }

    /// A probe that runs in a section may take locks, one at a time. The section itself may take
    /// none, before the probe or after it.
    #[test]
    fn a_probe_is_outside_the_section() -> Result {
        let (one, two) = locks()?;
        let mut in_probe = 0;
        let mut probe = || {
            let _ = two.with(Site::IndexLock, |()| {
                in_probe += 1;
            });
        };
        let reported = with_probe(Event::StorageLocked, 42, &mut probe, || {
            let section = || {
                let _ = one.with(Site::LinkLock, |()| {
                    trace::event(Event::StorageLocked, 42);
                });
            };
            count_violations(section)
        })?;
        assert!(in_probe == 1 && reported == 0);

        let mut probe = || {
            let _ = two.with(Site::IndexLock, |()| {
                let _ = one.with(Site::BucketLock, |()| ());
            });
        };
        let reported = with_probe(Event::StorageLocked, 42, &mut probe, || {
            count_violations(|| {
                let _ = one.with(Site::LinkLock, |()| {
                    trace::event(Event::StorageLocked, 42);
                    let _ = two.with(Site::IndexLock, |()| ());
                });
            })
        })?;
        assert!(reported == 2);
        Ok(())
    }
}
