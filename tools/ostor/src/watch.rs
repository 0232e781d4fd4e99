// SPDX-License-Identifier: GPL-2.0
//! `ostor watch`: statistics or a list, printed again at an interval.

use std::time::{Duration, Instant};

use anyhow::Result;
use ostor::device;
use ostor::exit::Exit;
use ostor::interrupt::Interrupts;
use ostor::output::Output;
use serde_json::{Value, json};

use crate::cli::{WatchArgs, WatchCommand};
use crate::figures::Figures;
use crate::holder;
use crate::lists;

/// Runs the command until a signal ends it.
pub(crate) fn run(args: &WatchArgs, output: &Output) -> Result<Exit> {
    let interval = Duration::from_secs(args.interval);
    let interrupts = Interrupts::block()?;
    let mut watched = Watched {
        command: &args.command,
        before: None,
    };
    let mut printed = 0;
    loop {
        let (value, text) = watched.look()?;
        let title = format!("Every {} s; Ctrl-C ends.", args.interval);
        output.refresh(value, &format!("{title}\n\n{text}"))?;
        printed += 1;
        if args.count.is_some_and(|count| printed >= count) {
            return Ok(Exit::Ok);
        }
        if interrupts.wait(interval)?.is_some() {
            return Ok(Exit::Ok);
        }
    }
}

/// What is watched, with the figures of the last time.
struct Watched<'a> {
    command: &'a WatchCommand,
    before: Option<(Figures, Instant)>,
}

impl Watched<'_> {
    /// What is to be printed, as JSON and as text.
    fn look(&mut self) -> Result<(Value, String)> {
        match self.command {
            WatchCommand::Stats => {
                let figures = Figures::of_stats(&device::stats()?)?;
                Ok(self.changes(figures))
            }
            WatchCommand::Map { name } => {
                let figures = Figures::of_map(&holder::find(name)?.info()?)?;
                Ok(self.changes(figures))
            }
            WatchCommand::List(args) => lists::list(args),
            WatchCommand::Maps { all: false } => lists::maps(),
            WatchCommand::Maps { all: true } => lists::all_maps(),
        }
    }

    fn changes(&mut self, figures: Figures) -> (Value, String) {
        let before = self.before.as_ref();
        let text = figures.changes(before.map(|(before, when)| (before, when.elapsed())));
        let value = json!(figures.json());
        self.before = Some((figures, Instant::now()));
        (value, text)
    }
}
