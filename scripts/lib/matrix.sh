# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# The matrix of kernels and architectures: its cells, the keys that results are kept
# under, and its table. Needs kernel.sh and stages.sh.

# The kernels, each a flavour of scripts/kernel, and the stages that run on each.
FLAVOURS=(stock stock72 default kasan lockdep rt up nomemcg cfi modversions)
CELL_STAGES=(guest kunit-module contexts samples bpf demo)

# The stages that are of no cell: the suites built into a kernel, and DKMS.
OTHER_STAGES=(kunit-x86_64 kunit-arm64 dkms-stock dkms-stock72)

# cell_stage STAGE FLAVOUR ARCH: prints the name of a stage of that cell.
cell_stage() {
	local suffix=''
	[ "$3" = x86_64 ] || suffix=-$3
	echo "$1-$2$suffix"
}

# why_no_cell STAGE FLAVOUR ARCH: prints why there is no such cell, or nothing.
why_no_cell() {
	if [ "$1" = kunit-module ] && is_stock "$2"; then
		echo "Debian's kernel has no KUnit"
	elif [ "$1" = bpf ] && ! is_stock "$2" && [ "$2-$3" != default-x86_64 ]; then
		echo "Of the test kernels only x86_64's default has BTF, which BPF programs need"
	elif [ "$2-$3" = up-arm64 ]; then
		echo "Linux for arm64 has no configuration without SMP"
	fi
}

# all_cells: sets MATRIX to the stages of all cells, kernel by kernel, and the others.
all_cells() {
	local arch flavour stage
	MATRIX=("${OTHER_STAGES[@]}")
	for arch in x86_64 arm64; do
		for flavour in "${FLAVOURS[@]}"; do
			for stage in "${CELL_STAGES[@]}"; do
				[ -n "$(why_no_cell "$stage" "$flavour" "$arch")" ] ||
					MATRIX+=("$(cell_stage "$stage" "$flavour" "$arch")")
			done
		done
	done
}

# matrix_key: prints the key of all that a result depends on but the kernel.
matrix_key() {
	{
		toolchain_key
		cd "$PROJECT" && find Kbuild Makefile dkms.conf include kunit packaging rust samples scripts tools torture \
			Documentation/matrix.rst Documentation/contexts.rst -name target -prune -o -type f -print0 |
			sort -z | xargs -0 sha256sum
	} | hash_of
}

# cell_key ARCH FLAVOUR: prints the key of the kernel.
cell_key() {
	[ -n "$2" ] || return 0
	source_paths
	kernel_paths "$1" "$2"
	kernel_key
}

# cell STAGE FLAVOUR ARCH: prints the entry of the table.
cell() {
	local name
	name=$(cell_stage "$@")
	if [ -n "$(why_no_cell "$@")" ]; then
		echo -
	else
		echo "${RESULTS[$name]:-not run}"
	fi
}

# print_matrix: prints a table for each architecture, with a line for each kernel that has
# the result of each stage; the other stages; and the reasons of the cells that cannot be.
print_matrix() {
	local arch flavour stage reason cells format='%-11s %-13s %-13s %-8s %-8s %-11s %s\n'
	local -A reasons=()
	for arch in x86_64 arm64; do
		# shellcheck disable=SC2059
		printf "$format" "$arch" "${CELL_STAGES[@]}"
		for flavour in "${FLAVOURS[@]}"; do
			cells=()
			for stage in "${CELL_STAGES[@]}"; do
				cells+=("$(cell "$stage" "$flavour" "$arch")")
				reason=$(why_no_cell "$stage" "$flavour" "$arch")
				[ -z "$reason" ] || reasons[$reason]=1
			done
			# shellcheck disable=SC2059
			printf "$format" "$flavour" "${cells[@]}"
		done
		echo
	done
	for stage in "${OTHER_STAGES[@]}"; do
		printf '%-20s %s\n' "$stage" "${RESULTS[$stage]:-not run}"
	done
	[ ${#reasons[@]} -eq 0 ] || printf -- '- %s.\n' "${!reasons[@]}" | sort
}
