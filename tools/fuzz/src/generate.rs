// SPDX-License-Identifier: GPL-2.0
//! Generating arguments: valid, nearly valid and random ones.

use ostor::random::Random;

use crate::grammar::{self, Field, Grammar, OPERATION, OWNER_FD, OWNER_ID};
use crate::slots::{self, Class};
use crate::sys::arena::{Arena, Place};
use crate::sys::call::{Call, MOST_BYTES};

/// Numbers at which behaviour may change.
const EDGES: [u32; 16] = [
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    16,
    64,
    1024,
    8064,
    8065,
    1 << 20,
    0x7fff_ffff,
    0x8000_0000,
    u32::MAX,
];

/// An argument.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// Index in [`grammar::all`].
    pub(crate) grammar: usize,
    /// The descriptor of the call.
    fd: i32,
    bytes: Vec<u8>,
}

/// Generates arguments.
pub(crate) struct Generator<'a> {
    grammars: &'a [Grammar],
    total_weight: usize,
    pub(crate) arena: Arena,
}

impl<'a> Generator<'a> {
    pub(crate) fn new(grammars: &'a [Grammar], arena: Arena) -> Self {
        Self {
            grammars,
            total_weight: grammars.iter().map(|grammar| grammar.weight).sum(),
            arena,
        }
    }

    /// A new argument. Most are valid, some have one to three fields changed, a few are
    /// random.
    pub(crate) fn fresh(&self, random: &mut Random) -> Input {
        let mut at = random.below(self.total_weight);
        let chosen = self.grammars.iter().position(|grammar| {
            let hit = at < grammar.weight;
            at = at.wrapping_sub(grammar.weight);
            hit
        });
        let mut input = self.valid(chosen.expect("below the total weight"), random);
        match random.below(16) {
            0..=9 => {}
            10..=14 => self.change(&mut input, random),
            _ => noise(&mut input.bytes, random),
        }
        input
    }

    /// A variant of an argument that reached new code.
    pub(crate) fn variant(&self, old: &Input, random: &mut Random) -> Input {
        let mut input = old.clone();
        self.change(&mut input, random);
        input
    }

    /// A valid argument. The objects that it names may be gone.
    fn valid(&self, grammar: usize, random: &mut Random) -> Input {
        let shape = &self.grammars[grammar];
        let size = match grammar::size_of_argument(shape.command) {
            0 => MOST_BYTES,
            size => size,
        };
        let fd = match random.below(32) {
            0..=1 => slots::any_of(Class::Odd, random),
            2 if shape.name != grammar::UNKNOWN => slots::any(random),
            _ if shape.is_torture => slots::any_of(Class::Torture, random),
            _ => slots::any_of(Class::Maps, random),
        };
        let mut bytes = vec![0; size];
        for field in shape.fields {
            self.fill(field, slots::value_size_at(fd), &mut bytes, random);
        }
        Input { grammar, fd, bytes }
    }

    fn change(&self, input: &mut Input, random: &mut Random) {
        for _ in 0..=random.below(3) {
            let fields = self.grammars[input.grammar].fields;
            if !fields.is_empty() && random.below(3) == 0 {
                let field = random.pick(fields);
                self.fill(field, slots::value_size(random), &mut input.bytes, random);
            } else {
                let at = random.below(input.bytes.len() / 4) * 4;
                set(&mut input.bytes, at, &edge(random).to_ne_bytes());
            }
        }
    }

    fn fill(&self, field: &Field, value_size: u32, bytes: &mut [u8], random: &mut Random) {
        match *field {
            Field::Owner(at) => owner(at, bytes, random),
            Field::MapFd(at) => {
                let fd = match random.below(4) {
                    0 => -1,
                    _ => slots::any_of(Class::Maps, random),
                };
                set(bytes, at, &fd.to_ne_bytes());
            }
            Field::Ops(at, count_at) => {
                let count = random.below(4) + 1;
                let mut ops = vec![0; count * size_of::<uapi::ostor_op>()];
                for op in ops.chunks_exact_mut(size_of::<uapi::ostor_op>()) {
                    for field in &OPERATION {
                        self.fill(field, value_size, op, random);
                    }
                }
                if random.below(8) == 0 {
                    noise(&mut ops, random);
                }
                let address = self.arena.put(Place::Private, &ops, random);
                set(bytes, at, &address.to_ne_bytes());
                set(bytes, count_at, &(count as u32).to_ne_bytes());
            }
            Field::Address(at, len) => {
                let place = match random.below(8) {
                    0 => Place::any(random),
                    _ => Place::Private,
                };
                let len = if len == 0 { value_size as usize } else { len };
                let address = self.arena.address(place, len, random);
                set(bytes, at, &address.to_ne_bytes());
            }
            Field::ValueSize(at) => set(bytes, at, &value_size.to_ne_bytes()),
            Field::OneOf(at, numbers) => set(bytes, at, &random.pick(numbers).to_ne_bytes()),
            Field::Below(at, end) => {
                let end = if random.below(4) == 0 {
                    end
                } else {
                    end.min(16)
                };
                let number = random.below(end as usize) as u32;
                set(bytes, at, &number.to_ne_bytes());
            }
            Field::Any(at) => set(bytes, at, &random.next().to_ne_bytes()),
        }
    }

    /// The call with an argument.
    pub(crate) fn call(&self, input: &mut Input, random: &mut Random) -> Call {
        let shape = &self.grammars[input.grammar];
        let command = match shape.name {
            grammar::UNKNOWN => unknown(self.grammars, random),
            _ => shape.command,
        };
        let place = match random.below(16) {
            0 => Place::any(random),
            _ => Place::Private,
        };
        shape.restrain(&mut input.bytes);
        let target = (input.fd, command);
        Call::new(
            &self.arena,
            target,
            &mut input.bytes,
            shape.addresses,
            place,
            random,
        )
    }
}

/// Fills in an owner.
fn owner(at: usize, bytes: &mut [u8], random: &mut Random) {
    let (by, fd, id) = match random.below(16) {
        0..=2 => (uapi::OSTOR_BY_SELF, 0, 0),
        3..=6 => (uapi::OSTOR_BY_PIDFD, slots::any_of(Class::Tasks, random), 0),
        7..=8 => (
            uapi::OSTOR_BY_CGROUP_FD,
            slots::any_of(Class::Cgroups, random),
            0,
        ),
        9 => (uapi::OSTOR_BY_CGROUP_ID, 0, slots::cgroup_id(random)),
        10..=13 => (
            uapi::OSTOR_BY_SOCKET,
            slots::any_of(Class::Sockets, random),
            0,
        ),
        14 => (uapi::OSTOR_BY_NETNS, slots::any_of(Class::Netns, random), 0),
        _ => (random.below(7) as u32, slots::any(random), 0),
    };
    set(bytes, at, &by.to_ne_bytes());
    set(bytes, at + OWNER_FD, &fd.to_ne_bytes());
    set(bytes, at + OWNER_ID, &id.to_ne_bytes());
}

/// A number that is no command: an unknown index, or another size or direction.
fn unknown(grammars: &[Grammar], random: &mut Random) -> u64 {
    let known = random.pick(grammars).command;
    let magic = u64::from(uapi::OSTOR_IOC_MAGIC) << 8;
    let number = match random.below(4) {
        0 => (known & !(0x3fff << 16)) | ((random.below(0x4000) as u64) << 16),
        1 => known ^ (1 << (30 + random.below(2))),
        2 => known ^ (random.below(256) as u64),
        _ => (random.next() & 0xffff_00ff) | magic,
    };
    // No command has an index with this bit.
    let is_one = grammars.iter().any(|grammar| grammar.command == number);
    if is_one { number | 0x80 } else { number }
}

fn noise(bytes: &mut [u8], random: &mut Random) {
    for at in (0..bytes.len()).step_by(4) {
        set(bytes, at, &edge(random).to_ne_bytes());
    }
}

fn edge(random: &mut Random) -> u32 {
    match random.below(4) {
        0 => random.next() as u32,
        1 => 1 << random.below(32),
        _ => *random.pick(&EDGES),
    }
}

fn set(bytes: &mut [u8], at: usize, new: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + new.len()) {
        place.copy_from_slice(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_arguments() {
        let grammars = grammar::all();
        let generator = Generator::new(&grammars, Arena::map(200).unwrap());
        let draw = |seed| {
            let mut random = Random::new(seed, 1);
            let inputs = (0..200).map(|_| generator.fresh(&mut random));
            inputs
                .map(|input| (input.grammar, input.bytes))
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn every_command_is_generated() {
        let grammars = grammar::all();
        let generator = Generator::new(&grammars, Arena::map(201).unwrap());
        let mut random = Random::new(1, 1);
        let mut seen = vec![0; grammars.len()];
        for _ in 0..200_000 {
            seen[generator.fresh(&mut random).grammar] += 1;
        }
        assert!(seen.iter().all(|&count| count > 0), "{seen:?}");
    }
}
