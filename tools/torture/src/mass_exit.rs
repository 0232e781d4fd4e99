// SPDX-License-Identifier: GPL-2.0
//! `ostor-torture mass-exit`: a map with very many elements is freed while their owners
//! die.
//!
//! The kernel's log shows if a CPU or RCU stalled meanwhile.

use anyhow::Result;
use ostor::exit::{Exit, UsageError};
use ostor::output::Output;
use ostor::report::Report;
use ostor::text::grouped;
use ostor::torture::{TortureDevice, mass_exit};
use serde_json::{Value, json};
use uapi::ostor_mass_exit;

use crate::cli::MassExitArgs;
use crate::irqsoff::IrqsOff;

/// Most microseconds with interrupts disabled, by default.
const MAX_IRQS_OFF_US: u64 = 1000;

/// Runs the command.
pub(crate) fn run(args: &MassExitArgs, output: &Output) -> Result<Exit> {
    let device = TortureDevice::open()?;
    let tracer = IrqsOff::start()?;
    if tracer.is_none() && args.max_irqs_off_us.is_some() {
        let text = "this kernel cannot measure times with interrupts disabled: it needs \
                    CONFIG_IRQSOFF_TRACER";
        return Err(UsageError(text.to_owned()).into());
    }
    let seen = mass_exit(&device, args.count)?;
    let longest = tracer.map(|tracer| tracer.longest()).transpose()?;
    let max_us = args.max_irqs_off_us.unwrap_or(MAX_IRQS_OFF_US);
    let irqs_off_us = longest.as_ref().map(|(us, _)| *us);
    let report = check(&seen, irqs_off_us, max_us);
    let mut text = lines(&seen, irqs_off_us);
    if let Some((_, trace)) = longest.filter(|(us, _)| *us > max_us) {
        text = format!("{trace}\n{text}");
    }
    report.print_with("mass-exit", fields(&seen, irqs_off_us)?, text, output)
}

fn check(seen: &ostor_mass_exit, irqs_off_us: Option<u64>, max_us: u64) -> Report {
    let mut report = Report::default();
    report.expect("values dropped", seen.dropped, seen.count);
    if seen.deaths == 0 || seen.deaths == seen.count {
        report.problem(format!(
            "no race: {} of {} owners died before the map was freed; use more owners",
            seen.deaths, seen.count
        ));
    }
    if let Some(us) = irqs_off_us.filter(|us| *us > max_us) {
        report.problem(format!(
            "interrupts were disabled for {us} us, must be at most {max_us}"
        ));
    }
    report
}

fn fields(seen: &ostor_mass_exit, irqs_off_us: Option<u64>) -> Result<Value> {
    let mut fields = serde_json::to_value(seen)?;
    fields["irqs_off_us"] = json!(irqs_off_us);
    Ok(fields)
}

fn lines(seen: &ostor_mass_exit, irqs_off_us: Option<u64>) -> String {
    let ms = |ns: u64| grouped(ns / 1_000_000);
    let irqs_off = irqs_off_us.map_or_else(
        || "not measured: this kernel has no tracer for it".to_owned(),
        |us| format!("{us} us"),
    );
    format!(
        "owners                       {}\n\
         elements created in          {} ms\n\
         owners died in               {} ms\n\
         map freed in                 {} ms\n\
         elements ended by deaths     {}\n\
         values dropped               {}\n\
         longest interrupts disabled  {irqs_off}",
        grouped(seen.count),
        ms(seen.create_ns),
        ms(seen.death_ns),
        ms(seen.end_ns),
        grouped(seen.deaths),
        grouped(seen.dropped),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> ostor_mass_exit {
        ostor_mass_exit {
            count: 100,
            deaths: 60,
            dropped: 100,
            ..ostor_mass_exit::default()
        }
    }

    #[test]
    fn each_wrong_count_is_a_problem() {
        type Change = fn(&mut ostor_mass_exit);
        let changes: [Change; 4] = [
            |seen| seen.dropped = 99,
            |seen| seen.dropped = 101,
            |seen| seen.deaths = 0,
            |seen| seen.deaths = 100,
        ];
        let problems = |seen: &ostor_mass_exit, us| check(seen, us, 1000).problems().len();
        assert_eq!(problems(&good(), None), 0);
        assert_eq!(problems(&good(), Some(1000)), 0);
        assert_eq!(problems(&good(), Some(1001)), 1);
        for change in changes {
            let mut seen = good();
            change(&mut seen);
            assert_eq!(problems(&seen, None), 1, "{seen:?}");
        }
    }

    #[test]
    fn json_has_the_counts_of_the_driver() {
        let fields = fields(&good(), Some(7)).unwrap();
        assert_eq!(
            (&fields["deaths"], &fields["irqs_off_us"]),
            (&json!(60), &json!(7))
        );
    }
}
