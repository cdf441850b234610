"""What is done with every case: one operation or a chain of them, written in YAML, checked before the work."""

from napari_radcnn.cohort.chain.parsing import Step, chain_of, read_chain
from napari_radcnn.cohort.chain.resolved import Resolved, changes, keys_of, resolve, wanted_columns

__all__ = ["Resolved", "Step", "chain_of", "changes", "keys_of", "read_chain", "resolve", "wanted_columns"]
