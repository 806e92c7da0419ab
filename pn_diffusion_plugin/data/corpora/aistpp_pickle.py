"""Reading the pickle files that AIST++ distributes, without letting them run anything.

A pickle names functions and has them called. Here every name gets a stand-in of our own, written in Python, for
the four things that an array needs, and any other name is an error. NumPy sees nothing but bytes, a shape and a
type of plain numbers that were checked.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CorpusError

_MOST_BYTES = 1 << 28  # the largest of AIST++ have some megabytes
_NUMBERS = re.compile(r"[fiub][1248]")


class _Type:
    """Stand-in for `numpy.dtype`."""

    def __init__(self, text: Any, *_: Any) -> None:
        self.text = text.decode("ascii") if isinstance(text, bytes) else text
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        self.order = order.decode("ascii") if isinstance(order, bytes) else order

    def dtype(self) -> np.dtype[Any]:
        if not isinstance(self.text, str) or not _NUMBERS.fullmatch(self.text) or self.order not in "<>|=":
            raise ValueError(f"arrays of type {self.text!r} are not read")
        return np.dtype(("" if self.order == "|" else self.order) + self.text)


class _Array:
    """Stand-in for an array."""

    shape: Any
    kind: Any
    fortran: Any
    data: Any

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.kind, self.fortran, self.data = state

    def array(self) -> np.ndarray:
        if not isinstance(self.kind, _Type):
            raise ValueError("an array without a type")
        dtype = self.kind.dtype()
        data = self.data.encode("latin1") if isinstance(self.data, str) else bytes(self.data)
        shape = tuple(self.shape)
        if any(not isinstance(size, int) or size < 0 for size in shape):
            raise ValueError(f"an array of shape {shape}")
        if math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError(f"{len(data)} bytes for an array of shape {shape}")
        flat = np.frombuffer(data, dtype)
        array = flat.reshape(shape[::-1]).T if self.fortran else flat.reshape(shape)
        return array.astype(dtype.newbyteorder("="))


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    found = _Array()
    found.__setstate__((1, shape, kind, order == "F", data))
    return found


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How Python 3 writes bytes into old pickles."""
    if encoding != "latin1":
        raise ValueError(f"bytes written as {encoding}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """How Python 3 writes b"" into old pickles."""
    return b""


_NDARRAY = object()  # `numpy.ndarray` is only ever handed to `_reconstruct`
_STAND_INS: dict[tuple[str, str], Any] = {("numpy", "ndarray"): _NDARRAY, ("numpy", "dtype"): _Type}
_STAND_INS["_codecs", "encode"] = _encode
_STAND_INS["__builtin__", "bytes"] = _STAND_INS["builtins", "bytes"] = _no_bytes
for _core in ("numpy.core", "numpy._core"):
    _STAND_INS[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _STAND_INS[f"{_core}.numeric", "_frombuffer"] = _from_buffer


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        found: Callable[..., Any] = _STAND_INS[module, name]
        return found


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of numbers in a pickled dictionary; other values of the dictionary are left out.

    Raises:
        CorpusError: no such file, no pickle of arrays, or one that asks for anything but arrays.
    """
    if not path.is_file():
        raise CorpusError(f"{path} does not exist: give the annotations as AIST++ distributes them")
    if path.stat().st_size > _MOST_BYTES:
        raise CorpusError(
            f"{path} is larger than any file of AIST++: give the annotations as it distributes them"
        )
    try:
        with open(path, "rb") as stream:
            values = _Reader(stream, encoding="latin1").load()
        return {str(key): value.array() for key, value in dict(values).items() if isinstance(value, _Array)}
    except (MemoryError, RecursionError, Exception) as error:  # whatever a broken or hostile file leads it to
        raise CorpusError(
            f"{path} is no file of arrays ({error}): it was not read; give the annotations as AIST++ distributes them"
        ) from error
