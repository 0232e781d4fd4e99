// SPDX-License-Identifier: GPL-2.0
//! Fault points, through the device and through debugfs. Only the test flavour
//! of the module has them.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use ostor::device::{self, Ages, Map, Mode, Owner, fault_name, fault_points, set_fault};
use ostor::process::Child;
use ostor::sys::ioctl;
use uapi::{ostor_ages, ostor_crowd, ostor_fault};

use crate::harness::{assert_elements_become, assert_refused, new_map};
use crate::needs;

crate::suite![
    only_the_test_flavour_has_them,
    what_was_set_is_read_back,
    refused,
    files_refuse_what_is_out_of_bounds,
    the_nth_create_fails,
    commands_without_memory,
    a_lost_notice,
    a_lost_copy,
    a_copy_without_its_second_step,
    a_crowd,
    crowds_that_are_refused,
    ages,
    ages_that_are_refused,
];

const DEBUGFS: &str = "/sys/kernel/debug/owner_storage/fault";

/// The device of the test flavour, and its points as they were.
struct Points {
    device: File,
    before: Vec<ostor_fault>,
}

impl Points {
    fn new() -> Result<Self> {
        let device = device::open()?;
        match fault_points(&device) {
            Err(error) if error.errno() == Errno::ENOTTY => {
                needs::unable("the module is not of the test flavour")
            }
            points => Ok(Self {
                device,
                before: points?,
            }),
        }
    }

    fn named(&self, name: &str) -> Result<ostor_fault> {
        let is_it = |point: &&ostor_fault| fault_name(point) == name;
        let found = self.before.iter().find(is_it);
        found
            .copied()
            .with_context(|| format!("no point is named {name}"))
    }

    /// Sets a point, with a chance of 100 percent unless `change` says otherwise.
    fn set(&self, name: &str, change: impl FnOnce(&mut ostor_fault)) -> Result<ostor_fault> {
        let mut arg = ostor_fault {
            set: 1,
            probability: 100,
            ..self.named(name)?
        };
        change(&mut arg);
        Ok(set_fault(&self.device, arg)?)
    }

    fn now(&self, name: &str) -> Result<ostor_fault> {
        Ok(set_fault(&self.device, self.named(name)?)?)
    }
}

impl Drop for Points {
    fn drop(&mut self) {
        for point in &self.before {
            let again = ostor_fault { set: 1, ..*point };
            set_fault(&self.device, again).expect("it was set so before");
        }
    }
}

fn file(point: &str, file: &str) -> PathBuf {
    Path::new(DEBUGFS).join(point).join(file)
}

fn only_the_test_flavour_has_them() -> Result<()> {
    let is_test = Path::new("/sys/module/owner_storage_test").exists();
    let device = device::open()?;
    let results = [
        ioctl::fault(device.as_fd(), &mut ostor_fault::default()),
        // No owner is no crowd.
        ioctl::crowd(device.as_fd(), &mut ostor_crowd::default()),
        // The file is no map.
        ioctl::ages(device.as_fd(), &mut ostor_ages::default()),
    ];
    let expected = if is_test {
        [Ok(()), Err(Errno::EINVAL), Err(Errno::EINVAL)]
    } else {
        [Err(Errno::ENOTTY); 3]
    };
    assert_eq!(results, expected);
    assert_eq!(Path::new(DEBUGFS).exists(), is_test);
    Ok(())
}

fn what_was_set_is_read_back() -> Result<()> {
    let points = Points::new()?;
    let settings = |point: &ostor_fault| {
        let ostor_fault {
            probability,
            interval,
            space,
            times,
            delay_us,
            ..
        } = *point;
        (probability, interval, space, times, delay_us)
    };
    let set = points.set("index_lock", |arg| {
        (arg.probability, arg.interval, arg.space) = (1, 2, 3);
        (arg.times, arg.delay_us) = (-4, 5);
    })?;
    assert_eq!(settings(&set), (1, 2, 3, -4, 5));
    assert_eq!(
        settings(&points.now("index_lock")?),
        settings(&set),
        "asking changes nothing"
    );
    let read = |name: &str| -> Result<String> {
        let text = fs::read_to_string(file("index_lock", name))?;
        Ok(text.trim().to_owned())
    };
    let files = ["probability", "interval", "space", "times", "delay_us"];
    for (name, value) in files.iter().zip(["1", "2", "3", "-4", "5"]) {
        assert_eq!(read(name)?, value, "{name}");
    }
    fs::write(file("index_lock", "space"), "7\n")?;
    assert_eq!(points.now("index_lock")?.space, 7);
    Ok(())
}

fn refused() -> Result<()> {
    let points = Points::new()?;
    let wait = points.named("element_claim")?.point;
    let count = points.before.len() as u32;
    assert!(count > 30, "{count} points");
    type Change<'a> = (&'static str, &'a dyn Fn(&mut ostor_fault));
    let changes: [Change<'_>; 9] = [
        ("no such point", &|arg| arg.point = count),
        ("no such point at all", &|arg| arg.point = u32::MAX),
        ("neither set nor left", &|arg| arg.set = 2),
        ("chance", &|arg| arg.probability = 101),
        ("interval", &|arg| arg.interval = 0),
        ("delay", &|arg| arg.delay_us = 1001),
        ("pad", &|arg| arg.pad = 1),
        ("reserved", &|arg| arg.reserved[1] = 1),
        ("a point that cannot fail", &|arg| arg.point = wait),
    ];
    for (what, change) in changes {
        let mut arg = ostor_fault {
            set: 1,
            probability: 100,
            ..points.named("index_lock")?
        };
        change(&mut arg);
        assert_refused(set_fault(&points.device, arg), Errno::EINVAL);
        let now = fault_points(&points.device)?;
        assert_eq!(now, points.before, "{what}");
    }
    Ok(())
}

fn files_refuse_what_is_out_of_bounds() -> Result<()> {
    let points = Points::new()?;
    let bad = [
        ("probability", "101"),
        ("probability", "-1"),
        ("probability", "x"),
        ("probability", ""),
        ("interval", "0"),
        ("interval", "4294967296"),
        ("space", "-1"),
        ("times", "2147483648"),
        ("delay_us", "1001"),
        ("passed", "-1"),
        ("failed", "99999999999999999999999"),
    ];
    for (name, value) in bad {
        let before = fs::read_to_string(file("bucket_lock", name))?;
        let error = fs::write(file("bucket_lock", name), format!("{value}\n"));
        let error = error.err().map(|error| error.kind());
        assert_eq!(error, Some(ErrorKind::InvalidInput), "{name}: {value:?}");
        let after = fs::read_to_string(file("bucket_lock", name))?;
        assert_eq!(after, before, "{name}: {value:?}");
    }
    assert!(!file("element_claim", "probability").exists());
    for point in &points.before {
        let dir = Path::new(DEBUGFS).join(fault_name(point));
        assert!(dir.join("delay_us").exists(), "{}", dir.display());
    }
    Ok(())
}

fn the_nth_create_fails() -> Result<()> {
    let (points, map) = (Points::new()?, new_map()?);
    points.set("element_alloc", |arg| (arg.space, arg.times) = (1, 1))?;
    let errnos: Vec<_> = (0..3)
        .map(|_| {
            let result = map.update(Owner::Current, b"x", Mode::Any);
            result.err().map(|error| error.errno())
        })
        .collect();
    assert_eq!(errnos, [None, Some(Errno::ENOMEM), None]);
    let point = points.now("element_alloc")?;
    assert_eq!((point.space, point.times), (0, 0));
    assert_eq!((point.passed, point.failed), (3, 1));
    assert_eq!(map.info()?.nomem, 1);
    Ok(())
}

fn commands_without_memory() -> Result<()> {
    let (points, map) = (Points::new()?, new_map()?);
    map.update(Owner::Current, b"x", Mode::Any)?;
    points.set("device_alloc", |_| ())?;
    match device::open() {
        Err(error) => assert_eq!(error.errno(), Errno::ENOMEM),
        Ok(_) => panic!("the device was opened without memory"),
    }
    assert_refused(map.get(Owner::Current), Errno::ENOMEM);
    assert_refused(map.update(Owner::Current, b"y", Mode::Any), Errno::ENOMEM);
    points.set("device_alloc", |arg| arg.probability = 0)?;
    for point in ["table_alloc", "map_alloc"] {
        points.set(point, |arg| arg.times = 1)?;
        assert_refused(new_map().map(drop), Errno::ENOMEM);
        new_map()?;
    }
    assert_eq!(map.get(Owner::Current)?.value[0], b'x');
    Ok(())
}

/// Both notices of a task's death are lost: the value stays until its map goes.
fn a_lost_notice() -> Result<()> {
    let (points, map, child) = (Points::new()?, new_map()?, Child::idle()?);
    map.update(Owner::task(&child), b"x", Mode::Any)?;
    points.set("death_notice", |_| ())?;
    points.set("backstop", |_| ())?;
    child.kill_and_reap()?;
    let lost = ostor::settle::until(|| {
        let points = fault_points(&points.device)?;
        let failed = |name| {
            let is_it = |point: &&ostor_fault| fault_name(point) == name;
            points.iter().find(is_it).map_or(0, |point| point.failed)
        };
        Ok(failed("death_notice") > 0 && failed("backstop") > 0)
    })?;
    assert!(lost);
    assert_eq!(map.info()?.elements, 1);
    Ok(())
}

/// A listener with a value in a map that clones, and a connection it accepts.
fn accept() -> Result<(Map, [TcpStream; 2])> {
    let (map, listener) = (needs::cloning_map()?, TcpListener::bind("127.0.0.1:0")?);
    map.update(Owner::socket(&listener), b"x", Mode::NoExist)?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    assert_refused(map.get(Owner::socket(&server)), Errno::ENOENT);
    Ok((map, [client, server]))
}

fn a_lost_copy() -> Result<()> {
    let points = Points::new()?;
    points.set("clone_hook", |_| ())?;
    let (map, _connection) = accept()?;
    assert!(points.now("clone_hook")?.failed > 0);
    assert_eq!((map.info()?.clones, map.info()?.clone_failures), (0, 0));
    Ok(())
}

/// The copy is made, and nobody finds it; it ends with the socket.
fn a_copy_without_its_second_step() -> Result<()> {
    let points = Points::new()?;
    points.set("child_hook", |_| ())?;
    let (map, connection) = accept()?;
    assert!(points.now("child_hook")?.failed > 0);
    assert_eq!(map.info()?.clones, 1);
    // The listener is closed, and its value goes.
    assert_elements_become(&map, 1);
    drop(connection);
    assert_elements_become(&map, 0);
    Ok(())
}

fn a_crowd() -> Result<()> {
    let points = Points::new()?;
    let crowd = device::crowd(&points.device, 5000)?;
    assert_eq!((crowd.dropped, crowd.charged), (5000, 0));
    Ok(())
}

fn crowds_that_are_refused() -> Result<()> {
    let points = Points::new()?;
    for count in [0, u64::from(uapi::OSTOR_CROWD_MAX) + 1, u64::MAX] {
        assert_refused(device::crowd(&points.device, count), Errno::EINVAL);
    }
    let mut arg = ostor_crowd {
        count: 1,
        reserved: [0, 1],
        ..ostor_crowd::default()
    };
    let refused = ioctl::crowd(points.device.as_fd(), &mut arg);
    assert_eq!(refused, Err(Errno::EINVAL));
    points.set("element_alloc", |arg| (arg.space, arg.times) = (100, 1))?;
    assert_refused(device::crowd(&points.device, 1000), Errno::ENOMEM);
    Ok(())
}

/// An element and its storage, which are linked.
fn ages() -> Result<()> {
    let _points = Points::new()?;
    let (map, owner) = (new_map()?, Child::idle()?);
    map.update(Owner::task(&owner), b"held", Mode::NoExist)?;
    let ages = Ages::of(&map, Owner::task(&owner), Duration::from_millis(1))?;
    assert!(ages.counts[0] >= 2 && ages.freed() == 0, "{ages:?}");
    Ok(())
}

fn ages_that_are_refused() -> Result<()> {
    let points = Points::new()?;
    let map = new_map()?;
    let refused = |fd: &dyn AsFd, arg: ostor_ages| {
        let mut arg = arg;
        assert_eq!(ioctl::ages(fd.as_fd(), &mut arg), Err(Errno::EINVAL));
    };
    let right = ostor_ages::default();
    refused(&points.device, right);
    refused(
        &map,
        ostor_ages {
            hold_us: uapi::OSTOR_AGES_HOLD_MAX_US + 1,
            ..right
        },
    );
    refused(&map, ostor_ages { pad: 1, ..right });
    refused(
        &map,
        ostor_ages {
            reserved: [0, 1],
            ..right
        },
    );
    Ok(())
}
