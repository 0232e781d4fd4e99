// SPDX-License-Identifier: GPL-2.0
//! How operations went: results and times.

use nix::errno::Errno;
use serde::Serialize;
use uapi::ostor_tally;

/// Counts of results, and a histogram of times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally(ostor_tally);

impl From<ostor_tally> for Tally {
    fn from(tally: ostor_tally) -> Self {
        Self(tally)
    }
}

impl Tally {
    /// Adds what came out elsewhere or later.
    pub fn add(&mut self, other: &Self) {
        let (sum, more) = (&mut self.0, &other.0);
        sum.ok += more.ok;
        sum.enoent += more.enoent;
        sum.eexist += more.eexist;
        sum.esrch += more.esrch;
        sum.enomem += more.enomem;
        sum.edeadlk += more.edeadlk;
        sum.etimedout += more.etimedout;
        sum.other += more.other;
        sum.max_ns = sum.max_ns.max(more.max_ns);
        for (sum, more) in sum.histogram.iter_mut().zip(more.histogram) {
            *sum += more;
        }
    }

    /// How many succeeded.
    pub fn ok(&self) -> u64 {
        self.0.ok
    }

    /// How many found nothing.
    pub fn found_nothing(&self) -> u64 {
        self.0.enoent
    }

    /// How many met a lock that their CPU held.
    pub fn deadlocks(&self) -> u64 {
        self.0.edeadlk
    }

    /// The other errors: how many of each there were, where there were any.
    pub fn failures(&self) -> Vec<(Errno, u64)> {
        let all = [
            (Errno::EEXIST, self.0.eexist),
            (Errno::ESRCH, self.0.esrch),
            (Errno::ENOMEM, self.0.enomem),
            (Errno::ETIMEDOUT, self.0.etimedout),
            (Errno::UnknownErrno, self.0.other),
        ];
        all.into_iter().filter(|&(_, count)| count != 0).collect()
    }

    /// Nanoseconds that the longest one took.
    pub fn max_ns(&self) -> u64 {
        self.0.max_ns
    }

    /// Nanoseconds below which so many percent of all remained; nothing if
    /// there were none.
    pub fn percentile_ns(&self, percent: u64) -> Option<u64> {
        let total: u64 = self.0.histogram.iter().sum();
        let wanted = (total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        self.0.histogram.iter().enumerate().find_map(|(i, count)| {
            seen += count;
            (seen >= wanted).then_some((2 << i).min(self.0.max_ns))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(times: &[(usize, u64)], max_ns: u64) -> Tally {
        let mut tally = ostor_tally {
            max_ns,
            ..ostor_tally::default()
        };
        for &(bucket, count) in times {
            tally.histogram[bucket] = count;
            tally.ok += count;
        }
        tally.into()
    }

    #[test]
    fn percentiles_are_upper_bounds() {
        let tally = tally(&[(3, 98), (10, 2)], 1500);
        assert_eq!(tally.percentile_ns(50), Some(16));
        assert_eq!(tally.percentile_ns(98), Some(16));
        assert_eq!(tally.percentile_ns(99), Some(1500));
        assert_eq!(Tally::default().percentile_ns(99), None);
    }

    #[test]
    fn sums_keep_the_longest_time() {
        let mut sum = tally(&[(3, 1)], 12);
        sum.add(&tally(&[(3, 2), (4, 1)], 20));
        assert_eq!(sum, tally(&[(3, 3), (4, 1)], 20));
        sum.add(&tally(&[], 7));
        assert_eq!((sum.ok(), sum.max_ns()), (4, 20));
    }

    #[test]
    fn failures_are_named() {
        let tally = Tally(ostor_tally {
            enoent: 1,
            edeadlk: 2,
            enomem: 3,
            ..ostor_tally::default()
        });
        assert_eq!(tally.failures(), [(Errno::ENOMEM, 3)]);
        assert_eq!((tally.found_nothing(), tally.deadlocks()), (1, 2));
    }
}
