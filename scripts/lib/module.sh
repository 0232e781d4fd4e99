# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The module, built in the root against a test kernel. Needs kernel.sh, and the
# kernel's lock held.

# Everything of the checkout that the module could be made from.
module_sources() {
	(cd "$PROJECT" && find . \( -name .git -o -name target -o -path ./tools -o -path ./model -o -path ./litmus \
		-o -path ./build -o -path ./scripts -o -path ./.ci -o -path ./Documentation \) -prune -o \
		-type f ! -name '*.md' -print0 | sort -z | xargs -0 sha256sum)
}

# module_paths WAY: plain, test (with the KUnit suites and fault points), creation
# (the plain one with the driver of scripts/creation-speed) or clippy. Each has an
# output directory of its own, so that they never mix.
module_paths() {
	MODULE_WAY=$1
	MODULE=$CHECKOUT/module/$KERNEL_NAME-$MODULE_WAY
	case $MODULE_WAY in
	plain) MODULE_ARGS=() ;;
	test) MODULE_ARGS=(OSTOR_TEST=1) ;;
	creation) MODULE_ARGS=(OSTOR_CREATION=1) ;;
	clippy) MODULE_ARGS=(CLIPPY=1) ;;
	esac
}

# make for the module, in the root.
module_make() {
	in_root make -C "$IN_CACHE/$KERNEL/build" M="$IN_PROJECT" MO="$IN_CACHE/$MODULE" \
		ARCH="$MAKE_ARCH" LLVM=1 "${MODULE_ARGS[@]}" "$@"
}

build_module() {
	# kbuild does not notice another kernel of the same name under it.
	if ! up_to_date "$CACHE/$MODULE/built-with" "$(kernel_key)"; then
		rm -rf "${CACHE:?}/$MODULE"
		mkdir -p "$CACHE/$MODULE"
		set_stamp "$CACHE/$MODULE/built-with" "$(kernel_key)"
	fi
	module_make -j"$(nproc)" modules
}

make_module() {
	STEP_LINES=200 STEP_WARNINGS=1 run_step "module-$KERNEL_NAME-$MODULE_WAY" 30 10 count_lines \
		"Building the module ($MODULE_WAY) for $KERNEL_NAME" build_module
}

# ensure_module WAY
ensure_module() {
	module_paths "$1"
	lock shared "$CHECKOUT_LOCK"
	MODULE_KEY=$({ module_sources; kernel_key; } | hash_of)
	ensure "$CHECKOUT_LOCK-module-$KERNEL_NAME-$MODULE_WAY" \
		"$CACHE/$MODULE.stamp" "$MODULE_KEY" make_module
}
