#!/usr/bin/env bash
# Run the viewer's tests on the older of the two naparis that are supported: in an environment that has it, and all else from .venv.
# The newer one, which constraints.txt names, is what `make test` runs them on. Words are passed to pytest. OLDER_VENV
# names the environment, for a .venv that is not to be written to.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=${OLDER_VENV:-.venv/older-napari}
version=0.9.2
if ! "$environment/bin/python" -c 'import napari, sys; sys.exit(napari.__version__ != sys.argv[1])' "$version" 2>/dev/null; then
  .venv/bin/python -m venv --clear "$environment"
  site=$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  .venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$site/rest.pth"
  export PIP_DISABLE_PIP_VERSION_CHECK=1
  "$environment/bin/python" -m pip install --quiet --no-deps "napari==$version"
fi
PYTHONPATH=$PWD/src "$environment/bin/python" -m pytest -m "not slow" "${@:-tests/gui}"
