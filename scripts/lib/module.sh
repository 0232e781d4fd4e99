# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The module, built in the root against a test kernel. Needs kernel.sh, mutation.sh for a
# busted build, and the kernel's lock held.

# The directories of the patches of busted builds.
BUSTED=(torture/busted model/mutations)

# module_sources: prints the hashes of all files that the module could be made from.
module_sources() {
	(cd "$PROJECT" && find . \( -name .git -o -name target -o -path ./tools -o -path ./model -o -path ./litmus \
		-o -path ./build -o -path ./torture/busted -o -path ./scripts -o -path ./.ci -o -path ./Documentation \
		-o -path ./samples -o -path ./torture/goes -o -path ./torture/tamper -o -path ./torture/misuse \) -prune -o \
		-type f ! -name '*.md' -print0 | sort -z | xargs -0 sha256sum)
}

# user_modules: prints the directories of the modules that use owner_storage as any module
# outside of its tree would.
user_modules() {
	(cd "$PROJECT" && printf '%s\n' {samples,torture}/*/Kbuild | sed 's|/Kbuild$||')
}

# user_sources: prints the hashes of all files that they could be made from.
user_sources() {
	(cd "$PROJECT" && user_modules | xargs -I '{}' find '{}' -type f | sort | xargs sha256sum)
}

# module_paths WAY: plain, test (with the KUnit suites and fault sites), busted:NAME
# (the test module of a copy of the sources, with the fault of that patch, or none for
# "nothing"), clippy, or samples (the modules of user_modules, against the plain one).
# Each has its own output directory, so that they never mix.
module_paths() {
	MODULE_WAY=$1 MODULE_COPY='' MODULE_PATCH=''
	MODULE=$CHECKOUT/module/$KERNEL_NAME-${MODULE_WAY/:/-}
	case $MODULE_WAY in
	plain) MODULE_ARGS=() ;;
	test) MODULE_ARGS=(OSTOR_TEST=1) ;;
	busted:*)
		local name=${MODULE_WAY#*:}
		MODULE_COPY=$MODULE/source MODULE_ARGS=(OSTOR_BUSTED="$name")
		[ "$name" = nothing ] || MODULE_PATCH=$(mutation_patch "$name" "${BUSTED[@]}") ||
			die "there is no fault \"$name\"." "See scripts/busted --list." ;;
	clippy) MODULE_ARGS=(CLIPPY=1) ;;
	samples) MODULE_ARGS=(OSTOR="$IN_CACHE/$CHECKOUT/module/$KERNEL_NAME-plain") ;;
	esac
}

# kbuild_make SOURCE OUTPUT ARGUMENT…: runs make for the module in SOURCE, in the root.
kbuild_make() {
	local source=$1 output=$2
	shift 2
	in_root make -C "$IN_CACHE/$KERNEL/build" M="$source" MO="$IN_CACHE/$output" \
		ARCH="$MAKE_ARCH" "${MODULE_COMPILER[@]}" "${MODULE_ARGS[@]}" "$@"
}

# module_make ARGUMENT…: runs make for the module of module_paths, in the root.
module_make() {
	kbuild_make "${MODULE_COPY:+$IN_CACHE/}${MODULE_COPY:-$IN_PROJECT}" "$MODULE" "$@"
}

# users_make ARGUMENT…: runs make for each of user_modules, into a directory of its name.
users_make() {
	local user
	for user in $(user_modules); do
		kbuild_make "$IN_PROJECT/$user" "$MODULE/${user##*/}" "$@" || return
	done
}

# copy_module: copies the sources of a busted build, and applies its patch.
copy_module() {
	mkdir -p "$CACHE/$MODULE_COPY"
	(cd "$PROJECT" && tar -cf - --exclude=torture/busted Kbuild include kunit rust torture) | tar -xf - -C "$CACHE/$MODULE_COPY"
	[ -z "$MODULE_PATCH" ] || apply_mutation "$MODULE_PATCH" "$MODULE_COPY"
}

build_module() {
	# kbuild does not notice that the kernel was replaced by another one.
	if ! up_to_date "$CACHE/$MODULE/built-with" "$(kernel_key)"; then
		rm -rf "${CACHE:?}/$MODULE"
		mkdir -p "$CACHE/$MODULE"
		set_stamp "$CACHE/$MODULE/built-with" "$(kernel_key)"
	fi
	if [ -n "$MODULE_COPY" ]; then
		rm -rf "${CACHE:?}/$MODULE_COPY"
		copy_module
	fi
	if [ "$MODULE_WAY" = samples ]; then
		users_make modules
	else
		module_make -j"$(nproc)" modules
	fi
}

make_module() {
	STEP_LINES=200 STEP_WARNINGS=1 run_step "module-$KERNEL_NAME-${MODULE_WAY/:/-}" 30 10 count_lines \
		"Building the module ($MODULE_WAY) for $KERNEL_NAME" build_module
}

# ensure_module WAY
ensure_module() {
	[ "$1" != samples ] || ensure_module plain
	module_paths "$1"
	ensure_btf_tool
	lock shared "$CHECKOUT_LOCK"
	MODULE_KEY=$({
		module_sources
		kernel_key
		! needs_btf_tool || cat "$CACHE/$BTF_TOOL.stamp"
		[ -z "$MODULE_PATCH" ] || cat "$PROJECT/$MODULE_PATCH"
		[ "$MODULE_WAY" != samples ] || user_sources
	} | hash_of)
	ensure "$CHECKOUT_LOCK-module-$KERNEL_NAME-${MODULE_WAY/:/-}" \
		"$CACHE/$MODULE.stamp" "$MODULE_KEY" make_module
}
