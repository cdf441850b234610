"""The Basic Application Level Confidentiality Profile of DICOM PS3.15, Annex E, applied to headers.

The table of attributes (E.1-1, edition 2026c) comes from the package dicom-anonymizer. The rules for what the table
does not name are ours, since the table alone leaves free text of other attributes as it is (E.1.1, note 1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any

from napari_radcnn.io.dicom.headers import damage, quiet
from napari_radcnn.io.dicom_results.codes import code

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

_TABLE = "dicomfields_2026c"
#: Compound actions (X unless Z or D is needed for conformance) as they come out for the objects that are written here:
#: what CT, MR and other plain images need at most empty is emptied, the rest goes.
_ACTIONS = {
    "D_TAGS": "D",
    "Z_TAGS": "Z",
    "X_TAGS": "X",
    "U_TAGS": "U",
    "Z_D_TAGS": "Z",
    "X_Z_TAGS": "Z",
    "X_D_TAGS": "X",
    "X_Z_D_TAGS": "X",
    "X_Z_U_STAR_TAGS": "K",  # their items are cleaned, UIDs in them replaced
}
#: Free text that is no person's: of the equipment and the technique, and the words of codes.
_TECHNICAL_TEXT = frozenset(
    (
        "AttenuationCorrectionMethod",
        "CodeMeaning",
        "CodeValue",
        "CodingSchemeDesignator",
        "CodingSchemeVersion",
        "ConvolutionKernel",
        "FilterType",
        "Manufacturer",
        "ManufacturerModelName",
        "PulseSequenceName",
        "ReceiveCoilName",
        "ReconstructionMethod",
        "RescaleType",
        "ScatterCorrectionMethod",
        "SequenceName",
        "SoftwareVersions",
        "TransmitCoilName",
    )
)
#: Coding schemes whose meanings are published; the words of a hospital's own are free text.
_SCHEMES = frozenset(("DCM", "FMA", "LN", "NCIt", "RADLEX", "SCT", "SNM3", "SRT", "UCUM", "UMLS"))
#: Words of the standard that a picture cannot do without, even if somebody is called so.
_TERMS = frozenset(
    (
        *("ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "AXIAL", "LOCALIZER", "MONOCHROME1", "MONOCHROME2"),
        *("BQML", "CNTS", "GML", "NONE", "START", "ADMIN", "DYNAMIC", "STATIC", "WHOLE BODY", "IMAGE", "VOLUME"),
        *("YES", "HFS", "HFP", "FFS", "FFP", "HFDL", "HFDR", "FFDL", "FFDR"),
    )
)
_TEXT = ("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
_TIMES = ("DA", "DT", "TM")
_BINARY = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
_DUMMIES = {"DA": "19000101", "TM": "000000", "DT": "19000101000000", "AS": "000Y", "DS": "0", "IS": "0"}
#: What names a person or a stay in a way that may stand in other places as well.
_IDENTIFIERS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "AdmissionID", "PatientBirthDate", "StudyID")
#: UIDs of the standard itself: SOP classes, transfer syntaxes (DICOM PS3.5, 9.1).
_UID = re.compile(r"\d+(\.\d+){5}")
_NUMBER = re.compile(r"[-+0-9.eE]*")
_STANDARD_ROOT = "1.2.840.10008."
#: What the standard wants in these objects whenever they were made (Type 1; ContentDate is 2C in images).
_NEEDED_TIMES = ("ContentDate", "ContentTime")


def cleaned(headers: Sequence[Dataset], new_uid: Callable[[str], str]) -> list[Dataset]:
    """Return copies of the headers of one series from which the patient cannot be told.

    Parameters
    ----------
    headers : sequence of Dataset
        Headers of one series; they are not changed.
    new_uid : callable
        Returns the replacement of a UID, always the same for the same one.

    Returns
    -------
    list of Dataset
        Without private elements, without free text but that of equipment and technique, without dates and times.
    """
    with quiet():
        words = _identity(headers)
        return [_cleaned_header(header, new_uid, words) for header in headers]


def mark(dataset: Dataset) -> None:
    """Say in a written object by which profile it was cleaned, and take the moment of writing out of it.

    The descriptions in it were written by this program and name a model, hence the Clean Descriptors Option; the
    content of a report is codes and numbers, hence the Clean Structured Content Option (DICOM PS3.15, E.3.4, E.3.5).
    """
    from pydicom import Dataset as NewDataset

    _remove_times(dataset)
    if "SourceImageSequence" in dataset:  # X where nothing demands it: the images are not given away
        del dataset.SourceImageSequence
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "REMOVED"
    dataset.DeidentificationMethod = ["DICOM PS3.15 Annex E Basic Profile, table of 2026c", "napari-radcnn"]
    options = ["BasicApplicationConfidentialityProfile", "CleanDescriptorsOption"]
    if "ContentSequence" in dataset:
        options.append("CleanStructuredContentOption")
    items = []
    for keyword in options:
        found, item = code("DCM", keyword), NewDataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = (
            found.value,
            found.scheme_designator,
            found.meaning,
        )
        items.append(item)
    dataset.DeidentificationMethodCodeSequence = items


# -- one header ---------------------------------------------------------------------------------------------------


def _cleaned_header(header: Dataset, new_uid: Callable[[str], str], words: frozenset[str]) -> Dataset:
    from pydicom.dataset import FileMetaDataset

    result = _cleaned(header, new_uid, words, is_pet=str(header.get("Modality", "")) == "PT")
    syntax = getattr(header, "file_meta", {}).get("TransferSyntaxUID")
    result.file_meta = FileMetaDataset()  # of the old one only how the file is encoded
    if syntax:
        result.file_meta.TransferSyntaxUID = syntax
    return result


def _cleaned(dataset: Dataset, new_uid: Callable[[str], str], words: frozenset[str], is_pet: bool) -> Dataset:
    from pydicom import Dataset as NewDataset
    from pydicom.dataelem import empty_value_for_VR

    result = NewDataset()
    for element in _readable(dataset):
        action = _action(element, is_pet)
        if action == "X":
            continue
        if element.VR == "SQ":
            items = [] if action == "Z" else [_cleaned(item, new_uid, words, is_pet) for item in element.value]
            items = [item for item in items if len(item) and not _is_own_code(item)]
            if items or action == "Z" or not element.value:
                result.add_new(element.tag, "SQ", items)
        elif element.VR == "UI":
            result.add_new(element.tag, "UI", _replaced(element, new_uid))
        elif action == "Z":
            result.add_new(element.tag, element.VR, empty_value_for_VR(element.VR))
        elif action == "D":
            result.add_new(element.tag, element.VR, _dummy(element.VR))
        elif not _names(element, words):
            result.add(deepcopy(element))
    return result


def _action(element: DataElement, is_pet: bool) -> str:
    """Return D, Z, X, U as in the table, or K for what is kept; sequences are cleaned within."""
    tag, vr = element.tag, element.VR
    if tag.is_private or 0x5000 <= tag.group <= 0x50FF or 0x6000 <= tag.group <= 0x60FF:  # curves and overlays
        return "X"
    if is_pet and element.keyword in ("SeriesDate", "SeriesTime"):  # Type 1 (DICOM PS3.3, C.8.9.1)
        return "D"
    found = _table().get(int(tag))
    if found == "D" and vr in ("SQ", *_BINARY):
        return "X"
    if found is not None:
        return found
    if vr in _TIMES or vr in _BINARY or vr == "AS":
        return "X"
    if vr in _TEXT and element.keyword not in _TECHNICAL_TEXT:
        return "Z" if element.keyword == "PositionReferenceIndicator" else "X"  # Type 2 (DICOM PS3.3, C.7.4.1)
    return "K"


@cache
def _table() -> dict[int, str]:
    """Return the action for each attribute of table E.1-1."""
    from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector

    listed = dicom_anonymization_database_selector(_TABLE)
    pairs = ((tag, action) for group, action in _ACTIONS.items() for tag in listed[group])
    return {(tag[0] << 16) + tag[1]: action for tag, action in pairs if len(tag) == 2}


def _readable(dataset: Dataset) -> Iterator[DataElement]:
    """Give the elements whose values can be read; a damaged one may hold anything."""
    for tag in list(dataset.keys()):
        if tag.is_private:
            continue
        try:
            element = dataset[tag]
            _ = element.value
        except damage():
            continue
        yield element


def _replaced(element: DataElement, new_uid: Callable[[str], str]) -> list[str] | str:
    values = [str(value) for value in _values(element)]
    # a vendor's own class is no instance: it names no patient, and without it the picture is of no kind
    new = [
        uid if uid.startswith(_STANDARD_ROOT) or element.keyword == "SOPClassUID" else new_uid(uid) for uid in values
    ]
    return new if len(new) > 1 else "".join(new)


def _dummy(vr: str) -> Any:
    return _DUMMIES.get(vr, "REMOVED" if vr in (*_TEXT, "CS") else 0)


def _is_own_code(item: Dataset) -> bool:
    """Whether an item is a code of somebody's own, or one whose meaning had to go."""
    if not any(keyword in item for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue", "CodingSchemeDesignator")):
        return False
    return (
        item.get("CodingSchemeDesignator", "") not in _SCHEMES or "CodeMeaning" not in item or "CodeValue" not in item
    )


def _remove_times(dataset: Dataset) -> None:
    for element in list(dataset):
        if element.VR == "SQ":
            for item in element.value:
                _remove_times(item)
        elif element.VR in _TIMES and element.value not in (None, "", _DUMMIES[element.VR]):
            if element.keyword in _NEEDED_TIMES:
                element.value = _DUMMIES[element.VR]
            else:
                del dataset[element.tag]


# -- names that stand where none belongs ------------------------------------------------------------------------------


def _identity(headers: Sequence[Dataset]) -> frozenset[str]:
    """Return the names, numbers and dates of the headers, lower case, from three letters on."""
    found: set[str] = set()
    for header in headers:
        for element in _all_elements(header):
            texts = [str(value) for value in _values(element)]
            if element.VR == "PN":
                found.update(word for text in texts for word in re.split(r"[\s^=,.]+", text))
            elif element.keyword in _IDENTIFIERS:
                found.update(texts)
            elif element.VR in ("DA", "DT"):
                found.update(text[:8] for text in texts)
    return frozenset(word for word in (word.strip().casefold() for word in found) if len(word) > 2)


def _all_elements(dataset: Dataset) -> Iterator[DataElement]:
    for element in _readable(dataset):
        if element.VR == "SQ":
            for item in element.value:
                yield from _all_elements(item)
        else:
            yield element


def _names(element: DataElement, words: frozenset[str]) -> bool:
    """Whether a value that would be kept holds one of the names: somebody put it where it does not belong."""
    values = [str(value) for value in _values(element)]
    if element.VR in ("DS", "IS"):  # numbers are numbers, unless one is the patient's
        plain = [value.strip() for value in values]
        return any(not _NUMBER.fullmatch(value) or (len(value) > 5 and value in words) for value in plain)
    if element.VR != "CS" and element.VR not in _TEXT:
        return False
    return any(mentions(value, words) for value in values if value.strip().upper() not in _TERMS)


def mentions(text: str, words: frozenset[str]) -> bool:
    """Whether a text holds one of the words; or a UID; those of three letters count only where they stand alone."""
    plain = text.casefold()
    if _UID.search(plain):
        return True
    parts = set(re.split(r"[^\w]+", plain.replace("_", " ")))
    return any((word in plain) if len(word) > 3 else (word in parts) for word in words)


def _values(element: DataElement) -> list[Any]:
    value = element.value
    if value is None or value == "":
        return []
    return list(value) if element.VM > 1 else [value]
