// SPDX-License-Identifier: GPL-2.0
//! Log2 histograms of times, drawn in the terminal. Bucket `i` counts the times of 2^i to
//! 2^(i+1) nanoseconds.

use crate::text::{grouped, time};

/// Width of the longest bar.
const BAR: usize = 40;

/// Shades of a strip, from no time at all to the fullest bucket of its row.
const SHADES: &[u8] = b" .:-=+*#%@";

/// A line with a bar for each bucket from the first to the last that is not empty.
pub fn bars(buckets: &[u64]) -> String {
    let used = |&i: &usize| buckets[i] != 0;
    let (first, last) = (
        (0..buckets.len()).find(used),
        (0..buckets.len()).rfind(used),
    );
    let (Some(first), Some(last)) = (first, last) else {
        return "no times".to_owned();
    };
    let most = buckets.iter().copied().max().unwrap_or(1);
    let mut lines = vec![format!("{:>8}  {:>15}  distribution", "from", "count")];
    for (i, count) in buckets.iter().enumerate().take(last + 1).skip(first) {
        // A count that is small and not 0 is seen.
        let len = (u128::from(*count) * BAR as u128).div_ceil(u128::from(most)) as usize;
        let line = format!(
            "{:>8}  {:>15}  |{:BAR$}|",
            time(1 << i),
            grouped(*count),
            "*".repeat(len)
        );
        lines.push(line);
    }
    lines.join("\n")
}

/// A strip for each row, of one character per bucket: the darker, the more times, by the
/// logarithm of their number. Rows without any are left out.
pub fn strips(rows: &[(String, &[u64])]) -> String {
    let rows = rows
        .iter()
        .filter(|(_, buckets)| buckets.iter().any(|&count| count != 0));
    let rows: Vec<_> = rows.collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let buckets = rows.iter().map(|(_, buckets)| buckets.len()).max();
    let mut lines = vec![format!("{:width$}  {}", "", scale(buckets.unwrap_or(0)))];
    for (name, buckets) in rows {
        let line = format!("{name:width$}  {}", strip(buckets));
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

/// Marks above the buckets in which the units of time begin.
fn scale(buckets: usize) -> String {
    let mut scale = String::new();
    for (bucket, mark) in [(0, "|1 ns"), (10, "|1 us"), (20, "|1 ms"), (30, "|1 s")] {
        if bucket < buckets {
            scale = format!("{scale:bucket$}{mark}");
        }
    }
    scale
}

fn strip(buckets: &[u64]) -> String {
    let most = buckets.iter().copied().max().unwrap_or(0);
    let shade = |&count: &u64| -> char {
        let part = ((count + 1) as f64).ln() / ((most + 1) as f64).ln().max(f64::MIN_POSITIVE);
        let shade = (part * (SHADES.len() - 1) as f64).ceil() as usize;
        SHADES[shade.min(SHADES.len() - 1)].into()
    };
    buckets.iter().map(shade).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::COLUMNS;

    #[test]
    fn bars_are_as_long_as_their_counts() {
        let mut buckets = [0; 32];
        (buckets[10], buckets[11], buckets[13]) = (10, 20, 1);
        let text = bars(&buckets);
        let stars = |line: &str| line.matches('*').count();
        let bars: Vec<_> = text.lines().skip(1).map(stars).collect();
        assert_eq!(bars, [20, 40, 0, 2], "{text}");
        assert!(
            text.lines().nth(1).unwrap().starts_with("    1 us "),
            "{text}"
        );
        assert_eq!(super::bars(&[0; 32]), "no times");
    }

    #[test]
    fn the_widest_histogram_fits() {
        let text = bars(&[u64::MAX / 2; 32]);
        assert!(text.lines().all(|line| line.len() <= COLUMNS), "{text}");
        let name = "run-queue, network namespaces".to_owned();
        let text = strips(&[(name, &[7; 32])]);
        assert!(text.lines().all(|line| line.len() <= COLUMNS), "{text}");
    }

    #[test]
    fn a_strip_shows_where_the_times_are() {
        let mut buckets = [0; 32];
        (buckets[9], buckets[10], buckets[20]) = (3, 1_000_000, 1);
        let none = [0; 32];
        let text = strips(&[("nmi".to_owned(), &buckets), ("ipi".to_owned(), &none)]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0], "     |1 ns     |1 us     |1 ms     |1 s");
        assert_eq!(lines[1], "nmi           .@         .");
    }
}
