#!/usr/bin/env bash
# What the viewer's tests need from the system: a virtual display, OpenGL in software, Qt's libraries, a head scan.
set -euo pipefail
packages=(
  xvfb xauth libgl1 libegl1 libgl1-mesa-dri libglib2.0-0 libdbus-1-3 libfontconfig1 libfreetype6 libx11-xcb1
  libxkbcommon0 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0
  libxcb-render-util0 libxcb-shape0 libxcb-xfixes0 libxcb-xkb1 libxcb-xinerama0 x11-utils mricron-data dicom3tools
)
if ! command -v dpkg-query >/dev/null; then
  command -v xvfb-run >/dev/null && exit 0
  echo "tests: xvfb-run was not found: install Xvfb and the libraries of Qt 6 with your system's package manager" >&2
  exit 3
fi
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit 0
if [ "$(id -u)" = 0 ]; then
  echo "tests: installing ${#missing[@]} system packages" >&2
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "tests: system packages are missing: sudo apt-get install ${missing[*]}" >&2
  command -v xvfb-run >/dev/null || exit 3
  echo "tests: going on without them; tests that need them are skipped or fail" >&2
fi
