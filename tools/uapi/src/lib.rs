// SPDX-License-Identifier: GPL-2.0
//! Types and numbers of `/dev/owner_storage`, generated from
//! `include/uapi/linux/owner_storage.h`. That header documents them.

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
    fn is(command: u64, direction: u64, index: u64, size: usize) {
        assert_eq!(command >> 30, direction);
        assert_eq!((command >> 16) & 0x3fff, size as u64);
        assert_eq!((command >> 8) & 0xff, 0xd5);
        assert_eq!(command & 0xff, index);
    }

    #[test]
    fn command_numbers_and_argument_sizes_stay() {
        const WRITE: u64 = 1;
        const READ: u64 = 2;
        is(OSTOR_CMD_MAP_CREATE, WRITE, 0, 32);
        is(OSTOR_CMD_MAP_INFO, READ, 1, 152);
        is(OSTOR_CMD_LOOKUP, READ | WRITE, 2, 48);
        is(OSTOR_CMD_GET_OR_CREATE, READ | WRITE, 3, 48);
        is(OSTOR_CMD_UPDATE, READ | WRITE, 4, 48);
        is(OSTOR_CMD_DELETE, READ | WRITE, 5, 48);
        is(OSTOR_CMD_TAKE, READ | WRITE, 6, 48);
        is(OSTOR_CMD_LIST, READ | WRITE, 7, 56);
        is(OSTOR_CMD_STATS, READ, 8, 160);
        is(OSTOR_CMD_RECURSE, READ | WRITE, 9, 104);
        is(OSTOR_CMD_BENCH, READ | WRITE, 10, 64);
        is(OSTOR_CMD_LIST_OWNER, READ | WRITE, 11, 48);
        is(OSTOR_CMD_FAULT, READ | WRITE, 12, 88);
        is(OSTOR_CMD_CONTEXT, WRITE, 13, 64);
        is(OSTOR_CMD_CYCLE, READ | WRITE, 14, 112);
        is(OSTOR_CMD_CROWD, READ | WRITE, 15, 72);
        is(OSTOR_CMD_AGES, READ | WRITE, 16, 80);
    }

    #[test]
    fn nested_structure_sizes_stay() {
        assert_eq!(size_of::<ostor_owner>(), 16);
        assert_eq!(size_of::<ostor_entry>(), 24);
        assert_eq!(size_of::<ostor_owned>(), 24);
        assert_eq!(size_of::<ostor_op>(), 40);
        assert_eq!(size_of::<ostor_tally>(), 328);
        assert_eq!(size_of::<ostor_context_cpu>(), 680);
        assert_eq!(size_of::<ostor_cycle_cpu>(), 16);
    }
}
