// SPDX-License-Identifier: GPL-2.0
//! The owners of a blackout: of every kind that is served, most of them sockets, which
//! are made quickly.

use anyhow::Result;
use ostor::device::{Kind, Map, Mode};
use ostor::object::Object;
use uapi::ostor_stats;

use ostor::interrupt::Interrupts;
use ostor::progress::Progress;
use ostor::report::Report;

/// Most tasks, and most cgroups.
const SLOW: usize = 300;

/// Most network namespaces, which take longest to end.
const SLOWEST: usize = 8;

/// The number of owners of each kind, in all `owners`.
fn mix(owners: usize) -> [(Kind, usize); 4] {
    let slow = SLOW.min(owners / 10);
    let slowest = SLOWEST.min(owners / 100);
    [
        (Kind::Task, slow),
        (Kind::Cgroup, slow),
        (Kind::Netns, slowest),
        (Kind::Socket, owners - 2 * slow - slowest),
    ]
}

/// Makes owners, each with a value in both maps.
pub(super) fn make(
    owners: usize,
    maps: [&Map; 2],
    stats: &ostor_stats,
    interrupts: &Interrupts,
    report: &mut Report,
) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    let mut progress = Progress::new("owners made", owners as u64);
    for (kind, count) in mix(owners) {
        if !kind.is_served(stats) {
            report.skip(kind.name(), kind.why_not_served());
            continue;
        }
        for _ in 0..count {
            interrupts.check()?;
            let object = Object::new(kind)?;
            for map in maps {
                map.update(object.owner(), b"of an owner", Mode::NoExist)?;
            }
            objects.push(object);
            progress.at(objects.len() as u64);
        }
        report.add(&format!("{kind} owners"), count as u64);
    }
    Ok(objects)
}

/// Ends all owners.
pub(super) fn end(objects: Vec<Object>, interrupts: &Interrupts) -> Result<()> {
    let mut progress = Progress::new("owners ended", objects.len() as u64);
    for (done, object) in (1..).zip(objects) {
        interrupts.check()?;
        object.end()?;
        progress.at(done);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_add_up_to_all_owners() {
        for owners in [1, 9, 10, 100, 12_345] {
            let counts = mix(owners).map(|(_, count)| count);
            assert_eq!(counts.iter().sum::<usize>(), owners);
        }
        assert!(mix(100).iter().all(|(_, count)| *count > 0));
    }
}
