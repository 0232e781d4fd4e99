#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# test.sh, in a guest with owner_storage loaded: compares the calls in flight with those of
# /proc/PID/syscall, at rest and under load, and the histogram of the calls that sleep with
# the number of sleeps and with a histogram of the kernel's tracer.

dir=/sys/kernel/debug/syscalls
tracing=/sys/kernel/tracing

fail() {
	touch /tmp/stop
	echo "$1"
	exit 1
}

# scan: prints each thread of a program that sleeps in a call, and the call's number.
scan() {
	for thread in /proc/[0-9]*/task/[0-9]*; do
		number=''
		[ ! -e "$thread/exe" ] || read -r number _ 2>/dev/null <"$thread/syscall"
		case $number in
		[0-9]*) echo "${thread##*/} $number" ;;
		esac
	done
}

# list: writes in_flight to /tmp/list without its header, without the task that reads it,
# which must be in it, and without this shell, which may wait for that already.
list() {
	cat $dir/in_flight >/tmp/in_flight &
	reader=$!
	wait $reader
	awk -v reader=$reader -v shell=$$ '
	NR == 1 { next }
	$1 == reader { seen++ }
	$1 != reader && $1 != shell
	END { exit seen != 1 }' /tmp/in_flight >/tmp/list || fail "the reader is not listed once"
	awk 'length > 80 { exit 1 }' /tmp/in_flight || fail "a line is too long"
	awk '{ print $1 }' /tmp/list | sort | uniq -d >/tmp/twice
	[ ! -s /tmp/twice ] || fail "tasks are listed twice: $(cat /tmp/twice)"
}

# uptime_ms: prints the time.
uptime_ms() {
	awk '{ print int($1 * 1000) }' /proc/uptime
}

# load: forks and exits.
load() {
	while [ ! -e /tmp/stop ]; do
		(true)
	done
}

# settled: succeeds if these tasks sleep in their calls, and no others do.
settled() {
	scan >/tmp/scan
	grep -vxFf /tmp/before /tmp/scan | sort >/tmp/asleep
	[ "$(awk '{ print $2 }' /tmp/asleep | sort | uniq -c | awk '{ printf "%d ", $1 }')" = '15 15 15 ' ]
}

# check: fails unless the list has these tasks, in their calls for as long as they are.
check() {
	awk -v least=$((before - slept)) -v most=$((after - began)) '
	NR == FNR { number[$1] = $2; missing++; next }
	$1 in number {
		missing--
		if ($2 != number[$1] || $3 < 1000 * least || $3 > 1000 * (most + 20)) {
			print "wrong:", $0
			wrong = 1
		}
	}
	END { exit wrong || missing }' /tmp/asleep /tmp/list
}

# sleeper: sleeps 55 times.
sleeper() {
	slept=0
	while [ "$slept" -lt 25 ]; do
		slept=$((slept + 1))
		usleep 3000
		usleep 20000
		[ $((slept % 5)) -ne 0 ] || usleep 100000
	done
}

# longer NS: prints the number of calls in the ranges from there on.
longer() {
	awk -v from="$1" 'NF == 3 && $1 ~ /^[0-9]/ && $1 >= from { sum += $2 } END { print sum + 0 }' /tmp/histogram
}

scan >/tmp/before
insmod /modules/syscalls.ko || fail "it does not load"
mkfifo /tmp/one /tmp/two
exec 3<>/tmp/two
began=$(uptime_ms)
tasks=''
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
	# With a child that has ended, and stays a zombie.
	(true & exec sleep 1000) &
	tasks="$tasks $!"
	# In open(), and in read().
	cat /tmp/one &
	tasks="$tasks $!"
	cat /tmp/two 3<&- &
	tasks="$tasks $!"
done
tries=0
until settled; do
	tries=$((tries + 1))
	[ "$tries" -le 100 ] || fail "not 15 tasks in each of three calls: $(cat /tmp/asleep)"
	usleep 200000
done
slept=$(uptime_ms)
list
awk '{ print $1, $2 }' /tmp/list | sort | diff /tmp/asleep - || fail "the list is wrong: $(cat /tmp/list)"

load &
load &
lists=0
others=0
while [ "$lists" -lt 20 ]; do
	lists=$((lists + 1))
	before=$(uptime_ms)
	list
	after=$(uptime_ms)
	check || fail "the list is wrong under load: $(cat /tmp/list)"
	others=$((others + $(wc -l </tmp/list) - 45))
done
echo "45 tasks in three calls, as in /proc, alone and in $lists lists under load with $others other calls"
touch /tmp/stop
# The module goes while they sleep.
rmmod syscalls || fail "it does not go"
# shellcheck disable=SC2086
kill $tasks
wait

# The calls of sleep, in the histogram and as the tracer saw each of them.
first=${tasks# }
number=$(sed -n "s/^${first%% *} //p" /tmp/asleep)
echo mono >$tracing/trace_clock
echo "id==$number" >$tracing/events/raw_syscalls/filter
echo 1 >$tracing/events/raw_syscalls/enable
insmod /modules/syscalls.ko number="$number" || fail "it does not load with a number"

rm /tmp/stop
load &
sleeper &
sleepers=$!
for _ in 1 2 3; do
	sleeper &
	sleepers="$sleepers $!"
done
# shellcheck disable=SC2086
wait $sleepers
touch /tmp/stop
wait
cat $dir/histogram >/tmp/histogram
cat /tmp/histogram
awk 'length > 80 { exit 1 }' /tmp/histogram || fail "a line is too long"
grep -qx 'calls 220 missed 0' /tmp/histogram || fail "not 220 calls of number $number"
[ "$(longer 2097152)" -eq 220 ] || fail "a call is shorter than its sleep of 3 ms"
[ "$(longer 16777216)" -ge 120 ] || fail "a call is shorter than its sleep of 20 ms"
[ "$(longer 67108864)" -ge 20 ] || fail "a call is shorter than its sleep of 100 ms"
# usleep-321 [001] ..... 12.345678: sys_exit: NR 230 = 0
awk '
$5 == "sys_enter:" { entered[$1] = $4 }
$5 == "sys_exit:" && $1 in entered { printf "%.0f\n", ($4 - entered[$1]) * 1000000000 }' \
	$tracing/trace >/tmp/traced
awk '
FILENAME == "/tmp/traced" { traced[++all] = $1; next }
NF == 3 && $1 ~ /^[0-9]/ { counted[$1] = $2 }
END {
	# Both read the clock at the same event, one after the other. An interrupt may come
	# between them, and the host may run something else.
	apart = 1000000
	for (from = 1073741824; from >= 1; from /= 2) {
		longer = least = most = 0
		for (range in counted)
			longer += range + 0 >= from ? counted[range] : 0
		for (call = 1; call <= all; call++) {
			least += traced[call] >= from + apart
			most += traced[call] >= from - apart
		}
		if (longer < least - 2 || longer > most + 2) {
			print longer " of at least " from " ns, by the tracer " least " to " most
			wrong = 1
		}
	}
	print all + 0 " calls traced"
	exit wrong || all != 220
}' /tmp/traced /tmp/histogram || fail "the histogram is not that of the traced calls"
echo 0 >$tracing/events/raw_syscalls/enable
rmmod syscalls
