// SPDX-License-Identifier: GPL-2.0
//! Owners that every command refuses. Each differs in one field from a valid one.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::Result;
use nix::errno::Errno;
use ostor::cgroup::{Cgroup, MOUNT};
use ostor::device::{self, Kind, Map, Mode, Owner};
use ostor::object::Object;
use ostor::settle;
use ostor::sys::ioctl::{self, Buffer, ElemCommand};
use ostor::sys::process::{Names, pidfd_open};
use uapi::{ostor_list_owner, ostor_owned, ostor_owner};

use crate::harness::{assert_refused_unchanged, new_map};
use crate::needs;
use crate::raw_elem::RawElem;

crate::suite![
    unknown_ways_of_naming,
    no_descriptor_where_none_is_needed,
    no_id_where_none_is_needed,
    closed_descriptors,
    no_pidfd,
    no_cgroup,
    no_socket,
    no_network_namespace,
    no_cgroup_of_that_id,
    an_id_of_a_file_in_a_cgroup,
    a_removed_cgroup,
    kinds_that_are_not_served,
];

/// The ways to name an owner by a descriptor, and the kind of the descriptor.
const BY_FD: [(u32, Kind); 4] = [
    (uapi::OSTOR_BY_PIDFD, Kind::Task),
    (uapi::OSTOR_BY_CGROUP_FD, Kind::Cgroup),
    (uapi::OSTOR_BY_SOCKET, Kind::Socket),
    (uapi::OSTOR_BY_NETNS, Kind::Netns),
];

/// Asserts that every command refuses this owner without a change.
#[track_caller]
fn assert_none_finds(map: &Map, errno: Errno, what: &str, owner: ostor_owner) {
    for command in ElemCommand::ALL {
        let mut elem = RawElem::valid(command, Owner::Current).but(|elem| elem.arg.owner = owner);
        let what = (what, command, owner);
        assert_refused_unchanged(map, errno, what, || elem.run(map));
    }
    let mut entries = [ostor_owned::default(); 4];
    let mut arg = ostor_list_owner {
        owner,
        capacity: 4,
        ..ostor_list_owner::default()
    };
    assert_refused_unchanged(map, errno, (what, "LIST_OWNER", owner), || {
        ioctl::list_owner(map.as_fd(), &mut arg, Buffer::At(&mut entries))
    });
}

fn by_fd(by: u32, fd: RawFd) -> ostor_owner {
    ostor_owner { by, fd, id: 0 }
}

/// Files of every kind. Each way to name an owner accepts some of them.
struct Files {
    files: Vec<(&'static str, OwnedFd)>,
}

impl Files {
    fn open(map: &Map) -> Result<Self> {
        let (socket, _other_end) = UnixStream::pair()?;
        let pidfd = pidfd_open(nix::unistd::getpid(), Names::Process)?;
        let files: [(&str, OwnedFd); 11] = [
            ("a regular file", File::open("/proc/self/exe")?.into()),
            ("a directory", File::open("/")?.into()),
            ("a process's directory", File::open("/proc/self")?.into()),
            ("another device", File::open("/dev/null")?.into()),
            ("the device", ostor::device::open()?.into()),
            ("the map", map.as_fd().try_clone_to_owned()?),
            ("a socket", socket.into()),
            ("a pidfd", pidfd),
            ("a cgroup", File::open(MOUNT)?.into()),
            (
                "a file of a cgroup",
                File::open(Path::new(MOUNT).join("cgroup.procs"))?.into(),
            ),
            ("a mount namespace", File::open("/proc/self/ns/mnt")?.into()),
        ];
        Ok(Self {
            files: files.into(),
        })
    }

    /// Asserts that all of them but those are refused.
    #[track_caller]
    fn assert_refused(&self, map: &Map, by: u32, errno: Errno, but: &[&str]) {
        for (what, file) in &self.files {
            if !but.contains(what) {
                assert_none_finds(map, errno, what, by_fd(by, file.as_raw_fd()));
            }
        }
    }
}

/// A map with an element of this thread.
fn map_of_one() -> Result<Map> {
    let map = new_map()?;
    map.update(Owner::Current, b"stays", Mode::NoExist)?;
    Ok(map)
}

fn unknown_ways_of_naming() -> Result<()> {
    let map = map_of_one()?;
    for by in [6, 7, 8, 1 << 16, 1 << 31, u32::MAX] {
        assert_none_finds(&map, Errno::EINVAL, "unknown", by_fd(by, 0));
    }
    Ok(())
}

fn no_descriptor_where_none_is_needed() -> Result<()> {
    let map = map_of_one()?;
    let file = File::open("/dev/null")?;
    for fd in [file.as_raw_fd(), -1, i32::MAX] {
        assert_none_finds(&map, Errno::EINVAL, "self", by_fd(uapi::OSTOR_BY_SELF, fd));
        let by_id = ostor_owner {
            by: uapi::OSTOR_BY_CGROUP_ID,
            fd,
            id: fs::metadata(MOUNT)?.ino(),
        };
        assert_none_finds(&map, Errno::EINVAL, "the cgroup's id is right", by_id);
    }
    Ok(())
}

fn no_id_where_none_is_needed() -> Result<()> {
    let map = map_of_one()?;
    for id in [1, 1 << 32, 1 << 63] {
        let owner = ostor_owner {
            id,
            ..ostor_owner::default()
        };
        assert_none_finds(&map, Errno::EINVAL, "self", owner);
        for (by, kind) in BY_FD {
            let object = Object::new(kind)?;
            let owner = ostor_owner {
                id,
                ..object.owner().to_uapi()
            };
            assert_eq!(owner.by, by);
            assert_none_finds(&map, Errno::EINVAL, kind.name(), owner);
            object.end()?;
        }
    }
    Ok(())
}

fn closed_descriptors() -> Result<()> {
    let map = map_of_one()?;
    let closed = File::open("/dev/null")?.as_raw_fd();
    for (by, kind) in BY_FD {
        needs::kind(kind)?;
        for fd in [closed, -1, 9999, i32::MAX, i32::MIN] {
            assert_none_finds(&map, Errno::EBADF, kind.name(), by_fd(by, fd));
        }
    }
    Ok(())
}

fn no_pidfd() -> Result<()> {
    let map = map_of_one()?;
    Files::open(&map)?.assert_refused(&map, uapi::OSTOR_BY_PIDFD, Errno::EBADF, &["a pidfd"]);
    Ok(())
}

fn no_cgroup() -> Result<()> {
    needs::kind(Kind::Cgroup)?;
    let map = map_of_one()?;
    Files::open(&map)?.assert_refused(&map, uapi::OSTOR_BY_CGROUP_FD, Errno::EBADF, &["a cgroup"]);
    Ok(())
}

fn no_socket() -> Result<()> {
    needs::kind(Kind::Socket)?;
    let map = map_of_one()?;
    Files::open(&map)?.assert_refused(&map, uapi::OSTOR_BY_SOCKET, Errno::ENOTSOCK, &["a socket"]);
    Ok(())
}

fn no_network_namespace() -> Result<()> {
    needs::kind(Kind::Netns)?;
    let map = map_of_one()?;
    Files::open(&map)?.assert_refused(&map, uapi::OSTOR_BY_NETNS, Errno::EBADF, &[]);
    Ok(())
}

fn by_id(id: u64) -> ostor_owner {
    Owner::CgroupId(id).to_uapi()
}

fn no_cgroup_of_that_id() -> Result<()> {
    needs::kind(Kind::Cgroup)?;
    let map = map_of_one()?;
    for id in [0, 1 << 31, 1 << 32, 1 << 63, u64::MAX] {
        assert_none_finds(&map, Errno::ESRCH, "no such id", by_id(id));
    }
    Ok(())
}

/// Files in the hierarchy are numbered like the cgroups themselves.
fn an_id_of_a_file_in_a_cgroup() -> Result<()> {
    needs::kind(Kind::Cgroup)?;
    let (map, cgroup) = (map_of_one()?, Cgroup::create()?);
    let id = fs::metadata(cgroup.path().join("cgroup.procs"))?.ino();
    assert_none_finds(&map, Errno::ESRCH, "a file's id", by_id(id));
    Ok(())
}

fn a_removed_cgroup() -> Result<()> {
    needs::kind(Kind::Cgroup)?;
    let (map, cgroup) = (map_of_one()?, Cgroup::create()?);
    let (directory, id) = (cgroup.open()?, cgroup.id());
    map.update(Owner::cgroup(&directory), b"x", Mode::NoExist)?;
    cgroup.remove()?;
    let released = settle::until(|| Ok(map.info()?.elements == 1))?;
    assert!(released, "a removed cgroup keeps its value");
    assert_none_finds(&map, Errno::ESRCH, "removed", by_id(id));
    let owner = Owner::cgroup(&directory).to_uapi();
    assert_none_finds(&map, Errno::ESRCH, "removed", owner);
    Ok(())
}

fn kinds_that_are_not_served() -> Result<()> {
    let (map, stats) = (map_of_one()?, device::stats()?);
    let missing: Vec<_> = Kind::ALL
        .into_iter()
        .filter(|kind| !kind.is_served(&stats))
        .collect();
    if missing.is_empty() {
        return needs::unable("this kernel serves every kind of owners");
    }
    for kind in missing {
        let object = Object::new(kind)?;
        let owner = object.owner().to_uapi();
        assert_none_finds(&map, Errno::EOPNOTSUPP, kind.name(), owner);
        object.end()?;
    }
    Ok(())
}
