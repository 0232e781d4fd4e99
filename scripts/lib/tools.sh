# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# The command-line tools and the selftests: static programs that cargo builds in
# the root; for x86_64 also a 32-bit program that calls the device. Needs root.sh, and
# its lock held.

# shellcheck source=SCRIPTDIR/crates.sh
. "$SCRIPTS/lib/crates.sh"

TOOLS=$CHECKOUT/tools

# tools_paths ARCH: sets the paths of the tools for one architecture's guests.
tools_paths() {
	TOOLS_ARCH=$1
	case $TOOLS_ARCH in
	x86_64) TOOLS_TARGET=x86_64-unknown-linux-gnu ;;
	arm64) TOOLS_TARGET=aarch64-unknown-linux-gnu ;;
	*) die "there are no tools for \"$TOOLS_ARCH\"." "Known are x86_64 and arm64." ;;
	esac
	TOOLS_OUT=$TOOLS/$TOOLS_TARGET/release
}

tools_sources() {
	(cd "$PROJECT" && find tools include/uapi Documentation/matrix.rst model/Cargo.toml model/sequence \
		-name target -prune -o -type f -print0 |
		sort -z | xargs -0 sha256sum)
}

# tools_cargo ARGUMENT…: runs cargo on the workspace, in the root. Programs are static,
# since the guest has no libraries. With a named target, build scripts and macros are not
# static. tools/.cargo names the linker of the other architecture; clang, and with it
# bindgen, finds that architecture's headers beside it.
tools_cargo() {
	in_root -C "$IN_PROJECT/tools" CARGO_TARGET_DIR="$IN_CACHE/$TOOLS" CARGO_BUILD_TARGET="$TOOLS_TARGET" \
		RUSTFLAGS='-C target-feature=+crt-static' CARGO_TERM_COLOR=never cargo "$@"
}

build_compat32() {
	in_root gcc -m32 -static -std=gnu11 -O2 -Wall -Wextra -Werror -Iinclude/uapi \
		-o "$IN_CACHE/$TOOLS_OUT/ostor-compat32" tools/compat32/compat32.c
}

build_tools() {
	begin_with_crates release
	# Man pages and charts are not made in guests.
	tools_cargo build --locked --release --workspace --exclude ostor-pages --exclude ostor-chart
	keep_crates release
	[ "$TOOLS_ARCH" != x86_64 ] || build_compat32
}

make_tools() {
	STEP_LINES=200 STEP_WARNINGS=1 run_step "tools-$TOOLS_ARCH" 60 90 count_lines \
		"Building the tools for $TOOLS_ARCH" build_tools
}

# ensure_tools ARCH
ensure_tools() {
	tools_paths "$1"
	lock shared "$CHECKOUT_LOCK"
	TOOLS_KEY=$({ echo "$TOOLS_TARGET"; tools_sources; toolchain_key; declare -f build_tools build_compat32; } | hash_of)
	ensure "$CHECKOUT_LOCK-tools-$TOOLS_ARCH" "$CACHE/$TOOLS-$TOOLS_ARCH.stamp" "$TOOLS_KEY" make_tools
}
