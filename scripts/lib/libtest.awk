# SPDX-License-Identifier: GPL-2.0
#
# Prints the output of Rust's test runners, libtest and libtest-mimic, as one KTAP
# document, whatever the number of programs that were run. A program prints the output of
# its failed tests at its end, so the results are held until then.

BEGIN {
	print "KTAP version 1"
}

function finish(    i) {
	for (i = 1; i <= held; i++)
		printf "%s%s %d %s\n", printed[name[i]], result[i], ++number, name[i] comment[i]
	# The program ended before its last test.
	if (held < expected)
		printf "not ok %d all tests run # %d of %d\n", ++number, held, expected
	held = expected = 0
	delete printed
}

/^---- .* ----$/ {
	about = $0
	sub(/^---- /, "", about)
	sub(/( stdout)? ----$/, "", about)
	next
}

/^(failures|successes):$/ { about = ""; next }
about != "" { printed[about] = printed[about] "# " $0 "\n"; next }

/^running [0-9]+ tests?$/ {
	finish()
	expected = $2
	next
}

/^test .* \.\.\. (ok|FAILED|ignored.*)$/ {
	outcome = $0
	sub(/^.* \.\.\. /, "", outcome)
	sub(/^test /, "")
	sub(/ *\.\.\. .*/, "")
	gsub(/#/, "")
	name[++held] = $0
	result[held] = outcome == "FAILED" ? "not ok" : "ok"
	comment[held] = ""
	if (sub(/^ignored/, "", outcome)) {
		# "ignored, REASON" is libtest's, "ignored (REASON)" the other one's.
		if (!sub(/^, /, "", outcome) && sub(/^ \(/, "", outcome))
			sub(/\)$/, "", outcome)
		comment[held] = " # SKIP" (outcome == "" ? "" : " " outcome)
	}
	next
}

/^test result: / { finish(); next }
NF { print "# " $0 }

END { finish() }
