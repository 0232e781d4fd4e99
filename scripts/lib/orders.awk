# SPDX-License-Identifier: GPL-2.0
#
# Prints, for each given Rust file, the mutants that lack an ordering: each order
# weakened, each barrier dropped, and each publication of a pointer made a plain set. A
# mutant is a line with its place and name, and then a patch, as cargo-mutants --list
# --diff prints them.
#
# An order in an unknown form of expression is an error.

BEGIN {
	weaker["Full"] = "Acquire Release Relaxed"
	weaker["Acquire"] = weaker["Release"] = "Relaxed"
}

FNR == 1 {
	type = name = use = ""
	file = FILENAME
}

# type_of(LINE): the type that an impl is for: it follows "for", or the parameters.
function type_of(line, at, depth, c) {
	sub(/^(unsafe )?impl/, "", line)
	if (match(line, / for [A-Z]/)) {
		line = substr(line, RSTART + 5)
	} else if (substr(line, 1, 1) == "<") {
		for (at = 1; at == 1 || depth > 0; at++) {
			c = substr(line, at, 1)
			depth += (c == "<") - (c == ">")
		}
		line = substr(line, at)
	}
	match(line, /[A-Za-z_]+/)
	return substr(line, RSTART, RLENGTH) "::"
}

# mutant(WHAT, NEW): the line becomes NEW, or nothing.
function mutant(what, new) {
	printf "%s:%d: %s in %s%s\n", file, FNR, what, type, name
	printf "--- %s\n+++ %s\n", file, file
	printf "@@ -%d +%d%s @@\n-%s\n", FNR, FNR - (new == ""), new == "" ? ",0" : "", $0
	if (new != "") {
		print "+" new
	}
}

/^impl|^unsafe impl/ { type = type_of($0) }
/^}/ { type = "" }
match($0, /^ *(pub(\([a-z]+\))? )?(const )?(unsafe )?fn [a-z_0-9]+/) {
	name = substr($0, 1, RLENGTH)
	sub(/.* /, "", name)
}

# Imports.
/^(pub(\([a-z]+\))? )?use / { use = 1 }
use {
	if (/;$/) {
		use = ""
	}
	next
}

/^ *\/\// { next }

/^ *barrier::smp_mb\([A-Za-z]+\);$/ {
	what = $1
	gsub(/barrier::|;/, "", what)
	mutant("drop " what, "")
	next
}

/\.assign\(/ {
	new = $0
	sub(/\.assign\(/, ".set(", new)
	mutant("replace assign with set", new)
}

{
	rest = $0
	done = ""
	while (match(rest, /[^A-Za-z_](Full|Acquire|Release)[^A-Za-z_]/)) {
		order = substr(rest, RSTART + 1, RLENGTH - 2)
		before = done substr(rest, 1, RSTART)
		rest = substr(rest, RSTART + RLENGTH - 1)
		done = before order
		if (before !~ /(, |load\()$/ || rest !~ /^\)/) {
			printf "%s:%d: an order stands where none is known to stand\n", file, FNR >"/dev/stderr"
			failed = 1
			exit
		}
		count = split(weaker[order], to, " ")
		for (i = 1; i <= count; i++) {
			mutant("weaken " order " to " to[i], before "crate::sync::" to[i] rest)
		}
	}
}

END { exit failed }
