"""Copies of trained networks optimised for sampling: half precision, channels last, compiled.

The trained modules are not changed, so that they can be trained further and saved.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

Module = TypeVar("Module", bound=nn.Module)


def for_inference(
    module: Module, precision: str = "float32", channels_last: bool = False, compiled: str | None = None
) -> Module:
    """Copy a module with these options; return the module itself if all are off.

    Args:
        precision: of weights and computation, a name in `PRECISIONS`.
        channels_last: memory format of the weights of two-dimensional convolutions.
        compiled: name of the child to compile at its first call.
    """
    if precision == "float32" and not channels_last and compiled is None:
        return module
    copied = copy.deepcopy(module).eval().requires_grad_(False).to(PRECISIONS[precision])
    if channels_last:
        copied = copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if compiled is not None:
        copied.get_submodule(compiled).compile()
    return copied


def weight_bytes(module: nn.Module) -> int:
    """Size of a module's parameters in bytes."""
    return sum(parameter.nbytes for parameter in module.parameters())
