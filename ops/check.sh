#!/bin/bash
# make check: style, types, layers, and the engine's warnings under every C compiler that is here.
# Runs all of them, then fails if one did.
set -u

failed=()
check() {
    printf '== %s\n' "$*"
    "$@" || failed+=("$*")
}

# Compiles the engine and its tests with the compiler $1, in which any warning is an error.
c_warnings() {
    local build=build/warnings-$1
    [ -f "$build/build.ninja" ] || CC=$1 meson setup "$build" -Dextension=false >/dev/null || return
    ninja --quiet -C "$build"
}

check ruff check .
check ruff format --check .
check mypy
check lint-imports --no-logo
for compiler in gcc clang clang-14; do
    if command -v "$compiler" >/dev/null; then check c_warnings "$compiler"; fi
done
if command -v shellcheck >/dev/null; then
    check shellcheck ops/*.sh .ci/run
else
    printf '== shellcheck is not here: scripts not checked\n'
fi

if ((${#failed[@]})); then
    printf 'failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
printf 'check: all good\n'
