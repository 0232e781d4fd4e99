// SPDX-License-Identifier: GPL-2.0
//! Selftests of owner storage, which run as root in a guest.
//!
//! They run in turn in one thread: they compare the statistics of the whole module, and
//! fork.

mod bench;
mod cases_device;
mod cases_gates;
mod cases_gates_sockets;
mod cases_hooks;
mod cases_memcg;
mod cgroups;
mod charge;
mod clones;
mod concurrent;
mod contexts;
mod cycles;
mod death;
mod descriptors;
mod elements;
mod faults;
mod harness;
mod info;
mod kernel_log;
mod kinds;
mod listing;
mod map_list;
mod memcg;
mod mixed_kinds;
mod needs;
mod netns;
mod owner_lists;
mod privilege;
mod raw_elem;
mod recursion;
mod refused_commands;
mod refused_elements;
mod refused_lists;
mod refused_maps;
mod resolve;
mod sequences;
mod slowed;
mod socket_families;
mod sockets;
mod threads;
mod tool;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(death::EXECED) {
        death::idle();
    }
    if std::env::args().nth(1).as_deref() == Some(cases_device::FORCE_UNLOAD) {
        return cases_device::force_unload();
    }
    if std::env::args().nth(1).as_deref() == Some(cases_gates::EXECUTE) {
        return cases_gates::execute_when_told();
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let suites = [
        elements::suite(),
        listing::suite(),
        info::suite(),
        death::suite(),
        threads::suite(),
        descriptors::suite(),
        kinds::suite(),
        mixed_kinds::suite(),
        cgroups::suite(),
        sockets::suite(),
        socket_families::suite(),
        netns::suite(),
        charge::suite(),
        memcg::suite(),
        cases_memcg::suite(),
        clones::suite(),
        owner_lists::suite(),
        map_list::suite(),
        recursion::suite(),
        contexts::suite(),
        cycles::suite(),
        sequences::suite(),
        bench::suite(),
        faults::suite(),
        privilege::suite(),
        refused_maps::suite(),
        refused_elements::suite(),
        refused_lists::suite(),
        refused_commands::suite(),
        resolve::suite(),
        tool::suite(),
        cases_device::suite(),
        cases_hooks::suite(),
        cases_gates::suite(),
        cases_gates_sockets::suite(),
    ];
    let trials = suites.into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
