// SPDX-License-Identifier: GPL-2.0
//! Fault injection, through the device and through debugfs. Needs the test flavour of the
//! module.

use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use ostor::device::{self, Map, Mode, Owner};
use ostor::process::Child;
use ostor::torture::{Ages, TortureDevice, fault_name, fault_sites, ioctl, mass_exit, set_fault};
use uapi::{ostor_ages, ostor_fault, ostor_mass_exit};

use crate::harness::{assert_elements_become, assert_refused, new_map};
use crate::needs;

crate::suite![
    only_the_test_flavour_has_fault_sites,
    settings_are_read_back,
    refused,
    files_refuse_values_out_of_range,
    the_nth_create_fails,
    commands_without_memory,
    a_lost_notice,
    a_lost_copy,
    a_copy_without_its_second_step,
    a_mass_exit,
    refused_mass_exits,
    a_mass_exit_without_memory,
    ages,
    refused_ages,
];

const DEBUGFS: &str = "/sys/kernel/debug/owner_storage/fault";

/// The fault sites, whose settings are restored when this is dropped.
struct Sites {
    torture: TortureDevice,
    before: Vec<ostor_fault>,
}

impl Sites {
    fn new() -> Result<Self> {
        needs::test_flavour()?;
        let torture = TortureDevice::open()?;
        let before = fault_sites(&torture)?;
        Ok(Self { torture, before })
    }

    fn named(&self, name: &str) -> Result<ostor_fault> {
        let is_it = |site: &&ostor_fault| fault_name(site) == name;
        let found = self.before.iter().find(is_it);
        found
            .copied()
            .with_context(|| format!("no fault site is named {name}"))
    }

    /// Changes the settings of a site, with a chance of 100 percent unless `change` sets
    /// another.
    fn set(&self, name: &str, change: impl FnOnce(&mut ostor_fault)) -> Result<ostor_fault> {
        let mut arg = ostor_fault {
            set: 1,
            probability: 100,
            ..self.named(name)?
        };
        change(&mut arg);
        Ok(set_fault(&self.torture, arg)?)
    }

    fn now(&self, name: &str) -> Result<ostor_fault> {
        Ok(set_fault(&self.torture, self.named(name)?)?)
    }
}

impl Drop for Sites {
    fn drop(&mut self) {
        for site in &self.before {
            let again = ostor_fault { set: 1, ..*site };
            set_fault(&self.torture, again).expect("these settings were valid before");
        }
    }
}

fn file(site: &str, file: &str) -> PathBuf {
    Path::new(DEBUGFS).join(site).join(file)
}

fn only_the_test_flavour_has_fault_sites() -> Result<()> {
    let is_test = Path::new("/sys/module/owner_storage_test").exists();
    let (torture, device) = (TortureDevice::open()?, device::open()?);
    let results = [
        ioctl::fault(&torture, &mut ostor_fault::default()),
        // A file that is not a map is refused.
        ioctl::ages(
            &torture,
            &mut ostor_ages {
                map_fd: device.as_fd().as_raw_fd(),
                ..ostor_ages::default()
            },
        ),
    ];
    let expected = if is_test {
        [Ok(()), Err(Errno::EINVAL)]
    } else {
        [Err(Errno::ENOTTY); 2]
    };
    assert_eq!(results, expected);
    assert_eq!(Path::new(DEBUGFS).exists(), is_test);
    Ok(())
}

fn settings_are_read_back() -> Result<()> {
    let sites = Sites::new()?;
    let settings = |site: &ostor_fault| {
        let ostor_fault {
            probability,
            interval,
            space,
            times,
            delay_us,
            ..
        } = *site;
        (probability, interval, space, times, delay_us)
    };
    let set = sites.set("index_lock", |arg| {
        (arg.probability, arg.interval, arg.space) = (1, 2, 3);
        (arg.times, arg.delay_us) = (-4, 5);
    })?;
    assert_eq!(settings(&set), (1, 2, 3, -4, 5));
    assert_eq!(
        settings(&sites.now("index_lock")?),
        settings(&set),
        "reading changes nothing"
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
    assert_eq!(sites.now("index_lock")?.space, 7);
    Ok(())
}

fn refused() -> Result<()> {
    let sites = Sites::new()?;
    let wait = sites.named("element_claim")?.site;
    let count = sites.before.len() as u32;
    assert!(count > 30, "{count} sites");
    type Change<'a> = (&'static str, &'a dyn Fn(&mut ostor_fault));
    let changes: [Change<'_>; 9] = [
        ("no such site", &|arg| arg.site = count),
        ("no such site at all", &|arg| arg.site = u32::MAX),
        ("neither set nor left", &|arg| arg.set = 2),
        ("chance", &|arg| arg.probability = 101),
        ("interval", &|arg| arg.interval = 0),
        ("delay", &|arg| arg.delay_us = 1001),
        ("pad", &|arg| arg.pad = 1),
        ("reserved", &|arg| arg.reserved[1] = 1),
        ("a site that cannot fail", &|arg| arg.site = wait),
    ];
    for (what, change) in changes {
        let mut arg = ostor_fault {
            set: 1,
            probability: 100,
            ..sites.named("index_lock")?
        };
        change(&mut arg);
        assert_refused(set_fault(&sites.torture, arg), Errno::EINVAL);
        let now = fault_sites(&sites.torture)?;
        assert_eq!(now, sites.before, "{what}");
    }
    Ok(())
}

fn files_refuse_values_out_of_range() -> Result<()> {
    let sites = Sites::new()?;
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
    for site in &sites.before {
        let dir = Path::new(DEBUGFS).join(fault_name(site));
        assert!(dir.join("delay_us").exists(), "{}", dir.display());
    }
    Ok(())
}

fn the_nth_create_fails() -> Result<()> {
    let (sites, map) = (Sites::new()?, new_map()?);
    sites.set("element_alloc", |arg| (arg.space, arg.times) = (1, 1))?;
    let errnos: Vec<_> = (0..3)
        .map(|_| {
            let result = map.update(Owner::Current, b"x", Mode::Any);
            result.err().map(|error| error.errno())
        })
        .collect();
    assert_eq!(errnos, [None, Some(Errno::ENOMEM), None]);
    let site = sites.now("element_alloc")?;
    assert_eq!((site.space, site.times), (0, 0));
    assert_eq!((site.passed, site.failed), (3, 1));
    assert_eq!(map.info()?.nomem, 1);
    Ok(())
}

fn commands_without_memory() -> Result<()> {
    let (sites, map) = (Sites::new()?, new_map()?);
    map.update(Owner::Current, b"x", Mode::Any)?;
    sites.set("device_alloc", |_| ())?;
    match device::open() {
        Err(error) => assert_eq!(error.errno(), Errno::ENOMEM),
        Ok(_) => panic!("the device was opened without memory"),
    }
    assert_refused(map.get(Owner::Current), Errno::ENOMEM);
    assert_refused(map.update(Owner::Current, b"y", Mode::Any), Errno::ENOMEM);
    sites.set("device_alloc", |arg| arg.probability = 0)?;
    for site in ["table_alloc", "map_alloc"] {
        sites.set(site, |arg| arg.times = 1)?;
        assert_refused(new_map().map(drop), Errno::ENOMEM);
        new_map()?;
    }
    assert_eq!(map.get(Owner::Current)?.value[0], b'x');
    Ok(())
}

/// Both notices of a task's death are lost: the value stays until the map is closed.
fn a_lost_notice() -> Result<()> {
    let (sites, map, child) = (Sites::new()?, new_map()?, Child::idle()?);
    map.update(Owner::task(&child), b"x", Mode::Any)?;
    sites.set("death_notice", |_| ())?;
    sites.set("backstop", |_| ())?;
    child.kill_and_reap()?;
    let lost = ostor::settle::until(|| {
        let sites = fault_sites(&sites.torture)?;
        let failed = |name| {
            let is_it = |site: &&ostor_fault| fault_name(site) == name;
            sites.iter().find(is_it).map_or(0, |site| site.failed)
        };
        Ok(failed("death_notice") > 0 && failed("backstop") > 0)
    })?;
    assert!(lost);
    assert_eq!(map.info()?.elements, 1);
    Ok(())
}

/// A map that clones, and the two ends of a connection that a listener with a value has
/// accepted.
fn accept() -> Result<(Map, [TcpStream; 2])> {
    let (map, listener) = (needs::cloning_map()?, TcpListener::bind("127.0.0.1:0")?);
    map.update(Owner::socket(&listener), b"x", Mode::NoExist)?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    assert_refused(map.get(Owner::socket(&server)), Errno::ENOENT);
    Ok((map, [client, server]))
}

fn a_lost_copy() -> Result<()> {
    let sites = Sites::new()?;
    sites.set("clone_hook", |_| ())?;
    let (map, _connection) = accept()?;
    assert!(sites.now("clone_hook")?.failed > 0);
    assert_eq!((map.info()?.clones, map.info()?.clone_failures), (0, 0));
    Ok(())
}

/// A copy is created that no lookup finds. It ends with the socket.
fn a_copy_without_its_second_step() -> Result<()> {
    let sites = Sites::new()?;
    sites.set("child_hook", |_| ())?;
    let (map, connection) = accept()?;
    assert!(sites.now("child_hook")?.failed > 0);
    assert_eq!(map.info()?.clones, 1);
    // The listener is closed, and its value has ended.
    assert_elements_become(&map, 1);
    drop(connection);
    assert_elements_become(&map, 0);
    Ok(())
}

fn a_mass_exit() -> Result<()> {
    let exits = mass_exit(&TortureDevice::open()?, 5000)?;
    assert_eq!(exits.dropped, 5000);
    Ok(())
}

fn refused_mass_exits() -> Result<()> {
    let torture = TortureDevice::open()?;
    for count in [0, u64::from(uapi::OSTOR_MASS_EXIT_MAX) + 1, u64::MAX] {
        assert_refused(mass_exit(&torture, count), Errno::EINVAL);
    }
    let mut arg = ostor_mass_exit {
        count: 1,
        reserved: [0, 0, 1],
        ..ostor_mass_exit::default()
    };
    let refused = ioctl::mass_exit(&torture, &mut arg);
    assert_eq!(refused, Err(Errno::EINVAL));
    Ok(())
}

fn a_mass_exit_without_memory() -> Result<()> {
    let sites = Sites::new()?;
    sites.set("element_alloc", |arg| (arg.space, arg.times) = (100, 1))?;
    assert_refused(mass_exit(&sites.torture, 1000), Errno::ENOMEM);
    Ok(())
}

/// A linked element and its storage have the age 0.
fn ages() -> Result<()> {
    let sites = Sites::new()?;
    let (map, owner) = (new_map()?, Child::idle()?);
    map.update(Owner::task(&owner), b"held", Mode::NoExist)?;
    let ages = Ages::of(
        &sites.torture,
        &map,
        Owner::task(&owner),
        Duration::from_millis(1),
    )?;
    assert!(ages.counts[0] >= 2 && ages.freed() == 0, "{ages:?}");
    Ok(())
}

fn refused_ages() -> Result<()> {
    let (sites, device) = (Sites::new()?, device::open()?);
    let map = new_map()?;
    let refused = |fd: &dyn AsFd, arg: ostor_ages| {
        let mut arg = ostor_ages {
            map_fd: fd.as_fd().as_raw_fd(),
            ..arg
        };
        let result = ioctl::ages(&sites.torture, &mut arg);
        assert_eq!(result, Err(Errno::EINVAL));
    };
    let right = ostor_ages::default();
    refused(&device, right);
    refused(
        &map,
        ostor_ages {
            hold_us: uapi::OSTOR_AGES_HOLD_MAX_US + 1,
            ..right
        },
    );
    refused(
        &map,
        ostor_ages {
            reserved: [0, 1],
            ..right
        },
    );
    Ok(())
}
