"""Arrays out of pickle files (AIST++'s annotations, I3D's weights), without letting the file run anything.

A pickle names functions and has them called. Here every name gets a stand-in of our own, written in Python, for
the four things that an array needs, and any other name is an error. NumPy sees nothing but bytes, a shape and a
type of plain numbers that were checked. The machine is Python's own, not the C one, which sets up as many places for
its memory as the file likes to name. No value of the file gets into a message: one can be small and print as gigabytes.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError

_MOST_BYTES = 1 << 28  # I3D's weights have 50 MB
_MOST_DIMENSIONS = 8
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
        good = isinstance(self.text, str) and _NUMBERS.fullmatch(self.text)
        if not good or self.order not in ("<", ">", "|", "="):
            raise ValueError("an array of another type than numbers")
        return np.dtype(("" if self.order == "|" else self.order) + self.text)


class _Array:
    """Stand-in for an array."""

    shape: Any
    kind: Any
    fortran: Any
    data: Any
    _made: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.kind, self.fortran, self.data = state

    def array(self) -> np.ndarray:
        """What it stands for; however often the file refers to it, there is one."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def _make(self) -> np.ndarray:
        if not isinstance(self.kind, _Type):
            raise ValueError("an array without a type")
        dtype = self.kind.dtype()
        if not isinstance(self.data, (str, bytes, bytearray)):
            raise ValueError("an array without bytes")
        data = self.data.encode("latin1") if isinstance(self.data, str) else bytes(self.data)
        shape = self.shape
        if not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS:
            raise ValueError("an array without a shape")
        if any(type(size) is not int or size < 0 for size in shape):
            raise ValueError("an array of a negative size")
        if math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError("an array of more or fewer bytes than its shape has")
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
        raise ValueError("bytes that are not latin1")
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


_Unpickler: Any = pickle._Unpickler  # typeshed describes the C machine under this name


class _Reader(_Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module[:50]}.{name[:50]}")
        found: Callable[..., Any] = _STAND_INS[module, name]
        return found

    def load_build(self) -> None:
        """Give an object its state: to arrays and types alone, so that no stand-in is changed."""
        if not isinstance(self.stack[-2], (_Array, _Type)):
            raise pickle.UnpicklingError("it changes what is no array")
        super().load_build()

    def load_bytearray8(self) -> None:
        """The bytes that are in the file, not as many as it promises."""
        size = int.from_bytes(self.read(8), "little")
        self.append(bytearray(self.read(size)))

    dispatch = {
        **_Unpickler.dispatch,
        pickle.BUILD[0]: load_build,
        pickle.BYTEARRAY8[0]: load_bytearray8,
    }


def read_tree(path: Path, error_class: type[UserError], remedy: str) -> dict[str, Any]:
    """A pickled dictionary of arrays and further such dictionaries; whatever else is in it is left out.

    Args:
        path: the file.
        error_class, remedy: what to raise, and how its message ends.

    Raises:
        UserError: of that class: no such file, no pickle of arrays, or one that asks for anything but arrays.
    """
    if not path.is_file():
        raise error_class(f"{path} does not exist: {remedy}")
    if path.stat().st_size > _MOST_BYTES:
        raise error_class(f"{path} is larger than any file of arrays that is read here: {remedy}")
    try:
        return _tree(_Reader(io.BytesIO(path.read_bytes()), encoding="latin1").load(), {})
    except Exception as error:  # whatever a broken or hostile file leads it to
        reason = " ".join(str(error)[:200].split()) or type(error).__name__
        raise error_class(f"{path} is no file of arrays ({reason}): it was not read; {remedy}") from error


def _tree(value: Any, known: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """The arrays of a dictionary and of those within, each made once."""
    if not isinstance(value, dict):
        raise ValueError("no dictionary")
    if id(value) in known:
        return known[id(value)]
    found: dict[str, Any] = {}
    known[id(value)] = found
    for key, item in value.items():
        if isinstance(key, str) and isinstance(item, _Array):
            found[key] = item.array()
        elif isinstance(key, str) and isinstance(item, dict):
            found[key] = _tree(item, known)
    return found
