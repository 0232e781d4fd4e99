# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The models of the storage, which cargo builds and runs in the root. Needs root.sh, and
# its lock held.

MODEL=$CHECKOUT/model
MODEL_COPY=$MODEL-mutated

# model_cargo [-C DIRECTORY] ARGUMENT…: runs cargo in model/, or in a copy of it.
model_cargo() {
	local dir=$IN_PROJECT/model
	if [ "$1" = -C ]; then
		dir=$2
		shift 2
	fi
	in_root -C "$dir" CARGO_TARGET_DIR="$IN_CACHE/$MODEL" CARGO_TERM_COLOR=never \
		"${MODEL_ENV[@]}" cargo "$@"
}

# model_variables: passes on the variables of the environment that the models read.
MODEL_ENV=()
model_variables() {
	local name
	for name in LOOM_MAX_PREEMPTIONS LOOM_LONG SHUTTLE_STEPS SEQUENCE_SEEDS; do
		[ -z "${!name:-}" ] || MODEL_ENV+=("$name=${!name}")
	done
}

# copy_model: makes a fresh copy of the sources of the models. It keeps their times, so
# that only changed files are built again. The copy's package has another name, so that
# cargo never takes a build of the copy for the models themselves.
copy_model() {
	rm -rf "${CACHE:?}/$MODEL_COPY"
	mkdir -p "$CACHE/$MODEL_COPY"
	(cd "$PROJECT" && tar -cf - --exclude=target rust model kunit/mock_owner.rs) | tar -xf - -C "$CACHE/$MODEL_COPY"
	sed -i 's/^name = "model"$/name = "model-mutated"/' "$CACHE/$MODEL_COPY"/model/Cargo.{toml,lock}
}

# mutated_cargo ARGUMENT…: runs the tests of the copy. Without optimisation they run a
# quarter longer, and are built in a tenth of the time.
mutated_cargo() {
	model_cargo -C "$IN_CACHE/$MODEL_COPY/model" test --locked --package model-mutated \
		--config 'profile.dev.package.model-mutated.opt-level=0' "$@"
}
