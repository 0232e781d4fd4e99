#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# test.sh, in a guest with owner_storage loaded: compares the tasks that have entries with
# those of /proc, while tasks fork and exit; then checks that a change of the user id by
# commit_creds() is found right, and one without it is found.

tasks=/sys/kernel/debug/task_guard/tasks

fail() {
	touch /tmp/stop
	echo "$1"
	cat $tasks
	exit 1
}

# threads: prints the threads of the system, one a line.
threads() {
	for thread in /proc/[0-9]*/task/[0-9]*; do
		echo "${thread##*/}"
	done
}

# load: forks and exits.
load() {
	while [ ! -e /tmp/stop ]; do
		(true)
	done
}

# finding PID: prints the user id and the finding of a task.
finding() {
	sed -n "s/^$1 //p" $tasks
}

load &
insmod /modules/task_guard.ko || fail "it does not load"
round=0
seen=0
new=0
while [ "$round" -lt 10 ]; do
	round=$((round + 1))
	threads >/tmp/before
	cat $tasks >/tmp/tasks
	threads >/tmp/after
	# Those that were there before and after were there meanwhile.
	sort /tmp/before /tmp/after | uniq -d >/tmp/stayed
	sed -nE 's/ [0-9]+ (ok|new)$//p' /tmp/tasks | sort >/tmp/right
	missing=$(sort /tmp/right /tmp/right /tmp/stayed | uniq -u | wc -l)
	[ "$missing" -eq 0 ] || fail "$missing tasks of /proc have no right entry"
	grep -q ' changed 0 new [0-9]* missed 0$' /tmp/tasks || fail "a finding is wrong"
	new=$((new + $(grep -c ' new$' /tmp/tasks)))
	seen=$((seen + $(wc -l </tmp/stayed)))
done
touch /tmp/stop
wait
# These fork and do not execute: an exec calls commit_creds(), which makes an entry as well.
mkfifo /tmp/pipe
waiters=''
while [ "$(echo "$waiters" | wc -w)" -lt 50 ]; do
	(read -r _ </tmp/pipe) &
	waiters="$waiters $!"
done
cat $tasks >/tmp/tasks
for waiter in $waiters; do
	grep -q "^$waiter 0 ok\$" /tmp/tasks || fail "task $waiter has no entry of its fork"
done
# shellcheck disable=SC2086
kill $waiters
wait
echo "$seen tasks of /proc in $round lists under load: each has a right entry, $new were just being forked"

# The same program with another user id, by commit_creds().
su -s /bin/sh nobody -c 'exec sleep 1000' &
sleeper=$!
usleep 300000
[ "$(finding $sleeper)" = "65534 ok" ] || fail "a task that has changed its ids: $(finding $sleeper)"
insmod /modules/tamper.ko pid=$sleeper || fail "the tampering module does not load"
rmmod tamper
[ "$(finding $sleeper)" = "0 changed" ] || fail "a task whose ids were overwritten: $(finding $sleeper)"
tail -n 1 $tasks | grep -q ' changed 1 new 0 missed 0$' || fail "not one task is found"
echo "$(tail -n 1 $tasks): the task whose user id was overwritten"
kill $sleeper
wait
rmmod task_guard
