# SPDX-License-Identifier: GPL-2.0
#
# What Rust's test runners print, libtest and libtest-mimic, as KTAP: one document,
# whatever the number of programs that were run. What a failed test printed comes at
# its program's end, so its results are held until then.

BEGIN {
	print "KTAP version 1"
}

function finish(    i) {
	for (i = 1; i <= held; i++)
		printf "%s%s %d %s\n", printed[name[i]], result[i], ++number, name[i] comment[i]
	# The program has died.
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
