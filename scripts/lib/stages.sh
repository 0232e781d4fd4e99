# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Running tests in stages and adding up what came out. A stage is a command of
# one of two kinds: "counted" prints how many tests passed and failed, maybe more
# than once, and "one" is one test. The script sets STAGES, their number.

STAGE_LOGS=$LOGS/test
PASSED=0 FAILED=0 SKIPPED=0
STAGES=${STAGES:-0} STAGE=0

# tally KIND LOG STATUS: sets passed, failed and skipped of the caller. A stage
# that ends badly counts as a failure, whatever it printed before, and so does
# one that should have counted and did not.
tally() {
	if [ "$1" = one ]; then
		skipped=0 passed=1 failed=0
		[ "$3" -eq 0 ] || passed=0 failed=1
		return
	fi
	read -r passed failed skipped < <(awk '
	/[0-9]+ passed[,;] [0-9]+ failed/ {
		for (i = 2; i <= NF; i++) {
			if ($i ~ /^passed/) p += $(i - 1)
			if ($i ~ /^failed/) f += $(i - 1)
			if ($i ~ /^(skipped|ignored)/) s += $(i - 1)
		}
	}
	END { printf "%d %d %d\n", p, f, s }' "$2")
	[ "$3" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
	[ $((passed + failed + skipped)) -gt 0 ] || failed=1
}

# run_stage NAME SECONDS KIND TITLE COMMAND…: all output goes to a log; what is
# meant for people, on standard error, is shown too.
run_stage() {
	local name=$1 seconds=$2 kind=$3 title=$4 status=0 started=$SECONDS passed failed skipped
	shift 4
	local log=$STAGE_LOGS/$name.log expect=$CACHE/expect/test-$name
	mkdir -p "$STAGE_LOGS"
	[ ! -f "$expect" ] || seconds=$(cat "$expect")
	STAGE=$((STAGE + 1))
	say ''
	say "[$STAGE/$STAGES] $name: $title (usually $(duration "$seconds"))"
	: >"$log"
	# shellcheck disable=SC2094
	start_child "$@" >>"$log" 2> >(tee -a "$log" >&2) </dev/null
	end_child || status=$?
	tally "$kind" "$log" "$status"
	[ "$skipped" -eq 0 ] || sed -nE 's/^test (.*[^ ]) +\.\.\. ignored$/  skipped: \1/p' "$log" >&2
	PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
	if [ "$failed" -gt 0 ]; then
		say "  FAILED: $(counts "$passed" "$failed" "$skipped"), status $status; the end of $log:"
		tail -n 60 "$log" | sed 's/^/  | /' >&2
	else
		say "  ok: $(counts "$passed" "$failed" "$skipped") in $(duration $((SECONDS - started)))"
		printf '%d\n' $((SECONDS - started)) >"$expect"
	fi
}

# fail_stage NAME REASON: instead of run_stage.
fail_stage() {
	STAGE=$((STAGE + 1))
	FAILED=$((FAILED + 1))
	say ''
	say "[$STAGE/$STAGES] $1: FAILED: $2"
}

counts() {
	printf '%d passed, %d failed' "$1" "$2"
	[ "$3" -eq 0 ] || printf ', %d skipped' "$3"
}
