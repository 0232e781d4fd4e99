// SPDX-License-Identifier: GPL-2.0
//! Long read sections, which check that no object that they hold is freed.

use std::time::Duration;

use nix::errno::Errno;
use ostor::random::Random;
use ostor::report::Report;
use ostor::torture::{Ages, TortureDevice};

use crate::stress::workload::Workload;

/// Durations of a read section: the shortest end before the reaper begins, the longest
/// last for several of its runs.
const DURATIONS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_micros(200),
    Duration::from_millis(5),
    Duration::from_millis(25),
];

/// Runs one read section over the elements of a map and the storages.
pub(super) fn one(
    device: &TortureDevice,
    workload: &Workload,
    random: &mut Random,
    report: &mut Report,
) {
    let map = workload.map(|end| random.below(end));
    let owner = workload.owner(|end| random.below(end));
    let time = DURATIONS[random.below(DURATIONS.len())];
    match Ages::of(device, &map.map, owner.object.owner(), time) {
        Ok(ages) => {
            for (age, count) in ages.counts.into_iter().enumerate() {
                report.add(&format!("held, unlinked {age} grace periods ago"), count);
            }
            if ages.freed() > 0 {
                report.problem(format!(
                    "freed under a reader whose read section took {time:?}: {ages:?}"
                ));
            }
        }
        Err(error) if error.errno() == Errno::ESRCH && owner.is_ending() => {
            report.add("held: ESRCH", 1);
        }
        Err(error) => report.problem(format!("a reader: {error}")),
    }
}
