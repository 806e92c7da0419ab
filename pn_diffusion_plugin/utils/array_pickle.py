"""Read arrays from pickle files (AIST++ annotations, I3D weights) without running code from the file.

A pickle names functions and calls them. `_Unpickler.find_class` allows the few names that an array needs and replaces
each by a function of this module; NumPy only gets a shape, a numeric dtype and bytes. Python's own implementation of
the unpickler is used, since the C one allocates a memo as large as the file requests.
"""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError

_MAX_BYTES = 1 << 28  # the weights of I3D have 50 MB
_NUMERIC = re.compile(r"[fiub][1248]")


class _DType:
    """Stand-in for `numpy.dtype`; its byte order is set by a later opcode."""

    def __init__(self, code: Any, *_: Any) -> None:
        code = code.decode("ascii") if isinstance(code, bytes) else code
        if not (isinstance(code, str) and _NUMERIC.fullmatch(code)):
            raise ValueError("an array that is not numeric")
        self.value = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order: Any = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "="):
            raise ValueError("an array with an unknown byte order")
        self.value = self.value.newbyteorder(order)


def _empty_array(*_: Any) -> np.ndarray:
    return np.empty(0, np.uint8)


def _set_array(array: np.ndarray, state: Any) -> None:
    """Give an array from `_empty_array` its shape, dtype and data, in place: the memo refers to it."""
    _, shape, dtype, fortran, data = state
    data = data.encode("latin1") if isinstance(data, str) else data
    if type(dtype) is not _DType or type(data) is not bytes or type(shape) is not tuple:
        raise ValueError("an array without shape, dtype or data")
    checked: Any = (1, shape, dtype.value, fortran is True or fortran == 1, data)
    array.__setstate__(checked)


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    array = _empty_array()
    _set_array(array, (1, shape, dtype, order == "F", bytes(data) if isinstance(data, bytearray) else data))
    return array


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 stores bytes in old pickles."""
    if encoding != "latin1":
        raise ValueError("bytes that are not latin1")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    """How Python 3 stores b"" in old pickles."""
    return b""


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): object(),  # only ever an argument of `_reconstruct`
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _empty_bytes,
    ("builtins", "bytes"): _empty_bytes,
}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _empty_array
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _from_buffer

_PythonUnpickler: Any = pickle._Unpickler  # typeshed does not list it


class _Unpickler(_PythonUnpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it requests {module[:50]}.{name[:50]}")
        return _ALLOWED[module, name]

    def load_build(self) -> None:
        """Set the state of arrays and dtypes; for any other object it could replace attributes."""
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is np.ndarray:
            _set_array(target, state)
        elif type(target) is _DType:
            target.__setstate__(state)
        else:
            raise pickle.UnpicklingError("it modifies an object that is not an array")

    def load_bytearray8(self) -> None:
        """Read as many bytes as there are; the original allocates as many as the file claims."""
        size = int.from_bytes(self.read(8), "little")
        self.append(bytearray(self.read(size)))

    dispatch = {
        **_PythonUnpickler.dispatch,
        pickle.BUILD[0]: load_build,
        pickle.BYTEARRAY8[0]: load_bytearray8,
    }


def read_tree(path: Path, error_class: type[UserError], remedy: str) -> dict[str, Any]:
    """Load a pickled dictionary of arrays and further such dictionaries; other values are left out.

    Args:
        path: the file.
        error_class, remedy: class of the error to raise, and the end of its message.

    Raises:
        UserError: of that class: the file is missing, too large, not a pickle, or requests anything but arrays.
    """
    if not path.is_file():
        raise error_class(f"{path} does not exist: {remedy}")
    if path.stat().st_size > _MAX_BYTES:
        raise error_class(f"{path} is larger than {_MAX_BYTES >> 20} MiB: {remedy}")
    try:
        return _arrays(_Unpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load(), {})
    except Exception as error:  # a broken or hostile file can raise almost anything
        reason = " ".join(str(error)[:200].split()) or type(error).__name__
        raise error_class(f"{path} is not a file of arrays ({reason}): {remedy}") from error


def _arrays(value: Any, known: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """The arrays of a dictionary and of those within; a dictionary that occurs twice is converted once."""
    if not isinstance(value, dict):
        raise ValueError("not a dictionary")
    if id(value) in known:
        return known[id(value)]
    found: dict[str, Any] = {}
    known[id(value)] = found
    for key, item in value.items():
        if isinstance(key, str) and isinstance(item, np.ndarray):
            found[key] = item.astype(item.dtype.newbyteorder("="), copy=False)
        elif isinstance(key, str) and isinstance(item, dict):
            found[key] = _arrays(item, known)
    return found
