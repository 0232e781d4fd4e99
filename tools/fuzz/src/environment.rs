// SPDX-License-Identifier: GPL-2.0
//! The files, processes and memory that calls name, and how they change between calls:
//! descriptors are opened, replaced, copied and closed, processes forked, executed, killed
//! and reaped, cgroups removed, memory protected and discarded.

use std::array;
use std::ffi::CString;
use std::fs::File;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Mutex;

use anyhow::{Context, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags};
use nix::unistd::execv;
use ostor::cgroup::Cgroup;
use ostor::device::{self, Map};
use ostor::netns::Netns;
use ostor::process::Child;
use ostor::random::Random;
use ostor::torture::TortureDevice;

use crate::slots::{self, Class};
use crate::sys::arena::Arena;
use crate::sys::call::Call;
use crate::sys::descriptor;

/// Most zombies.
const ZOMBIES: usize = 8;

/// The objects that calls name.
pub(crate) struct Environment {
    shared: Arena,
    tasks: Vec<Mutex<Option<Child>>>,
    cgroups: Vec<Mutex<Option<Cgroup>>>,
    zombies: Mutex<Vec<Child>>,
}

impl Environment {
    /// Opens a file at each number.
    pub(crate) fn create(random: &mut Random) -> Result<Self> {
        let count = |class: Class| class.numbers().len();
        let environment = Self {
            shared: Arena::map(Arena::SHARED).context("cannot map memory")?,
            tasks: (0..count(Class::Tasks)).map(|_| Mutex::default()).collect(),
            cgroups: (0..count(Class::Cgroups))
                .map(|_| Mutex::default())
                .collect(),
            zombies: Mutex::default(),
        };
        for class in Class::ALL {
            for number in class.numbers() {
                environment.replace(class, number, random)?;
            }
        }
        Ok(environment)
    }

    /// Changes the environment. Closing a map costs a grace period, so that is rare.
    pub(crate) fn change(&self, calls: impl FnMut() -> Call, random: &mut Random) -> Result<()> {
        let class = match random.below(32) {
            0..=1 => Class::Maps,
            2..=8 => Class::Tasks,
            9..=10 => Class::Cgroups,
            11..=16 => Class::Sockets,
            17..=20 => Class::Odd,
            21 if random.below(16) == 0 => Class::Netns,
            21..=23 => return self.close_one(random),
            24..=26 => return Ok(self.shared.disturb(random)?),
            _ => return fork(calls, random),
        };
        self.replace(class, slots::any_of(class, random), random)
    }

    /// Opens a new file at a number. The old object ends, unless another reference keeps
    /// it.
    fn replace(&self, class: Class, number: i32, random: &mut Random) -> Result<()> {
        match class {
            Class::Maps => descriptor::put(number, &new_map(number, random)?)?,
            Class::Tasks => self.replace_task(number, random)?,
            Class::Cgroups => self.replace_cgroup(number, random)?,
            Class::Sockets => descriptor::put(number, &new_socket(random)?)?,
            Class::Netns => descriptor::put(number, &Netns::new()?)?,
            Class::Torture => descriptor::put(number, &TortureDevice::open()?)?,
            Class::Odd => put_odd(number, random)?,
        }
        Ok(())
    }

    fn replace_task(&self, number: i32, random: &mut Random) -> Result<()> {
        let new = Child::idle()?;
        descriptor::put(number, &new)?;
        let place = &self.tasks[index(Class::Tasks, number)];
        let old = place.lock().expect("no worker panicked").replace(new);
        let Some(old) = old else { return Ok(()) };
        if random.below(2) == 0 {
            old.kill_and_reap()?;
            return Ok(());
        }
        old.kill()?;
        let mut zombies = self.zombies.lock().expect("no worker panicked");
        zombies.push(old);
        let reaped = (zombies.len() > ZOMBIES).then(|| zombies.swap_remove(0));
        drop(zombies);
        drop(reaped);
        Ok(())
    }

    fn replace_cgroup(&self, number: i32, random: &mut Random) -> Result<()> {
        let new = Cgroup::create()?;
        slots::remember_cgroup(new.id(), random);
        descriptor::put(number, &new.open()?)?;
        let place = &self.cgroups[index(Class::Cgroups, number)];
        let old = place.lock().expect("no worker panicked").replace(new);
        old.map_or(Ok(()), |old| Ok(old.remove()?))
    }

    /// Closes a number, or replaces it by a copy of another descriptor of its class.
    fn close_one(&self, random: &mut Random) -> Result<()> {
        let class = *random.pick(&Class::ALL);
        let number = slots::any_of(class, random);
        if random.below(2) == 0 {
            descriptor::close(number);
        } else {
            // Fails if the other descriptor is closed.
            let _ = descriptor::copy(slots::any_of(class, random), number);
        }
        Ok(())
    }

    /// Closes all numbers and ends all objects.
    pub(crate) fn end(self) {
        for class in Class::ALL {
            class.numbers().for_each(descriptor::close);
        }
    }
}

fn index(class: Class, number: i32) -> usize {
    (number - class.numbers().start) as usize
}

fn new_map(number: i32, random: &mut Random) -> Result<OwnedFd> {
    let size = slots::value_size_at(number);
    let clones = random.below(4) == 0;
    let map = match clones.then(|| Map::create_cloning(size)) {
        Some(Ok(map)) => map,
        _ => Map::create(size)?,
    };
    Ok(map.into())
}

fn new_socket(random: &mut Random) -> Result<OwnedFd> {
    Ok(match random.below(6) {
        0 => ostor::object::tcp_socket()?,
        1 => UdpSocket::bind("127.0.0.1:0")?.into(),
        2 => UnixDatagram::unbound()?.into(),
        3 => UnixStream::pair()?.0.into(),
        4 => TcpListener::bind("127.0.0.1:0")?.into(),
        _ => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let _peer = TcpStream::connect(listener.local_addr()?)?;
            listener.accept()?.0.into()
        }
    })
}

/// Opens a file at a number that calls do not expect there.
fn put_odd(number: i32, random: &mut Random) -> Result<()> {
    match random.below(8) {
        0 => descriptor::close(number),
        1..=3 => descriptor::put(number, &device::open()?)?,
        4 => descriptor::put(number, &Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?.0)?,
        5 => descriptor::put(number, &File::open("/dev/null")?)?,
        6 => descriptor::put(number, &File::open("/proc/self/ns/user")?)?,
        _ => {
            // Then closing the other descriptor does not free the map.
            let _ = descriptor::copy(slots::any_of(Class::Maps, random), number);
        }
    }
    Ok(())
}

/// Forks a process that makes some calls with all descriptors and ends: it exits, executes
/// a program, or is killed at any moment.
fn fork(mut calls: impl FnMut() -> Call, random: &mut Random) -> Result<()> {
    let calls: [Call; 16] = array::from_fn(|_| calls());
    let program = CString::new("/bin/true")?;
    let (end, executes) = (random.below(4), random.below(8) == 0);
    let child = Child::start(move || {
        for call in &calls {
            let _ = call.run();
        }
        if executes {
            let _ = execv(&program, &[&program]);
        }
        0
    })?;
    if end == 0 {
        child.kill()?;
    }
    child.reap().map(drop).context("cannot reap a process")
}
