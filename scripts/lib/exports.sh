# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Compares a kernel crate that was compiled apart from a kernel with the kernel's, by the
# symbols that they export.

# exports_of OBJECT: prints its exports by the rule of the kernel's rust/Makefile, sorted.
exports_of() {
	nm -p --defined-only "$1" |
		awk '$2 ~ /[TRDB]/ && $3 !~ /__(pfx|cfi|odr_asan)/ { print $3 }' | LC_ALL=C sort
}

# exports_in SYMVERS: prints all exports of the kernel, sorted.
exports_in() {
	cut -f 2 "$1" | LC_ALL=C sort
}

# crate_hash FILE: prints the kernel crate's hash, which each of its symbols contains.
crate_hash() {
	sed -nE 's/.*Cs([0-9A-Za-z]+)_6kernel.*/\1/p' "$1" | sort -u | head -n 1
}

# compare_exports CRATE KERNEL: compares two sorted lists of symbols. If they differ,
# prints how, and fails. The crate's hash depends on the compiler's version only, so all
# symbols have to be the same.
compare_exports() {
	local built kernel differ
	built=$(crate_hash "$1") kernel=$(crate_hash "$2")
	if [ "$built" != "$kernel" ]; then
		echo "the kernel crate's hash is ${built:-nowhere}, and ${kernel:-nowhere} in Module.symvers; the kernel was built by another rustc."
		return 1
	fi
	differ=$({
		LC_ALL=C comm -23 "$1" "$2"
		grep _6kernel "$2" | LC_ALL=C comm -13 "$1" -
	} | wc -l)
	[ "$differ" -eq 0 ] || {
		echo "$differ symbols of the kernel crate are not the same in Module.symvers; the kernel was built from another source, or configured otherwise."
		return 1
	}
}
