"""Make cubes ahead of the training that learns from them: a process of its own, which may be ended at any moment."""

from __future__ import annotations

from pathlib import Path

from napari_radcnn.training.few_clicks.crops import IN_A_SHARD, shards, write_shard


def prepare(data: Path, cache: Path, size: int, seed: int, count: int) -> int:
    """Make cubes until there are `count`, and return how many there are.

    Parameters
    ----------
    data : Path
        Folder of the scans; see `napari_radcnn.training.few_clicks.scans`.
    cache : Path
        Folder of the cubes.
    size : int
        Voxels along a side.
    seed : int
        Of everything random; every folder of the cache has a seed of its own.
    count : int
        Cubes.
    """
    from napari_radcnn.training.few_clicks.samples import Sampler
    from napari_radcnn.training.few_clicks.scans import Scan, load_scans

    cache.mkdir(parents=True, exist_ok=True)
    wanted = range(-(-count // IN_A_SHARD))
    scans: list[Scan] = []
    for number in wanted:
        if (cache / f"{number:05d}").exists():
            continue
        scans = scans or load_scans(data, cache / "regions")
        sampler = Sampler(scans, size, seed + 7919 * number)
        write_shard(cache, number, [sampler.make() for _ in range(IN_A_SHARD)])
    return IN_A_SHARD * len(list(shards(cache)))
