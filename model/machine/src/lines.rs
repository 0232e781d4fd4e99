// SPDX-License-Identifier: GPL-2.0

//! Cache lines that two CPUs access, where one of them writes.
//!
//! Each allocation begins at a line, and shares none with another one. So two accesses to a line
//! are accesses to one object, and fields that share a line in the model may not share one in the
//! kernel, or the other way round: the compiler places the fields of a type, and some types are
//! stand-ins. The alignment that a type demands holds in both.

use crate::world::with;
use std::{
    alloc::Layout,
    collections::BTreeSet,
    fmt,
    fs,
    panic::Location, //
};

/// The size of a cache line in bytes, of which the alignment of types in `rust/` has one.
const LINE: usize = 64;

/// The accesses that are recorded: of each CPU to each address the first read and the first write.
pub(crate) type Accesses = Vec<Access>;

/// An access to memory.
#[derive(Clone)]
pub struct Access {
    addr: usize,
    cpu: usize,
    writes: bool,
    name: String,
}

/// Two accesses to one line, by two CPUs, of which the first one is a write.
pub struct Conflict {
    first: Access,
    second: Access,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = (&self.first, &self.second);
        if first.addr == second.addr {
            write!(f, "one word: ")?;
        }
        let does = if second.writes { "writes" } else { "reads" };
        write!(
            f,
            "CPU {} writes {}, CPU {} {does} {}",
            first.cpu, first.name, second.cpu, second.name
        )
    }
}

/// The layout of lines that has room for an object.
pub(crate) fn layout(object: Layout) -> Layout {
    let lines = object.align_to(LINE).expect("the object is too large");
    lines.pad_to_align()
}

/// Records an access of this CPU, while [`accesses`] does. It is named after the caller.
#[track_caller]
pub fn note(addr: usize, writes: bool) {
    let place = Location::caller();
    note_as(addr, writes, || name_of(place));
}

/// As [`note`], with this name.
pub fn note_as(addr: usize, writes: bool, name: impl FnOnce() -> String) {
    with(|w| {
        let cpu = w.cpu();
        let Some(accesses) = &mut w.accesses else {
            return;
        };
        let is_known =
            |known: &Access| (known.addr, known.cpu, known.writes) == (addr, cpu, writes);
        if !accesses.iter().any(is_known) {
            let name = name();
            accesses.push(Access {
                addr,
                cpu,
                writes,
                name,
            });
        }
    });
}

/// The line of the source, and where it is.
fn name_of(place: &Location<'_>) -> String {
    let source = fs::read_to_string(place.file()).unwrap_or_default();
    let text = source.lines().nth(place.line() as usize - 1);
    let file = place
        .file()
        .trim_start_matches("src/")
        .trim_start_matches("../");
    format!(
        "`{}` ({file}:{})",
        text.unwrap_or_default().trim(),
        place.line()
    )
}

/// The accesses of all CPUs while `f` runs: of this one, and of those that `f` starts and waits
/// for.
pub fn accesses(f: impl FnOnce()) -> Vec<Access> {
    with(|w| w.accesses = Some(Vec::new()));
    f();
    with(|w| w.accesses.take()).unwrap_or_default()
}

/// The lines of these accesses.
pub fn lines(accesses: &[Access]) -> BTreeSet<usize> {
    accesses.iter().map(|access| access.addr / LINE).collect()
}

/// The pairs of accesses that conflict. Those in which both CPUs write come first.
pub fn conflicts(accesses: &[Access]) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    for first in accesses.iter().filter(|access| access.writes) {
        for second in accesses {
            let on_one_line = first.addr / LINE == second.addr / LINE;
            // Two writes make one pair.
            let is_new = !second.writes || first.cpu < second.cpu;
            if on_one_line && first.cpu != second.cpu && is_new {
                conflicts.push(Conflict {
                    first: first.clone(),
                    second: second.clone(),
                });
            }
        }
    }
    conflicts.sort_by_key(|conflict| !conflict.second.writes);
    conflicts
}
