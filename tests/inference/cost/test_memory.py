from __future__ import annotations

import mmap
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from costly import few_rows
from napari_radcnn.inference.cost.memory import PeakMemory, estimate_memory
from patience import PATIENCE
from toy_networks import ToySource, affine, unet

PATCH = (8, 12, 10)


def test_the_peak_of_memory_counts_what_was_given_back():
    with PeakMemory() as memory:
        # Not from the heap, which may still hold what earlier tests gave back.
        block = mmap.mmap(-1, 60_000_000)
        np.frombuffer(block, np.uint8)[:] = 1
        until = time.monotonic() + PATIENCE
        while memory.bytes < 50_000_000 and time.monotonic() < until:
            time.sleep(0.02)
        block.close()
    assert 50_000_000 < memory.bytes < 120_000_000


class Chain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv3d(1, 32, 3, padding=1, bias=False)
        self.narrow = nn.Conv3d(32, 2, 1, bias=False)

    def forward(self, x):
        return self.narrow(self.wide(x))


def test_an_estimate_in_closed_form():
    source = ToySource(Chain().eval())
    voxels, weights = 4 * 8 * 12 * 10, 4 * (32 * 27 + 64)
    # At the second convolution there are the input (1), the middle (32) and the output (2).
    assert estimate_memory(source, PATCH, "openvino", "float32") == 35 * voxels + weights + 2 * voxels
    # In bfloat16 half of that, but for the answer (2), which OpenVINO hands out besides.
    half = (35 * voxels + weights) / 2
    assert estimate_memory(ToySource(Chain().eval()), PATCH, "openvino", "bfloat16") == half + 2 * voxels
    # PyTorch's holds copies of the middle and the output as well.
    assert estimate_memory(ToySource(Chain().eval()), PATCH, "torch", "float32") == (35 + 34) * voxels + weights


def test_channels_are_counted_as_whole_blocks_where_a_convolution_fills_them():
    class Five(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(1, 5, 1, bias=False)

        def forward(self, x):
            return self.layer(x)

    source = ToySource(Five().eval(), spatial_dims=2)
    voxels = 4 * 20 * 30
    assert estimate_memory(source, (1, 20, 30), "torch", "float32") == (6 + 17) * voxels + 20


def test_a_skip_connection_is_held_and_a_used_tensor_let_go():
    class Skip(nn.Module):
        def __init__(self, is_skipping):
            super().__init__()
            self.layers = nn.ModuleList(nn.Identity() for _ in range(6))
            self.wide = nn.ModuleList(nn.Conv3d(1 if n == 0 else 8, 8, 1, bias=False) for n in range(6))
            self.is_skipping = is_skipping

        def forward(self, x):
            first = y = self.wide[0](x)
            if not self.is_skipping:
                del first
            for layer in self.wide[1:]:
                y = layer(y)
            return y + first if self.is_skipping else y

    voxels, weights = 4 * 8 * 12 * 10, 4 * (8 + 5 * 64)
    plain = estimate_memory(ToySource(Skip(False).eval()), PATCH, "openvino", "float32")
    skipping = estimate_memory(ToySource(Skip(True).eval()), PATCH, "openvino", "float32")
    # The answer (8) is handed out besides.
    assert plain == (17 + 8) * voxels + weights
    assert skipping == (25 + 8) * voxels + weights


def test_what_cannot_be_told_is_none(tmp_path):
    assert estimate_memory(ToySource(torch.jit.script(unet())), PATCH, "torch", "float32") is None
    assert estimate_memory(ToySource(affine(), onnx_path=tmp_path), PATCH, "openvino", "float32") is None

    class Depends(nn.Module):
        def forward(self, x):
            return x * 2 if float(x.mean()) > 0 else x

    assert estimate_memory(ToySource(Depends().eval()), PATCH, "torch", "float32") is None


_MEASURED = """
import sys, numpy as np
sys.path.insert(0, {tests!r})
from napari_radcnn.inference.backends.torch_cpu import TorchPredictor
from napari_radcnn.inference.cost.memory import PeakMemory, estimate_memory
from toy_networks import ToySource, affine, unet
patch, width = {patch}, {width}
TorchPredictor(affine(), 3, "float32", 2)(np.zeros((1, 8, 8, 8), np.float32))  # libraries are loaded now
module, values = unet(width=width), np.zeros((1, *patch), np.float32)
with PeakMemory() as memory:
    predictor = TorchPredictor(module, 3, "float32", 2)
    for _ in range(2):
        predictor(values)
print(estimate_memory(ToySource(unet(width=width)), patch, "torch", "float32") / memory.bytes)
"""


@pytest.mark.parametrize(("patch", "width"), few_rows([((96, 80, 96), 16), ((64, 96, 64), 32)], ((64, 96, 64), 32)))
def test_the_estimate_is_near_what_is_measured(patch, width):
    code = _MEASURED.format(tests=str(Path(__file__).parents[2] / "helpers"), patch=patch, width=width)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0.75 < float(done.stdout) < 1.35
