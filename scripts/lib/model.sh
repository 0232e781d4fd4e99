# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The model of the storage, which cargo builds and runs in the root. Needs
# root.sh, and its lock held.

MODEL=$CHECKOUT/model
MODEL_COPY=$MODEL-mutated

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

# A fresh copy of what the models are built of. What no change to it concerns is
# not built again: times are kept. What is built of the copy must never be taken
# for the models themselves, so it has another name.
copy_model() {
	rm -rf "${CACHE:?}/$MODEL_COPY"
	mkdir -p "$CACHE/$MODEL_COPY"
	(cd "$PROJECT" && tar -cf - --exclude=target rust model kunit/mock_owner.rs) | tar -xf - -C "$CACHE/$MODEL_COPY"
	sed -i 's/^name = "model"$/name = "model-mutated"/' "$CACHE/$MODEL_COPY"/model/Cargo.{toml,lock}
}

# mutated_cargo ARGUMENT…: cargo's tests of the copy. What is not optimised runs a
# quarter longer, and is built in a tenth of the time.
mutated_cargo() {
	model_cargo -C "$IN_CACHE/$MODEL_COPY/model" test --locked --package model-mutated \
		--config 'profile.dev.package.model-mutated.opt-level=0' "$@"
}
