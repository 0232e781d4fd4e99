// SPDX-License-Identifier: GPL-2.0

//! KUnit suites, in the test flavour only.
