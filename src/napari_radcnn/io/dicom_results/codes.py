"""The coded words of exports: what a label is called in SNOMED CT. Every code comes from pydicom's dictionary.

No checker notices a wrong meaning for a real code, so codes are looked up by keyword and never typed as numbers.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

#: The scheme of our own codes (PS3.3, 8.2: private ones begin with 99), and how long a code may be.
_SCHEME, _MOST = "99RADCNN", 16

_ORGAN, _TISSUE, _ABNORMAL, _SUBSTANCE = (
    "AnatomicalStructure",
    "Tissue",
    "MorphologicallyAbnormalStructure",
    "BodySubstance",
)

#: Label, lower case with single spaces -> (category, type) as keywords of SNOMED CT (DICOM CID 7150 and 7151 ff.).
LABEL_CODES: dict[str, tuple[str, str]] = {
    **{
        name: (_ORGAN, keyword)
        for name, keyword in {
            "accumbens": "NucleusAccumbens",
            "adrenal gland": "AdrenalGland",
            "amygdala": "Amygdala",
            "aorta": "Aorta",
            "bone": "Bone",
            "brain": "Brain",
            "brain stem": "BrainStem",
            "brainstem": "BrainStem",
            "caudate": "CaudateNucleus",
            "cerebellar cortex": "CerebellarCortex",
            "cerebellar white matter": "CerebellarWhiteMatter",
            "cerebellum": "Cerebellum",
            "clavicle": "Clavicle",
            "colon": "Colon",
            "cortex": "CerebralCortex",
            "costal cartilage": "CostalCartilage",
            "duodenum": "Duodenum",
            "erector spinae": "ErectorSpinaeMuscle",
            "esophagus": "Esophagus",
            "eye": "Eye",
            "femur": "Femur",
            "fourth ventricle": "FourthVentricle",
            "gallbladder": "Gallbladder",
            "head": "Head",
            "heart": "Heart",
            "hippocampus": "Hippocampus",
            "humerus": "Humerus",
            "inferior lateral ventricle": "InferiorHornOfLateralVentricle",
            "inferior vena cava": "InferiorVenaCava",
            "kidney": "Kidney",
            "lateral ventricle": "LateralVentricle",
            "liver": "Liver",
            "lung": "Lung",
            "lungs": "Lung",
            "lymph node": "LymphNode",
            "pallidum": "GlobusPallidus",
            "pancreas": "Pancreas",
            "portal vein": "PortalVein",
            "prostate": "Prostate",
            "putamen": "Putamen",
            "rib": "Rib",
            "ribs": "Rib",
            "sacrum": "Sacrum",
            "scapula": "Scapula",
            "skull": "Skull",
            "small intestine": "SmallIntestine",
            "spinal cord": "SpinalCord",
            "spleen": "Spleen",
            "sternum": "Sternum",
            "stomach": "Stomach",
            "thalamus": "Thalamus",
            "third ventricle": "ThirdVentricle",
            "thyroid": "Thyroid",
            "trachea": "Trachea",
            "urinary bladder": "UrinaryBladderStructure",
            "uterus": "Uterus",
            "ventricles": "BrainVentricle",
            "vertebra": "Vertebra",
            "vertebrae": "Vertebra",
        }.items()
    },
    "gray matter": (_TISSUE, "GrayMatter"),
    "white matter": (_TISSUE, "WhiteMatter"),
    "muscle": (_TISSUE, "Muscle"),
    "skin": (_TISSUE, "Skin"),
    "csf": (_SUBSTANCE, "CerebrospinalFluid"),
    "cerebrospinal fluid": (_SUBSTANCE, "CerebrospinalFluid"),
    "edema": (_ABNORMAL, "Edema"),
    "hemorrhage": (_ABNORMAL, "Hemorrhage"),
    "lesion": (_ABNORMAL, "Lesion"),
    "mass": (_ABNORMAL, "Mass"),
    "necrosis": (_ABNORMAL, "Necrosis"),
    "nodule": (_ABNORMAL, "Nodule"),
    "tumor": (_ABNORMAL, "Neoplasm"),
}
#: For what the table does not know: true of any label, and what other programs write.
DEFAULT_CODES = (_TISSUE, _ORGAN)


def label_codes(name: str) -> tuple[Code, Code]:
    """Return the category and the type of a label (DICOM PS3.3, C.8.20.4).

    Parameters
    ----------
    name : str
        As a user reads it: ``"brain"``, ``"lung nodule"``. Left and right are not coded; they stay in the label.

    Returns
    -------
    (Code, Code)
        ``(Tissue, Anatomical Structure)`` where the table does not know the name or its last word.
    """
    words = name.lower().replace("_", " ").replace("-", " ").split()
    while words and words[0] in ("left", "right"):
        words = words[1:]
    while words and words[-1] in ("left", "right"):
        words = words[:-1]
    known = LABEL_CODES.get(" ".join(words))
    if known is None and words and LABEL_CODES.get(words[-1], ("", ""))[0] == _ABNORMAL:
        known = LABEL_CODES[words[-1]]  # "lung nodule" is a nodule; "brain ventricle wall" must not become a wall
    category, kind = known or DEFAULT_CODES
    return code("SCT", category), code("SCT", kind)


def own_code(meaning: str) -> Code:
    """Return a code of our own for words that DICOM has none for, the same each time.

    Parameters
    ----------
    meaning : str
        At most 64 characters.
    """
    from pydicom.sr.coding import Code

    return Code(hashlib.sha256(meaning.encode()).hexdigest()[:_MOST].upper(), _SCHEME, meaning)


def code(scheme: str, keyword: str) -> Code:
    """Return a code of pydicom's dictionary; AttributeError where there is none of that keyword."""
    from pydicom.sr.codedict import codes

    found: Code = getattr(getattr(codes, scheme), keyword)
    return found
