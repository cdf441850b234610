"""The label map of a session and what is known of its objects; every change touches one box and no more."""

from __future__ import annotations

import weakref
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from napari_radcnn.geometry import Box
from napari_radcnn.interactive.difference import Difference, Labels
from napari_radcnn.interactive.history import ObjectEdit, SegmentedObject
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.interactive.tools.base import moved
from napari_radcnn.interactive.update import LabelsUpdate, Mask, MaskUpdate, box_of, box_shape, joined

#: Labels are uint16, and 0 is background.
MOST_OBJECTS = 65535
_PIECE = 1 << 22


@dataclass
class _Kept:
    """The mask of some objects on the whole grid, kept up to date."""

    values: frozenset[int]
    mask: Mask
    lent: weakref.ref[Mask] | None = None


class State:
    """Labels, objects and prompts as they are now.

    Parameters
    ----------
    shape : tuple of int
        Of the volume, (k, j, i).
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._labels: Labels = np.zeros(shape, np.uint16)
        self.labels = self._labels.view()
        self.labels.flags.writeable = False
        #: By value; a new tuple at each change, so that another thread may read it at any time.
        self.objects: tuple[SegmentedObject, ...] = ()
        self.active = 0
        self._prompts: dict[int, list[Prompt]] = {}
        self._counts: dict[int, int] = {}
        self._boxes: dict[int, Box | None] = {}
        self._revisions: dict[int, int] = {}
        #: How many changes there were, undo and redo among them.
        self.n_changes = 0
        self._kept: dict[str, _Kept] = {}

    # -- what is asked of it ---------------------------------------------------------------------------------------

    def find(self, value: int) -> SegmentedObject | None:
        """Return the object of that value; None where there is none."""
        return next((item for item in self.objects if item.value == value), None)

    def prompts(self, value: int) -> tuple[Prompt, ...]:
        """Return an object's prompts, oldest first."""
        return tuple(self._prompts.get(value, ()))

    def count(self, value: int) -> int:
        """Return an object's voxels, without counting them."""
        return self._counts.get(value, 0)

    def box(self, value: int) -> Box:
        """Return a box that holds all voxels of an object; it may be larger than needed."""
        return self._boxes.get(value) or (slice(0, 0), slice(0, 0), slice(0, 0))

    def box_of_all(self) -> Box:
        """Return a box that holds the voxels of all objects; it may be larger than needed."""
        found: Box | None = None
        for item in self.objects:
            found = joined(found, self._boxes.get(item.value))
        return found or (slice(0, 0), slice(0, 0), slice(0, 0))

    def revision(self, value: int) -> int:
        """Return a number that grows whenever a step, its undo or its redo is about that object."""
        return self._revisions.get(value, 0)

    def free_value(self) -> int:
        """Return the value of a new object; 0 where none is left."""
        taken = {item.value for item in self.objects}
        highest = max(taken, default=0)
        if highest < MOST_OBJECTS:
            return highest + 1
        return next((value for value in range(1, MOST_OBJECTS) if value not in taken), 0)

    def mask(self, value: int) -> Mask:
        """Return an object's voxels on the whole grid, as a new array."""
        mask = np.zeros(self._labels.shape, np.bool_)
        box = self.box(value)
        mask[box] = self._labels[box] == value
        return mask

    def lend(self, values: Collection[int], place: str) -> Mask:
        """Return the voxels of some objects on the whole grid, read-only, without a pass over it where possible.

        The array stays as it is as long as somebody holds it and has not given it back.

        Parameters
        ----------
        values : collection of int
            The objects.
        place : str
            Under which name it is kept for the next time; one array a name.
        """
        wanted = frozenset(values)
        kept = self._kept.get(place)
        if kept is None or kept.values != wanted:
            kept = self._kept[place] = _Kept(wanted, self._members_everywhere(wanted))
        lent = None if kept.lent is None else kept.lent()
        if lent is None:
            lent = kept.mask.view()
            lent.flags.writeable = False
            kept.lent = weakref.ref(lent)
        return lent

    def give_back(self, mask: Mask | None) -> None:
        """Allow a lent array to be changed again."""
        for kept in self._kept.values():
            if mask is not None and kept.lent is not None and kept.lent() is mask:
                kept.lent = None

    # -- what changes it -------------------------------------------------------------------------------------------

    def compare(self, value: int, update: MaskUpdate) -> Difference | None:
        """Return what changes where an object becomes `update`, but for voxels of locked objects; None for nothing."""
        own = self._labels[update.box] == value
        changed = own != update.mask
        inner = box_of(changed)
        if inner is None:
            return None
        box = moved(inner, update.box)
        changed, mask, before = changed[inner], update.mask[inner], self._labels[box]
        locked = [item.value for item in self.objects if item.is_locked and item.value != value]
        if locked:
            changed = changed & ~_members(before, locked)
            inner = box_of(changed)
            if inner is None:
                return None
            box = moved(inner, box)
            changed, mask, before = changed[inner], mask[inner], self._labels[box]
        added = changed & mask
        lost = _counted(before[added])
        n_added, n_removed = sum(lost.values()), int(np.count_nonzero(changed)) - sum(lost.values())
        xor = np.zeros(before.shape, np.uint16)
        np.copyto(xor, value, where=changed)  # what the object loses becomes background
        np.bitwise_xor(before, np.uint16(value), out=xor, where=added)
        kinds = {other ^ value for other in lost} | ({value} if n_removed else set())
        gained = {other: -count for other, count in lost.items()}
        gained[value] = n_added - n_removed
        return Difference.pack(box, xor, tuple(sorted(kinds)), {v: n for v, n in gained.items() if v})

    def compare_labels(self, update: LabelsUpdate) -> Difference | None:
        """Return what changes where voxels become those of other objects, but for locked ones; None for nothing."""
        before = self._labels[update.box]
        xor = np.bitwise_xor(before, update.labels)
        locked = [item.value for item in self.objects if item.is_locked]
        if locked:
            xor[_members(before, locked) | _members(update.labels, locked)] = 0
        inner = box_of(xor != 0)
        if inner is None:
            return None
        box, xor = moved(inner, update.box), np.ascontiguousarray(xor[inner])
        changed = xor != 0
        lost, won = _counted(before[inner][changed]), _counted(update.labels[inner][changed])
        # One that won as many voxels as it lost is another one all the same.
        gained = {value: won.get(value, 0) - lost.get(value, 0) for value in sorted(lost | won) if value}
        return Difference.pack(box, xor, tuple(value for value in _counted(xor.ravel()) if value), gained)

    def erase(self, value: int) -> Difference | None:
        """Return what changes where an object loses all its voxels; None for an empty object."""
        box = self.box(value)
        return self.compare(value, MaskUpdate(box, np.zeros(box_shape(box), np.bool_)))

    def toggle(self, difference: Difference, sign: int) -> None:
        """Do (`sign` 1) or take back (-1) a change of voxels."""
        box = difference.box
        labels = self._labels[box]
        np.bitwise_xor(labels, difference.unpack(), out=labels)
        for value, gained in difference.gained.items():
            count = self._counts.get(value, 0) + sign * gained
            self._counts[value] = count
            self._touch(value)
            self._boxes[value] = joined(self._boxes.get(value), box) if count else None
        for place, kept in list(self._kept.items()):
            if kept.lent is not None and kept.lent() is not None:
                del self._kept[place]  # somebody still reads it
            else:
                kept.mask[box] = _members(labels, kept.values)

    def edit(self, edit: ObjectEdit) -> None:
        """Change an object, or begin or remove it, and its prompts."""
        value = edit.value
        self._touch(value)
        others = [item for item in self.objects if item.value != value]
        if edit.after is None:
            self._prompts.pop(value, None)
        else:
            others.append(edit.after)
            others.sort(key=lambda item: item.value)
            prompts = self._prompts.setdefault(value, [])
            prompts[edit.kept :] = edit.added
        if edit.before != edit.after:
            self.objects = tuple(others)

    def _touch(self, value: int) -> None:
        self._revisions[value] = self.revision(value) + 1
        self.n_changes += 1

    # -- masks -----------------------------------------------------------------------------------------------------

    def _members_everywhere(self, values: frozenset[int]) -> Mask:
        mask = np.zeros(self._labels.shape, np.bool_)
        box: Box | None = None
        for value in values:
            box = joined(box, self._boxes.get(value))
        if box is not None:
            mask[box] = _members(self._labels[box], values)
        return mask


def _members(labels: Labels, values: Collection[int]) -> Mask:
    """Return where labels are among some values."""
    if len(values) == 1:
        (only,) = values
        return np.asarray(labels == only)
    table = np.zeros(MOST_OBJECTS + 1, np.bool_)
    table[list(values)] = True
    return np.asarray(table[labels])


def _counted(labels: Labels) -> dict[int, int]:
    """Return how often each label occurs; in pieces, since counting takes eight bytes a voxel."""
    counts: dict[int, int] = {}
    for start in range(0, labels.size, _PIECE):
        found = np.bincount(labels[start : start + _PIECE])
        for value in np.flatnonzero(found).tolist():
            counts[value] = counts.get(value, 0) + int(found[value])
    return counts
