"""Files written completely or not at all, alone or several together; how names and sizes are put into words."""

from napari_radcnn.files.lock import Hold, hold, owned
from napari_radcnn.files.together import (
    drop,
    give_name,
    hidden_path,
    owning,
    recover,
    sync_folder,
    together,
    where,
    write_error,
)
from napari_radcnn.files.whole import (
    atomic_path,
    binary_size,
    check_name,
    check_target,
    file_hash,
    make_ready,
    replace_text,
    some_names,
    sync,
    sync_tree,
    write_text,
)

__all__ = [
    "Hold",
    "atomic_path",
    "binary_size",
    "check_name",
    "check_target",
    "drop",
    "file_hash",
    "give_name",
    "hidden_path",
    "hold",
    "make_ready",
    "owned",
    "owning",
    "recover",
    "replace_text",
    "some_names",
    "sync",
    "sync_folder",
    "sync_tree",
    "together",
    "where",
    "write_error",
    "write_text",
]
