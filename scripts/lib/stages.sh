# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Running tests in stages and adding up what came out. A stage is a command; it
# may print how many tests passed, failed and were skipped, else it is one test.
# The script sets STAGES, the number of stages to run.

STAGE_LOGS=$CACHE/log/test
PASSED=0 FAILED=0 SKIPPED=0
STAGES=${STAGES:-0} STAGE=0

# tally LOG STATUS: sets passed, failed and skipped of the caller. A stage that
# ends badly counts as a failure, whatever it printed before.
tally() {
	read -r passed failed skipped < <(awk '
	/[0-9]+ passed[,;] [0-9]+ failed/ {
		for (i = 2; i <= NF; i++) {
			if ($i ~ /^passed/) p += $(i - 1)
			if ($i ~ /^failed/) f += $(i - 1)
			if ($i ~ /^(skipped|ignored)/) s += $(i - 1)
		}
		seen = 1
	}
	END { if (seen) printf "%d %d %d\n", p, f, s; else print "none 0 0" }' "$1")
	if [ "$passed" = none ]; then
		passed=0
		[ "$2" -ne 0 ] || passed=1
	fi
	[ "$2" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
	# Counts alone prove nothing if there are none.
	[ $((passed + failed + skipped)) -gt 0 ] || failed=1
}

# run_stage NAME SECONDS TITLE COMMAND…: all output goes to a log; what is
# meant for people, on standard error, is shown too.
run_stage() {
	local name=$1 seconds=$2 title=$3 status=0 started=$SECONDS passed failed skipped
	shift 3
	local log=$STAGE_LOGS/$name.log expect=$CACHE/expect/test-$name
	mkdir -p "$STAGE_LOGS"
	[ ! -f "$expect" ] || seconds=$(cat "$expect")
	STAGE=$((STAGE + 1))
	say "" "[$STAGE/$STAGES] $name: $title (usually $(duration "$seconds"))"
	: >"$log"
	# shellcheck disable=SC2094
	start_child "$@" >>"$log" 2> >(tee -a "$log" >&2) </dev/null
	end_child || status=$?
	tally "$log" "$status"
	PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
	if [ "$failed" -gt 0 ]; then
		say "  FAILED: $(counts "$passed" "$failed" "$skipped"), status $status; the end of $log:"
		tail -n 60 "$log" | sed 's/^/  | /' >&2
	else
		say "  ok: $(counts "$passed" "$failed" "$skipped") in $(duration $((SECONDS - started)))"
		printf '%d\n' $((SECONDS - started)) >"$expect"
	fi
}

counts() {
	printf '%d passed, %d failed' "$1" "$2"
	[ "$3" -eq 0 ] || printf ', %d skipped' "$3"
}
