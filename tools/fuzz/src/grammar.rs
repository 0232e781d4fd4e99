// SPDX-License-Identifier: GPL-2.0
//! The fields of the commands' arguments.

use std::mem::{offset_of, size_of};

use uapi::{
    COMMANDS, TORTURE_COMMANDS, ostor_ages, ostor_bench, ostor_context, ostor_context_cpu,
    ostor_cycle, ostor_elem, ostor_fault, ostor_list, ostor_list_owner, ostor_map_create,
    ostor_map_list, ostor_mass_exit, ostor_op, ostor_owner, ostor_recurse,
};

use crate::sys::call::Addresses;

/// A field of an argument that is filled in; all others are 0.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field {
    /// `struct ostor_owner`.
    Owner(usize),
    /// The descriptor of a map, or -1.
    MapFd(usize),
    /// The address and the number of a few `struct ostor_op`.
    Ops(usize, usize),
    /// An address of as many bytes, or of a value if that is 0.
    Address(usize, usize),
    /// The value size of a map.
    ValueSize(usize),
    /// One of these numbers.
    OneOf(usize, &'static [u32]),
    /// A number below this one, mostly a small one.
    Below(usize, u32),
    /// Eight random bytes.
    Any(usize),
}

/// The argument of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grammar {
    pub(crate) name: &'static str,
    /// The command's number.
    pub(crate) command: u64,
    /// Whether the command is one of the torture device.
    pub(crate) is_torture: bool,
    /// How many of about fifty thousand calls are of this command.
    pub(crate) weight: usize,
    pub(crate) fields: &'static [Field],
    pub(crate) addresses: Addresses,
}

/// What the fuzzer knows about a command beyond its number.
struct Known {
    name: &'static str,
    weight: usize,
    fields: &'static [Field],
    addresses: &'static [usize],
}

/// The name of the calls whose number is no command.
pub(crate) const UNKNOWN: &str = "no command";

/// Weight of a command of which only the number is known.
const UNKNOWN_WEIGHT: usize = 100;

/// Offset of the address in `struct ostor_elem`.
const VALUE: usize = offset_of!(ostor_elem, value);

const ELEM: &[Field] = &[
    Field::Owner(offset_of!(ostor_elem, owner)),
    Field::Address(VALUE, 0),
    Field::ValueSize(offset_of!(ostor_elem, value_size)),
];

/// The fields of a `struct ostor_op` at an offset.
const fn operation(at: usize) -> [Field; 4] {
    [
        Field::Owner(at + offset_of!(ostor_op, owner)),
        Field::OneOf(at + offset_of!(ostor_op, op), &[1, 2, 3, 4]),
        Field::MapFd(at + offset_of!(ostor_op, map_fd)),
        Field::Any(at + offset_of!(ostor_op, seed)),
    ]
}

/// The fields of a `struct ostor_op`.
pub(crate) const OPERATION: [Field; 4] = operation(0);

const OUTER: [Field; 4] = operation(offset_of!(ostor_recurse, outer));
const INNER: [Field; 4] = operation(offset_of!(ostor_recurse, inner));

const KNOWN: &[Known] = &[
    Known {
        name: "MAP_CREATE",
        weight: 1500,
        fields: &[
            Field::ValueSize(offset_of!(ostor_map_create, value_size)),
            Field::OneOf(offset_of!(ostor_map_create, flags), &[0, 0, 1, 2, 3]),
        ],
        addresses: &[],
    },
    Known {
        name: "MAP_INFO",
        weight: 1500,
        fields: &[],
        addresses: &[],
    },
    Known {
        name: "LOOKUP",
        weight: 7500,
        fields: ELEM,
        addresses: &[VALUE],
    },
    Known {
        name: "GET_OR_CREATE",
        weight: 10000,
        fields: ELEM,
        addresses: &[VALUE],
    },
    Known {
        name: "UPDATE",
        weight: 10000,
        fields: &[
            ELEM[0],
            ELEM[1],
            ELEM[2],
            Field::OneOf(offset_of!(ostor_elem, flags), &[0, 1, 2]),
        ],
        addresses: &[VALUE],
    },
    Known {
        name: "DELETE",
        weight: 6000,
        fields: &[ELEM[0]],
        addresses: &[VALUE],
    },
    Known {
        name: "TAKE",
        weight: 4000,
        fields: ELEM,
        addresses: &[VALUE],
    },
    Known {
        name: "LIST",
        weight: 3000,
        fields: &[
            Field::Below(offset_of!(ostor_list, pos), 1024),
            Field::Below(offset_of!(ostor_list, seq), 4096),
            Field::Address(
                offset_of!(ostor_list, entries),
                8 * size_of::<uapi::ostor_entry>(),
            ),
            Field::Address(offset_of!(ostor_list, values), 0),
            Field::ValueSize(offset_of!(ostor_list, value_size)),
            Field::Below(offset_of!(ostor_list, capacity), uapi::OSTOR_LIST_MAX),
        ],
        addresses: &[
            offset_of!(ostor_list, entries),
            offset_of!(ostor_list, values),
        ],
    },
    Known {
        name: "LIST_OWNER",
        weight: 3000,
        fields: &[
            Field::Owner(offset_of!(ostor_list_owner, owner)),
            Field::Below(offset_of!(ostor_list_owner, after), 64),
            Field::Address(
                offset_of!(ostor_list_owner, entries),
                8 * size_of::<uapi::ostor_owned>(),
            ),
            Field::Below(offset_of!(ostor_list_owner, capacity), uapi::OSTOR_LIST_MAX),
        ],
        addresses: &[offset_of!(ostor_list_owner, entries)],
    },
    Known {
        name: "MAP_LIST",
        weight: 1500,
        fields: &[
            Field::Below(offset_of!(ostor_map_list, after), 4096),
            Field::Address(
                offset_of!(ostor_map_list, entries),
                8 * size_of::<uapi::ostor_listed_map>(),
            ),
            Field::Below(offset_of!(ostor_map_list, capacity), uapi::OSTOR_LIST_MAX),
        ],
        addresses: &[offset_of!(ostor_map_list, entries)],
    },
    Known {
        name: "STATS",
        weight: 1500,
        fields: &[],
        addresses: &[],
    },
    // These are slow, up to a second each on an emulated CPU: a probe of a tracepoint
    // costs grace periods and patches code, the bench waits for the reaper, a context has
    // a duration, and in a cycle CPUs wait for each other.
    Known {
        name: "OP",
        weight: 1500,
        fields: &OPERATION,
        addresses: &[],
    },
    Known {
        name: "RECURSE",
        weight: 50,
        fields: &[
            OUTER[0],
            OUTER[1],
            OUTER[2],
            OUTER[3],
            INNER[0],
            INNER[1],
            INNER[2],
            INNER[3],
            Field::OneOf(offset_of!(ostor_recurse, point), &[0, 1, 2, 3, 4, 5]),
            Field::OneOf(offset_of!(ostor_recurse, context), &[0, 0, 1, 2, 3, 4, 5]),
        ],
        addresses: &[],
    },
    Known {
        name: "CONTEXT",
        weight: 50,
        fields: &[
            Field::Ops(
                offset_of!(ostor_context, ops),
                offset_of!(ostor_context, ops_count),
            ),
            Field::Address(
                offset_of!(ostor_context, results),
                2 * size_of::<ostor_context_cpu>(),
            ),
            Field::OneOf(offset_of!(ostor_context, cpus), &[1, 2, 3]),
            Field::OneOf(
                offset_of!(ostor_context, context),
                &[0, 1, 2, 3, 4, 5, 6, 7, 8],
            ),
            Field::OneOf(offset_of!(ostor_context, flags), &[0, 1]),
            Field::OneOf(offset_of!(ostor_context, period_us), &[100, 500, 2000]),
            Field::OneOf(offset_of!(ostor_context, duration_ms), &[1, 5, 20]),
        ],
        addresses: &[
            offset_of!(ostor_context, ops),
            offset_of!(ostor_context, results),
        ],
    },
    Known {
        name: "CYCLE",
        weight: 15,
        fields: &[
            Field::OneOf(offset_of!(ostor_cycle, cpus), &[3, 3, 7]),
            Field::OneOf(offset_of!(ostor_cycle, kind), &[0, 1]),
            Field::OneOf(offset_of!(ostor_cycle, stall_ms), &[0, 0, 1, 20]),
        ],
        addresses: &[],
    },
    Known {
        name: "MASS_EXIT",
        weight: 50,
        fields: &[Field::Below(offset_of!(ostor_mass_exit, count), 1024)],
        addresses: &[],
    },
    Known {
        name: "AGES",
        weight: 500,
        fields: &[
            Field::Owner(offset_of!(ostor_ages, owner)),
            Field::OneOf(offset_of!(ostor_ages, hold_us), &[0, 0, 100, 10_000]),
            Field::MapFd(offset_of!(ostor_ages, map_fd)),
        ],
        addresses: &[],
    },
    Known {
        name: "BENCH",
        weight: 10,
        fields: &[
            Field::Owner(offset_of!(ostor_bench, owner)),
            Field::OneOf(offset_of!(ostor_bench, bench), &[1, 2, 3, 4, 5, 6]),
            Field::OneOf(offset_of!(ostor_bench, maps), &[1, 2, 2, 8]),
            Field::Below(offset_of!(ostor_bench, iterations), 512),
            Field::MapFd(offset_of!(ostor_bench, map_fd)),
        ],
        addresses: &[],
    },
    Known {
        name: "FAULT",
        weight: 500,
        fields: &[
            Field::Below(offset_of!(ostor_fault, site), 24),
            Field::Below(offset_of!(ostor_fault, probability), 100),
            Field::Below(offset_of!(ostor_fault, interval), 8),
        ],
        addresses: &[],
    },
];

/// The grammar of each command of the header, and that of numbers without a command.
pub(crate) fn all() -> Vec<Grammar> {
    let of_command = |(name, command): (&'static str, u64), is_torture: bool| {
        let known = KNOWN.iter().find(|known| known.name == name);
        Grammar {
            name,
            command,
            is_torture,
            weight: known.map_or(UNKNOWN_WEIGHT, |known| known.weight),
            fields: known.map_or(&[], |known| known.fields),
            addresses: known.map_or(Addresses::Unknown, |known| Addresses::At(known.addresses)),
        }
    };
    let unknown = Grammar {
        name: UNKNOWN,
        command: 0,
        is_torture: false,
        weight: 1500,
        fields: &[],
        addresses: Addresses::Unknown,
    };
    let storage = COMMANDS.iter().map(|&command| of_command(command, false));
    let torture = TORTURE_COMMANDS
        .iter()
        .map(|&command| of_command(command, true));
    storage.chain(torture).chain([unknown]).collect()
}

/// The size of a command's argument, which its number encodes.
pub(crate) fn size_of_argument(command: u64) -> usize {
    (command >> 16) as usize & 0x3fff
}

impl Grammar {
    /// Limits fields so that no call injects faults, takes hours or allocates all memory.
    pub(crate) fn restrain(&self, bytes: &mut [u8]) {
        match self.name {
            "FAULT" => bytes[offset_of!(ostor_fault, set)..][..4].fill(0),
            "BENCH" => {
                let iterations = &mut bytes[offset_of!(ostor_bench, iterations)..][..8];
                limit(iterations, uapi::OSTOR_BENCH_MAX, 2048);
            }
            "MASS_EXIT" => {
                let count = &mut bytes[offset_of!(ostor_mass_exit, count)..][..8];
                limit(count, uapi::OSTOR_MASS_EXIT_MAX, 2048);
            }
            "CONTEXT" => {
                let duration = &mut bytes[offset_of!(ostor_context, duration_ms)..][..4];
                limit(duration, LONGEST_MS, 64);
            }
            "CYCLE" => {
                let stall = &mut bytes[offset_of!(ostor_cycle, stall_ms)..][..4];
                limit(stall, uapi::OSTOR_CYCLE_STALL_MAX_MS, 64);
            }
            _ if self.addresses == Addresses::Unknown => {
                bytes.chunks_exact_mut(4).for_each(small_or_refused);
            }
            _ => {}
        }
    }
}

/// Longest duration that OSTOR_TORTURE_IOC_CONTEXT accepts.
const LONGEST_MS: u32 = 60_000;

/// Reduces a number of four or eight bytes below `end`, unless the device refuses it, as
/// it does above `most`.
fn limit(number: &mut [u8], most: u32, end: u32) {
    let (low, high) = number.split_at_mut(4);
    let value = u32::from_ne_bytes((&*low).try_into().expect("four bytes"));
    if value <= most && high.iter().all(|&byte| byte == 0) {
        low.copy_from_slice(&(value % end).to_ne_bytes());
    }
}

/// Makes a number of unknown meaning small, unless it is so large that it is refused.
fn small_or_refused(number: &mut [u8]) {
    let value = u32::from_ne_bytes((&*number).try_into().expect("four bytes"));
    if value < 1 << 31 {
        number.copy_from_slice(&(value % 64).to_ne_bytes());
    }
}

/// Offset of an owner's descriptor.
pub(crate) const OWNER_FD: usize = offset_of!(ostor_owner, fd);

/// Offset of an owner's id.
pub(crate) const OWNER_ID: usize = offset_of!(ostor_owner, id);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_command_is_one_of_the_header() {
        let all = all();
        for known in KNOWN {
            let grammar = all.iter().find(|grammar| grammar.name == known.name);
            let size = size_of_argument(grammar.expect(known.name).command);
            for at in known.addresses {
                assert!(at + 8 <= size, "{}: {at}", known.name);
            }
        }
    }

    #[test]
    fn no_call_injects_faults_or_takes_hours() {
        let all = all();
        let restrained = |name: &str, bytes: &mut [u8]| {
            let grammar = all.iter().find(|grammar| grammar.name == name);
            grammar.expect(name).restrain(bytes);
        };
        let mut fault = [0xff; size_of::<ostor_fault>()];
        restrained("FAULT", &mut fault);
        assert_eq!(fault[offset_of!(ostor_fault, set)..][..4], [0; 4]);
        let at = offset_of!(ostor_bench, iterations);
        for (asked, got) in [(10_000_000u64, 10_000_000 % 2048), (u64::MAX, u64::MAX)] {
            let mut bench = [0; size_of::<ostor_bench>()];
            bench[at..][..8].copy_from_slice(&asked.to_ne_bytes());
            restrained("BENCH", &mut bench);
            assert_eq!(bench[at..][..8], got.to_ne_bytes());
        }
        let at = offset_of!(ostor_context, duration_ms);
        for (asked, got) in [(5u32, 5u32), (60_000, 60_000 % 64), (60_001, 60_001)] {
            let mut context = [0; size_of::<ostor_context>()];
            context[at..][..4].copy_from_slice(&asked.to_ne_bytes());
            restrained("CONTEXT", &mut context);
            assert_eq!(context[at..][..4], got.to_ne_bytes());
        }
        for (asked, got) in [(7u32, 7), (4_000_000, 0), (u32::MAX, u32::MAX)] {
            let mut bytes = asked.to_ne_bytes();
            restrained(UNKNOWN, &mut bytes);
            assert_eq!(bytes, got.to_ne_bytes());
        }
    }
}
