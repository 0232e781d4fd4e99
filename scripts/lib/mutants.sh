# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# The mutants of the storage: changes that a test should catch. cargo-mutants, a crate
# that is built in the root, makes those of logic, and orders.awk those of memory orders.
# Needs model.sh, and the root's lock held.

# The last version that the root's compiler builds.
MUTANTS_VERSION=26.0.0
MUTANTS_TOOL=cargo-mutants
# The directory of the mutants: a patch for each, by number, and LIST.
MUTANTS=$CHECKOUT/mutants

# The lists of rust/sync that the models are built of.
MUTANTS_SYNC=(rust/sync/chain.rs rust/sync/hlist.rs rust/sync/llist.rs)

build_cargo_mutants() {
	in_root CARGO_TERM_COLOR=never cargo install --locked --root "$IN_CACHE/$MUTANTS_TOOL" \
		--version "$MUTANTS_VERSION" cargo-mutants
}

make_cargo_mutants() {
	rm -rf "${CACHE:?}/$MUTANTS_TOOL"
	run_step cargo-mutants 90 190 count_lines "Building cargo-mutants $MUTANTS_VERSION" build_cargo_mutants
}

ensure_cargo_mutants() {
	ensure cargo-mutants "$CACHE/cargo-mutants.stamp" \
		"$({ echo "$MUTANTS_VERSION"; toolchain_key; declare -f build_cargo_mutants; } | hash_of)" make_cargo_mutants
}

# logic_mutants: prints the mutants of logic. cargo-mutants reads the modules of a package,
# so the copy's rust/ gets a package of its own, which is never built. cargo-mutants
# leaves out unsafe functions, so a comment of the same length replaces that word
# meanwhile.
logic_mutants() {
	local dir=$CACHE/$MODEL_COPY file name
	find "$dir/rust" -name '*.rs' -exec sed -i 's:unsafe fn \([a-z]\):/*uf*/ fn \1:' {} +
	{
		printf '[package]\nname = "rust"\nversion = "0.1.0"\nedition = "2021"\n\n[workspace]\n\n'
		printf '[lib]\npath = "rust/storage/mod.rs"\n'
		for file in "${MUTANTS_SYNC[@]}"; do
			name=$(basename "$file" .rs)
			printf '\n[[bin]]\nname = "%s"\npath = "%s"\n' "$name" "$file"
		done
	} >"$dir/Cargo.toml"
	in_root -C "$IN_CACHE/$MODEL_COPY" "$IN_CACHE/$MUTANTS_TOOL/bin/cargo-mutants" mutants \
		--list --diff --colors never --no-config --gitignore false | sed 's:/\*uf\*/:unsafe:'
}

# order_mutants: includes those of rust/sync/rcu.rs, which the models have a stand-in for.
order_mutants() {
	(cd "$PROJECT" && awk -f "$SCRIPTS/lib/orders.awk" rust/storage/*.rs "${MUTANTS_SYNC[@]}" rust/sync/rcu.rs)
}

# split_mutants KIND FIRST <LISTED: writes the patches, from number FIRST on, and prints a
# line for each: its number, kind, line in the file, and name. A name has no line number,
# so that it does not change when other code does.
split_mutants() {
	awk -v kind="$1" -v number="$2" -v dir="$CACHE/$MUTANTS" '
	/^rust\/[a-z_\/]+\.rs:[0-9]+/ {
		split($0, place, ":")
		name = $0
		sub(/:[0-9]+(:[0-9]+)?: /, ": ", name)
		if (++same[name] > 1) {
			name = name " (" same[name] ")"
		}
		close(patch)
		patch = sprintf("%s/%04d.patch", dir, number)
		printf "%04d\t%s\t%d\t%s\n", number++, kind, place[2], name
		head = 0
		next
	}
	/^--- / && !head { print "--- a/" place[1] >patch; next }
	/^\+\+\+ / && !head { print "+++ b/" place[1] >patch; head = 1; next }
	{ print >patch }'
}

# list_mutants: writes the patches, and LIST.
list_mutants() {
	local logic
	rm -rf "${CACHE:?}/$MUTANTS"
	mkdir -p "$CACHE/$MUTANTS"
	copy_model
	logic_mutants >"$CACHE/$MUTANTS/logic"
	order_mutants >"$CACHE/$MUTANTS/order"
	logic=$(split_mutants logic 1 <"$CACHE/$MUTANTS/logic")
	{
		printf '%s\n' "$logic"
		split_mutants order $(($(wc -l <<<"$logic") + 1)) <"$CACHE/$MUTANTS/order"
	} >"$CACHE/$MUTANTS/LIST"
}

# sample_mutants COUNT SEED <LIST: prints COUNT of each kind, always the same ones for a
# seed as long as they exist.
sample_mutants() {
	local number kind line name
	while IFS=$'\t' read -r number kind line name; do
		printf '%s\t%s\t%s\t%s\t%s\n' "$(printf '%s %s' "$2" "$name" | sha256sum | cut -c1-16)" \
			"$number" "$kind" "$line" "$name"
	done | sort | awk -F '\t' -v OFS='\t' -v most="$1" '++seen[$3] <= most { print $2, $3, $4, $5 }' | sort
}

# The lines of model/mutants: the reason for each mutant.
declare -A REASON=()
read_known() {
	local line
	while read -r line; do
		case $line in
		'' | \#*) continue ;;
		esac
		[[ $line = *' => '* ]] || die "model/mutants: no reason in \"$line\"."
		REASON[${line%% => *}]=${line#* => }
	done <"$PROJECT/model/mutants"
}

# verdict_of NAME: prints the verdict of model/mutants: nothing, litmus or equivalent.
verdict_of() {
	case ${REASON[$1]:-} in
	'') ;;
	litmus/*) echo litmus ;;
	*) echo equivalent ;;
	esac
}

# wrong_known: prints each name in model/mutants, and why, that is of no mutant of LIST, or
# whose litmus test lacks no order.
wrong_known() {
	local name reason file
	local -A listed=()
	while IFS=$'\t' read -r _ _ _ name; do
		listed[$name]=1
	done <"$CACHE/$MUTANTS/LIST"
	for name in "${!REASON[@]}"; do
		reason=${REASON[$name]}
		file=$PROJECT/${reason%%[ ,]*}
		if [ -z "${listed[$name]:-}" ]; then
			printf '%s\t%s\n' "$name" "model/mutants has it, and there is no such mutant"
		elif [[ $reason = litmus/* ]] && ! grep -qsE '^ \* Result: (Sometimes|Always)' "$file"; then
			printf '%s\t%s\n' "$name" "model/mutants names ${reason%%[ ,]*}, which is no test that lacks an order"
		fi
	done
}
