"""OME-Zarr: 0.4 (Zarr 2) and 0.5 (Zarr 3) are read, 0.5 is written.

https://ngff.openmicroscopy.org/0.5/. Everything a store says is checked before zarr reads the first chunk.
"""

from napari_radcnn.io.omezarr.adding import write_label_image
from napari_radcnn.io.omezarr.read import is_zarr, read_omezarr
from napari_radcnn.io.omezarr.write import write_omezarr

__all__ = ["is_zarr", "read_omezarr", "write_label_image", "write_omezarr"]
