// SPDX-License-Identifier: GPL-2.0
//! The memory of the elements of a task or cgroup is charged to the memory cgroup of this
//! owner, not to that of the process that stores them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;
use ostor::cgroup::{Cgroup, MOUNT};
use ostor::device::{self, Kind, Map, Mode, Owner};
use ostor::process::Child;
use ostor::settle;

use crate::harness::{assert_elements_become, assert_refused};
use crate::needs;

crate::suite![
    a_cgroups_values_are_its_memory,
    a_tasks_values_are_its_cgroups_memory,
    the_limit_refuses,
    a_removed_cgroup_gives_its_memory_back,
];

/// Number of maps in which owners have values. Their memory exceeds the per-CPU stock of
/// charges.
const MAPS: usize = 512;

/// Bytes of all values together.
const ALL: u64 = MAPS as u64 * uapi::OSTOR_VALUE_SIZE_MAX as u64;

/// The per-CPU stock may hide or add as much.
const STOCK: u64 = ALL / 8;

/// A cgroup with the memory controller. The controller stays enabled in the root.
pub(crate) fn accounted() -> Result<Cgroup> {
    needs::kind(Kind::Cgroup)?;
    let root = Path::new(MOUNT);
    if !fs::read_to_string(root.join("cgroup.controllers"))?.contains("memory") {
        return needs::unable("cgroup v2 has no memory controller here");
    }
    fs::write(root.join("cgroup.subtree_control"), "+memory")?;
    Ok(Cgroup::create()?)
}

/// The kernel memory that is charged to a cgroup.
fn kernel_memory(cgroup: &Cgroup) -> Result<u64> {
    let stat = cgroup.read("memory.stat")?;
    let line = stat.lines().find_map(|line| line.strip_prefix("kernel "));
    Ok(line
        .context("memory.stat has no line for the kernel")?
        .parse()?)
}

fn current(cgroup: &Cgroup) -> Result<u64> {
    Ok(cgroup.read("memory.current")?.trim().parse()?)
}

/// A function that returns the memory charged to a cgroup.
type Measure = (&'static str, fn(&Cgroup) -> Result<u64>);

const MEASURES: [Measure; 2] = [("memory.stat", kernel_memory), ("memory.current", current)];

fn new_maps() -> Result<Vec<Map>> {
    let maps = (0..MAPS).map(|_| Map::create(uapi::OSTOR_VALUE_SIZE_MAX));
    Ok(maps.collect::<device::Result<_>>()?)
}

/// Asserts that the memory charged to a cgroup becomes this within some time.
#[track_caller]
fn assert_becomes(what: &str, from: u64, to: u64, measure: impl Fn() -> Result<u64>) {
    let mut last = None;
    let reached = settle::until(|| {
        last = measure().ok();
        Ok(last.is_some_and(|bytes| (from..=to).contains(&bytes)))
    });
    assert_eq!(
        reached,
        Ok(true),
        "{what}: {last:?}, must be {from} to {to}"
    );
}

/// Bytes that the allocator takes for a value and what it needs in a map.
const OBJECT: u64 = 8192;

/// As [`OBJECT`], on this kernel: more, if it puts checks beside each object.
fn object_size() -> Result<u64> {
    let size = fs::read_to_string("/sys/kernel/slab/kmalloc-8k/slab_size")?;
    Ok(size.trim().parse()?)
}

/// Stores values for the owner, and asserts that the cgroup is charged, and not twice.
fn pays_for(cgroup: &Cgroup, owner: Owner<'_>) -> Result<()> {
    let (maps, object) = (new_maps()?, object_size()?);
    let before = [kernel_memory(cgroup)?, current(cgroup)?];
    for map in &maps {
        map.update(owner, b"paid", Mode::NoExist)?;
    }
    for ((what, measure), before) in MEASURES.into_iter().zip(before) {
        let (least, most) = (before + ALL - STOCK, before + 2 * ALL * object / OBJECT);
        assert_becomes(what, least, most, || measure(cgroup));
    }
    for map in &maps {
        map.delete(owner)?;
    }
    for ((what, measure), before) in MEASURES.into_iter().zip(before) {
        assert_becomes(what, 0, before + STOCK, || measure(cgroup));
    }
    Ok(())
}

fn a_cgroups_values_are_its_memory() -> Result<()> {
    let cgroup = accounted()?;
    let directory = cgroup.open()?;
    pays_for(&cgroup, Owner::cgroup(&directory))?;
    pays_for(&cgroup, Owner::CgroupId(cgroup.id()))?;
    drop(directory);
    Ok(cgroup.remove()?)
}

fn a_tasks_values_are_its_cgroups_memory() -> Result<()> {
    let (cgroup, process) = (accounted()?, Child::idle()?);
    cgroup.add(process.pid())?;
    pays_for(&cgroup, Owner::task(&process))?;
    process.kill_and_reap()?;
    Ok(cgroup.remove()?)
}

fn the_limit_refuses() -> Result<()> {
    let cgroup = accounted()?;
    let (maps, owner) = (new_maps()?, Owner::CgroupId(cgroup.id()));
    cgroup.write("memory.max", &(ALL / 4).to_string())?;
    let mut refused = None;
    for map in &maps {
        match map.update(owner, b"paid", Mode::NoExist) {
            Ok(_) => {}
            Err(error) if error.errno() == Errno::ENOMEM => {
                refused = Some(map);
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let map = refused.context("the limit has refused nothing")?;
    assert!(current(&cgroup)? <= ALL / 4);
    assert_refused(map.get(owner), Errno::ENOENT);
    assert!(map.info()?.nomem > 0);
    // The owner has the limit; this process, which stores, has none.
    map.update(Owner::Current, b"free", Mode::NoExist)?;
    cgroup.write("memory.max", "max")?;
    map.update(owner, b"paid", Mode::NoExist)?;
    drop(maps);
    Ok(cgroup.remove()?)
}

fn a_removed_cgroup_gives_its_memory_back() -> Result<()> {
    let parent = accounted()?;
    parent.write("cgroup.subtree_control", "+memory")?;
    let before = kernel_memory(&parent)?;
    let child = Cgroup::create_in(parent.path())?;
    let maps = new_maps()?;
    for map in &maps {
        map.update(Owner::CgroupId(child.id()), b"paid", Mode::NoExist)?;
    }
    let most = u64::MAX;
    assert_becomes("memory.stat", before + ALL - STOCK, most, || {
        kernel_memory(&parent)
    });
    child.remove()?;
    for map in &maps {
        assert_elements_become(map, 0);
    }
    assert_becomes("memory.stat", 0, before + 2 * STOCK, || {
        kernel_memory(&parent)
    });
    Ok(parent.remove()?)
}
