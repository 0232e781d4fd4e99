#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# test.sh, in a guest with owner_storage loaded: the test of the template in Rust.

exec sh "${0%/*}/../template/test.sh" template_c
