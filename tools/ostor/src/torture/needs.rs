// SPDX-License-Identifier: GPL-2.0
//! Whether the loaded module is of the test flavour, without which faults and the ages of
//! held objects do not exist.

use nix::errno::Errno;

use super::{TortureDevice, fault_sites};
use crate::device::Result;

/// A command needs the test flavour, or needs it with other parameters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what}; start with `scripts/vm --no-module --test-module`, and in the guest load \
     /modules/owner_storage_test_torture.ko after `insmod \
     /modules/owner_storage_test.ko{parameters}`"
)]
pub struct MissingFlavour {
    what: &'static str,
    /// Parameters of the module, each with a blank in front.
    parameters: &'static str,
}

impl MissingFlavour {
    /// The test flavour is not loaded. `parameters` are those that the command needs,
    /// each with a blank in front.
    pub fn not_loaded(parameters: &'static str) -> Self {
        let what = "this needs the test flavour of the module, which is not loaded";
        Self { what, parameters }
    }

    /// The test flavour is loaded without what the command needs.
    pub fn other_parameters(what: &'static str, parameters: &'static str) -> Self {
        Self { what, parameters }
    }
}

/// Whether the test flavour is loaded.
pub fn is_test_flavour(device: &TortureDevice) -> Result<bool> {
    match fault_sites(device) {
        Err(error) if error.errno() == Errno::ENOTTY => Ok(false),
        sites => sites.map(|_| true),
    }
}

/// Fails unless the test flavour is loaded. `parameters` are those that the command
/// needs, each with a blank in front.
pub fn need_test_flavour(device: &TortureDevice, parameters: &'static str) -> anyhow::Result<()> {
    match is_test_flavour(device)? {
        true => Ok(()),
        false => Err(MissingFlavour::not_loaded(parameters).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_a_command_line() {
        let text = MissingFlavour::not_loaded(" map_bits=16").to_string();
        assert!(text.starts_with("this needs the test flavour"), "{text}");
        assert!(
            text.ends_with("owner_storage_test.ko map_bits=16`"),
            "{text}"
        );
    }
}
