// SPDX-License-Identifier: GPL-2.0
//! `ostor crowd`: a map with very many elements ends while their owners die.
//!
//! That neither a CPU nor RCU was stuck meanwhile, the kernel's log tells.

use anyhow::Result;
use nix::errno::Errno;
use ostor::device;
use serde::Serialize;
use uapi::ostor_crowd;

use crate::cli::CrowdArgs;
use crate::exit::{Exit, UsageError};
use crate::irqsoff::IrqsOff;
use crate::output::{Output, grouped, verdict};

/// The most microseconds with interrupts off, unless told.
const MAX_IRQS_OFF_US: u64 = 1000;

/// How to have what this needs.
const HOW: &str = "start with `scripts/vm --no-module --test-module`, and in the guest \
                   `insmod /modules/owner_storage_test.ko map_bits=16 index_bits=16`";

/// What was seen.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    crowd: ostor_crowd,
    /// The longest time with interrupts off, where it was measured.
    irqs_off_us: Option<u64>,
    problems: Vec<String>,
}

/// `ostor crowd`
pub(crate) fn run(args: &CrowdArgs, output: &Output) -> Result<Exit> {
    let device = device::open()?;
    let tracer = IrqsOff::start()?;
    if tracer.is_none() && args.max_irqs_off_us.is_some() {
        let text = "this kernel has no tracer of times with interrupts off: it needs \
                    CONFIG_IRQSOFF_TRACER";
        return Err(UsageError(text.to_owned()).into());
    }
    let crowd = match device::crowd(&device, args.count) {
        Err(error) if error.errno() == Errno::ENOTTY => {
            let text = format!("the test flavour of the module is not loaded; {HOW}");
            return Err(UsageError(text).into());
        }
        crowd => crowd?,
    };
    let longest = tracer.map(|tracer| tracer.longest()).transpose()?;
    let max_us = args.max_irqs_off_us.unwrap_or(MAX_IRQS_OFF_US);
    let irqs_off_us = longest.as_ref().map(|(us, _)| *us);
    let report = Report {
        problems: problems(&crowd, irqs_off_us, max_us),
        irqs_off_us,
        crowd,
    };
    let ok = report.problems.is_empty();
    if let Some((_, place)) = longest.filter(|(us, _)| *us > max_us) {
        output.line(place);
    }
    let text = format!("{}\ncrowd: {}", lines(&report), verdict(ok, 0));
    output.result(&report, text)?;
    Ok(Exit::check(ok))
}

/// What is not as it must be.
fn problems(crowd: &ostor_crowd, irqs_off_us: Option<u64>, max_us: u64) -> Vec<String> {
    let mut problems = Vec::new();
    if crowd.dropped != crowd.count {
        problems.push(format!(
            "{} of {} values were dropped once",
            crowd.dropped, crowd.count
        ));
    }
    if crowd.charged != 0 {
        problems.push(format!("{} bytes are charged still", crowd.charged));
    }
    if crowd.deaths == 0 || crowd.deaths == crowd.count {
        problems.push(format!(
            "no race: of {} owners {} died before the map ended; try more",
            crowd.count, crowd.deaths
        ));
    }
    if let Some(us) = irqs_off_us.filter(|us| *us > max_us) {
        problems.push(format!("interrupts were off for {us} us, {max_us} may be"));
    }
    problems
}

/// The report as a person reads it.
fn lines(report: &Report) -> String {
    let ms = |ns: u64| grouped(ns / 1_000_000);
    let crowd = &report.crowd;
    let irqs_off = report.irqs_off_us.map_or_else(
        || "not measured: this kernel has no tracer for it".to_owned(),
        |us| format!("{us} us"),
    );
    let mut text = format!(
        "owners                   {}\n\
         elements created in      {} ms\n\
         owners died in           {} ms\n\
         map ended in             {} ms\n\
         ended by owners' deaths  {}\n\
         values dropped once      {}\n\
         bytes left charged       {}\n\
         longest interrupts off   {irqs_off}",
        grouped(crowd.count),
        ms(crowd.create_ns),
        ms(crowd.death_ns),
        ms(crowd.end_ns),
        grouped(crowd.deaths),
        grouped(crowd.dropped),
        grouped(crowd.charged),
    );
    for problem in &report.problems {
        text.push_str(&format!("\nproblem: {problem}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> ostor_crowd {
        ostor_crowd {
            count: 100,
            deaths: 60,
            dropped: 100,
            ..ostor_crowd::default()
        }
    }

    #[test]
    fn what_is_wrong_is_a_problem() {
        type Change = fn(&mut ostor_crowd);
        let changes: [Change; 5] = [
            |crowd| crowd.dropped = 99,
            |crowd| crowd.dropped = 101,
            |crowd| crowd.charged = 1,
            |crowd| crowd.deaths = 0,
            |crowd| crowd.deaths = 100,
        ];
        assert!(problems(&good(), None, 1000).is_empty());
        assert!(problems(&good(), Some(1000), 1000).is_empty());
        assert_eq!(problems(&good(), Some(1001), 1000).len(), 1);
        for change in changes {
            let mut crowd = good();
            change(&mut crowd);
            assert_eq!(problems(&crowd, None, 1000).len(), 1, "{crowd:?}");
        }
    }
}
