#!/bin/bash
# The engine's C tests: as shipped, under the sanitizers, and for ARM under emulation.
#
#   ops/test-native.sh plain|sanitize|threads|aarch64
set -euo pipefail

kind=$1
build=build/native-$kind
options=(-Dextension=false)
run=()
multiplier=1

case $kind in
plain) ;;
sanitize)
    options+=('-Db_sanitize=address,undefined' -Dbuildtype=debugoptimized -Db_lundef=false -Dc_args=-fno-sanitize-recover=all)
    multiplier=4
    ;;
threads)
    options+=(-Db_sanitize=thread -Dbuildtype=debugoptimized -Db_lundef=false)
    multiplier=10
    # ThreadSanitizer wants its shadow where newer kernels may put the program: no address randomisation.
    if setarch --addr-no-randomize true 2>/dev/null; then run=(setarch --addr-no-randomize); fi
    ;;
aarch64)
    for program in aarch64-linux-gnu-gcc qemu-aarch64-static; do
        if command -v "$program" >/dev/null; then continue; fi
        if [ "${ERASER_REQUIRE_LAB:-}" = 1 ]; then
            echo "test-native: no $program here, and ERASER_REQUIRE_LAB=1 asks for it" >&2
            exit 1
        fi
        echo "test-native: no $program here: the ARM paths were not tested"
        exit
    done
    options+=(--cross-file native/aarch64.cross)
    multiplier=20
    ;;
*)
    echo "usage: ops/test-native.sh plain|sanitize|threads|aarch64" >&2
    exit 2
    ;;
esac

[ -f "$build/build.ninja" ] || meson setup "$build" "${options[@]}" >/dev/null
if [ -z "$(meson test -C "$build" --list 2>/dev/null)" ]; then
    echo "test-native: no test is defined: nothing was tested" >&2
    exit 1
fi
# A sanitizer's finding must fail the test that met it, whatever the environment says.
export ASAN_OPTIONS=abort_on_error=1:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1
"${run[@]}" meson test -C "$build" --timeout-multiplier "$multiplier" --print-errorlogs
