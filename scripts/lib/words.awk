# SPDX-License-Identifier: GPL-2.0
#
# Prints each place in the given files where a comment or a page uses a phrase that
# names no actor or no requirement: FILE:LINE: "PHRASE". Fails if it finds one.
#
# The name of a file tells what is read of it: all of a page; the comments of C and
# Rust; else what follows a "#" that begins a word.

FNR == 1 {
	page = FILENAME ~ /(\.(rst|md|litmus|patch)|\/mutants|(^|\/)Makefile)$/
	c = FILENAME ~ /\.(rs|c|h)$/
	in_comment = 0
	tail = ""
}

# c_comment(LINE): the parts of LINE that stand in comments. Those in strings do not.
function c_comment(line,    text) {
	gsub(/\\"/, "", line)
	while (line != "") {
		if (in_comment) {
			if (!match(line, /\*\//))
				return text " " line
			text = text " " substr(line, 1, RSTART - 1)
			in_comment = 0
		} else {
			if (!match(line, /"[^"]*"|\/[\/*]/))
				return text
			if (substr(line, RSTART, 2) == "//")
				return text " " substr(line, RSTART)
			in_comment = substr(line, RSTART, 2) == "/*"
		}
		line = substr(line, RSTART + RLENGTH)
	}
	return text
}

function hash_comment(line) {
	return match(line, /(^|[ \t])#/) ? substr(line, RSTART) : ""
}

# words(TEXT): in lower case, each with a blank before and behind it.
function words(text) {
	gsub(/[^A-Za-z]+/, " ", text)
	return " " tolower(text) " "
}

{
	# A phrase may be broken after its first or second word.
	text = tail words(page ? $0 : c ? c_comment($0) : hash_comment($0))
	gsub(/ +/, " ", text)
	tail = match(text, / as( it)? $/) ? substr(text, RSTART, RLENGTH - 1) : ""
	while (match(text, / (who|whoever|nobody|somebody|as it says) /)) {
		printf "%s:%d: \"%s\"\n", FILENAME, FNR, substr(text, RSTART + 1, RLENGTH - 2)
		text = substr(text, RSTART + RLENGTH - 1)
		found = 1
	}
}

END { exit found }
