# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# The base of every script: paths, messages, and locks that share the cache with other
# runs. Messages go to standard error. Standard output belongs to the command that a
# script runs.

set -euo pipefail
umask 022

say() {
	printf '%s\n' "$*" >&2
}

# die WHAT-AND-WHY [WHAT-TO-DO]
die() {
	printf '%s: %s\n' "$(basename "$0")" "$1" >&2
	shift
	[ $# -eq 0 ] || printf '  %s\n' "$@" >&2
	exit "${DIE_STATUS:-1}"
}

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
SCRIPTS=$PROJECT/scripts
ELSEWHERE="Set OWNER_STORAGE_CACHE to a directory for the cache."
CACHE=${OWNER_STORAGE_CACHE:-${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}}
[ -n "$CACHE" ] || die "HOME is not set, so there is no place for the cache." "$ELSEWHERE"
[ -n "${OWNER_STORAGE_CACHE:-}" ] || CACHE+=/owner_storage
{ mkdir -p "$CACHE" && [ -w "$CACHE" ]; } 2>/dev/null ||
	die "the cache, $CACHE, cannot be written." "$ELSEWHERE"
CACHE=$(cd "$CACHE" && pwd -P)

# The paths of the two inside the root.
IN_CACHE=/cache IN_PROJECT=/work

# Each checkout has its own directory for what is built from it: make compares times, and
# those of two checkouts do not compare.
CHECKOUT=checkout/$(basename "$PROJECT")-$(printf %s "$PROJECT" | sha256sum | cut -c1-8)
CHECKOUT_LOCK=$(basename "$CHECKOUT")
LOGS=$CACHE/log/$CHECKOUT_LOCK
mkdir -p "$CACHE/lock" "$CACHE/expect" "$LOGS" "$CACHE/$CHECKOUT"
# For scripts/clean --old: the path of the checkout. The file's age is that of the last use.
printf '%s\n' "$PROJECT" >"$CACHE/$CHECKOUT/from"

# need_value OPTION COUNT: dies if no value follows the option, which needs one.
need_value() {
	[ "$2" -ge 2 ] || die "$1 needs a value." "See --help."
}

# need_count OPTION VALUE: dies unless the value is a number above 0.
need_count() {
	[[ $2 =~ ^[1-9][0-9]{0,8}$ ]] || die "$1 $2 is no number above 0." "See --help."
}

# arch_name NAME: prints the project's name of an architecture that has several. An
# unknown name stays as it is, and is refused where it is used.
arch_name() {
	case $1 in
	x86 | amd64) echo x86_64 ;;
	aarch64) echo arm64 ;;
	*) echo "$1" ;;
	esac
}

# usage FILE: the comment at a script's head is its help page.
usage() {
	sed -n '3,/^$/s/^# \{0,1\}//p' "$1"
}

hash_of() {
	sha256sum | cut -c1-16
}

# lock MODE NAME: MODE is shared (to use the thing) or exclusive (to change it). The lock
# is held until unlock, or until this process and all that it started have ended, so that
# no run removes what a virtual machine uses.
declare -A LOCK_FD=()
lock() {
	local mode=$1 name=$2 fd
	unlock "$name"
	exec {fd}>>"$CACHE/lock/$name"
	if ! flock "--$mode" --nonblock "$fd"; then
		say "Another run is at work on \"$name\"; waiting for it."
		flock "--$mode" "$fd"
	fi
	LOCK_FD[$name]=$fd
}

unlock() {
	local fd=${LOCK_FD[$1]:-}
	[ -n "$fd" ] || return 0
	exec {fd}>&-
	unset "LOCK_FD[$1]"
}

# up_to_date STAMP KEY: whether the step was finished with exactly these inputs.
up_to_date() {
	[ -f "$1" ] && [ "$(cat "$1")" = "$2" ]
}

# set_stamp STAMP KEY: ends a step. A step without a stamp is redone.
set_stamp() {
	printf '%s\n' "$2" >"$1.new"
	mv "$1.new" "$1"
}

# need_space MB: dies unless the file system of the cache has that much free.
need_space() {
	local free
	free=$(($(stat -f -c '%a * %S' "$CACHE") >> 20))
	[ "$free" -ge "$1" ] || die "$CACHE has $free MB free, and building what is missing takes up to $1 MB." \
		"scripts/clean --old removes what has not been used for a month." "$ELSEWHERE"
}

# ensure NAME STAMP KEY COMMAND…: runs COMMAND unless STAMP has KEY, and returns with the
# shared lock NAME held. STAMP's age is that of the last use. SPACE is the disk space in
# MB that COMMAND takes, together with the builds after it.
ensure() {
	local name=$1 stamp=$2 key=$3
	shift 3
	lock shared "$name"
	while ! up_to_date "$stamp" "$key"; do
		lock exclusive "$name"
		if ! up_to_date "$stamp" "$key"; then
			need_space "${SPACE:-1000}"
			rm -f "$stamp"
			"$@"
			set_stamp "$stamp" "$key"
		fi
		lock shared "$name"
	done
	touch "$stamp"
}

# start_child COMMAND…: runs it in the background as CHILD, in a process group of its own,
# so that an interrupt of this script can end all of it.
start_child() {
	set -m
	"$@" &
	CHILD=$!
	set +m
	trap 'interrupted; kill_child; exit 130' INT
	trap 'kill_child; exit 143' TERM HUP
}

# end_child: waits for CHILD, and returns its status.
end_child() {
	local status=0
	wait "$CHILD" || status=$?
	trap - INT TERM HUP
	return "$status"
}

# interrupted: prints a message, on the line below the ^C of the terminal.
interrupted() {
	[ ! -t 2 ] || echo >&2
	say "Interrupted. What was built until now is kept: the next run goes on from there."
}

# kill_child: CHILD has 0.3 s to end by itself.
kill_child() {
	kill -TERM -- "-$CHILD" 2>/dev/null || return 0
	sleep 0.3
	kill -KILL -- "-$CHILD" 2>/dev/null || true
}
