"""Trained networks made fast for sampling: half precision, channels last, compiled.

The trained modules stay as they are: training goes on with them, and they are what is saved.
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
    """A copy of a module as wished; the module itself where nothing is wished.

    Args:
        precision: of weights and computation, a name in `PRECISIONS`.
        channels_last: memory format of the weights of two-dimensional convolutions.
        compiled: name of the child to compile when it is first called.
    """
    if precision == "float32" and not channels_last and compiled is None:
        return module
    made = copy.deepcopy(module).eval().requires_grad_(False).to(PRECISIONS[precision])
    if channels_last:
        made = made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if compiled is not None:
        made.get_submodule(compiled).compile()
    return made


def weight_bytes(module: nn.Module) -> int:
    """Memory that a module's weights take."""
    return sum(parameter.nbytes for parameter in module.parameters())
