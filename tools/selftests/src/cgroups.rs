// SPDX-License-Identifier: GPL-2.0
//! Cgroups as owners: named by directory and by id, removed while references are left, in
//! hierarchies of v2 and v1.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use ostor::cgroup::{Cgroup, MOUNT, id_of, move_to, open_directory};
use ostor::device::{Kind, Map, Mode, Owner, list_owner};
use ostor::process::Child;
use ostor::socket_maker::SocketMaker;

use crate::harness::{assert_elements_become, assert_refused, new_map};
use crate::needs;

crate::suite![
    directory_and_id_are_one_owner,
    the_root_owns_values,
    parent_and_child_are_apart,
    processes_come_and_go,
    a_cgroup_of_the_same_name_is_another,
    an_open_directory_does_not_keep_it,
    removed_and_pinned_keeps_its_values,
    removed_and_pinned_takes_no_new_ones,
    removed_and_pinned_can_be_emptied,
    released_it_loses_its_values,
    a_map_that_closes_takes_those_of_a_removed_one,
    a_named_v1_hierarchy,
    a_v1_controller,
    an_unmounted_v1_hierarchy,
];

/// A cgroup with its open directory, and a map.
fn new() -> Result<(Map, Cgroup, OwnedFd)> {
    needs::kind(Kind::Cgroup)?;
    let cgroup = Cgroup::create()?;
    let directory = cgroup.open()?;
    Ok((new_map()?, cgroup, directory))
}

fn directory_and_id_are_one_owner() -> Result<()> {
    let (map, cgroup, directory) = new()?;
    map.update(Owner::cgroup(&directory), b"x", Mode::NoExist)?;
    let by_id = Owner::CgroupId(cgroup.id());
    assert_eq!(map.get(by_id)?.value[..1], *b"x");
    assert_refused(map.update(by_id, b"y", Mode::NoExist), Errno::EEXIST);
    assert_eq!(list_owner(&map, by_id)?.len(), 1);
    map.update(by_id, b"y", Mode::Exist)?;
    let again = cgroup.open()?;
    assert_eq!(map.take(Owner::cgroup(&again))?.value[..1], *b"y");
    assert_refused(map.get(by_id), Errno::ENOENT);
    Ok(cgroup.remove()?)
}

/// The root is never removed, so its values end only with their maps.
fn the_root_owns_values() -> Result<()> {
    needs::kind(Kind::Cgroup)?;
    let (map, root) = (new_map()?, open_directory(Path::new(MOUNT))?);
    map.update(Owner::cgroup(&root), b"x", Mode::NoExist)?;
    let id = id_of(Path::new(MOUNT))?;
    assert_eq!(map.get(Owner::CgroupId(id))?.value[..1], *b"x");
    assert_eq!(map.list()?[0].entry.owner_id, id);
    map.delete(Owner::CgroupId(id))?;
    map.update(Owner::cgroup(&root), b"y", Mode::NoExist)?;
    Ok(())
}

fn parent_and_child_are_apart() -> Result<()> {
    let (map, parent, directory) = new()?;
    let child = Cgroup::create_in(parent.path())?;
    map.update(Owner::cgroup(&directory), b"parent", Mode::NoExist)?;
    let by_id = Owner::CgroupId(child.id());
    assert_refused(map.get(by_id), Errno::ENOENT);
    map.update(by_id, b"child", Mode::NoExist)?;
    assert_eq!(map.get(Owner::cgroup(&directory))?.value[..6], *b"parent");
    child.remove()?;
    assert_elements_become(&map, 1);
    assert_eq!(map.get(Owner::cgroup(&directory))?.value[..6], *b"parent");
    parent.remove()?;
    assert_elements_become(&map, 0);
    Ok(())
}

fn processes_come_and_go() -> Result<()> {
    let (map, cgroup, directory) = new()?;
    let process = Child::idle()?;
    map.update(Owner::cgroup(&directory), b"cgroup", Mode::NoExist)?;
    map.update(Owner::task(&process), b"process", Mode::NoExist)?;
    cgroup.add(process.pid())?;
    assert_eq!(map.get(Owner::task(&process))?.value[..7], *b"process");
    process.kill_and_reap()?;
    assert_elements_become(&map, 1);
    assert_eq!(map.get(Owner::cgroup(&directory))?.value[..6], *b"cgroup");
    cgroup.remove()?;
    assert_elements_become(&map, 0);
    Ok(())
}

fn a_cgroup_of_the_same_name_is_another() -> Result<()> {
    let (map, cgroup, directory) = new()?;
    let path = cgroup.path().to_owned();
    map.update(Owner::cgroup(&directory), b"first", Mode::NoExist)?;
    cgroup.remove()?;
    let second = Cgroup::create_at(path)?;
    assert_refused(map.get(Owner::CgroupId(second.id())), Errno::ENOENT);
    map.update(Owner::CgroupId(second.id()), b"second", Mode::NoExist)?;
    assert_elements_become(&map, 1);
    assert_eq!(map.list()?[0].entry.owner_id, second.id());
    assert_refused(map.get(Owner::cgroup(&directory)), Errno::ESRCH);
    Ok(second.remove()?)
}

fn an_open_directory_does_not_keep_it() -> Result<()> {
    let (map, cgroup, directory) = new()?;
    map.update(Owner::cgroup(&directory), b"x", Mode::NoExist)?;
    cgroup.remove()?;
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, 1);
    Ok(())
}

/// A cgroup that was removed while it had a value in the map, its open directory, and a
/// socket that pins it.
fn removed_and_pinned() -> Result<(Map, OwnedFd, OwnedFd)> {
    needs::kind(Kind::Cgroup)?;
    let mut maker = SocketMaker::start()?;
    let (map, cgroup, directory) = new()?;
    map.update(Owner::cgroup(&directory), b"x", Mode::NoExist)?;
    let socket = maker.socket_in(&cgroup)?;
    let id = cgroup.id();
    cgroup.remove()?;
    // A wrong end of its values would come after a moment.
    thread::sleep(Duration::from_millis(200));
    let info = map.info()?;
    assert_eq!((info.elements, info.owner_deaths), (1, 0));
    assert_eq!(map.list()?[0].entry.owner_id, id);
    Ok((map, directory, socket))
}

fn removed_and_pinned_keeps_its_values() -> Result<()> {
    let (map, directory, _socket) = removed_and_pinned()?;
    let owner = Owner::cgroup(&directory);
    assert_eq!(map.get(owner)?.value[..1], *b"x");
    let found = map.get_or_create(owner, b"y")?;
    assert_eq!((found.created, &found.value[..1]), (false, &b"x"[..]));
    let listed = list_owner(&map, owner)?;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].map_id, map.info()?.id);
    Ok(())
}

fn removed_and_pinned_takes_no_new_ones() -> Result<()> {
    let (map, directory, _socket) = removed_and_pinned()?;
    let (other, owner) = (new_map()?, Owner::cgroup(&directory));
    for mode in [Mode::Any, Mode::Exist] {
        assert_refused(map.update(owner, b"y", mode), Errno::ESRCH);
    }
    for mode in [Mode::Any, Mode::NoExist] {
        assert_refused(other.update(owner, b"y", mode), Errno::ESRCH);
    }
    assert_refused(other.get_or_create(owner, b"y"), Errno::ESRCH);
    assert_refused(other.get(owner), Errno::ENOENT);
    assert_eq!(map.get(owner)?.value[..1], *b"x");
    assert_eq!((map.info()?.created, other.info()?.created), (1, 0));
    Ok(())
}

fn removed_and_pinned_can_be_emptied() -> Result<()> {
    let (map, directory, socket) = removed_and_pinned()?;
    map.delete(Owner::cgroup(&directory))?;
    assert_refused(map.get(Owner::cgroup(&directory)), Errno::ENOENT);
    drop(socket);
    let (map, directory, _socket) = removed_and_pinned()?;
    let taken = map.take(Owner::cgroup(&directory))?;
    assert_eq!(taken.value[..1], *b"x");
    assert_refused(map.take(Owner::cgroup(&directory)), Errno::ENOENT);
    Ok(())
}

fn released_it_loses_its_values() -> Result<()> {
    let (map, directory, socket) = removed_and_pinned()?;
    drop(socket);
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, 1);
    let owner = Owner::cgroup(&directory);
    assert_refused(map.get(owner), Errno::ESRCH);
    assert_refused(map.delete(owner), Errno::ESRCH);
    assert_refused(list_owner(&map, owner), Errno::ESRCH);
    Ok(())
}

fn a_map_that_closes_takes_those_of_a_removed_one() -> Result<()> {
    let (map, directory, socket) = removed_and_pinned()?;
    drop(map);
    assert_eq!(list_owner(&new_map()?, Owner::cgroup(&directory))?, []);
    drop(socket);
    Ok(())
}

/// A v1 hierarchy that is mounted until this is dropped.
struct V1 {
    path: PathBuf,
}

impl V1 {
    /// Mounts a hierarchy with these options, if the kernel supports them.
    fn mount(options: &str) -> Result<Self> {
        needs::kind(Kind::Cgroup)?;
        let path = PathBuf::from("/tmp/ostor-cgroup-v1");
        fs::create_dir_all(&path)?;
        let none = Some("none");
        match mount(none, &path, Some("cgroup"), MsFlags::empty(), Some(options)) {
            Ok(()) => Ok(Self { path }),
            Err(errno) => {
                fs::remove_dir(&path)?;
                needs::unable(format!("a v1 hierarchy with {options}: {errno:?}"))
            }
        }
    }
}

impl Drop for V1 {
    fn drop(&mut self) {
        let _ = umount2(&self.path, MntFlags::empty());
        let _ = fs::remove_dir(&self.path);
    }
}

/// The checks for a cgroup in a v1 hierarchy. Its id does not name a v2 cgroup.
fn owns_values(hierarchy: &V1) -> Result<()> {
    let (map, process) = (new_map()?, Child::idle()?);
    let cgroup = Cgroup::create_in(&hierarchy.path)?;
    let directory = cgroup.open()?;
    let root = open_directory(&hierarchy.path)?;
    map.update(Owner::cgroup(&directory), b"v1", Mode::NoExist)?;
    map.update(Owner::cgroup(&root), b"root", Mode::NoExist)?;
    cgroup.add(process.pid())?;
    assert_eq!(map.get(Owner::cgroup(&directory))?.value[..2], *b"v1");
    let kinds_and_ids: Vec<_> = map
        .list()?
        .iter()
        .map(|item| (item.entry.owner_kind, item.entry.owner_id))
        .collect();
    for path in [cgroup.path(), &hierarchy.path] {
        assert!(kinds_and_ids.contains(&(uapi::OSTOR_KIND_CGROUP, id_of(path)?)));
    }
    assert_eq!(list_owner(&map, Owner::cgroup(&root))?.len(), 1);
    move_to(&hierarchy.path, process.pid())?;
    cgroup.remove()?;
    assert_elements_become(&map, 1);
    assert_refused(map.get(Owner::cgroup(&directory)), Errno::ESRCH);
    assert_eq!(map.get(Owner::cgroup(&root))?.value[..4], *b"root");
    map.delete(Owner::cgroup(&root))?;
    Ok(())
}

fn a_named_v1_hierarchy() -> Result<()> {
    owns_values(&V1::mount("none,name=ostor-named")?)
}

fn a_v1_controller() -> Result<()> {
    owns_values(&V1::mount("pids")?)
}

/// The root of an empty hierarchy ends when it is unmounted.
fn an_unmounted_v1_hierarchy() -> Result<()> {
    let map = new_map()?;
    let hierarchy = V1::mount("none,name=ostor-unmounted")?;
    let root = open_directory(&hierarchy.path)?;
    map.update(Owner::cgroup(&root), b"x", Mode::NoExist)?;
    drop(root);
    drop(hierarchy);
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, 1);
    Ok(())
}
