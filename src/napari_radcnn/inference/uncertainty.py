"""How sure a segmentation is, from the probabilities of its classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: The images that a pipeline gives with its labels where it is asked how sure they are; see `Outcome.maps`.
MAPS = ("probability", "entropy")


def entropy(shares: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return how far probabilities are from a decision: 0 where one class has all, 1 where all have the same.

    The entropy of the mean over mirror images and networks, over its largest value: Shannon's, divided by the logarithm
    of the number of classes. It is high where the network is undecided, and where its answers contradict each other.

    Parameters
    ----------
    shares : (classes, k, j, i) array
        Mean probabilities; at least two classes, the sum of which is 1.

    Returns
    -------
    (k, j, i) array of float32
    """
    found = np.empty(shares.shape[1:], np.float32)
    for plane in range(shares.shape[1]):  # a plane at a time: the logarithms of all classes would take several scans
        share = np.clip(shares[:, plane].astype(np.float32), 1e-7, 1.0)
        found[plane] = -(share * np.log(share)).sum(0) / np.log(np.float32(len(shares)))
    return np.clip(found, 0.0, 1.0, out=found)


def maps_of(shares: npt.NDArray[np.floating]) -> dict[str, npt.NDArray[np.float32]]:
    """Return the images named in `MAPS`: the mean probability of the class that was chosen, and the entropy.

    Parameters
    ----------
    shares : (classes, k, j, i) array
        As in `entropy`.
    """
    return {"probability": shares.max(0).astype(np.float32), "entropy": entropy(shares)}
