# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shows a long step while it runs: its purpose, how long it usually takes, and how much is
# left. Its own output goes to a log, which is shown if the step fails.

# Seconds between two lines where there is no terminal to rewrite a line on.
PROGRESS_INTERVAL=${PROGRESS_INTERVAL:-30}

duration() {
	if [ "$1" -lt 60 ]; then
		printf '%d s' "$1"
	else
		printf '%d min %02d s' $(($1 / 60)) $(($1 % 60))
	fi
}

# Counters for run_step: each prints the number of steps that are done, given the log.
count_lines() {
	wc -l <"$1"
}

# The steps of a build tree: make leaves a .cmd file beside each file that it has built.
# Those of this build are newer than the marker that begin_build leaves. After an
# interruption the count goes on from there.
begin_build() {
	BUILD_TREE=$1
	mkdir -p "$BUILD_TREE"
	[ -f "$BUILD_TREE/.building" ] || touch "$BUILD_TREE/.building"
}

count_built() {
	find "$BUILD_TREE" -name '.*.cmd' -newer "$BUILD_TREE/.building" 2>/dev/null | wc -l || true
}

end_build() {
	rm -f "$BUILD_TREE/.building"
}

count_dpkg() {
	grep -cE '^(Unpacking|Setting up) ' "$1" || true
}

# time_left ELAPSED SECONDS STEPS DONE: prints an estimate: by the usual time at first, and
# the more steps are done, the more by the time that these took. If a step takes longer
# than usual, and has more steps, prints only that.
time_left() {
	local elapsed=$1 seconds=$2 steps=$3 count=$4 left
	left=$((seconds > elapsed ? seconds - elapsed : 0))
	if [ "$count" -gt 0 ] && [ "$count" -lt "$steps" ]; then
		left=$(((left * (steps - count) + elapsed * (steps - count)) / steps))
	fi
	if [ "$left" -gt 0 ]; then
		printf 'about %s left' "$(duration "$left")"
	else
		printf 'longer than usual'
	fi
}

# how_far ELAPSED SECONDS STEPS DONE BEFORE
how_far() {
	local elapsed=$1 seconds=$2 steps=$3 count=$4 before=$5
	printf '%s gone, ' "$(duration "$elapsed")"
	# The usual number says nothing once there have been more.
	[ "$count" -ge "$steps" ] || printf '%d of about %d steps, ' "$count" "$steps"
	time_left "$elapsed" "$seconds" $((steps - before)) $((count - before))
}

progress_line() {
	local text=$1
	if [ -t 2 ]; then
		printf '\r\033[K  %s' "$text" >&2
	else
		say "  $text"
	fi
}

# watch_step LOG SECONDS STEPS COUNTER BEFORE
watch_step() {
	local log=$1 seconds=$2 steps=$3 counter=$4 before=$5 started=$SECONDS shown=$SECONDS
	while kill -0 "$CHILD" 2>/dev/null; do
		sleep 0.5
		[ -t 2 ] || [ $((SECONDS - shown)) -ge "$PROGRESS_INTERVAL" ] || continue
		shown=$SECONDS
		progress_line "$(how_far $((SECONDS - started)) "$seconds" "$steps" "$("$counter" "$log")" "$before")"
	done
	[ ! -t 2 ] || printf '\r\033[K' >&2
}

# run_step NAME SECONDS STEPS COUNTER TITLE COMMAND…
#
# SECONDS and STEPS are those of a usual run. Once a run has succeeded on this machine, its
# own figures replace them. A failure ends the script and shows STEP_LINES of the log and
# STEP_HINT. STEP_WARNINGS shows the log of a success that has warnings. Not for use in a
# condition: bash ignores "set -e" there, in COMMAND too.
run_step() {
	local name=$1 seconds=$2 steps=$3 counter=$4 title=$5
	shift 5
	local log=$LOGS/$name.log expect=$CACHE/expect/$name started=$SECONDS status=0 count before
	if [ -f "$expect" ]; then
		read -r seconds steps <"$expect"
	fi
	# A distclean may have removed these.
	mkdir -p "${log%/*}" "${expect%/*}"
	say "$title (usually $(duration "$seconds"))"
	: >"$log"
	before=$("$counter" "$log")
	start_child "$@" >"$log" 2>&1 </dev/null
	watch_step "$log" "$seconds" "$steps" "$counter" "$before"
	end_child || status=$?
	if [ "$status" -ne 0 ]; then
		say "This step failed (status $status). The end of its log, $log:"
		tail -n "${STEP_LINES:-40}" "$log" | sed 's/^/  | /' >&2
		[ -z "${STEP_HINT:-}" ] || say "$STEP_HINT"
		exit "${DIE_STATUS:-1}"
	fi
	if [ -n "${STEP_WARNINGS:-}" ] && grep -qi '^warning' "$log"; then
		sed 's/^/  | /' "$log" >&2
	fi
	count=$("$counter" "$log")
	# A resumed run took less time than a whole one, and is no measure.
	if [ $((count - before)) -ge $((steps * 4 / 5)) ]; then
		printf '%d %d\n' $((SECONDS - started)) "$count" >"$expect"
	fi
	say "  done in $(duration $((SECONDS - started)))"
}
