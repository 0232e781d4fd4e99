# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The static checks of scripts/lint. Each prints its findings, and fails if there is one.

UAPI=(include/uapi/linux/owner_storage.h include/uapi/linux/owner_storage_torture.h)

# project_files FIND-ARGUMENT…: prints the project's files, one a line.
project_files() {
	(cd "$PROJECT" && find . \( -name .git -o -name target -o -name output -o -path ./build \) -prune -o \
		-type f "$@" ! -name '*_generated.rs' ! -name '*.mod.c' -print | sed 's|^\./||' | sort)
}

# check_license: in the first lines, where checkpatch looks for it.
check_license() {
	local file bad=0
	while read -r file; do
		if ! head -n 3 "$PROJECT/$file" | grep -q 'SPDX-License-Identifier: GPL-2.0'; then
			echo "$file has no SPDX-License-Identifier in its first three lines"
			bad=1
		fi
	done < <(project_files \( -name '*.rs' -o -name '*.[ch]' -o -name '*.sh' -o -name '*.config' -o -name '*.toml' \
		-o -name '*.kunitconfig' -o -name '*.litmus' -o -name 'Kconfig*' -o -name Kbuild -o -name Makefile -o -name dkms.conf \
		-o -path './scripts/*' -o -path './packaging/*' \))
	return "$bad"
}

# vague_words FILE…: prints each phrase in them that names no actor or requirement.
vague_words() {
	awk -f "$SCRIPTS/lib/words.awk" "$@"
}

# Licences are not the project's own text.
check_words() {
	local files
	mapfile -t files < <(project_files \( -name '*.rs' -o -name '*.[ch]' -o -name '*.sh' -o -name '*.awk' -o -name '*.py' \
		-o -name '*.rst' -o -name '*.md' -o -name '*.litmus' -o -name '*.patch' -o -name '*.toml' -o -name '*.config' \
		-o -name '*.kunitconfig' -o -name 'Kconfig*' -o -name Kbuild -o -name Makefile -o -name dkms.conf -o -path ./model/mutants \
		-o -path './scripts/*' -o -path './packaging/*' -o -path './.ci/*' \) ! -path './LICENSES/*')
	(cd "$PROJECT" && vague_words "${files[@]}")
}

# long_comments FILE…: prints the lines of comments of more than 100 columns in Rust code. rustfmt
# leaves them as they are. Fails if there is one.
long_comments() {
	! grep -HnP '^(?= *//).{101}' "$@"
}

check_columns() {
	local files
	mapfile -t files < <(project_files -name '*.rs')
	(cd "$PROJECT" && long_comments "${files[@]}")
}

shell_files() {
	local file
	while read -r file; do
		if [[ $file = *.sh || $file = dkms.conf ]] || head -n 1 "$PROJECT/$file" | grep -qE '^#!/bin/(ba|)sh'; then
			echo "$file"
		fi
	done < <(project_files \( -path './scripts/*' -o -path './.ci/*' -o -path './packaging/*' -o -name '*.sh' \
		-o -name dkms.conf \))
}

check_shell() {
	local files
	mapfile -t files < <(shell_files)
	in_root shellcheck "${files[@]}"
}

check_rustfmt() {
	local files
	mapfile -t files < <(project_files -name '*.rs' \( -path './rust/*' -o -path './samples/*' -o -path './kunit/*' -o -path './torture/*' \))
	in_root rustfmt --check --edition 2021 --config-path "$IN_CACHE/$SOURCE/.rustfmt.toml" "${files[@]}"
}

check_cargo_fmt() {
	tools_cargo fmt --all --check
}

check_cargo_clippy() {
	tools_cargo clippy --locked --workspace --all-targets --release -- -D warnings
}

check_model_fmt() {
	model_cargo fmt --all --check
}

check_model_clippy() {
	model_cargo clippy --locked --workspace --all-targets -- -D warnings
}

check_kernel_clippy() {
	module_paths clippy
	# make does not run clippy again on files that it has checked.
	rm -rf "${CACHE:?}/$MODULE"
	mkdir -p "$CACHE/$MODULE"
	module_make modules || return
	MODULE_ARGS+=(OSTOR="$IN_CACHE/$MODULE")
	users_make modules
}

check_rustdoc() {
	module_paths plain
	rm -rf "${CACHE:?}/$CHECKOUT/rustdoc"
	rustdoc_module "$IN_CACHE/$CHECKOUT/rustdoc" -Dwarnings
}

check_checkpatch() {
	local files
	mapfile -t files < <(project_files -name '*.[ch]')
	in_root perl "$IN_CACHE/$SOURCE/scripts/checkpatch.pl" --no-tree --strict --terse --show-types \
		--no-summary -f "${files[@]}"
}

check_header_doc() {
	local files
	mapfile -t files < <(project_files -name '*.h' -path './include/*')
	in_root "$IN_CACHE/$SOURCE/scripts/kernel-doc" -none -Wall -Werror "${files[@]}"
}

# header_layout FILE -mBITS: prints the fields, offsets and sizes of the header's
# structures, and leaves out their alignment. 32-bit x86 aligns 64-bit members to 4 bytes,
# which does no harm where the offsets are the same.
header_layout() {
	in_root clang "$2" -x c -fsyntax-only -Iinclude/uapi -Xclang -fdump-record-layouts-complete \
		-Xclang -fdump-record-layouts-simple "$1" |
		awk -v RS='' '/Type: struct ostor_/ { gsub(/ *Alignment:[0-9]*\n/, ""); print }'
}

# check_one_header FILE
check_one_header() {
	local way=(-Wall -Wextra -Werror -Wpadded -pedantic -fsyntax-only -Iinclude/uapi) bits
	in_root gcc -std=c90 "${way[@]}" -x c "$1" || return 1
	in_root clang -std=c90 "${way[@]}" -x c "$1" || return 1
	in_root g++ -std=c++98 "${way[@]}" -x c++ "$1" || return 1
	for bits in 64 32; do
		header_layout "$1" "-m$bits" >"$LOGS/layout-$bits"
	done
	grep -q ostor_ "$LOGS/layout-64" || {
		echo "the compiler printed no layout to compare"
		return 1
	}
	diff "$LOGS/layout-64" "$LOGS/layout-32"
}

check_header() {
	local file
	for file in "${UAPI[@]}"; do
		check_one_header "$file" || return 1
	done
}
