// SPDX-License-Identifier: GPL-2.0

//! Fault sites at which a lock or an allocation fails, by a plan for the whole execution.

#[allow(dead_code, reason = "names are for the kernel's files")]
#[path = "../../../rust/sync/fault/sites.rs"]
mod sites;

use super::res_lock::LockError;
use std::cell::RefCell;

pub(crate) use sites::Site;

/// The calls at each site that fail: bit `n` of a site's word is the `n`th call, counted over all
/// CPUs.
#[derive(Copy, Clone, Default, Debug)]
pub(crate) struct Plan([u64; Site::FAILING]);

impl Plan {
    /// This plan, and in addition these calls at `site` fail.
    pub(crate) const fn fail(mut self, site: Site, calls: u64) -> Self {
        self.0[site as usize] |= calls;
        self
    }

    /// Nothing fails.
    pub(crate) const NONE: Self = Self([0; Site::FAILING]);

    /// All plans in which each of the first `calls` calls at each of `sites` fails or not, with
    /// `most` failures at most.
    pub(crate) fn all(sites: &[Site], calls: u32, most: u32) -> Vec<Self> {
        let failures = |plan: &Self| plan.0.iter().map(|mask| mask.count_ones()).sum::<u32>();
        let mut plans = vec![Self::NONE];
        for site in sites {
            let earlier = plans;
            plans = (0..1u64 << calls)
                .filter(|mask| mask.count_ones() <= most)
                .flat_map(|mask| earlier.iter().map(move |plan| plan.fail(*site, mask)))
                .filter(|plan| failures(plan) <= most)
                .collect();
        }
        plans
    }
}

thread_local! {
    /// The plan, and the number of calls at each site.
    static STATE: RefCell<(Plan, [u32; Site::FAILING])> = RefCell::default();
}

/// Sets the plan for an execution.
pub(crate) fn begin(plan: Plan) {
    STATE.with(|state| *state.borrow_mut() = (plan, [0; Site::FAILING]));
}

/// Runs the beginning of a scenario, in which no call fails or is counted.
pub(crate) fn spare<R>(beginning: impl FnOnce() -> R) -> R {
    let later = STATE.take();
    let result = beginning();
    STATE.set(later);
    result
}

/// Returns whether any call fails in this execution.
pub(crate) fn planned() -> bool {
    STATE.with(|state| state.borrow().0 .0 != Plan::NONE.0)
}

/// Returns whether this call fails, and its number at this site.
fn hit(site: Site) -> (bool, u32) {
    STATE.with(|state| {
        let (plan, calls) = &mut *state.borrow_mut();
        let call = calls[site as usize];
        calls[site as usize] += 1;
        (call < 64 && plan.0[site as usize] >> call & 1 != 0, call)
    })
}

/// The error to return instead of taking the lock of `site`. The two kinds of error take turns.
pub(crate) fn lock(site: Site) -> Option<LockError> {
    match hit(site) {
        (false, _) => None,
        (true, call) if call % 2 == 0 => Some(LockError::Deadlock),
        (true, _) => Some(LockError::Timeout),
    }
}

/// Returns whether the allocation at `site` fails.
pub(crate) fn alloc(site: Site) -> bool {
    hit(site).0
}

/// Does nothing: other threads run at any time.
pub(crate) fn pause(_site: Site) {}
