// SPDX-License-Identifier: GPL-2.0
//! The capability that opening the device needs.

use std::fs::{self, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use anyhow::Result;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Uid, setuid};
use ostor::device::{self, DEVICE, Mode, Owner};
use ostor::process::Child;
use ostor::sys::ioctl::{Argument, probe};
use ostor::torture::TortureDevice;

use crate::harness::new_map;
use crate::needs;

crate::suite![
    root_may_open,
    opening_needs_the_capability,
    a_capability_in_another_user_namespace_is_none,
    a_map_can_be_used_without_the_capability,
    torture_commands_need_the_capability,
];

const NOBODY: Uid = Uid::from_raw(65534);

/// The device's node, readable and writable by every user, so that only the capability
/// decides.
struct OpenToAll {
    mode: u32,
}

impl OpenToAll {
    fn new() -> Result<Self> {
        let mode = fs::metadata(DEVICE)?.mode();
        fs::set_permissions(DEVICE, Permissions::from_mode(0o666))?;
        Ok(Self { mode })
    }
}

impl Drop for OpenToAll {
    fn drop(&mut self) {
        let _ = fs::set_permissions(DEVICE, Permissions::from_mode(self.mode));
    }
}

/// The result of a process that opens the device after `prepare`, as text.
fn attempt(prepare: fn() -> nix::Result<()>) -> Result<String> {
    let (child, mut link) = Child::linked(|link| {
        let said = match prepare() {
            Ok(()) => format!(
                "{:?}",
                device::open().map(drop).map_err(|error| error.errno())
            ),
            Err(errno) => format!("cannot prepare: {errno:?}"),
        };
        i32::from(link.send(&said).is_err())
    })?;
    let said = link.receive()?;
    child.reap()?;
    Ok(said)
}

fn root_may_open() -> Result<()> {
    assert_eq!(attempt(|| Ok(()))?, "Ok(())");
    Ok(())
}

fn opening_needs_the_capability() -> Result<()> {
    let _open = OpenToAll::new()?;
    assert_eq!(attempt(|| setuid(NOBODY))?, "Err(EPERM)");
    Ok(())
}

fn a_capability_in_another_user_namespace_is_none() -> Result<()> {
    let _open = OpenToAll::new()?;
    match attempt(|| unshare(CloneFlags::CLONE_NEWUSER))?.as_str() {
        "cannot prepare: EINVAL" => return needs::unable("this kernel has no user namespaces"),
        said => assert_eq!(said, "Err(EPERM)"),
    }
    Ok(())
}

fn a_map_can_be_used_without_the_capability() -> Result<()> {
    let map = new_map()?;
    let (child, mut link) = Child::linked(|link| {
        let stored = setuid(NOBODY)
            .map_err(|errno| format!("{errno:?}"))
            .and_then(|()| {
                let stored = map.update(Owner::Current, b"x", Mode::NoExist);
                stored
                    .map(|elem| elem.seq)
                    .map_err(|error| error.to_string())
            });
        i32::from(link.send(&format!("{stored:?}")).is_err())
    })?;
    assert_eq!(link.receive()?, "Ok(1)");
    child.reap()?;
    Ok(())
}

/// Each command of the torture device fails with EPERM in a process without the capability,
/// also on a descriptor that was opened with it.
fn torture_commands_need_the_capability() -> Result<()> {
    let device = TortureDevice::open()?;
    let (child, mut link) = Child::linked(|link| {
        let results = match setuid(NOBODY) {
            Ok(()) => uapi::TORTURE_COMMANDS
                .iter()
                .map(|&(_, command)| probe(device.as_fd(), command, Argument::Zeroes))
                .collect::<Vec<_>>(),
            Err(errno) => vec![Err(errno); 1],
        };
        i32::from(link.send(&format!("{results:?}")).is_err())
    })?;
    let expected = vec![Err::<(), _>(Errno::EPERM); uapi::TORTURE_COMMANDS.len()];
    assert_eq!(link.receive()?, format!("{expected:?}"));
    child.reap()?;
    Ok(())
}
