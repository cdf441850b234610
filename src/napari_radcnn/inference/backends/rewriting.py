"""Rewriting a torch network into an equal one that computes faster."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def instance_norm_as_group_norm(module: torch.nn.Module) -> torch.nn.Module:
    """Return a copy of a network whose instance norms are group norms of one channel a group.

    The two are the same function of the same statistics, but torch has a kernel for group norm with channels last in
    bfloat16 and none for instance norm. Left as they are: norms with running statistics, which in evaluation mode do
    not look at the patch at all, and TorchScript, which cannot be rewritten (it is returned itself).

    Parameters
    ----------
    module : torch.nn.Module
        Not altered.
    """
    import torch
    from torch import nn

    if isinstance(module, torch.jit.ScriptModule):
        return module
    module = copy.deepcopy(module)
    kinds = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
    made: dict[nn.Module, nn.Module] = {}  # a norm may be registered in several places
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) in kinds and not child.track_running_stats:
                if child not in made:
                    made[child] = _group_norm(child)
                setattr(parent, name, made[child])
    return module


def _group_norm(norm: torch.nn.Module) -> torch.nn.GroupNorm:
    from torch import nn

    channels = int(norm.num_features)
    made = nn.GroupNorm(channels, channels, eps=norm.eps, affine=norm.affine)
    if norm.affine:
        made.weight, made.bias = norm.weight, norm.bias
    return made.eval()
