# SPDX-License-Identifier: GPL-2.0
#
# The figures of scripts/creation-speed, from the lines of scripts/guest/creation-speed.
# A row is a kind of owners and a size of batches, or, for "self", a task's first value or
# a later one. A cell is a row and a contestant.

BEGIN {
	names = split("none program bpf hook ours", name)
	split("no storage,BPF program,BPF storage,our hook,our storage", title, ",")
	rows = split("socket 16,socket 32,socket 64,task 16,task 32,task 64,self first,self later", row, ",")
}

{ cell = $2 " " $3 " " $4 }
$1 == "sample" { rate[cell, ++count[cell]] = $5 * 1e6 / $6 }
$1 == "events" { made[cell] += $5; switches[cell] += $6; irq_works[cell] += $7; loop_ns[cell] += $8 }

# Sorts the rates of a cell, and sets its median.
function summarize(cell,    i, j, x) {
	if (count[cell] != wanted || !made[cell]) {
		print "creation-speed: " count[cell] + 0 " samples of " cell ", not " wanted \
			(made[cell] ? "" : ", and no events") >"/dev/stderr"
		exit 2
	}
	for (i = 2; i <= wanted; i++) {
		x = rate[cell, i]
		for (j = i; j > 1 && rate[cell, j - 1] > x; j--)
			rate[cell, j] = rate[cell, j - 1]
		rate[cell, j] = x
	}
	median[cell] = (rate[cell, int((wanted + 1) / 2)] + rate[cell, int(wanted / 2) + 1]) / 2
}

# The number of events in 24,576 creations.
function scaled(events, cell) {
	return events[cell] * 24576 / made[cell]
}

# For each creation, the nanoseconds that the loop after them took longer than with no
# storage.
function left(i, cell) {
	return (loop_ns[cell] - loop_ns[row[i] " none"]) / made[cell]
}

# Instructions of one creation and of the end of its value, in all.
function cost(i, cell) {
	return 1e6 / median[cell] - 1e6 / median[row[i] " none"] + left(i, cell)
}

function rates(i, cell) {
	return sprintf(median[cell] < 10000 ? "%.2f +- %.2f" : "%.0f +- %.0f", median[cell],
		(rate[cell, wanted] - rate[cell, 1]) / 2)
}

function effects(i, cell) {
	return sprintf("%d %5d %5d", scaled(switches, cell), scaled(irq_works, cell), left(i, cell))
}

function costs(i, cell) {
	return sprintf("%.0f", cost(i, cell))
}

function figure(of, i, cell) {
	return of == "rates" ? rates(i, cell) : of == "effects" ? effects(i, cell) : costs(i, cell)
}

function table(what, of,    i, j) {
	print what
	printf "\n%-10s", "batch"
	for (j = 1; j <= names; j++)
		printf "%19s", title[j]
	print of == "rates" ? "  ours/BPF" : ""
	for (i = 1; i <= rows; i++) {
		printf "%-10s", row[i]
		for (j = 1; j <= names; j++)
			printf "%19s", figure(of, i, row[i] " " name[j])
		print of == "rates" ? sprintf("%10s", ratio[i]) : ""
	}
	print ""
}

function text() {
	table("Thousands of creations in 10^9 instructions, -cpu " cpu ": median of " wanted " samples, half of their range", "rates")
	table("In 24,576 creations: context switches, irq_works. And instructions for each creation that were left to do after the last", "effects")
	table("Instructions for each creation and the end of its value, over no storage, with what was left to do", "costs")
	print below ? "creation-speed: " below " of " rows " rows below 1.0" : "creation-speed: ok"
}

function json(    i, j, cell, part) {
	printf "{\"cpu\": \"%s\", \"samples\": %d, \"below\": %d, \"rows\": [", cpu, wanted, below
	for (i = 1; i <= rows; i++) {
		split(row[i], part, " ")
		printf "%s\n {\"kind\": \"%s\", \"batch\": \"%s\", \"ratio\": %s", (i > 1 ? "," : ""), part[1], part[2], ratio[i]
		for (j = 1; j <= names; j++) {
			cell = row[i] " " name[j]
			printf ",\n  \"%s\": {\"median\": %.3f, \"min\": %.3f, \"max\": %.3f, ", name[j],
				median[cell], rate[cell, 1], rate[cell, wanted]
			printf "\"switches\": %d, \"irq_works\": %d, \"left\": %d, \"cost\": %.0f}",
				scaled(switches, cell), scaled(irq_works, cell), left(i, cell), cost(i, cell)
		}
		printf "}"
	}
	print "\n]}"
}

END {
	for (i = 1; i <= rows; i++) {
		for (j = 1; j <= names; j++)
			summarize(row[i] " " name[j])
		ratio[i] = sprintf("%.2f", median[row[i] " ours"] / median[row[i] " bpf"])
		if (ratio[i] + 0 < 1)
			below++
	}
	if (format == "json")
		json()
	else
		text()
	exit below > 0
}
