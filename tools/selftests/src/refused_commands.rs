// SPDX-License-Identifier: GPL-2.0
//! Unknown commands, and arguments at addresses that are not mapped.

use std::fs::File;
use std::os::fd::AsFd;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Map, Mode, Owner};
use ostor::sys::ioctl::{Argument, probe};

use crate::harness::{assert_refused_unchanged, new_map};

crate::suite![
    unknown_commands,
    wrong_encodings,
    arguments_that_are_nowhere
];

/// The numbers of all commands of the device.
fn commands() -> impl Iterator<Item = u64> {
    uapi::COMMANDS.iter().map(|&(_, command)| command)
}

/// Position of the argument's size in a command's number.
const SIZE_SHIFT: u32 = 16;

/// The bits of the direction in a command's number.
const DIRECTION: u64 = 3 << 30;

/// A map with an element of this thread, and an open device that is not a map.
fn files() -> Result<(Map, File)> {
    let map = new_map()?;
    map.update(Owner::Current, b"stays", Mode::NoExist)?;
    Ok((map, device::open()?))
}

fn assert_unknown(map: &Map, file: &File, command: u64) {
    for fd in [map.as_fd(), file.as_fd()] {
        let result = probe(fd, command, Argument::Zeroes);
        assert_eq!(result, Err(Errno::ENOTTY), "{command:#x}");
    }
}

fn unknown_commands() -> Result<()> {
    let (map, file) = files()?;
    assert_refused_unchanged(&map, Errno::ENOTTY, "all of them", || {
        for known in commands() {
            let is_known = |index: &u64| commands().any(|known| known & 0xff == *index);
            for index in (0..=0xff).filter(|index| !is_known(index)) {
                assert_unknown(&map, &file, (known & !0xff) | index);
            }
        }
        for magic in [0x00, 0xd4, 0xd6, 0xff] {
            assert_unknown(
                &map,
                &file,
                (uapi::OSTOR_CMD_LOOKUP & !0xff00) | (magic << 8),
            );
        }
        Err(Errno::ENOTTY)
    });
    Ok(())
}

fn wrong_encodings() -> Result<()> {
    let (map, file) = files()?;
    assert_refused_unchanged(&map, Errno::ENOTTY, "all of them", || {
        for command in commands() {
            let size = (command >> SIZE_SHIFT) & 0x3fff;
            for wrong in [0, size - 8, size - 1, size + 1, size + 8, 2 * size, 0x3fff] {
                let command = (command & !(0x3fff << SIZE_SHIFT)) | (wrong << SIZE_SHIFT);
                assert_unknown(&map, &file, command);
            }
            for direction in (0..4).map(|bits| bits << 30) {
                if direction != command & DIRECTION {
                    assert_unknown(&map, &file, (command & !DIRECTION) | direction);
                }
            }
        }
        Err(Errno::ENOTTY)
    });
    Ok(())
}

fn arguments_that_are_nowhere() -> Result<()> {
    let (map, file) = files()?;
    for command in commands() {
        for argument in [Argument::Nowhere, Argument::Kernel] {
            // On a map MAP_CREATE is refused before its argument is read.
            let fd = if command == uapi::OSTOR_CMD_MAP_CREATE {
                file.as_fd()
            } else {
                map.as_fd()
            };
            let what = format!("{command:#x}, {argument:?}");
            let attempt = || probe(fd, command, argument);
            assert_refused_unchanged(&map, Errno::EFAULT, what, attempt);
        }
    }
    assert_eq!(map.get(Owner::Current)?.value[..5], *b"stays");
    Ok(())
}
