// SPDX-License-Identifier: GPL-2.0
//! Tests of `/dev/owner_storage`, to be run in a guest.

fn main() {}
