// SPDX-License-Identifier: GPL-2.0

//! `/dev/owner_storage_torture`. `include/uapi/linux/owner_storage_torture.h` says what each
//! command does.

#[cfg(OSTOR_TEST)]
use crate::{
    ages,
    faults, //
};
use crate::{
    arg::Arg,
    bench,
    contexts,
    cycle,
    mass_exit,
    op,
    probes::Probes,
    recurse,
    uapi, //
};
use kernel::{
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    prelude::*,
    sync::SetOnce, //
};
use owner_storage::device::is_admin;

/// An open file.
pub(crate) struct Handle {
    /// The probes for recursion, from the first command that needs them on.
    probes: SetOnce<Pin<KBox<Probes>>>,
}

#[vtable]
impl MiscDevice for Handle {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        if !is_admin() {
            return Err(EPERM);
        }
        let handle = Self {
            probes: SetOnce::new(),
        };
        Ok(KBox::new(handle, GFP_KERNEL)?)
    }

    /// A process that was handed the descriptor has to be an administrator too.
    fn ioctl(handle: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        if !is_admin() {
            return Err(EPERM);
        }
        let arg = Arg::new(cmd, arg);
        match cmd {
            uapi::OP => op::run(&arg),
            uapi::RECURSE => recurse::recurse(handle, &arg),
            uapi::BENCH => bench::bench(&arg),
            #[cfg(OSTOR_TEST)]
            uapi::FAULT => faults::fault(&arg),
            uapi::CONTEXT => contexts::run(&arg),
            uapi::CYCLE => cycle::run(&arg),
            uapi::MASS_EXIT => mass_exit::run(&arg),
            #[cfg(OSTOR_TEST)]
            uapi::AGES => ages::ages(&arg),
            _ => return Err(ENOTTY),
        }?;
        Ok(0)
    }
}

impl Handle {
    /// The probes of this file.
    pub(crate) fn probes(&self) -> Result<&Probes> {
        if self.probes.as_ref().is_none() {
            // If another thread has set its own meanwhile, those are used, and these are dropped.
            self.probes.populate(Probes::new()?);
        }
        self.probes.as_ref().map(|probes| &**probes).ok_or(EAGAIN)
    }
}
