"""Cases worked on elsewhere: by the workers of a dask.distributed scheduler, over TLS with certificates of our own.

Needs ``pip install 'napari-radcnn[cluster]'``.
"""
