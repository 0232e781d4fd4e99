# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The messages of a kernel's log that mean a fault, whatever status the command in the
# guest had; and the first problem that the command itself reports.

SPLATS=(
	'WARNING:'
	'BUG:'
	'kernel BUG at'
	'Oops:?'
	'Kernel panic'
	'general protection fault'
	'Unable to handle kernel'
	'Internal error:'
	'stack segment:'
	'invalid opcode:'
	'divide error:'
	'double fault'
	'rust_kernel: panicked'
	'rcu:? .*(detected .*stall|self-detected)'
	'soft lockup'
	'hard LOCKUP'
	'workqueue lockup'
	'INFO: task .* blocked for more than'
	'INFO: possible recursive locking'
	'inconsistent lock state'
	'(circular|recursive) locking dependency'
	'bad unlock balance'
	'suspicious RCU usage'
	'lock held when returning to user space'
	'DEBUG_LOCKS_WARN_ON'
	'KASAN:'
	'KFENCE:'
	'KCSAN:'
	'UBSAN:'
	'ODEBUG:'
	'kmemleak: .* new suspected'
	'refcount_t:'
	'unregister_netdevice:'
	'scheduling while atomic'
	'list_(add|del) corruption'
	'Slab cache still has objects'
	'Objects remaining'
	'unchecked MSR access'
	'Call [Tt]race:'
)

splat_pattern() {
	local IFS='|'
	printf '%s' "${SPLATS[*]}"
}

# show_splats LOG: prints each of these messages with the lines around it, at most 200
# lines. Fails if there is none.
show_splats() {
	grep -qaE "$(splat_pattern)" "$1" || return 1
	# head closes the pipe after 200 lines, and grep fails then.
	grep -aE -B 3 -A 30 "$(splat_pattern)" "$1" | head -n 200 | tr -d '\r' || true
}

# first_problem LOG: prints the first problem that a command of ostor reports, as one line,
# or nothing. The command breaks lines that are wider than a terminal, and indents the
# rest of them.
first_problem() {
	awk '
	first == "" && sub(/^(WRONG|ostor|ostor-torture): /, "") { first = $0; next }
	first != "" && sub(/^ +/, " ") { first = first $0; next }
	first != "" { exit }
	END { if (first != "") print first }' "$1"
}
