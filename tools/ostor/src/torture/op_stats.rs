// SPDX-License-Identifier: GPL-2.0
//! Results and times of a number of operations.

use nix::errno::Errno;
use serde::Serialize;
use uapi::ostor_op_stats;

/// Counts of results, and a log2 histogram of times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OpStats(ostor_op_stats);

impl From<ostor_op_stats> for OpStats {
    fn from(stats: ostor_op_stats) -> Self {
        Self(stats)
    }
}

impl OpStats {
    /// Adds the counts of another run or CPU.
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

    /// Number of operations that succeeded.
    pub fn ok(&self) -> u64 {
        self.0.ok
    }

    /// Number of operations that failed with ENOENT.
    pub fn found_nothing(&self) -> u64 {
        self.0.enoent
    }

    /// Number of operations that failed with EDEADLK: their CPU held the lock already.
    pub fn deadlocks(&self) -> u64 {
        self.0.edeadlk
    }

    /// The other errors, each with the number of operations that failed with it.
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

    /// Nanoseconds of the slowest operation.
    pub fn max_ns(&self) -> u64 {
        self.0.max_ns
    }

    /// The histogram: bucket `i` counts the operations of 2^i to 2^(i+1) nanoseconds.
    pub fn histogram(&self) -> &[u64] {
        &self.0.histogram
    }

    /// An upper bound, in nanoseconds, of the given percentile; `None` without operations.
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

    fn stats(times: &[(usize, u64)], max_ns: u64) -> OpStats {
        let mut stats = ostor_op_stats {
            max_ns,
            ..ostor_op_stats::default()
        };
        for &(bucket, count) in times {
            stats.histogram[bucket] = count;
            stats.ok += count;
        }
        stats.into()
    }

    #[test]
    fn percentiles_are_upper_bounds() {
        let stats = stats(&[(3, 98), (10, 2)], 1500);
        assert_eq!(stats.percentile_ns(50), Some(16));
        assert_eq!(stats.percentile_ns(98), Some(16));
        assert_eq!(stats.percentile_ns(99), Some(1500));
        assert_eq!(OpStats::default().percentile_ns(99), None);
    }

    #[test]
    fn sums_keep_the_longest_time() {
        let mut sum = stats(&[(3, 1)], 12);
        sum.add(&stats(&[(3, 2), (4, 1)], 20));
        assert_eq!(sum, stats(&[(3, 3), (4, 1)], 20));
        sum.add(&stats(&[], 7));
        assert_eq!((sum.ok(), sum.max_ns()), (4, 20));
    }

    #[test]
    fn failures_are_named() {
        let stats = OpStats(ostor_op_stats {
            enoent: 1,
            edeadlk: 2,
            enomem: 3,
            ..ostor_op_stats::default()
        });
        assert_eq!(stats.failures(), [(Errno::ENOMEM, 3)]);
        assert_eq!((stats.found_nothing(), stats.deadlocks()), (1, 2));
    }
}
