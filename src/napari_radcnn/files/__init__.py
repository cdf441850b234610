"""Files written completely or not at all, alone or several together; how names and sizes are put into words."""

from napari_radcnn.files.together import drop, give_name, recover, together, where, write_error
from napari_radcnn.files.whole import atomic_path, binary_size, check_target, file_hash, some_names, sync, write_text

__all__ = [
    "atomic_path",
    "binary_size",
    "check_target",
    "drop",
    "file_hash",
    "give_name",
    "recover",
    "some_names",
    "sync",
    "together",
    "where",
    "write_error",
    "write_text",
]
