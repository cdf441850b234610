"""Rules that say which scan is wanted, as a person would: ``T1: MR, mprage, at least 100 slices, not post``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from napari_radcnn.cohort.cases import IMAGE, OWN_COLUMNS
from napari_radcnn.errors import OptionError

_MODALITIES = frozenset(["CT", "MR", "PT", "NM", "US", "CR", "DX", "MG", "XA", "RF", "OT", "SEG"])
_ALIASES = {"MRI": "MR", "PET": "PT", "X-RAY": "DX", "XRAY": "DX"}
_NUMBER = r"(\d+(?:\.\d+)?)"
_SLICES = (
    (re.compile(rf"(?:at least|min\.?|>=|≥) *{_NUMBER} *slices?"), lambda n: (n, None)),
    (re.compile(rf"(?:more than|over|>) *{_NUMBER} *slices?"), lambda n: (n + 1, None)),
    (re.compile(rf"(?:at most|max\.?|up to|<=|≤) *{_NUMBER} *slices?"), lambda n: (None, n)),
    (re.compile(rf"(?:fewer than|less than|under|<) *{_NUMBER} *slices?"), lambda n: (None, n - 1)),
)
_RANGE = re.compile(rf"{_NUMBER} *(?:to|-|–) *{_NUMBER} *slices?")
_THIN = re.compile(rf"(?:slices? )?(?:at most|up to|<=|≤|thinner than|under) *{_NUMBER} *mm")


@dataclass(frozen=True)
class Facts:
    """What is known of a scan that a rule may choose.

    Attributes
    ----------
    modality : str
        DICOM's code; empty where it is not known.
    text : str
        What people wrote: description, protocol, name of the file.
    slices : int or None
        Number of slices.
    spacing_mm : float or None
        From slice to slice.
    """

    modality: str
    text: str
    slices: int | None = None
    spacing_mm: float | None = None


@dataclass(frozen=True)
class Rule:
    """Which scan is wanted for an input.

    Attributes
    ----------
    name : str
        The input, and so the column.
    modality : str
        Empty for any.
    words : tuple of str
        All must stand in the text.
    without : tuple of str
        None may.
    fewest, most : int or None
        Slices.
    thickest_mm : float or None
        From slice to slice.
    """

    name: str = IMAGE
    modality: str = ""
    words: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    fewest: int | None = None
    most: int | None = None
    thickest_mm: float | None = None

    def __str__(self) -> str:
        told = [self.modality, *self.words, *(f"not {word}" for word in self.without)]
        told += [] if self.fewest is None else [f"at least {self.fewest} slices"]
        told += [] if self.most is None else [f"at most {self.most} slices"]
        told += [] if self.thickest_mm is None else [f"up to {self.thickest_mm:g} mm"]
        return ", ".join(filter(None, told)) or "any scan"

    def against(self, facts: Facts) -> str:
        """Return what speaks against a scan; empty where it fits."""
        text = facts.text.casefold()
        if self.modality and facts.modality and facts.modality != self.modality:
            return f"{facts.modality}, not {self.modality}"
        absent = [word for word in self.words if not _has(word, text)]
        if absent:
            return f"no '{absent[0]}' in its description"
        present = [word for word in self.without if _has(word, text)]
        if present:
            return f"'{present[0]}' in its description"
        if self.fewest is not None and (facts.slices or 0) < self.fewest:
            return f"{facts.slices or 'unknown number of'} slices"
        if self.most is not None and (facts.slices or 0) > self.most:
            return f"{facts.slices} slices"
        if self.thickest_mm is not None and (facts.spacing_mm is None or facts.spacing_mm > self.thickest_mm + 1e-3):
            return "thicker slices" if facts.spacing_mm else "unknown thickness"
        return ""


def parse_rules(texts: Sequence[str]) -> tuple[Rule, ...]:
    """Return the rules that several texts say; one text may hold several with ``;`` between them.

    Raises
    ------
    OptionError
        If one says nothing, or two are for one input.
    """
    rules = tuple(parse_rule(part) for text in texts for part in text.split(";") if part.strip())
    names = [rule.name.casefold() for rule in rules]
    doubled = next((rule.name for rule in rules if names.count(rule.name.casefold()) > 1), None)
    if doubled is not None:
        raise OptionError(f"Two rules are for the input '{doubled}'; name each, such as 'T1: MR, t1'.")
    return rules


def parse_rule(text: str) -> Rule:
    """Return the rule that a text says.

    Parameters
    ----------
    text : str
        ``NAME: TERM, TERM, ...``; without a name it is for ``image``. A term is a modality (``CT``), a number of slices
        (``at least 100 slices``, ``20 to 60 slices``), a thickness (``up to 2 mm``), ``not WORD``, or a word that the
        description must hold.

    Examples
    --------
    >>> str(parse_rule("T1: MRI, mprage, at least 100 slices, not post"))
    'MR, mprage, not post, at least 100 slices'

    Raises
    ------
    OptionError
        If it says nothing.
    """
    name, colon, rest = text.partition(":")
    name, terms = (name.strip(), rest) if colon else (IMAGE, text)
    if not name or name.casefold() in OWN_COLUMNS:
        raise OptionError(f"'{text.strip()}': a rule is for an input of a model, such as 'T1: MR, t1'.")
    rule = Rule(name)
    for term in filter(None, map(str.strip, terms.split(","))):
        rule = _with_term(rule, term)
    if rule == Rule(name):
        raise OptionError(f"'{text.strip()}' describes no scan; write, for example, 'CT, chest, at least 50 slices'.")
    return rule


def _with_term(rule: Rule, term: str) -> Rule:
    low = term.casefold()
    code = _ALIASES.get(term.upper(), term.upper())
    if code in _MODALITIES:
        return replace(rule, modality=code)
    between = _RANGE.fullmatch(low)
    if between:
        return replace(rule, fewest=int(float(between[1])), most=int(float(between[2])))
    for pattern, limits in _SLICES:
        found = pattern.fullmatch(low)
        if found:
            fewest, most = limits(int(float(found[1])))
            return replace(
                rule, fewest=rule.fewest if fewest is None else fewest, most=rule.most if most is None else most
            )
    thin = _THIN.fullmatch(low)
    if thin:
        return replace(rule, thickest_mm=float(thin[1]))
    if low.startswith(("not ", "no ", "without ")):
        return replace(rule, without=(*rule.without, term.partition(" ")[2].strip()))
    return replace(rule, words=(*rule.words, term))


def _has(word: str, text: str) -> bool:
    """Return whether a word stands in a text; ``t1`` in ``t1_mprage`` and ``T1w``, but not in ``t10`` or ``post12``."""
    pattern = re.escape(word.casefold()).replace(r"\ ", r"[\s_-]+")
    end = r"(?![0-9])" if word[-1:].isdigit() else ""
    start = r"(?<![a-z0-9])" if len(word) < 4 else ""
    return re.search(f"{start}{pattern}{end}", text) is not None
