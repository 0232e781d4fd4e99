// SPDX-License-Identifier: GPL-2.0
//! An ioctl with any argument.

#![expect(unsafe_code, reason = "the ioctl itself")]

use nix::errno::Errno;

use super::arena::{Arena, Place, is_harmless};
use ostor::random::Random;

/// Most bytes of an argument that are generated. A command with a larger argument also
/// reads what follows in the arena.
pub(crate) const MOST_BYTES: usize = 256;

/// The bytes of an argument that the kernel uses as addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// The eight bytes at these offsets.
    At(&'static [usize]),
    /// Unknown: any eight bytes may be one.
    Unknown,
}

/// An ioctl that is ready to be made. It cannot write to memory that Rust uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    fd: i32,
    command: u64,
    argument: u64,
}

impl Call {
    /// Copies an argument to a place, after replacing all addresses that the kernel must not
    /// write to.
    pub(crate) fn new(
        arena: &Arena,
        (fd, command): (i32, u64),
        bytes: &mut [u8],
        addresses: Addresses,
        place: Place,
        random: &mut Random,
    ) -> Self {
        match addresses {
            Addresses::At(offsets) => offsets.iter().for_each(|&at| tame(bytes, at)),
            Addresses::Unknown => (0..bytes.len()).step_by(8).for_each(|at| tame(bytes, at)),
        }
        Self {
            fd,
            command,
            argument: arena.put(place, bytes, random),
        }
    }

    /// Makes the call. Allocates no memory, so that a forked process can call it.
    pub(crate) fn run(&self) -> Result<(), Errno> {
        // SAFETY: `Call::new` has replaced every address that the kernel could write to and
        // that is not harmless, and the argument itself is in an arena.
        Errno::result(unsafe { libc::ioctl(self.fd, self.command as _, self.argument) }).map(drop)
    }
}

/// Replaces an address that is not harmless.
fn tame(bytes: &mut [u8], at: usize) {
    let Some(word) = bytes.get_mut(at..at + 8) else {
        return;
    };
    let address = u64::from_ne_bytes((&*word).try_into().expect("eight bytes"));
    if !is_harmless(address) {
        word.copy_from_slice(&(address & 0xfff).to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_process_is_replaced() {
        let local = 0u64;
        let own = (&raw const local) as u64;
        for (address, stays) in [
            (own, false),
            (0x40_0000, false),
            (0, true),
            (0x1000_0000_0000, true),
            (0xffff_8880_0000_0000, true),
        ] {
            let mut bytes = address.to_ne_bytes();
            tame(&mut bytes, 0);
            assert_eq!(bytes == address.to_ne_bytes(), stays, "{address:#x}");
            assert!(is_harmless(u64::from_ne_bytes(bytes)));
        }
    }
}
