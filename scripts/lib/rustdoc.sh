# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The module's Rust documentation. kbuild has no rustdoc target for out-of-tree modules,
# so rustdoc gets the flags that rustc got. Needs module.sh, and the module built.

# rustc_flags OBJECT: prints those of the command that kbuild keeps beside the object.
rustc_flags() {
	sed -n '1s/.*[^A-Za-z_]rustc \(.*\) --crate-type .*/\1/p' "$CACHE/$MODULE/$(dirname "$1")/.${1##*/}.cmd" |
		sed 's/ -Zbinary_dep_depinfo=y//; s/ -C\(lto\|debuginfo\|embed-bitcode\|metadata\)=[^ ]*//g; s/ --emit=metadata=[^ ]*//'
}

# rustdoc_module OUT ARGUMENT…: writes to OUT, a path in the root.
rustdoc_module() {
	local out=$1 build=$IN_CACHE/$KERNEL/build flags
	shift
	flags=$(rustc_flags rust/main.o)
	[ -n "$flags" ] || die "kbuild's command for rust/main.o has another form than expected."
	# The flags are shell words, as kbuild passes them to a shell.
	in_root sh -c "exec env RUSTC_BOOTSTRAP=1 OBJTREE=$build RUST_MODFILE=./owner_storage \
		OSTOR_GENERATED=$IN_CACHE/$MODULE/rust OSTOR_ABI=rustdoc rustdoc $flags -L $build/rust \
		--sysroot=/dev/null --crate-name owner_storage --document-private-items \
		--output '$out' \"\$@\" '$IN_PROJECT/rust/main.rs'" rustdoc "$@"
}
