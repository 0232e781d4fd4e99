# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# The command-line tool and the guest tests: static programs, built by cargo in
# the root. Needs root.sh, and its lock held.

TOOLS=$CHECKOUT/tools
TOOLS_TARGET=x86_64-unknown-linux-gnu
TOOLS_OUT=$TOOLS/$TOOLS_TARGET/release

tools_sources() {
	(cd "$PROJECT" && find tools include/uapi -name target -prune -o -type f -print0 |
		sort -z | xargs -0 sha256sum)
}

# cargo on the workspace, in the root. Programs are static since the guest has
# no libraries; naming the target keeps that off build scripts and macros.
tools_cargo() {
	in_root -C "$IN_PROJECT/tools" CARGO_TARGET_DIR="$IN_CACHE/$TOOLS" CARGO_BUILD_TARGET="$TOOLS_TARGET" \
		RUSTFLAGS='-C target-feature=+crt-static' CARGO_TERM_COLOR=never cargo "$@"
}

build_tools() {
	tools_cargo build --locked --release --workspace
}

make_tools() {
	STEP_LINES=200 STEP_WARNINGS=1 run_step tools 60 90 count_lines "Building the tools" build_tools
}

ensure_tools() {
	lock shared "$CHECKOUT_LOCK"
	TOOLS_KEY=$({ tools_sources; toolchain_key; } | hash_of)
	ensure "$CHECKOUT_LOCK-tools" "$CACHE/$TOOLS.stamp" "$TOOLS_KEY" make_tools
}
