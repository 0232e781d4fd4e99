// SPDX-License-Identifier: GPL-2.0
//! The driver that makes lock cycles of several CPUs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device;
use ostor::settle;
use ostor::torture::{Cycle, TortureDevice, ioctl};
use uapi::ostor_cycle;

use crate::harness::{assert_refused_unchanged, new_map};
use crate::needs;

crate::suite![
    a_cycle_of_two_cpus_ends_with_an_error,
    a_short_stall_is_waited_for,
    a_long_stall_times_out,
    one_at_a_time,
    refused,
];

fn a_cycle_of_two_cpus_ends_with_an_error() -> Result<()> {
    needs::two_cpus()?;
    for _ in 0..5 {
        let outcome = Cycle::Ring.run(&TortureDevice::open()?, &[0, 1])?;
        let results: Vec<_> = outcome.waits.iter().map(|(result, _)| *result).collect();
        assert_eq!(results.len(), 2);
        // On a slow machine the time-out may pass before the lock looks for a cycle.
        let is_error = |result: &_| matches!(result, Err(Errno::EDEADLK | Errno::ETIMEDOUT));
        assert!(results.iter().any(is_error), "{outcome:?}");
        let mut results = results.iter();
        assert!(
            results.all(|result| result.is_ok() || is_error(result)),
            "{outcome:?}"
        );
        assert_eq!(outcome.others_failed, 0);
    }
    Ok(())
}

fn a_short_stall_is_waited_for() -> Result<()> {
    needs::two_cpus()?;
    let stall = Duration::from_millis(100);
    let outcome = Cycle::Stall(stall).run(&TortureDevice::open()?, &[0, 1])?;
    let [(result, time)] = outcome.waits.as_slice() else {
        anyhow::bail!("{outcome:?}")
    };
    assert_eq!(*result, Ok(()));
    assert!(*time > stall / 2, "{outcome:?}");
    Ok(())
}

fn a_long_stall_times_out() -> Result<()> {
    needs::two_cpus()?;
    let stall = Duration::from_secs(3);
    let outcome = Cycle::Stall(stall).run(&TortureDevice::open()?, &[0, 1])?;
    let [(result, time)] = outcome.waits.as_slice() else {
        anyhow::bail!("{outcome:?}")
    };
    assert_eq!(*result, Err(Errno::ETIMEDOUT));
    assert!(*time >= Duration::from_millis(250), "{outcome:?}");
    Ok(())
}

fn one_at_a_time() -> Result<()> {
    needs::two_cpus()?;
    let is_refused = || -> device::Result<bool> {
        match Cycle::Stall(Duration::from_millis(1)).run(&TortureDevice::open()?, &[0, 1]) {
            Err(error) if error.errno() == Errno::EBUSY => Ok(true),
            other => other.map(|_| false),
        }
    };
    let seen = AtomicBool::new(false);
    let meet = || {
        settle::until(|| {
            let refused = is_refused()?;
            Ok(seen.fetch_or(refused, Ordering::Relaxed) || refused)
        })
    };
    thread::scope(|scope| -> Result<()> {
        let other = scope.spawn(meet);
        let met = meet()? | other.join().expect("no panic")?;
        assert!(met, "two cycles at the same time");
        Ok(())
    })?;
    assert!(!is_refused()?, "no other cycle is running");
    Ok(())
}

fn refused() -> Result<()> {
    needs::two_cpus()?;
    let (map, torture) = (new_map()?, TortureDevice::open()?);
    let valid = ostor_cycle {
        cpus: 0b11,
        kind: uapi::OSTOR_CYCLE_STALL,
        stall_ms: 1,
        ..ostor_cycle::default()
    };
    type Change = (&'static str, fn(&mut ostor_cycle));
    let changes: [Change; 10] = [
        ("unknown kind", |arg| arg.kind = 2),
        ("no stall", |arg| arg.stall_ms = 0),
        ("too long a stall", |arg| {
            arg.stall_ms = uapi::OSTOR_CYCLE_STALL_MAX_MS + 1
        }),
        ("a ring that stalls", |arg| {
            arg.kind = uapi::OSTOR_CYCLE_RING
        }),
        ("no CPU", |arg| arg.cpus = 0),
        ("one CPU", |arg| arg.cpus = 1),
        ("too many CPUs", |arg| arg.cpus = 0b11111),
        ("a CPU that is not there", |arg| arg.cpus = (1 << 63) | 1),
        ("first reserved", |arg| arg.reserved[0] = 1),
        ("last reserved", |arg| arg.reserved[1] = 1),
    ];
    for (what, change) in changes {
        let mut arg = valid;
        change(&mut arg);
        assert_refused_unchanged(&map, Errno::EINVAL, what, || {
            ioctl::cycle(&torture, &mut arg)
        });
    }
    ioctl::cycle(&torture, &mut valid.clone())?;
    Ok(())
}
