// SPDX-License-Identifier: GPL-2.0
//! What happens between the calls: descriptors are made, replaced, copied and
//! closed, processes forked, executed, killed and reaped, cgroups removed, memory
//! taken away.

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

use crate::slots::{self, Room};
use crate::sys::arena::Arena;
use crate::sys::call::Call;
use crate::sys::descriptor;

/// Most processes that are dead and not reaped.
const ZOMBIES: usize = 8;

/// What calls name, and what has to be undone at the end.
pub(crate) struct World {
    shared: Arena,
    tasks: Vec<Mutex<Option<Child>>>,
    cgroups: Vec<Mutex<Option<Cgroup>>>,
    zombies: Mutex<Vec<Child>>,
}

impl World {
    /// Puts something at each number.
    pub(crate) fn create(random: &mut Random) -> Result<Self> {
        let none = |room: Room| room.numbers().len();
        let world = Self {
            shared: Arena::map(Arena::SHARED).context("cannot map memory")?,
            tasks: (0..none(Room::Tasks)).map(|_| Mutex::default()).collect(),
            cgroups: (0..none(Room::Cgroups)).map(|_| Mutex::default()).collect(),
            zombies: Mutex::default(),
        };
        for room in Room::ALL {
            for number in room.numbers() {
                world.replace(room, number, random)?;
            }
        }
        Ok(world)
    }

    /// Something happens. What ends a map costs a grace period, so that is rare.
    pub(crate) fn happen(&self, calls: impl FnMut() -> Call, random: &mut Random) -> Result<()> {
        let room = match random.below(32) {
            0..=1 => Room::Maps,
            2..=8 => Room::Tasks,
            9..=10 => Room::Cgroups,
            11..=16 => Room::Sockets,
            17..=20 => Room::Odd,
            21 if random.below(16) == 0 => Room::Netns,
            21..=23 => return self.close_one(random),
            24..=26 => return Ok(self.shared.disturb(random)?),
            _ => return fork(calls, random),
        };
        self.replace(room, slots::any_of(room, random), random)
    }

    /// Puts something new at a number. What was there ends, unless another
    /// descriptor or an element keeps it.
    fn replace(&self, room: Room, number: i32, random: &mut Random) -> Result<()> {
        match room {
            Room::Maps => descriptor::put(number, &new_map(number, random)?)?,
            Room::Tasks => self.replace_task(number, random)?,
            Room::Cgroups => self.replace_cgroup(number, random)?,
            Room::Sockets => descriptor::put(number, &new_socket(random)?)?,
            Room::Netns => descriptor::put(number, &Netns::new()?)?,
            Room::Odd => put_odd(number, random)?,
        }
        Ok(())
    }

    fn replace_task(&self, number: i32, random: &mut Random) -> Result<()> {
        let new = Child::idle()?;
        descriptor::put(number, &new)?;
        let place = &self.tasks[index(Room::Tasks, number)];
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
        let place = &self.cgroups[index(Room::Cgroups, number)];
        let old = place.lock().expect("no worker panicked").replace(new);
        old.map_or(Ok(()), |old| Ok(old.remove()?))
    }

    /// Closes a number, or copies another thing of its room over it.
    fn close_one(&self, random: &mut Random) -> Result<()> {
        let room = *random.pick(&Room::ALL);
        let number = slots::any_of(room, random);
        if random.below(2) == 0 {
            descriptor::close(number);
        } else {
            // Fails where nothing is there to be copied.
            let _ = descriptor::copy(slots::any_of(room, random), number);
        }
        Ok(())
    }

    /// Ends all of it.
    pub(crate) fn end(self) {
        for room in Room::ALL {
            room.numbers().for_each(descriptor::close);
        }
    }
}

fn index(room: Room, number: i32) -> usize {
    (number - room.numbers().start) as usize
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

/// Puts a file at a number that calls do not expect there.
fn put_odd(number: i32, random: &mut Random) -> Result<()> {
    match random.below(8) {
        0 => descriptor::close(number),
        1..=3 => descriptor::put(number, &device::open()?)?,
        4 => descriptor::put(number, &Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?.0)?,
        5 => descriptor::put(number, &File::open("/dev/null")?)?,
        6 => descriptor::put(number, &File::open("/proc/self/ns/user")?)?,
        _ => {
            // Its last descriptor is closed by another number's end.
            let _ = descriptor::copy(slots::any_of(Room::Maps, random), number);
        }
    }
    Ok(())
}

/// A process that makes some calls and dies: by itself, in a new program, or
/// killed in the middle. It has all descriptors.
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
