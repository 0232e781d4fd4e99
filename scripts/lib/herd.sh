# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# herd7, in a small Debian root of its own, since the main root's suite has no package of
# it; and the kernel's memory model, from its source. The suite is signed with the keys
# of Debian 12 and 13. Needs kernel.sh, and the main root's lock held.

HERD=$CACHE/herd
HERD_SUITE=forky
# base-files has the links to the dynamic linker, coreutils has env, which in_root starts.
HERD_PACKAGES=(herdtools7 base-files coreutils)

# Bootstraps the root: unpacks the packages and runs none of their scripts. Part of the
# root's key: a change here rebuilds the root.
bootstrap_herd() {
	local to=$1 site=$2 include
	include=$(printf '%s\n' "${HERD_PACKAGES[@]}" | paste -sd,)
	# A mirror that is not updated has Release files past their date.
	mmdebstrap --verbose --variant=extract --architectures=amd64 \
		--aptopt='Acquire::Check-Valid-Until "false"' \
		--aptopt='APT::Install-Recommends "false"' \
		--include="$include" "$HERD_SUITE" "$to" "deb $site $HERD_SUITE main"
	mkdir -p "$to$IN_CACHE" "$to$IN_PROJECT" "$to/share" "$to/etc/ssl/certs"
}

make_herd() {
	local site
	need_mmdebstrap
	site=$(mirror)
	rm -rf "$HERD.new"
	STEP_HINT="The mirror must have $HERD_SUITE; OWNER_STORAGE_MIRROR names another one." \
		run_step herd 40 80 count_lines "Making a Debian $HERD_SUITE root: herd7" \
		bootstrap_herd "$HERD.new" "$site"
	rm -rf "$HERD"
	mv "$HERD.new" "$HERD"
}

ensure_herd() {
	ensure herd "$CACHE/herd.stamp" \
		"$({ declare -p HERD_SUITE HERD_PACKAGES; declare -f bootstrap_herd; } | hash_of)" make_herd
}

# herd FILE: runs herd7 with the kernel's memory model on FILE. It runs in the model's
# directory, since the model's files name each other by relative paths.
herd() {
	local ROOT=$HERD
	in_root --share "$(dirname "$1")" -C "$IN_CACHE/$SOURCE/tools/memory-model" \
		herd7 -timeout 120 -conf linux-kernel.cfg "/share/$(basename "$1")"
}
