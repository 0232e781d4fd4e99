# SPDX-License-Identifier: GPL-2.0
#
# Prints the examples in the documentation of Rust sources as modules, one for each block of
# code. Hidden lines of rustdoc, which begin with "# ", belong to the example.

FNR == 1 { name = FILENAME; sub(/.*\/rust\//, "", name); gsub(/[^A-Za-z0-9]/, "_", name); inside = 0 }

!/^[ \t]*\/\/[\/!]/ { inside = 0; next }

{ sub(/^[ \t]*\/\/[\/!] ?/, "") }

/^```$/ {
	inside = !inside
	if (inside)
		printf "pub mod %s_%d {\n", name, FNR
	else
		print "}"
	next
}

inside { sub(/^# /, ""); print }
