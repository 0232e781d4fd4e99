// SPDX-License-Identifier: GPL-2.0

//! The driver of a crowd: a map with very many elements ends while its owners die.

use super::Arg;
use crate::{
    owner::{
        caller,
        crowd::{
            Crowd,
            Member, //
        }, //
    },
    storage::{
        create::Mode,
        error::Refusal,
        map::Map, //
    },
    sync::{
        clock::Stopwatch,
        deferred::{
            self,
            Workqueue, //
        },
        rcu,
        Atomic,
        Completion,
        Relaxed, //
    },
    uapi::{
        ostor_crowd,
        OSTOR_CROWD_MAX, //
    }, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A value that its owner counts the drop of.
struct Belonging {
    crowd: Arc<Crowd>,
    n: usize,
}

impl Drop for Belonging {
    fn drop(&mut self) {
        self.crowd.value_dropped(self.n);
    }
}

/// What the thread in which the owners die tells.
#[pin_data]
struct Deaths {
    /// The first one is to die.
    #[pin]
    begun: Completion,
    had_storage: Atomic<u64>,
    ns: Atomic<u64>,
}

pub(super) fn crowd(arg: &Arg) -> Result {
    let mut req: ostor_crowd = arg.read_for_update()?;
    if req.reserved != [0; 2] || !(1..=u64::from(OSTOR_CROWD_MAX)).contains(&req.count) {
        return Err(EINVAL);
    }
    let crowd = Arc::new(Crowd::new(usize::try_from(req.count)?)?, GFP_KERNEL)?;
    let deaths = Arc::pin_init(
        pin_init!(Deaths {
            begun <- Completion::new(),
            had_storage: Atomic::new(0),
            ns: Atomic::new(0),
        }),
        GFP_KERNEL,
    )?;
    let queue = Workqueue::new()?;
    let map = Map::new()?;
    let watch = Stopwatch::start();
    populate(&map, &crowd)?;
    req.create_ns = watch.elapsed_ns();
    queue.spawn({
        let (crowd, deaths) = (crowd.clone(), deaths.clone());
        move || die(&crowd, &deaths)
    })?;
    deaths.begun.wait_for_completion();
    let watch = Stopwatch::start();
    drop(map);
    req.end_ns = watch.elapsed_ns();
    // Waits for the last death.
    drop(queue);
    req.death_ns = deaths.ns.load(Relaxed);
    req.deaths = deaths.had_storage.load(Relaxed);
    req.dropped = crowd.dropped_once() as u64;
    req.charged = crowd.charged();
    arg.write(&req)
}

/// Gives everybody an element.
fn populate(map: &Map<Belonging>, crowd: &Arc<Crowd>) -> Result {
    for (n, member) in crowd.members().enumerate() {
        if caller::current().signal_pending() {
            return Err(EINTR);
        }
        let belonging = Belonging {
            crowd: crowd.clone(),
            n,
        };
        give(map, &member, belonging)?;
        deferred::cond_resched();
    }
    Ok(())
}

/// Gives one an element.
fn give(map: &Map<Belonging>, member: &Member<'_>, belonging: Belonging) -> Result<(), Refusal> {
    let rcu = rcu::read_lock();
    map.update(member, Mode::NoExist, belonging, &rcu)?;
    Ok(())
}

fn die(crowd: &Crowd, deaths: &Deaths) {
    let doomed = crowd.doom();
    deaths.begun.complete_all();
    let watch = Stopwatch::start();
    for had_storage in doomed.deaths() {
        deaths.had_storage.add(had_storage.into(), Relaxed);
        deferred::cond_resched();
    }
    deaths.ns.store(watch.elapsed_ns(), Relaxed);
}
