#!/usr/bin/env bash
# Do on a bare Debian what README tells a newcomer: fresh_debian.sh RELEASE... (bookworm, trixie)
#
# For each release: build the smallest root (debootstrap, minbase), clone this project's HEAD into it, run `make demo`
# to its verdict and then the fast tests, all in a chroot. Needs root and debootstrap. Settings, all optional:
#   FRESH_DIR      where the roots, logs and the status of each run go (a new folder in /tmp); a failed root stays there
#   FRESH_CACHE    a folder that keeps the bare roots for the next time
#   FRESH_BIND     folders that are to be seen inside too, such as a local package index
#   FRESH_KEEP     if set, keep also the roots that passed
#   FRESH_PYTEST   what pytest is given
#   DEBIAN_MIRROR  the mirror; by default that of debootstrap
# The settings of apt and pip, the proxies and the certificates are those of this machine.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
export FRESH_DIR=${FRESH_DIR:-$(mktemp -d /tmp/fresh-debian.XXXXXX)}
mkdir -p "$FRESH_DIR"
cache=${FRESH_CACHE:-$FRESH_DIR/bare}
pytest=${FRESH_PYTEST:--q tests/core tests/parsers tests/install tests/setup tests/cli/test_commands.py}

build() { # build RELEASE ROOT
  rm -rf --one-file-system "$2"
  mkdir -p "$2" "$cache"
  if [ ! -e "$cache/$1.tar" ]; then
    debootstrap --variant=minbase "$1" "$2" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}
    tar -C "$2" --one-file-system -cf "$cache/$1.tar.new" .
    mv "$cache/$1.tar.new" "$cache/$1.tar"
  else
    tar -C "$2" -xf "$cache/$1.tar"
  fi
  mount -t proc proc "$2/proc"
  mount --rbind /sys "$2/sys"
  mount --rbind /dev "$2/dev"
  mount -t tmpfs tmpfs "$2/dev/shm"
}

pass_settings() { # pass_settings ROOT: how this machine reaches the packages
  local path
  for path in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/xdg/pip ~/.config/pip \
    /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates; do
    if [ -e "$path" ]; then
      mkdir -p "$1$(dirname "${path/#$HOME//root}")"
      cp -rLT "$path" "$1${path/#$HOME//root}"
    fi
  done
  if command -v apt-config >/dev/null; then apt-config dump Acquire >"$1/etc/apt/apt.conf.d/99host"; fi
  for path in ${FRESH_BIND:-}; do
    mkdir -p "$1$path"
    mount --bind "$path" "$1$path"
  done
}

try_release() { # try_release RELEASE, in namespaces of its own: mounts and processes are gone when it ends, however
  local root="$FRESH_DIR/$1" settings
  build "$1" "$root"
  pass_settings "$root"
  mapfile -t settings < <(env | grep -E '^(PIP_[A-Z_]+|[A-Za-z]+_proxy|[A-Z]+_PROXY|(SSL|CURL|REQUESTS)_[A-Z_]+)=')
  git -C "$project" bundle create -q "$root/root/aiida-sis.bundle" HEAD
  inside() {
    chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "${settings[@]}" bash -euxc "$1"
  }
  inside 'apt-get update -q; DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends git make python3'
  inside 'cd /root; git clone -q aiida-sis.bundle aiida-sis'
  inside 'cd /root/aiida-sis; make demo'
  inside 'cd /root/aiida-sis; .venv/bin/aiida-sis doctor; .venv/bin/aiida-sis status $(basename sis-demo-* | tr -dc 0-9) --json >../status.json'
  cp "$root/root/status.json" "$FRESH_DIR/$1.json"
  inside "cd /root/aiida-sis; make test PYTEST_ARGS='$pytest'"
}

if [ "$(id -u)" != 0 ]; then
  echo 'A chroot needs root: sudo -E make test-fresh' >&2
  exit 1
fi
if ! command -v debootstrap >/dev/null; then
  echo 'debootstrap is missing: apt-get install debootstrap' >&2
  exit 1
fi
if [ "${1:-}" = --inside ]; then
  try_release "$2"
  exit
fi

failed=0
summary=()
for release in "$@"; do
  log="$FRESH_DIR/$release.log"
  echo "== $release: root $FRESH_DIR/$release, log $log"
  if unshare --mount --pid --fork --kill-child --mount-proc "$0" --inside "$release" 2>&1 | tee "$log"; then
    summary+=("== $release: passed")
    [ -n "${FRESH_KEEP:-}" ] || rm -rf --one-file-system "${FRESH_DIR:?}/$release"
  else
    failed=1
    summary+=("== $release: FAILED, see $log and $FRESH_DIR/$release")
  fi
  lines='^ok +(Python|CP2K|DeePMD|LAMMPS)|catastrophic point|trained, held-out|^Verdict|^Stable MD|^Wall time| (passed|failed)'
  summary+=("$(grep -aE "$lines" "$log" || true)")
done
printf '%s\n' '' "${summary[@]}"
exit $failed
