"""``radcnn cohort ...``: the same over many cases."""

from napari_radcnn.cli.cohort.commands import add_commands

__all__ = ["add_commands"]
