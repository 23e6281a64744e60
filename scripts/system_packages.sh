#!/usr/bin/env bash
# Find what the system lacks and install it by one call of apt: system_packages.sh PYTHON [cp2k] [browser]
# What pip needs is always looked for.
set -euo pipefail
python=$1
wanted=" ${*:2} "
packages=() # for apt
remedies=() # where there is no apt

lacks() { # lacks REMEDY PACKAGE...
  remedies+=("$1")
  packages+=("${@:2}")
}

has_one_of() {
  local name
  for name in "$@"; do
    if command -v "$name" >/dev/null; then return 0; fi
  done
  return 1
}

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

has_one_of "$python" || fail "There is no $python: install it, or name another Python of 3.10 to 3.13, as in make PYTHON=python3.12"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
case $version in
  3.1[0-3]) ;;
  *) fail "$python is Python $version, and TensorFlow has wheels for 3.10 to 3.13 only: name one of these, as in" \
    'make PYTHON=python3.13 demo, or take conda (see README.md)' ;;
esac
# Debian and Ubuntu ship Python without venv.
"$python" -c 'import ensurepip, venv' 2>/dev/null \
  || lacks "Python $version lacks its module venv" "python$version-venv"
# aiida-cp2k needs a `regex` of 2020, which has no wheel for these Pythons: pip compiles it.
compiler=${CC:-$("$python" -c 'import sysconfig; print((sysconfig.get_config_var("CC") or "cc").split()[0])')}
headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
if ! $compiler -I"$headers" -E -o /dev/null - <<<'#include <Python.h>' 2>/dev/null; then
  lacks "pip compiles one package, and a C compiler ($compiler) with the headers of Python $version is missing" gcc libc6-dev
  [ -e "$headers/Python.h" ] || packages+=("python$version-dev")
fi
if [[ $wanted == *' cp2k '* ]]; then
  has_one_of cp2k.psmp cp2k.popt cp2k.ssmp cp2k.sopt cp2k \
    || lacks 'CP2K is missing: conda install -c conda-forge cp2k (see README.md)' cp2k cp2k-data openmpi-bin
  has_one_of ps || lacks 'AiiDA follows its jobs by ps, which is missing: conda install -c conda-forge procps-ng' procps
fi
browser=''
if [[ $wanted == *' browser '* ]] && ! { has_one_of chromedriver && has_one_of chromium chromium-browser google-chrome; }; then
  browser='chromium chromium-driver'
fi

if [ -z "$browser${packages[*]}" ]; then exit 0; fi
sudo=''
[ "$(id -u)" = 0 ] || sudo=sudo
if ! has_one_of apt-get; then
  by_hand='there is no apt-get'
elif [ -n "$sudo" ] && ! has_one_of sudo; then
  by_hand='there is no sudo'
  remedies=("There is no sudo: as root, apt-get install ${packages[*]}")
else
  by_hand=''
  $sudo apt-get update -q
  # Ubuntu's Chromium is a snap.
  if [ -n "$browser" ] && apt-cache show $browser >/dev/null 2>&1; then
    packages+=($browser)
    browser=''
  fi
fi
# The tests look at the report in a real browser. Where there is none they are skipped, except in CI.
if [ -n "$browser" ]; then echo 'Chromium is missing: install chromium and chromedriver by hand, or some tests are skipped' >&2; fi
if [ ${#packages[@]} = 0 ]; then exit 0; fi
if [ -n "$by_hand" ]; then fail "${remedies[@]}"; fi
echo "Installing ${packages[*]}"
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
