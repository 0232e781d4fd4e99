// SPDX-License-Identifier: GPL-2.0
//! Threads race for the last option memory of a socket: together they never exceed the
//! limit, and a create beyond it fails with ENOMEM.

use std::os::unix::net::UnixDatagram;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use nix::errno::Errno;
use ostor::device::{self, Map, Mode, Owner};
use ostor::optmem;
use ostor::sys::socket::option_memory;

use ostor::progress::Progress;
use ostor::report::Report;

const THREADS: usize = 8;

/// Bytes per value, so that about a hundred values reach the limit.
const VALUE_SIZE: u32 = 2048;

/// Runs `rounds` races.
pub(crate) fn run(rounds: u64) -> Result<Report> {
    let before = device::stats()?;
    let limit = optmem::limit()?;
    let maps_per_thread = maps_per_thread(limit);
    ensure!(
        maps_per_thread <= 512,
        "net.core.optmem_max is {limit}, too much to fill; lower it"
    );
    let maps = (0..THREADS * maps_per_thread).map(|_| Map::create(VALUE_SIZE));
    let maps = maps.collect::<device::Result<Vec<_>>>()?;
    let socket = UnixDatagram::unbound()?;
    let mut report = Report::default();
    let mut progress = Progress::new("rounds", rounds);
    for round in 0..rounds {
        let race = Race {
            maps: &maps,
            socket: &socket,
            limit,
        };
        race.run(&mut report)?;
        progress.at(round + 1);
        if report.is_hopeless() {
            break;
        }
    }
    drop(progress);
    report.add("fills of a socket", rounds);
    drop((maps, socket));
    report.expect_nothing_left(&before)?;
    Ok(report)
}

/// The number of maps that each thread needs to exceed the limit together.
fn maps_per_thread(limit: u64) -> usize {
    let elements = limit / u64::from(VALUE_SIZE) + 1;
    (elements as usize).div_ceil(THREADS) + 2
}

/// One round: a socket, and maps in which it has no value yet.
struct Race<'a> {
    maps: &'a [Map],
    socket: &'a UnixDatagram,
    limit: u64,
}

impl Race<'_> {
    fn run(&self, report: &mut Report) -> Result<()> {
        let at_first = option_memory(self.socket)?;
        self.sampled(report, |report| {
            report.merge(self.on_all_threads(Self::store));
        })?;
        let stored = self.stored()?;
        report.add("values below the limit", stored.len() as u64);
        if stored.is_empty() || stored.len() == self.maps.len() {
            report.problem(format!(
                "{} of {} values fit below the limit, so no thread raced for the last bytes",
                stored.len(),
                self.maps.len()
            ));
        }
        // A thread that lost the race may have left room, which this fills.
        report.merge(self.store(self.maps));
        let full = option_memory(self.socket)?;
        report.merge(self.on_all_threads(Self::replace));
        report.expect(
            "option memory after replacing",
            option_memory(self.socket)?,
            full,
        );
        for map in self.maps {
            match map.delete(self.owner()) {
                Ok(()) => {}
                Err(error) if error.errno() == Errno::ENOENT => {}
                Err(error) => report.problem(format!("a delete: {error}")),
            }
        }
        let at_last = option_memory(self.socket)?;
        report.expect("option memory after deleting", at_last, at_first);
        Ok(())
    }

    fn owner(&self) -> Owner<'_> {
        Owner::socket(self.socket)
    }

    /// Reads the socket's option memory repeatedly while `body` runs.
    fn sampled(&self, report: &mut Report, body: impl FnOnce(&mut Report)) -> Result<()> {
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
            body(report);
            stop.store(true, Ordering::Relaxed);
            sampler.join().expect("the sampler does not panic")
        });
        let (most, samples) = sampled?;
        report.add("samples of option memory", samples);
        if most > self.limit {
            report.problem(format!(
                "{most} bytes of option memory, limit {}",
                self.limit
            ));
        }
        Ok(())
    }

    /// Runs `work` on all threads at the same time, each with maps of its own.
    fn on_all_threads(&self, work: fn(&Self, &[Map]) -> Report) -> Report {
        let barrier = Barrier::new(THREADS);
        let mut report = Report::default();
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
                report.merge(thread.join().expect("the thread does not panic"));
            }
        });
        report
    }

    /// Stores values until the limit is reached.
    fn store(&self, maps: &[Map]) -> Report {
        let mut report = Report::default();
        for map in maps {
            match map.get_or_create(self.owner(), b"raced for") {
                Ok(_) => {}
                Err(error) if error.errno() == Errno::ENOMEM => {
                    report.add("values refused at the limit", 1)
                }
                Err(error) => report.problem(format!("a create: {error}")),
            }
        }
        report
    }

    /// Replaces all stored values, which needs no more memory.
    fn replace(&self, maps: &[Map]) -> Report {
        let mut report = Report::default();
        for map in maps {
            match map.update(self.owner(), b"replaced", Mode::Exist) {
                Ok(_) => report.add("values replaced at the limit", 1),
                Err(error) if error.errno() == Errno::ENOENT => {}
                Err(error) => report.problem(format!("a replacing update: {error}")),
            }
        }
        report
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
    fn all_threads_together_exceed_the_limit() {
        for limit in [20_480, 131_072, 1 << 20] {
            let values = (THREADS * maps_per_thread(limit)) as u64;
            assert!(values * u64::from(VALUE_SIZE) > limit);
        }
    }
}
