// SPDX-License-Identifier: GPL-2.0

//! Lock cycles of several CPUs, and a holder that does not let go, made on purpose: how long does
//! it take until the lock gives up?

use crate::{
    arg::Arg,
    context,
    contexts::cpus_of,
    op::code,
    probes,
    sync::{
        self,
        clock,
        counter::Counter,
        irq::with_irqs_off,
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    },
    thread::{
        self,
        Stop, //
    },
    uapi::{
        self,
        ostor_cycle,
        ostor_cycle_cpu, //
    }, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};
use owner_storage::api::{
    self,
    ByteMap,
    Event,
    Mode,
    OwnerSlot, //
};

const CPUS_MAX: usize = uapi::OSTOR_CYCLE_CPUS_MAX as usize;

/// How long a CPU waits for the others to hold their locks too.
const GATHER_NS: u64 = 3_000_000_000;

const NS_PER_MS: u64 = 1_000_000;

/// Set while a lock cycle is being made; at most one at a time.
static IS_TAKEN: Atomic<bool> = Atomic::new(false);

/// The right to make a cycle: two at once would wait for CPUs that the other one keeps.
struct Turn;

impl Turn {
    fn take() -> Result<Self> {
        if IS_TAKEN.xchg(true, Acquire) {
            return Err(EBUSY);
        }
        Ok(Self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        IS_TAKEN.store(false, Release);
    }
}

/// One CPU of the cycle.
struct Place {
    cpu: u32,
    /// Its own owner, whose lock it takes.
    owner: OwnerSlot,
    /// Whether it has come into the section of that lock.
    entered: Atomic<bool>,
    /// Of the update of the next one's owner: 0 or a negative errno value.
    result: Atomic<i32>,
    ns: Counter,
    done: Atomic<bool>,
}

struct Cycle {
    map: ByteMap,
    places: KVec<Place>,
    /// An owner that has nothing to do with it.
    bystander: OwnerSlot,
    /// How long the first CPU stays in its section; 0 is a ring.
    stall_ns: u64,
    /// Whether a CPU waited for the others in vain, so that there was no cycle.
    is_open: Atomic<bool>,
}

/// Makes a lock cycle, and tells how long each CPU took to get out of it.
pub(crate) fn run(arg: &Arg) -> Result {
    let mut req = ostor_cycle::default();
    arg.read_for_update(&mut req)?;
    let is_stall = match req.kind {
        uapi::OSTOR_CYCLE_RING => false,
        uapi::OSTOR_CYCLE_STALL => true,
        _ => return Err(EINVAL),
    };
    let stalls = if is_stall {
        1..=uapi::OSTOR_CYCLE_STALL_MAX_MS
    } else {
        0..=0
    };
    if req.reserved != [0; 2] || !stalls.contains(&req.stall_ms) {
        return Err(EINVAL);
    }
    let cpus = cpus_of(req.cpus)?;
    if !(2..=CPUS_MAX).contains(&cpus.len()) {
        return Err(EINVAL);
    }
    let _turn = Turn::take()?;
    let cycle = Cycle::new(&cpus, u64::from(req.stall_ms) * NS_PER_MS)?;
    (req.others_ok, req.others_failed) = cycle.run(&cpus)?;
    req.seen = [ostor_cycle_cpu::default(); CPUS_MAX];
    for (seen, place) in req.seen.iter_mut().zip(&cycle.places) {
        *seen = ostor_cycle_cpu {
            cpu: place.cpu,
            result: place.result.load(Relaxed),
            ns: place.ns.get(),
        };
    }
    arg.write(&req)
}

impl Cycle {
    fn new(cpus: &[u32], stall_ns: u64) -> Result<Self> {
        let map = ByteMap::new(sync::this_module(), size_of::<u64>())?;
        let mut places = KVec::with_capacity(cpus.len(), GFP_KERNEL)?;
        for &cpu in cpus {
            let place = Place {
                cpu,
                owner: OwnerSlot::new(),
                entered: Atomic::new(false),
                result: Atomic::new(0),
                ns: Counter::new(),
                done: Atomic::new(false),
            };
            places.push(place, GFP_KERNEL)?;
        }
        let cycle = Self {
            map,
            places,
            bystander: OwnerSlot::new(),
            stall_ns,
            is_open: Atomic::new(false),
        };
        for place in &cycle.places {
            cycle.update(&place.owner)?;
        }
        Ok(cycle)
    }

    /// Updates an owner's element. Any context.
    fn update(&self, owner: &OwnerSlot) -> Result {
        let rcu = rcu::read_lock();
        self.map.put(owner, Mode::Any, &[], &rcu)?;
        Ok(())
    }

    /// Makes the cycle, and returns how many updates of the bystander's succeeded and failed
    /// meanwhile.
    fn run(&self, cpus: &[u32]) -> Result<(u64, u64)> {
        let (mut ok, mut failed) = (0, 0);
        let each = |cpu: u32, _: &Stop| self.take_part(cpu);
        let watch = || {
            while !self.places.iter().all(|place| place.done.load(Acquire)) {
                match self.update(&self.bystander) {
                    Ok(()) => ok += 1,
                    // While a CPU stalls no grace period ends, and what is replaced adds up.
                    Err(ENOMEM) => api::flush(),
                    Err(_) => failed += 1,
                }
                sync::cond_resched();
            }
        };
        let listen = |addr| self.locked(addr);
        let threads = || thread::with_threads(cpus, &each, watch);
        probes::with_listener(Event::StorageLocked, &listen, threads)??;
        if self.is_open.load(Relaxed) {
            return Err(EAGAIN);
        }
        Ok((ok, failed))
    }

    /// What the thread of a CPU does.
    fn take_part(&self, cpu: u32) {
        let Some(at) = self.places.iter().position(|place| place.cpu == cpu) else {
            return;
        };
        let place = &self.places[at];
        if self.stall_ns != 0 && at != 0 {
            let holder = &self.places[0];
            if self.gather(|| holder.entered.load(Acquire)) {
                self.want(place, &holder.owner);
            }
        } else {
            // An error is that of the update inside the section, which has its own result.
            let _ = self.update(&place.owner);
        }
        place.done.store(true, Release);
    }

    /// What happens inside the section of the lock of the owner at `addr`.
    fn locked(&self, addr: usize) {
        let cpu = context::this_cpu();
        let mut places = self.places.iter().enumerate();
        let Some((at, place)) = places.find(|(_, place)| place.cpu == cpu) else {
            return;
        };
        if place.owner.addr() != addr || place.entered.load(Relaxed) {
            return;
        }
        place.entered.store(true, Release);
        if self.stall_ns != 0 {
            // A CPU that is late must meet the lock held too.
            spin(self.stall_ns, || {
                let mut others = self.places.iter().skip(1);
                others.all(|place| place.done.load(Acquire))
            });
            return;
        }
        if !self.gather(|| self.places.iter().all(|place| place.entered.load(Acquire))) {
            return;
        }
        if let Some(next) = self.places.get(at + 1).or(self.places.first()) {
            self.want(place, &next.owner);
        }
    }

    /// Waits until the others are `there`; false if they do not come.
    fn gather(&self, there: impl Fn() -> bool) -> bool {
        let is_met = spin(GATHER_NS, there);
        if !is_met {
            self.is_open.store(true, Relaxed);
        }
        is_met
    }

    /// Wants another one's lock. After a long wait the scheduler runs other tasks for as long, so no
    /// task switch may come before the clock is read.
    fn want(&self, place: &Place, owner: &OwnerSlot) {
        let result = with_irqs_off(|| {
            let start = clock::now_ns();
            let result = self.update(owner);
            place.ns.raise_to(clock::now_ns().saturating_sub(start));
            result
        });
        place.result.store(code(result), Relaxed);
    }
}

/// Spins until `is_over`, for `ns` at the most; false if that was too short.
fn spin(ns: u64, is_over: impl Fn() -> bool) -> bool {
    let start = clock::now_ns();
    while !is_over() {
        if clock::now_ns().saturating_sub(start) >= ns {
            return false;
        }
        sync::cpu_relax();
    }
    true
}
