"""What somebody else's model was made for, as far as its files say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from napari_radcnn.foreign.arguments import Arguments
from napari_radcnn.results import Label
from napari_radcnn.spec.domain import CONTRASTS, REGIONS, VIEWS, Domain, Fingerprint, regions_in


def domain_of(
    body_part: str,
    summary: str,
    labels: Iterable[Label],
    stated: Domain | None = None,
    fingerprint: Fingerprint | None = None,
) -> Domain | None:
    """Return what somebody else's model was made for, as far as its description says: nothing of it is guessed.

    Parameters
    ----------
    body_part, summary : str
        Its own words.
    labels : iterable of Label
        What it outlines: an organ tells the region.
    stated : Domain, optional
        What it says in so many words, which goes first.
    fingerprint : Fingerprint, optional
        Of its training data.

    Returns
    -------
    Domain or None
        None where nothing is known.
    """
    if stated is not None:
        return stated
    regions = regions_in(body_part) or regions_in(" ".join(label.name for label in labels)) or regions_in(summary)
    if not regions and fingerprint is None:
        return None
    return Domain(regions=regions, fingerprint=fingerprint or Fingerprint(), is_read=bool(regions))


def stated_domain(a: Arguments) -> Domain | None:
    """Return the ``domain`` of a ``model.json``; None where it has none.

    Raises
    ------
    ModelError
        If a key is unknown or a value is of the wrong kind.
    """
    given = a.take("domain", None)
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise a.wrong('\'domain\' must be a mapping, such as {"regions": ["chest"]}', "domain")
    inner = a.inside(given, "domain", what="'domain'")
    stripped = inner.take("stripped", None)
    if stripped not in (None, True, False):
        raise inner.wrong("'stripped' in 'domain' must be true or false", "stripped")
    found = Domain(
        regions=_words(inner, "regions", REGIONS),
        layout=inner.only("layout", ["", "volume", "projection"], ""),
        views=_words(inner, "views", VIEWS),
        contrasts=_words(inner, "contrasts", CONTRASTS),
        stripped=stripped,
        is_hounsfield=inner.flag("is_hounsfield"),
        thickest_mm=inner.number_or_none("thickest_mm", None),
        pixel_mm=_pair(inner, "pixel_mm"),
        least_mm=inner.number("least_mm", 0.0),
        whole=inner.flag("whole"),
    )
    inner.done()
    return found


def _words(a: Arguments, name: str, known: tuple[Any, ...]) -> tuple[Any, ...]:
    given = a.take(name, [])
    if not isinstance(given, list) or not all(word in known for word in given):
        raise a.wrong(f"'{name}' must be a list of: {', '.join(known)}", name)
    return tuple(given)


def _pair(a: Arguments, name: str) -> tuple[float, float] | None:
    given = a.numbers(name)
    if given is None:
        return None
    if len(given) != 2 or given[0] > given[1]:
        raise a.wrong(f"'{name}' must be two numbers, the lower first", name)
    return given[0], given[1]


# -- nnU-Net ----------------------------------------------------------------------------------------------------------


def nnunet_fingerprint(plans: Mapping[str, Any], dataset_fingerprint: Mapping[str, Any]) -> Fingerprint | None:
    """Return what nnU-Net kept of its training data: the range of spacings, and of the values of a CT's foreground.

    Parameters
    ----------
    plans : mapping
        ``plans.json``.
    dataset_fingerprint : mapping
        ``dataset_fingerprint.json``; empty where it is not there. Both may hold anything.
    """
    spacing = _spacings(dataset_fingerprint.get("spacings"))
    values = None
    properties = plans.get("foreground_intensity_properties_per_channel")
    first = properties.get("0") if isinstance(properties, Mapping) else None
    if isinstance(first, Mapping) and _is_ct(plans):
        low, high = first.get("percentile_00_5"), first.get("percentile_99_5")
        if isinstance(low, int | float) and isinstance(high, int | float) and -1e6 < low < high < 1e6:
            values = float(low), float(high)
    return Fingerprint(spacing, values) if spacing or values else None


def _is_ct(plans: Mapping[str, Any]) -> bool:
    configurations = plans.get("configurations")
    each = configurations.values() if isinstance(configurations, Mapping) else ()
    schemes = [one.get("normalization_schemes") for one in each if isinstance(one, Mapping)]
    return any(isinstance(one, list) and one[:1] == ["CTNormalization"] for one in schemes)


def _spacings(given: Any) -> tuple[tuple[float, float], ...]:
    """Return the range along the finest, the middle and the coarsest axis."""
    if not isinstance(given, list) or not given or len(given) > 1_000_000:
        return ()
    rows = [row for row in given if isinstance(row, list) and len(row) == 3]
    if len(rows) != len(given) or not all(isinstance(v, int | float) and 0 < v < 1000 for row in rows for v in row):
        return ()
    ordered = np.sort(np.asarray(rows, float), axis=1)
    return tuple((float(low), float(high)) for low, high in zip(ordered.min(0), ordered.max(0), strict=True))
