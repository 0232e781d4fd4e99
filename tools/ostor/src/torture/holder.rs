// SPDX-License-Identifier: GPL-2.0
//! A reader that stays in its read section, and looks how old what it holds gets.

use std::time::Duration;

use nix::errno::Errno;
use ostor::device::{Ages, Map, Owner, Result};
use ostor::random::Random;

use crate::stress::findings::Findings;
use crate::stress::world::World;

/// How long a read section is: some are over before the reaper has begun, and some
/// go on for several of its turns.
const STAYS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_micros(200),
    Duration::from_millis(5),
    Duration::from_millis(25),
];

/// Whether the module tells of ages, as its test flavour does.
pub(super) fn is_served() -> Result<bool> {
    let map = Map::create(1)?;
    let ages = Ages::of(&map, Owner::Current, Duration::ZERO);
    Ok(!matches!(ages, Err(error) if error.errno() == Errno::ENOTTY))
}

/// Looks once at what is in any map and in the index, from any owner on.
pub(super) fn look(world: &World, random: &mut Random, findings: &mut Findings) {
    let map = world.map(|end| random.below(end));
    let owner = world.owner(|end| random.below(end));
    let stay = STAYS[random.below(STAYS.len())];
    match Ages::of(&map.map, owner.object.owner(), stay) {
        Ok(ages) => {
            for (age, count) in ages.counts.into_iter().enumerate() {
                findings.add(&format!("held, unlinked {age} grace periods ago"), count);
            }
            if ages.freed() > 0 {
                findings.problem(format!(
                    "freed under a reader that stayed {stay:?}: {ages:?}"
                ));
            }
        }
        Err(error) if error.errno() == Errno::ESRCH && owner.is_doomed() => {
            findings.add("held: ESRCH", 1);
        }
        Err(error) => findings.problem(format!("a reader: {error}")),
    }
}
