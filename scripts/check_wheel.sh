#!/usr/bin/env bash
# Build the wheel, install it into an empty environment without the tools of development, and use it there.
# Downloads what it depends on, as constraints.txt says; another napari with NAPARI=0.9.2, another Python with PYTHON.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
python=${PYTHON:-.venv/bin/python}
napari=${NAPARI:-$(sed -n 's/^napari==//p' constraints.txt)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
sed "s/^napari==.*/napari==$napari/" constraints.txt > "$work/constraints.txt"
"$python" -m hatchling build -t wheel -d "$work"
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --no-compile --constraint "$work/constraints.txt" "$work"/*.whl
"$work/venv/bin/python" -m pip check
cd "$work"
env -u PYTHONPATH "$work/venv/bin/python" "$root/scripts/check_installed.py" "$work/venv"
