"""NumPy's archive as a format: the voxels, where they lie, and the names of labels."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from napari_radcnn.errors import ReadError
from napari_radcnn.files import atomic_path
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import Format
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata


def read(path, progress=None, cancel=None):
    try:
        with np.load(path) as file:  # refuses pickled objects
            array, affine, names = file["array"], file["affine"], file["names"].tolist()
    except (ValueError, KeyError, BadZipFile) as error:
        raise ReadError(f"{path.name}: no scan in it; write it with napari-radcnn.") from error
    metadata = VolumeMetadata(path.stem, source=Path(path), source_format="NPZ")
    if names:
        metadata = metadata.with_labels({number: Label(name) for number, name in enumerate(names) if name})
    return [Volume(array, Geometry(array.shape[:3], affine), metadata)]


def write(obj, path, overwrite=False):
    labels = obj.labels if isinstance(obj, LabelMap) else obj.metadata.labels
    names = [labels[n].name if n in labels else "" for n in range(max(labels, default=-1) + 1)]
    array = np.asarray(obj.array, obj.array.dtype.newbyteorder("="))
    with atomic_path(path, overwrite) as temporary:  # the whole file or none
        np.savez_compressed(temporary, array=array, affine=obj.geometry.affine, names=np.array(names, str))


NPZ = Format("NPZ", (".npz",), (".npz",), lambda start: False, read, write)
