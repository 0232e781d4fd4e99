// SPDX-License-Identifier: GPL-2.0

//! Mass exit: a map with very many elements ends while their owners die.

use crate::{
    arg::Arg,
    context,
    sync::{
        self,
        clock::Stopwatch,
        counter::Counter,
        Atomic,
        Completion,
        Relaxed, //
    },
    thread::{
        self,
        Stop, //
    },
    uapi::{
        ostor_mass_exit,
        OSTOR_MASS_EXIT_MAX, //
    }, //
};
use kernel::{
    current,
    prelude::*,
    sync::{
        rcu,
        Arc, //
    }, //
};
use owner_storage::api::{
    Map,
    Mode,
    OwnerSlot,
    Refusal, //
};

/// An owner, and the number of its values that were dropped.
#[pin_data]
struct Place {
    #[pin]
    owner: OwnerSlot,
    dropped: Atomic<u32>,
}

type Places = KVVec<Pin<KBox<Place>>>;

/// A value whose drop is counted for its owner.
struct CountedValue {
    places: Arc<Places>,
    n: usize,
}

impl Drop for CountedValue {
    fn drop(&mut self) {
        if let Some(place) = self.places.get(self.n) {
            place.dropped.add(1, Relaxed);
        }
    }
}

/// What the thread that ends the owners reports.
#[pin_data]
struct Deaths {
    /// Completed before the first owner ends.
    #[pin]
    begun: Completion,
    had_storage: Counter,
    ns: Counter,
}

/// Ends a map and the owners of its elements at the same time.
pub(crate) fn run(arg: &Arg) -> Result {
    let mut req = ostor_mass_exit::default();
    arg.read_for_update(&mut req)?;
    if req.reserved != [0; 3] || !(1..=u64::from(OSTOR_MASS_EXIT_MAX)).contains(&req.count) {
        return Err(EINVAL);
    }
    let places = Arc::new(places(usize::try_from(req.count)?)?, GFP_KERNEL)?;
    let _end = End(&places);
    let deaths = Arc::pin_init(
        pin_init!(Deaths {
            begun <- Completion::new(),
            had_storage: Counter::new(),
            ns: Counter::new(),
        }),
        GFP_KERNEL,
    )?;
    let map = Map::new(sync::this_module())?;
    let watch = Stopwatch::start();
    populate(&map, &places)?;
    req.create_ns = watch.elapsed_ns();
    let cpu = context::another_cpu();
    let end = |_: u32, _: &Stop| end_owners(&places, &deaths);
    thread::with_threads(&[cpu], &end, || {
        deaths.begun.wait_for_completion();
        let watch = Stopwatch::start();
        drop(map);
        req.end_ns = watch.elapsed_ns();
    })?;
    req.death_ns = deaths.ns.get();
    req.deaths = deaths.had_storage.get();
    let once = |place: &&Pin<KBox<Place>>| place.dropped.load(Relaxed) == 1;
    req.dropped = places.iter().filter(once).count() as u64;
    arg.write(&req)
}

/// Owners without values. May sleep.
fn places(count: usize) -> Result<Places> {
    let mut places = KVVec::with_capacity(count, GFP_KERNEL)?;
    for _ in 0..count {
        let place = pin_init!(Place {
            owner <- OwnerSlot::new(),
            dropped: Atomic::new(0),
        });
        places.push(KBox::pin_init(place, GFP_KERNEL)?, GFP_KERNEL)?;
    }
    Ok(places)
}

/// Stores a value for each owner.
fn populate(map: &Map<CountedValue>, places: &Arc<Places>) -> Result {
    for n in 0..places.len() {
        if current!().signal_pending() {
            return Err(EINTR);
        }
        let value = CountedValue {
            places: places.clone(),
            n,
        };
        store(map, &places[n].owner, value)?;
        sync::cond_resched();
    }
    Ok(())
}

/// Stores a value for an owner.
fn store(map: &Map<CountedValue>, owner: &OwnerSlot, value: CountedValue) -> Result<(), Refusal> {
    let rcu = rcu::read_lock();
    map.update(owner, Mode::NoExist, value, &rcu)?;
    Ok(())
}

/// Ends all owners, one after the other, after one grace period.
fn end_owners(places: &Places, deaths: &Deaths) {
    OwnerSlot::begin_end_all(owners(places));
    deaths.begun.complete_all();
    let watch = Stopwatch::start();
    for owner in owners(places) {
        // SAFETY: `begin_end_all` has waited for a grace period.
        let had_storage = unsafe { owner.end() };
        deaths.had_storage.add(had_storage.into());
        sync::cond_resched();
    }
    deaths.ns.raise_to(watch.elapsed_ns());
}

fn owners(places: &Places) -> impl Iterator<Item = &OwnerSlot> {
    places.iter().map(|place| &place.owner)
}

/// Its drop ends the owners that are live, for the price of one grace period. Each by itself would
/// wait for one.
struct End<'a>(&'a Places);

impl Drop for End<'_> {
    fn drop(&mut self) {
        if !owners(self.0).all(OwnerSlot::has_ended) {
            OwnerSlot::end_all(|| owners(self.0));
        }
    }
}
