# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# KTAP, the kernel's format of test results (Documentation/dev-tools/ktap.rst of the
# kernel): functions that write a document to standard output, and kunit.py, the kernel's
# own parser. kunit.py needs root.sh and kernel.sh.

# The results of the document that is being written.
PASSED=0 FAILED=0 SKIPPED=0

# ktap_start [TESTS]: begins a document; TESTS is left out if it is not known in advance.
# Sets the counts to 0, since a subshell inherits those of its script.
ktap_start() {
	PASSED=0 FAILED=0 SKIPPED=0
	echo 'KTAP version 1'
	[ $# -eq 0 ] || echo "1..$1"
}

# ktap_line RESULT NUMBER NAME [DETAILS]: RESULT is "ok" or "not ok". A "#" would end NAME,
# and is left out.
ktap_line() {
	printf '%s %d %s%s\n' "$1" "$2" "${3//#/}" "${4:+ # $4}"
}

# ktap_pass NAME [DETAILS]
ktap_pass() {
	PASSED=$((PASSED + 1))
	ktap_line ok $((PASSED + FAILED + SKIPPED)) "$@"
}

# ktap_fail NAME [DETAILS]
ktap_fail() {
	FAILED=$((FAILED + 1))
	ktap_line 'not ok' $((PASSED + FAILED + SKIPPED)) "$@"
}

# printable: removes control characters, which XML does not allow.
printable() {
	tr -d '\000-\010\013-\037\177'
}

# ktap_diagnostics <TEXT: prints it as diagnostics of the result after it. kunit.py stops
# at some of the last messages of a kernel, so these lose a colon.
ktap_diagnostics() {
	printable | sed 's/\(List of all partitions\|not syncing\|reboot\):/\1/; s/^/# /'
}

# ktap_nest NAME <KTAP: prints the document as the subtests of NAME, whose own result must
# follow. Drops what stands before the document.
ktap_nest() {
	printable | awk -v name="$1" '
	started { print "    " $0 }
	/^KTAP version 1$/ && !started {
		started = 1
		print "    " $0
		print "    # Subtest: " name
	}'
}

# ktap_subtest NAME COMMAND…: COMMAND prints KTAP.
ktap_subtest() {
	local name=$1 status=0
	shift
	"$@" | ktap_nest "$name" || status=$?
	if [ "$status" -eq 0 ]; then
		ktap_pass "$name"
	else
		ktap_fail "$name" "status $status"
	fi
}

# counts PASSED FAILED SKIPPED
counts() {
	printf '%d passed, %d failed' "$1" "$2"
	[ "$3" -eq 0 ] || printf ', %d skipped' "$3"
}

# ktap_end: prints the last line, the counts. Fails if a test failed.
ktap_end() {
	counts "$PASSED" "$FAILED" "$SKIPPED"
	echo
	[ "$FAILED" -eq 0 ]
}

# libtest COMMAND…: COMMAND runs tests by libtest or libtest-mimic. Prints their results
# as KTAP.
libtest() {
	"$@" | awk -f "$SCRIPTS/lib/libtest.awk"
}

# kunit_parse FILE ARGUMENT…: kunit.py parses FILE, whose directory is its /share. Holds no
# lock of the root when it returns. Fails if a test failed.
kunit_parse() (
	file=$(realpath "$1")
	shift
	ensure_root
	ensure_source
	in_root --share "${file%/*}" "$IN_CACHE/$SOURCE/tools/testing/kunit/kunit.py" parse "$@" "/share/${file##*/}"
)

# kunit_counts FILE: sets passed, failed and skipped of the caller; and broken, the number
# of results that are missing or malformed.
kunit_counts() {
	read -r passed failed skipped broken < <(kunit_parse "$1" --summary 2>/dev/null | awk '
	/Ran [0-9]+ tests:/ {
		gsub(",", "")
		for (i = 1; i < NF; i++)
			count[$i] = $(i + 1)
	}
	END {
		printf "%d %d %d %d\n", count["passed:"], count["failed:"], count["skipped:"],
			count["crashed:"] + count["errors:"]
	}')
}
