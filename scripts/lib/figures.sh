# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Figures of "ostor-torture bench" as data.

# bench_csv <JSON: a line "owner,operation,maps,instructions" for each operation, below
# a headline. Under -icount a nanosecond is an instruction. Fails without a figure.
bench_csv() {
	awk '
	BEGIN { print "owner,operation,maps,instructions" }
	/"what":/ { sub(/^ *"what": "/, ""); sub(/[",].*/, ""); what = $0 }
	{ gsub(/[",]/, ""); value[$1] = $2 }
	$1 == "ns:" { print value["owner:"] "," what "," value["maps:"] "," $2; lines++ }
	END { exit !lines }'
}
