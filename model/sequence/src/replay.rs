// SPDX-License-Identifier: GPL-2.0

//! Replays sequences on a subject, and compares it with the reference.

use crate::{
    op::{
        steps,
        Op,
        Step,
        MAPS,
        OWNERS, //
    },
    reference::{
        Outcome,
        Reference, //
    }, //
};
use proptest::test_runner::{
    Config,
    RngAlgorithm,
    RngSeed,
    TestCaseError,
    TestError,
    TestRunner, //
};
use std::{
    cell::Cell,
    fmt::Write, //
};

/// What a sequence is replayed on. At first all owners are alive, and all maps are open and empty.
pub trait Subject {
    /// Makes a step, and returns its outcome. An error is a failure that no outcome stands for.
    fn apply(&mut self, step: &Step) -> Result<Outcome, String>;

    /// The number of elements that an open map reports.
    fn elements(&mut self, map: usize) -> Result<u64, String>;
}

/// Counts what was replayed.
#[derive(Copy, Clone, Default, Debug)]
pub struct Total {
    /// The number of sequences.
    pub sequences: u64,
    /// The number of operations.
    pub operations: u64,
    /// The number of operations that were refused for lack of a lock or memory.
    pub refused: u64,
}

/// Replays a sequence on a subject, and compares each outcome with that of the reference.
pub fn replay(steps: &[Step], subject: &mut impl Subject) -> Result<Total, String> {
    let (mut reference, mut total) = (Reference::new(), Total::default());
    total.sequences = 1;
    for (number, step) in steps.iter().enumerate() {
        total
            .step(step, &mut reference, subject)
            .map_err(|why| format!("step {number}, {step:?}: {why}"))?;
    }
    // At the end, list every map and every owner, and look up every value.
    let maps = (0..MAPS).map(|map| Op::List { map });
    let elements = (0..MAPS * OWNERS).map(|n| Op::Get {
        map: n / OWNERS,
        owner: n % OWNERS,
    });
    let owners = (0..OWNERS).map(|owner| Op::ListOwner { owner });
    for op in maps.chain(elements).chain(owners) {
        let step = Step {
            op,
            faults: Vec::new(),
        };
        total
            .step(&step, &mut reference, subject)
            .map_err(|why| format!("at the end, {op:?}: {why}"))?;
    }
    Ok(total)
}

impl Total {
    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        self.sequences += other.sequences;
        self.operations += other.operations;
        self.refused += other.refused;
    }

    fn step(
        &mut self,
        step: &Step,
        reference: &mut Reference,
        subject: &mut impl Subject,
    ) -> Result<(), String> {
        self.operations += 1;
        let outcome = subject.apply(step)?;
        // An operation that was refused has changed nothing.
        if outcome == Outcome::Refused
            && !step.faults.is_empty()
            && reference.may_be_refused(step.op)
        {
            self.refused += 1;
        } else {
            let wanted = reference.apply(step.op);
            if outcome != wanted {
                return Err(format!("the outcome is {outcome:?}, not {wanted:?}"));
            }
        }
        for map in 0..MAPS {
            let Some(wanted) = reference.elements(map) else {
                continue;
            };
            let elements = subject.elements(map)?;
            if elements != wanted {
                return Err(format!("map {map} has {elements} elements, not {wanted}"));
            }
        }
        Ok(())
    }
}

/// Replays `sequences` sequences for each seed, of `most` steps at most. An error contains the
/// shortest failing sequence that was found.
pub fn seeds(
    seeds: impl IntoIterator<Item = u64>,
    sequences: u32,
    most: usize,
    replay: impl Fn(&[Step]) -> Result<Total, String>,
) -> Result<Total, String> {
    let total = Cell::new(Total::default());
    for seed in seeds {
        let config = Config {
            cases: sequences,
            failure_persistence: None,
            max_shrink_iters: 10_000,
            rng_algorithm: RngAlgorithm::ChaCha,
            rng_seed: RngSeed::Fixed(seed),
            ..Config::default()
        };
        let replayed = TestRunner::new(config).run(&steps(most), |steps| {
            let mut sum = total.get();
            sum.add(replay(&steps).map_err(TestCaseError::fail)?);
            total.set(sum);
            Ok(())
        });
        match replayed {
            Ok(()) => {}
            Err(TestError::Fail(why, steps)) => {
                return Err(failure(seed, &why.to_string(), &steps))
            }
            Err(TestError::Abort(why)) => return Err(why.to_string()),
        }
    }
    Ok(total.get())
}

fn failure(seed: u64, why: &str, steps: &[Step]) -> String {
    let mut text = format!("seed {seed}: {why}\nthe smallest sequence that fails:\n");
    for step in steps {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {:?} {:?}", step.op, step.faults);
    }
    text
}
