// SPDX-License-Identifier: GPL-2.0
//! Types and numbers of `/dev/owner_storage` and `/dev/owner_storage_torture`, generated
//! from `include/uapi/linux/owner_storage.h` and `owner_storage_torture.h`. Those headers
//! document them.

#![expect(
    missing_docs,
    non_camel_case_types,
    reason = "named and documented by the C header"
)]

include!(concat!(env!("OUT_DIR"), "/uapi.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts the whole number of a command: direction, size, magic, index.
    #[track_caller]
    fn is(command: u64, magic: u64, direction: u64, index: u64, size: usize) {
        assert_eq!(command >> 30, direction);
        assert_eq!((command >> 16) & 0x3fff, size as u64);
        assert_eq!((command >> 8) & 0xff, magic);
        assert_eq!(command & 0xff, index);
    }

    const WRITE: u64 = 1;
    const READ: u64 = 2;

    #[test]
    fn command_numbers_and_argument_sizes_stay() {
        let is = |command, direction, index, size| is(command, 0xd5, direction, index, size);
        is(OSTOR_CMD_MAP_CREATE, WRITE, 0, 32);
        is(OSTOR_CMD_MAP_INFO, READ, 1, 152);
        is(OSTOR_CMD_LOOKUP, READ | WRITE, 2, 48);
        is(OSTOR_CMD_GET_OR_CREATE, READ | WRITE, 3, 48);
        is(OSTOR_CMD_UPDATE, READ | WRITE, 4, 48);
        is(OSTOR_CMD_DELETE, READ | WRITE, 5, 48);
        is(OSTOR_CMD_TAKE, READ | WRITE, 6, 48);
        is(OSTOR_CMD_LIST, READ | WRITE, 7, 56);
        is(OSTOR_CMD_STATS, READ, 8, 160);
        is(OSTOR_CMD_LIST_OWNER, READ | WRITE, 11, 48);
        is(OSTOR_CMD_MAP_LIST, READ | WRITE, 17, 32);
        assert_eq!(COMMANDS.len(), 11);
    }

    #[test]
    fn each_torture_command_has_a_number_of_its_own() {
        let is = |command, direction, index, size| is(command, 0xd6, direction, index, size);
        is(OSTOR_TORTURE_CMD_OP, READ | WRITE, 0, 40);
        is(OSTOR_TORTURE_CMD_RECURSE, READ | WRITE, 1, 104);
        is(OSTOR_TORTURE_CMD_BENCH, READ | WRITE, 2, 64);
        is(OSTOR_TORTURE_CMD_FAULT, READ | WRITE, 3, 88);
        is(OSTOR_TORTURE_CMD_CONTEXT, WRITE, 4, 64);
        is(OSTOR_TORTURE_CMD_CYCLE, READ | WRITE, 5, 112);
        is(OSTOR_TORTURE_CMD_MASS_EXIT, READ | WRITE, 6, 72);
        is(OSTOR_TORTURE_CMD_AGES, READ | WRITE, 7, 80);
        assert_eq!(TORTURE_COMMANDS.len(), 8);
    }

    #[test]
    fn nested_structure_sizes_stay() {
        assert_eq!(size_of::<ostor_owner>(), 16);
        assert_eq!(size_of::<ostor_entry>(), 24);
        assert_eq!(size_of::<ostor_owned>(), 24);
        assert_eq!(size_of::<ostor_listed_map>(), 88);
        assert_eq!(size_of::<ostor_op_stats>(), 328);
        assert_eq!(size_of::<ostor_context_cpu>(), 680);
        assert_eq!(size_of::<ostor_cycle_cpu>(), 16);
    }
}
