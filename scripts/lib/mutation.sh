# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Patches that break the sources on purpose. The head of each says what it changes and
# what must find it. Needs root.sh, and its lock held to apply one.

# mutation_patch NAME DIRECTORY…: prints the patch's path, below the project. Fails if no
# directory has it.
mutation_patch() {
	local name=$1 dir
	shift
	for dir in "$@"; do
		if [ -f "$PROJECT/$dir/$name.patch" ]; then
			printf '%s\n' "$dir/$name.patch"
			return
		fi
	done
	return 1
}

# mutation_field PATCH NAME: prints that field of the patch's head.
mutation_field() {
	sed -n "s/^$2: //p" "$PROJECT/$1" | head -n 1
}

# apply_patch FILE COPY: applies it to COPY, a path below the cache. Fails if the patch
# does not fit.
apply_patch() {
	in_root patch -s --fuzz=0 -p1 -d "$IN_CACHE/$2" <"$1" || return
	# The changed files must be newer than what was built of them.
	sed -n 's|^+++ b/||p' "$1" | (cd "$CACHE/$2" && xargs touch)
}

# apply_mutation PATCH COPY: the same with a path below the project. Dies if it does not
# fit.
apply_mutation() {
	apply_patch "$PROJECT/$1" "$2" || die "$1 does not fit the sources any more." "Update the patch."
}
