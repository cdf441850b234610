"""What a network takes of the memory, learned on this computer: estimated after its first run, measured in later ones.

The first run of a network compares the ways to compute it with PyTorch in float32 and takes more than any later one; it
is planned by a rule of the pipeline. What it chose is then estimated from the sizes of the network's layers. A later
run that begins in a process where no network has run before is measured, and from then on plans say what was measured.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from napari_radcnn.geometry import Shape
from napari_radcnn.inference.backends.apart.predictor import ApartPredictor
from napari_radcnn.inference.backends.base import NetworkSource, Predictor
from napari_radcnn.inference.cost.memory import estimate_memory
from napari_radcnn.inference.patches.blockwise import BLOCK_BYTES
from napari_radcnn.inference.request import Request
from napari_radcnn.memory import free_memory
from napari_radcnn.user_folders import recall, remember

_FILE, _LAYERS = "memory", "layers"
#: Of the libraries that compute, and of what the allocator leaves unused: all of them in a first run, later one.
LIBRARY_BYTES, _ONE_LIBRARY = 450 << 20, 150 << 20
#: Estimates from layers are up to 5 % below what was measured (see `estimate_memory`); measured figures vary by less.
_ESTIMATED, _MEASURED = 1.1, 1.05


#: What the blended answer, and the scan as the network sees it, may each take at most: of the memory that is free, and
#: altogether. More is not faster by much: what does not fit is read again for each patch, or lies in a file.
_PART_OF_FREE, _MOST_BLENDED, _MOST_KEPT = 0.25, 512 << 20, 512 << 20

#: What labeling takes for each voxel of a scan too small to fill a block.
_LABELING = 16


def blending_budget() -> int:
    """Return the memory that overlapping patches may take until they are final."""
    return min(int(_PART_OF_FREE * free_memory()), _MOST_BLENDED)


def keeping_budget() -> int:
    """Return the memory that the scan may take as the network sees it; a larger one is made patch by patch."""
    return min(int(_PART_OF_FREE * free_memory()), _MOST_KEPT)


def kept_bytes(channels: int, voxels: int) -> int:
    """Return what the scan takes as the network sees it: nothing where it is made patch by patch."""
    wanted = 4 * channels * voxels
    return wanted if wanted <= keeping_budget() else 0


def labeling_bytes(voxels: int) -> int:
    """Return what it takes to bring logits to the scan's grid and label them, besides the labels."""
    return min(BLOCK_BYTES, _LABELING * voxels)


def network_bytes(request: Request, patch: Shape, at_first: int | Callable[[], int]) -> int:
    """Return the memory that the network of a request takes besides what depends on the scan.

    Parameters
    ----------
    request : Request
        The run.
    patch : tuple of int
        Voxels of a patch.
    at_first : int or callable
        What the pipeline expects of the first run on this computer, or what returns it.
    """
    known = recall(_FILE, _key(request, patch))
    value = None if known is None else known.get("bytes")
    if isinstance(value, int):
        return value
    return at_first() if callable(at_first) else at_first


def layers_bytes(sha256: str, patch: Shape, weigh: Callable[[], int | None]) -> int | None:
    """Return what the layers of a network take, reckoned once a file and patch on this computer.

    Parameters
    ----------
    sha256 : str
        Of the network's file.
    patch : tuple of int
        Voxels of a patch.
    weigh : callable
        Reckons it; None where it cannot be told, which is kept as well.
    """
    key = f"{sha256} {'x'.join(map(str, patch))}"
    known = recall(_LAYERS, key)
    if known is None:
        known = {"bytes": weigh()}
        remember(_LAYERS, key, known)
    value = known.get("bytes")
    return value if isinstance(value, int) else None


def is_known(request: Request, patch: Shape) -> bool:
    """Return whether an earlier run left a figure."""
    return recall(_FILE, _key(request, patch)) is not None


def learn_from_layers(
    request: Request, patch: Shape, network: NetworkSource, predictor: Predictor, copies: int
) -> None:
    """Keep an estimate of what later runs take; where there is a figure, it is left alone.

    Of a network in a process of its own, every run is measured instead.

    Parameters
    ----------
    request : Request
        The run.
    patch : tuple of int
        Voxels of a patch.
    network : NetworkSource
        One of the networks of the model.
    predictor : Predictor
        How it is computed now, and will be from now on.
    copies : int
        How many networks of this kind are open at once.
    """
    if is_known(request, patch) or predictor.device != "cpu" or isinstance(predictor, ApartPredictor):
        return
    found = estimate_memory(network, patch, predictor.backend, predictor.precision)
    if found is not None:
        remember(_FILE, _key(request, patch), {"bytes": _ONE_LIBRARY + round(_ESTIMATED * found * copies)})


def learn_from_run(request: Request, patch: Shape, measured: int) -> None:
    """Keep what a whole run took besides what depends on the scan."""
    remember(_FILE, _key(request, patch), {"bytes": round(_MEASURED * max(measured, 0))})


@cache
def _begun() -> list[bool]:
    return []


def is_first_run() -> bool:
    """Return whether no run was begun in this process before: later ones find libraries and buffers in place."""
    _begun().append(True)
    return len(_begun()) == 1


def _key(request: Request, patch: Shape) -> str:
    """Return what the figure depends on; not the number of threads, which a dock plans and runs with differently."""
    weights = "+".join(file.sha256[:16] for file in request.spec.files)
    size = "x".join(str(n) for n in patch)
    options = repr(request.options)
    return f"{weights} {size} {request.settings.device} {request.settings.precision} {options}"
