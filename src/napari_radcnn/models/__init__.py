"""The models that ship: a folder each with what it is (`spec`), its weights, its card and how it runs (`run`).

``napari_radcnn.models()`` lists them: the package itself can be called, because the name of the public function
and of the package are the same.
"""

from __future__ import annotations

import sys
from types import ModuleType

from napari_radcnn.models.registry import find_model, get_model, models
from napari_radcnn.spec.model import ModelSpec, Task
from napari_radcnn.spec.options import describe, make_options

__all__ = ["ModelSpec", "Task", "describe", "find_model", "get_model", "make_options", "models"]


class _CallablePackage(ModuleType):
    def __call__(self, task: Task | None = None) -> list[ModelSpec]:
        return models(task)


sys.modules[__name__].__class__ = _CallablePackage
