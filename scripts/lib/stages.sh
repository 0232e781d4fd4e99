# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# Runs tests in stages, whose results become one KTAP document: tests.ktap in STAGE_LOGS.
# A stage is a command of one of two kinds: "ktap" prints a document of its own, and
# "one" is one test. The script sets STAGES, their number. Needs ktap.sh, and for stages
# that print KTAP also root.sh and kernel.sh.

STAGE_LOGS=$LOGS/test
STAGES=${STAGES:-0} STAGE=0

# The status of a stage that could not build what it needs, and has run nothing.
STATUS_NOT_BUILT=99
# The name of that stage, if there is one, and the number of stages skipped after it.
NOT_BUILT='' NOT_TRIED=0

# The result of each stage, in a word or two.
declare -A RESULTS=()

# If this is set, the results of a stage whose tests have all passed are kept under this
# key, and a later run with the key takes them without running the stage.
KEEP_KEY=''

# The number of lines of a log that are shown.
LOG_LINES=60

# next_stage: begins one more result of the document.
next_stage() {
	mkdir -p "$STAGE_LOGS"
	[ "$STAGE" -gt 0 ] || ktap_start "$STAGES" >"$STAGE_LOGS/tests.ktap"
	STAGE=$((STAGE + 1))
}

# begin_stage NAME
begin_stage() {
	next_stage
	rm -f "$STAGE_LOGS/$1.kept"
	: >"$STAGE_LOGS/$1.log"
	: >"$STAGE_LOGS/$1.out"
}

# end_stage RESULT NAME [DETAILS] <KTAP: appends the stage's output and its result.
end_stage() {
	{
		cat
		ktap_line "$1" "$STAGE" "${@:2}"
	} >>"$STAGE_LOGS/tests.ktap"
}

# log_end LOG: prints the log's end as diagnostics.
log_end() {
	tail -n "$LOG_LINES" "$1" | ktap_diagnostics
}

# no_wider COMMAND…: fails if COMMAND does, or if it prints a line that is wider than 80
# columns, and prints that line again.
no_wider() {
	"$@" | awk '
	{ print }
	length > 80 && wide == "" { wide = $0 }
	END { if (wide != "") { print "wider than 80 columns: " wide >"/dev/stderr"; exit 1 } }'
}

# logged LOG OUTPUT COMMAND…: LOG gets all output, OUTPUT standard output only. Standard
# error is shown.
logged() {
	local log=$1 output=$2
	shift 2
	{ "$@" </dev/null | tee -a "$log" >"$output"; } 2>&1 | tee -a "$log" >&2
}

# add_status STATUS LOG OUTPUT: adds a failed test to the document OUTPUT, for a failure
# outside of all tests: a fault in the guest's log for instance.
add_status() {
	local tests
	tests=$(grep -cE '^(not )?ok [0-9]' "$3" || true)
	sed -i "s/^1\.\.$tests\$/1..$((tests + 1))/" "$3"
	{
		log_end "$2"
		ktap_line 'not ok' $((tests + 1)) "exit status" "$1"
	} >>"$3"
}

# tally_ktap NAME STATUS: sets passed, failed, skipped and shown of the caller; shown is
# the file with the failures. If the stage's document is not whole, the stage is one
# failed test, since such a document would make the common one invalid.
tally_ktap() {
	local name=$1 status=$2 output=$STAGE_LOGS/$1.out broken
	kunit_counts "$output"
	if [ "$broken" -gt 0 ] || [ $((passed + failed + skipped)) -eq 0 ]; then
		say "  It printed no results, or fewer than it announced."
		tally_one "$name" "$status" "it printed no results, or fewer than it announced"
		return
	fi
	if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
		add_status "$status" "$STAGE_LOGS/$name.log" "$output"
		failed=1
	fi
	if [ "$failed" -gt 0 ]; then
		shown=$STAGE_LOGS/$name.failed
		kunit_parse "$output" --failed 2>&1 | sed 's/^\[[0-9:]*\] //' >"$shown" || true
	fi
	ktap_nest "$name" <"$output" | end_stage "$([ "$failed" -eq 0 ] || printf 'not ')ok" "$name"
}

# tally_one NAME STATUS [WHY-IT-FAILED]: the same for a stage that is one test.
tally_one() {
	local name=$1 status=$2
	skipped=0 passed=0 failed=1
	if [ "$status" -ne 0 ] || [ -n "${3:-}" ]; then
		log_end "$STAGE_LOGS/$name.log" | end_stage 'not ok' "$name" "${3:-status $status}"
	else
		passed=1 failed=0
		ktap_diagnostics <"$STAGE_LOGS/$name.out" | end_stage ok "$name"
	fi
}

# stage_not_built NAME LOG: fails the stage. LOG has the reason, which was shown before.
stage_not_built() {
	NOT_BUILT=$1 FAILED=$((FAILED + 1)) RESULTS[$1]='no build'
	log_end "$2" | end_stage 'not ok' "$1" "what it needs could not be built"
	say "  FAILED: what it needs could not be built."
}

# skip_stage NAME: skips a stage after one that was not built.
skip_stage() {
	begin_stage "$1"
	SKIPPED=$((SKIPPED + 1)) NOT_TRIED=$((NOT_TRIED + 1))
	RESULTS[$1]=skipped
	end_stage ok "$1" "SKIP not tried, since what $NOT_BUILT needs could not be built" </dev/null
}

# show_skipped NAME: prints the skipped tests with their reasons. A KUnit test with a
# #[cfg] that does not hold has none.
show_skipped() {
	sed -nE 's/^ *ok [0-9]+ (- )?(.*) # SKIP ?/  skipped: \2: /p' "$STAGE_LOGS/$1.out" |
		sed "s/: $/: not with this kernel's options/" >&2
}

# add_up NAME: adds the stage's results to the sums.
add_up() {
	PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
	if [ "$failed" -gt 0 ]; then
		RESULTS[$1]="$failed FAILED"
	elif [ "$skipped" -gt 0 ]; then
		RESULTS[$1]="$passed ($skipped skip)"
	else
		RESULTS[$1]=$passed
	fi
}

# is_kept NAME: whether results of an earlier run are kept under the key.
is_kept() {
	[ -n "$KEEP_KEY" ] && up_to_date "$STAGE_LOGS/$1.kept" "$KEEP_KEY"
}

# recall_stage NAME KIND: takes the kept results as those of this run.
recall_stage() {
	local passed failed skipped shown
	next_stage
	"tally_$2" "$1" 0
	add_up "$1"
	say "[$STAGE/$STAGES] $1: $(counts "$passed" "$failed" "$skipped"), kept from an earlier run"
}

# run_stage NAME SECONDS KIND TITLE COMMAND…
run_stage() {
	local name=$1 seconds=$2 kind=$3 title=$4 status=0 started=$SECONDS passed failed skipped
	shift 4
	if is_kept "$name"; then
		recall_stage "$name" "$kind"
		return
	fi
	local log=$STAGE_LOGS/$name.log expect=$CACHE/expect/test-$name
	local shown=$log
	begin_stage "$name"
	[ ! -f "$expect" ] || seconds=$(cat "$expect")
	say ''
	say "[$STAGE/$STAGES] $name: $title (usually $(duration "$seconds"))"
	start_child logged "$log" "$STAGE_LOGS/$name.out" "$@"
	end_child || status=$?
	if [ "$status" -eq "$STATUS_NOT_BUILT" ]; then
		stage_not_built "$name" "$log"
		return
	fi
	"tally_$kind" "$name" "$status"
	show_skipped "$name"
	add_up "$name"
	if [ "$failed" -gt 0 ]; then
		say "  FAILED: $(counts "$passed" "$failed" "$skipped"), status $status; the end of $shown:"
		tail -n "$LOG_LINES" "$shown" | sed 's/^/  | /' >&2
	else
		say "  ok: $(counts "$passed" "$failed" "$skipped") in $(duration $((SECONDS - started)))"
		printf '%d\n' $((SECONDS - started)) >"$expect"
		[ -z "$KEEP_KEY" ] || set_stamp "$STAGE_LOGS/$name.kept" "$KEEP_KEY"
	fi
}

# write_report FORMAT FILE: FORMAT is an option of kunit.py. The status of kunit.py is
# ignored, since it fails if a test failed.
write_report() {
	local report=$STAGE_LOGS/tests.$1 log=$STAGE_LOGS/report.log
	rm -f "$report"
	kunit_parse "$STAGE_LOGS/tests.ktap" --summary "--$1=/share/${report##*/}" >"$log" 2>&1 || true
	if [ ! -s "$report" ] || ! cat "$report" >"$2"; then
		say "There is no report in $2: kunit.py could not write it, see $log."
		return 1
	fi
}

# end_stages: prints the last line, the counts. Fails if a test failed.
end_stages() {
	say ''
	[ "$NOT_TRIED" -eq 0 ] || say "Stages that were not tried: $NOT_TRIED."
	[ "$FAILED" -eq 0 ] || say "The logs are in $STAGE_LOGS."
	ktap_end
}
