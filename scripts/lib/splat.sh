# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What in a kernel log means that something went wrong in the kernel, whatever
# the command in the guest said; and what that said itself.

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

# show_splats LOG: print each of them with what surrounds it, at most 200
# lines. Fails if there is none.
show_splats() {
	grep -qaE "$(splat_pattern)" "$1" || return 1
	# Where there are more lines, head leaves grep with a broken pipe.
	grep -aE -B 3 -A 30 "$(splat_pattern)" "$1" | head -n 200 | tr -d '\r' || true
}

# first_problem LOG: the first one that a command of ostor names, as one line; nothing
# if there is none. The command breaks what is wider than a terminal, and indents the
# rest of it.
first_problem() {
	awk '
	first == "" && sub(/^(WRONG|ostor|ostor-torture): /, "") { first = $0; next }
	first != "" && sub(/^ +/, " ") { first = first $0; next }
	first != "" { exit }
	END { if (first != "") print first }' "$1"
}
