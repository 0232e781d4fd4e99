# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The crates that the tools need, built once for a toolchain and a lock file. The build
# of the first checkout is kept without the checkout's own packages, whose sources differ
# from those of other checkouts. Other checkouts begin with hard links to it: cargo
# replaces files and never writes to them. Needs tools.sh.

# crates_paths: sets CRATES, their path, by all inputs of their build.
crates_paths() {
	CRATES_KEY=$({ toolchain_key; cat "$PROJECT"/tools/{Cargo.lock,Cargo.toml,.cargo/config.toml}; } | hash_of)
	CRATES=crates/$CRATES_KEY
}

# link_crates FROM TO PART…: links the parts of a target directory that TO lacks.
link_crates() {
	local from=$1 to=$2 part
	shift 2
	for part in "$@"; do
		if [ -d "$from/$part" ] && [ ! -e "$to/$part" ]; then
			mkdir -p "$(dirname "$to/$part")"
			rm -rf "$to/$part.new"
			cp -al "$from/$part" "$to/$part.new"
			mv "$to/$part.new" "$to/$part"
		fi
	done
}

# begin_with_crates PROFILE…: to be called before cargo runs. Removes what was built with
# other crates, or by another compiler.
begin_with_crates() {
	local profile
	crates_paths
	if ! up_to_date "$CACHE/$TOOLS/crates" "$CRATES_KEY"; then
		rm -rf "${CACHE:?}/$TOOLS"
		mkdir -p "$CACHE/$TOOLS"
		set_stamp "$CACHE/$TOOLS/crates" "$CRATES_KEY"
	fi
	lock shared crates
	mkdir -p "$CACHE/$CRATES"
	touch "$CACHE/$CRATES"
	for profile in "$@"; do
		link_crates "$CACHE/$CRATES" "$CACHE/$TOOLS" "$profile" "$TOOLS_TARGET/$profile"
	done
	unlock crates
}

# drop_own DIR: removes what was built of the checkout's own packages.
drop_own() {
	local name names=(-name incremental)
	while read -r name; do
		names+=(-o -name "$name" -o -name "${name}[.-]*" -o -name "${name//-/_}[.-]*" -o -name "lib${name//-/_}[.-]*")
	done < <(sed -n 's/^name = "\(.*\)"$/\1/p' "$PROJECT"/tools/*/Cargo.toml "$PROJECT/model/sequence/Cargo.toml")
	find "$1" \( "${names[@]}" \) -prune -exec rm -rf {} +
}

# keep_crates PROFILE: to be called when cargo has built all of the profile.
keep_crates() {
	local profile=$1 new=$CACHE/$CRATES.new
	[ ! -d "$CACHE/$CRATES/$TOOLS_TARGET/$profile" ] || return 0
	lock exclusive crates
	rm -rf "${new:?}"
	link_crates "$CACHE/$TOOLS" "$new" "$profile" "$TOOLS_TARGET/$profile"
	drop_own "$new"
	link_crates "$new" "$CACHE/$CRATES" "$profile" "$TOOLS_TARGET/$profile"
	rm -rf "${new:?}"
	unlock crates
}
