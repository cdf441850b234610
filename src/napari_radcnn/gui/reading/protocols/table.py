"""The hanging protocols that come with the program, as data, and which scans each of them takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from napari_radcnn.gui.reading.layouts import FOUR, GRID, ONE, ROW, THREE, TWO
from napari_radcnn.gui.reading.words import PLANES

LAYOUTS = (ONE, THREE, FOUR, TWO, GRID, ROW)
_LINKS = ("position", "zoom", "window")
_FILMS = ("CR", "DX", "DR", "RG")
_FRONTAL, _LATERAL = ("PA", "AP"), ("LL", "RL", "LATERAL", "LAT")


@dataclass(frozen=True)
class Series:
    """What protocols look at of a scan that is open.

    Attributes
    ----------
    modality : str
        DICOM's code, by the header or by the values.
    view : str
        Of a radiograph: ``"PA"``, ``"LL"``.
    is_in_time : bool
        Whether it has time points.
    study : int
        0 for the newest study among those that are open, 1 for the one before.
    space : Hashable
        What names the patient space that it lies in.
    """

    modality: str
    view: str = ""
    is_in_time: bool = False
    study: int = 0
    space: Hashable = None


@dataclass(frozen=True)
class Role:
    """Which scan has a place in a layout.

    Attributes
    ----------
    modalities : tuple of str
        One of these; any where empty.
    views : tuple of str
        Of radiographs: one of these; any where empty.
    study : int or None
        As of `Series`; any where None.
    is_in_time : bool
        Whether only a scan with time points will do.
    number : int or None
        Of the scans that would do, the one of this number from 0; the first one that is free where None.
    """

    modalities: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    study: int | None = None
    is_in_time: bool = False
    number: int | None = None

    def accepts(self, series: Series) -> bool:
        """Whether a scan will do."""
        return (
            (not self.modalities or series.modality in self.modalities)
            and (not self.views or series.view in self.views)
            and (self.study is None or series.study == self.study)
            and (series.is_in_time or not self.is_in_time)
        )


@dataclass(frozen=True)
class Protocol:
    """How a kind of study is laid out.

    Attributes
    ----------
    name : str
        As it stands in the menu.
    layout : str
        One of `LAYOUTS`.
    roles : tuple of Role
        The scans: the first in the viewer's own canvas, then those at the side, or the one that lies over it.
    plane : str
        Of the first view: one of ``"Axial"``, ``"Coronal"``, ``"Sagittal"``.
    window : str
        Name of a window of the first scan; empty for that of its file.
    is_over : bool
        Whether the second scan lies over the first, in color; they must have one patient space.
    is_played : bool
        Whether the time points are played.
    links : mapping of str to bool
        Whether position, zoom and window are linked; what is left out is.
    n_studies : int or None
        Of how many studies the open scans must be; any number where None.
    """

    name: str
    layout: str
    roles: tuple[Role, ...] = (Role(),)
    plane: str = "Axial"
    window: str = ""
    is_over: bool = False
    is_played: bool = False
    links: Mapping[str, bool] = field(default_factory=dict)
    n_studies: int | None = None

    def assigned(self, series: Sequence[Series]) -> list[int] | None:
        """Return which of the open scans have the places of the roles; None where a role finds none."""
        if self.n_studies is not None and len({each.study for each in series}) != self.n_studies:
            return None
        taken: list[int] = []
        for role in self.roles:
            fitting = [n for n, each in enumerate(series) if role.accepts(each)]
            if role.number is not None:
                fitting = fitting[role.number : role.number + 1]
            free = [n for n in fitting if n not in taken]
            if not free:
                return None
            taken.append(free[0])
        if self.is_over and len({series[n].space for n in taken}) > 1:
            return None
        return taken


#: In the order in which they are offered: the more they ask for, the earlier.
PROTOCOLS: tuple[Protocol, ...] = (
    Protocol("PET/CT fused", THREE, (Role(("CT",)), Role(("PT",))), "Coronal", is_over=True),
    Protocol("CT and prior", TWO, (Role(("CT",), study=0), Role(("CT",), study=1)), n_studies=2),
    Protocol("MR and prior", TWO, (Role(("MR",), study=0), Role(("MR",), study=1)), n_studies=2),
    Protocol("MR head, three sequences", ROW, (Role(("MR",)),) * 3, n_studies=1),
    Protocol("Radiographs, PA and lateral", TWO, (Role(_FILMS, _FRONTAL), Role(_FILMS, _LATERAL))),
    Protocol("Radiograph and prior", TWO, (Role(_FILMS, study=0), Role(_FILMS, study=1)), n_studies=2),
    Protocol("Cine", ONE, (Role(is_in_time=True),), is_played=True),
    Protocol("CT, three planes and 3-D", FOUR, (Role(("CT",)),)),
    Protocol("MR, three planes", THREE, (Role(("MR",)),)),
)


def kind_of(series: Sequence[Series]) -> str:
    """Return what kind of study scans are: how many of each modality, and of how many studies.

    Examples
    --------
    >>> kind_of([Series("MR"), Series("CT", study=1), Series("MR")])
    '1 CT, 2 MR, 2 studies'
    """
    counts = Counter(each.modality or "unknown" for each in series)
    n_studies = len({each.study for each in series})
    parts = [f"{n} {modality}" for modality, n in sorted(counts.items())]
    return ", ".join(parts + ([f"{n_studies} studies"] if n_studies > 1 else []))


def offered(series: Sequence[Series]) -> list[tuple[Protocol, list[int]]]:
    """Return the protocols of the table that suit scans, each with which of these have its places."""
    found = [(protocol, protocol.assigned(series)) for protocol in PROTOCOLS]
    return [(protocol, taken) for protocol, taken in found if taken is not None]


def role_of(series: Sequence[Series], number: int) -> Role:
    """Return the role by which a scan is found again among scans of the same kind of study."""
    own = series[number]
    alike = [n for n, each in enumerate(series) if (each.modality, each.study) == (own.modality, own.study)]
    return Role((own.modality,), study=own.study, number=alike.index(number))


def to_plain(protocol: Protocol) -> dict[str, Any]:
    """Return a protocol as what JSON can hold."""
    return asdict(protocol)


def from_plain(plain: Any) -> Protocol | None:
    """Return the protocol that `to_plain` was given; None where something else is found."""
    try:
        roles = tuple(
            Role(
                tuple(map(str, role["modalities"])),
                tuple(map(str, role["views"])),
                None if role["study"] is None else int(role["study"]),
                bool(role["is_in_time"]),
                None if role["number"] is None else int(role["number"]),
            )
            for role in plain["roles"]
        )
        links = {name: bool(plain["links"][name]) for name in _LINKS if name in plain["links"]}
        found = Protocol(
            str(plain["name"]),
            str(plain["layout"]),
            roles,
            str(plain["plane"]),
            str(plain["window"]),
            bool(plain["is_over"]),
            bool(plain["is_played"]),
            links,
        )
    except (KeyError, TypeError, ValueError):
        return None
    is_known = found.layout in LAYOUTS and (found.plane in PLANES or not found.plane) and roles
    return found if is_known and len(roles) <= 3 else None
