// SPDX-License-Identifier: GPL-2.0

//! Lock cycles of several CPUs, and a CPU that holds a lock too long. Measures how long the CPUs
//! that wait take to get an error.

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

/// How long a CPU waits until the others hold their locks, too.
const GATHER_NS: u64 = 3_000_000_000;

const NS_PER_MS: u64 = 1_000_000;

/// Set while a lock cycle is being made; at most one at a time.
static IS_TAKEN: Atomic<bool> = Atomic::new(false);

/// Allows its holder to make a cycle. There is one at a time: two cycles would each wait for CPUs
/// that the other one occupies.
struct Exclusive;

impl Exclusive {
    fn take() -> Result<Self> {
        if IS_TAKEN.xchg(true, Acquire) {
            return Err(EBUSY);
        }
        Ok(Self)
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        IS_TAKEN.store(false, Release);
    }
}

/// One CPU of the cycle.
#[pin_data]
struct Place {
    cpu: u32,
    /// The owner whose lock this CPU takes first.
    #[pin]
    owner: OwnerSlot,
    /// Whether it has taken that lock.
    entered: Atomic<bool>,
    /// The result of the update of the next CPU's owner: 0 or a negative errno value.
    result: Atomic<i32>,
    ns: Counter,
    done: Atomic<bool>,
}

struct Cycle {
    map: ByteMap,
    places: KVec<Pin<KBox<Place>>>,
    /// An owner outside of the cycle.
    bystander: Pin<KBox<OwnerSlot>>,
    /// How long the first CPU holds its lock, for which all others wait. If it is 0, each CPU waits
    /// for the next one, and the last for the first.
    stall_ns: u64,
    /// Set if a CPU did not see the others hold their locks in time. Then there was no cycle.
    is_open: Atomic<bool>,
}

/// Makes a lock cycle, and reports how long each CPU took to leave it.
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
    let _turn = Exclusive::take()?;
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
            let place = pin_init!(Place {
                cpu,
                owner <- OwnerSlot::new(),
                entered: Atomic::new(false),
                result: Atomic::new(0),
                ns: Counter::new(),
                done: Atomic::new(false),
            });
            places.push(KBox::pin_init(place, GFP_KERNEL)?, GFP_KERNEL)?;
        }
        let cycle = Self {
            map,
            places,
            bystander: KBox::pin_init(OwnerSlot::new(), GFP_KERNEL)?,
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

    /// Makes the cycle. Returns how many updates of the bystander's element have succeeded and
    /// failed meanwhile.
    fn run(&self, cpus: &[u32]) -> Result<(u64, u64)> {
        let (mut ok, mut failed) = (0, 0);
        let each = |cpu: u32, _: &Stop| self.take_part(cpu);
        let watch = || {
            while !self.places.iter().all(|place| place.done.load(Acquire)) {
                match self.update(&self.bystander) {
                    Ok(()) => ok += 1,
                    // While a CPU holds its lock, no grace period ends, and the elements that were
                    // replaced wait to be freed.
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

    /// The function of one CPU's thread.
    fn take_part(&self, cpu: u32) {
        let Some(at) = self.places.iter().position(|place| place.cpu == cpu) else {
            return;
        };
        let place = &self.places[at];
        if self.stall_ns != 0 && at != 0 {
            let holder = &self.places[0];
            if self.gather(|| holder.entered.load(Acquire)) {
                self.wait_for(place, &holder.owner);
            }
        } else {
            // If this fails, the update in `locked` has failed, whose result is stored there.
            let _ = self.update(&place.owner);
        }
        place.done.store(true, Release);
    }

    /// Called with the lock of the owner at `addr` held.
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
            // A CPU that comes late must find the lock held, too.
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
            self.wait_for(place, &next.owner);
        }
    }

    /// Waits until the other CPUs hold their locks, as `held` returns. Returns whether they do.
    fn gather(&self, held: impl Fn() -> bool) -> bool {
        let is_cycle = spin(GATHER_NS, held);
        if !is_cycle {
            self.is_open.store(true, Relaxed);
        }
        is_cycle
    }

    /// Updates the element of another CPU's owner, for whose lock this CPU has to wait, and
    /// measures how long that takes. The interrupts are off: after a long wait the scheduler would
    /// run other tasks, for as long, before the clock is read.
    fn wait_for(&self, place: &Place, owner: &OwnerSlot) {
        let result = with_irqs_off(|| {
            let start = clock::now_ns();
            let result = self.update(owner);
            place.ns.raise_to(clock::now_ns().saturating_sub(start));
            result
        });
        place.result.store(code(result), Relaxed);
    }
}

/// Spins until `is_over` returns true, for `ns` nanoseconds at most. Returns whether it did.
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
