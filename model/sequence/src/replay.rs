// SPDX-License-Identifier: GPL-2.0

//! Replaying sequences, and comparing.

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

/// What a sequence is replayed on. It begins with all owners alive, and all maps open and empty.
pub trait Subject {
    /// Makes a step and says how it ended, or what went wrong that has no outcome.
    fn apply(&mut self, step: &Step) -> Result<Outcome, String>;

    /// How many elements an open map says that it has.
    fn elements(&mut self, map: usize) -> Result<u64, String>;
}

/// How much was replayed.
#[derive(Copy, Clone, Default, Debug)]
pub struct Total {
    /// Sequences.
    pub sequences: u64,
    /// Operations.
    pub operations: u64,
    /// Operations that were refused for a lock or for memory.
    pub refused: u64,
}

/// Replays a sequence on a subject, which must do as the model does.
pub fn replay(steps: &[Step], subject: &mut impl Subject) -> Result<Total, String> {
    let (mut reference, mut total) = (Reference::new(), Total::default());
    total.sequences = 1;
    for (number, step) in steps.iter().enumerate() {
        total
            .step(step, &mut reference, subject)
            .map_err(|why| format!("step {number}, {step:?}: {why}"))?;
    }
    // At the end it is looked at from all sides.
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
    /// Adds another one.
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
        // What is refused has changed nothing.
        if outcome == Outcome::Refused
            && !step.faults.is_empty()
            && reference.may_be_refused(step.op)
        {
            self.refused += 1;
        } else {
            let wanted = reference.apply(step.op);
            if outcome != wanted {
                return Err(format!("ends with {outcome:?}, and must with {wanted:?}"));
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

/// For each seed, lets so many sequences of up to so many steps be replayed. An error has the
/// smallest sequence found that fails.
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
