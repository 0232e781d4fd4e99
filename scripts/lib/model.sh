# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The model of the storage, which cargo builds and runs in the root. Needs
# root.sh, and its lock held.

MODEL=$CHECKOUT/model

# cargo in the model, or in a copy of it: model_cargo [-C DIRECTORY] ARGUMENT…
model_cargo() {
	local dir=$IN_PROJECT/model
	if [ "$1" = -C ]; then
		dir=$2
		shift 2
	fi
	in_root -C "$dir" CARGO_TARGET_DIR="$IN_CACHE/$MODEL" CARGO_TERM_COLOR=never \
		"${MODEL_ENV[@]}" cargo "$@"
}

# What the models read of the environment goes into the root.
MODEL_ENV=()
model_variables() {
	local name
	for name in LOOM_MAX_PREEMPTIONS LOOM_LONG SHUTTLE_STEPS SEQUENCE_SEEDS; do
		[ -z "${!name:-}" ] || MODEL_ENV+=("$name=${!name}")
	done
}
