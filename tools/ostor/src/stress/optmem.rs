// SPDX-License-Identifier: GPL-2.0
//! Threads race for the last of a socket's option memory: together they never
//! get more than the limit, and whoever gets none is told so.

use std::os::unix::net::UnixDatagram;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use nix::errno::Errno;
use ostor::device::{self, Map, Mode, Owner};
use ostor::optmem;
use ostor::sys::socket::option_memory;

use super::findings::Findings;
use crate::progress::Progress;

const THREADS: usize = 8;

/// Bytes per value: so many that a hundred maps or so reach the limit.
const VALUE_SIZE: u32 = 2048;

/// Races `rounds` times.
pub(crate) fn run(rounds: u64) -> Result<Findings> {
    let before = device::stats()?;
    let limit = optmem::limit()?;
    let maps_per_thread = maps_per_thread(limit);
    ensure!(
        maps_per_thread <= 512,
        "net.core.optmem_max is {limit}, which is too much to be filled; lower it"
    );
    let maps = (0..THREADS * maps_per_thread).map(|_| Map::create(VALUE_SIZE));
    let maps = maps.collect::<device::Result<Vec<_>>>()?;
    let socket = UnixDatagram::unbound()?;
    let mut findings = Findings::default();
    let mut progress = Progress::new("rounds", rounds);
    for round in 0..rounds {
        let race = Race {
            maps: &maps,
            socket: &socket,
            limit,
        };
        race.run(&mut findings)?;
        progress.at(round + 1);
        if findings.is_hopeless() {
            break;
        }
    }
    drop(progress);
    findings.add("fills of a socket", rounds);
    drop((maps, socket));
    findings.expect_nothing_left(&before)?;
    Ok(findings)
}

/// How many maps each thread needs, so that all together pass the limit.
fn maps_per_thread(limit: u64) -> usize {
    let elements = limit / u64::from(VALUE_SIZE) + 1;
    (elements as usize).div_ceil(THREADS) + 2
}

/// One round: a socket, and maps that it has no value in yet.
struct Race<'a> {
    maps: &'a [Map],
    socket: &'a UnixDatagram,
    limit: u64,
}

impl Race<'_> {
    fn run(&self, findings: &mut Findings) -> Result<()> {
        let at_first = option_memory(self.socket)?;
        self.sampled(findings, |findings| {
            findings.merge(self.on_all_threads(Self::store));
        })?;
        let stored = self.stored()?;
        findings.add("values below the limit", stored.len() as u64);
        if stored.is_empty() || stored.len() == self.maps.len() {
            findings.problem(format!(
                "{} of {} values fit below the limit, so nobody raced for the last",
                stored.len(),
                self.maps.len()
            ));
        }
        // Whoever lost the race alone may find room now; then there is none.
        findings.merge(self.store(self.maps));
        let full = option_memory(self.socket)?;
        findings.merge(self.on_all_threads(Self::replace));
        findings.expect(
            "option memory after replacing",
            option_memory(self.socket)?,
            full,
        );
        for map in self.maps {
            match map.delete(self.owner()) {
                Ok(()) => {}
                Err(error) if error.errno() == Errno::ENOENT => {}
                Err(error) => findings.problem(format!("a delete: {error}")),
            }
        }
        let at_last = option_memory(self.socket)?;
        findings.expect("option memory after deleting", at_last, at_first);
        Ok(())
    }

    fn owner(&self) -> Owner<'_> {
        Owner::socket(self.socket)
    }

    /// Reads the socket's option memory again and again meanwhile.
    fn sampled(
        &self,
        findings: &mut Findings,
        meanwhile: impl FnOnce(&mut Findings),
    ) -> Result<()> {
        let stop = AtomicBool::new(false);
        let sampled = thread::scope(|scope| {
            let sampler = scope.spawn(|| -> nix::Result<(u64, u64)> {
                let (mut most, mut samples) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    most = most.max(option_memory(self.socket)?);
                    samples += 1;
                    thread::yield_now();
                }
                Ok((most, samples))
            });
            meanwhile(findings);
            stop.store(true, Ordering::Relaxed);
            sampler.join().expect("the sampler does not panic")
        });
        let (most, samples) = sampled?;
        findings.add("samples of option memory", samples);
        if most > self.limit {
            findings.problem(format!(
                "{most} bytes of option memory, limit {}",
                self.limit
            ));
        }
        Ok(())
    }

    /// Lets each thread do something with maps of its own, all at once.
    fn on_all_threads(&self, work: fn(&Self, &[Map]) -> Findings) -> Findings {
        let barrier = Barrier::new(THREADS);
        let mut findings = Findings::default();
        thread::scope(|scope| {
            let threads: Vec<_> = self
                .maps
                .chunks(self.maps.len().div_ceil(THREADS))
                .map(|maps| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        barrier.wait();
                        work(self, maps)
                    })
                })
                .collect();
            for thread in threads {
                findings.merge(thread.join().expect("the thread does not panic"));
            }
        });
        findings
    }

    /// Stores as many values as there is room for.
    fn store(&self, maps: &[Map]) -> Findings {
        let mut findings = Findings::default();
        for map in maps {
            match map.get_or_create(self.owner(), b"raced for") {
                Ok(_) => {}
                Err(error) if error.errno() == Errno::ENOMEM => {
                    findings.add("values refused at the limit", 1)
                }
                Err(error) => findings.problem(format!("a create: {error}")),
            }
        }
        findings
    }

    /// Replaces all values there are, which needs no more room.
    fn replace(&self, maps: &[Map]) -> Findings {
        let mut findings = Findings::default();
        for map in maps {
            match map.update(self.owner(), b"replaced", Mode::Exist) {
                Ok(_) => findings.add("values replaced at the limit", 1),
                Err(error) if error.errno() == Errno::ENOENT => {}
                Err(error) => findings.problem(format!("a replacing update: {error}")),
            }
        }
        findings
    }

    /// The maps in which the socket has a value.
    fn stored(&self) -> Result<Vec<uapi::ostor_owned>> {
        Ok(device::list_owner(&self.maps[0], self.owner())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_together_pass_the_limit() {
        for limit in [20_480, 131_072, 1 << 20] {
            let values = (THREADS * maps_per_thread(limit)) as u64;
            assert!(values * u64::from(VALUE_SIZE) > limit);
        }
    }
}
