"""Pickled arrays are read as NumPy reads them; nothing else is built, and no code of the file runs."""

from __future__ import annotations

import datetime
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pn_diffusion_plugin.errors import CorpusError
from pn_diffusion_plugin.utils.array_pickle import read_tree


def read_arrays(path: Path) -> dict[str, Any]:
    return read_tree(path, CorpusError, "give another file")


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_are_read_as_pickle_reads_them(tmp_path, protocol):
    arrays = {
        "floats": np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(4, dtype=">i4"),
        "whole": np.arange(5),
        "bool": np.array([True, False]),
        "none": np.zeros((0, 3)),
    }
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({**arrays, "words": ["left out"]}, protocol=protocol))
    found = read_arrays(path)
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert np.array_equal(found[name], array) and found[name].dtype.isnative


class Evil:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_in_a_file_is_run(tmp_path, protocol):
    mark = tmp_path / "run"
    for number, content in enumerate(
        [
            Evil(os.system, f"touch {mark}"),
            {"keypoints2d": Evil(eval, f"open({str(mark)!r}, 'w')")},
            {"keypoints2d": np.array([Evil(os.mkdir, str(mark))], dtype=object)},
            Evil(getattr, "", "join"),
            {"day": datetime.date(2020, 1, 1)},
        ]
    ):
        path = tmp_path / f"{number}.pkl"
        path.write_bytes(pickle.dumps(content, protocol=protocol))
        with pytest.raises(CorpusError, match="(it requests |an array that is not numeric)"):
            read_arrays(path)
    assert not mark.exists()


def test_arrays_of_objects_and_wrong_sizes_are_refused(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"a": np.array([1, "x"], dtype=object)}))
    with pytest.raises(CorpusError, match="not a file of arrays .*not numeric"):
        read_arrays(path)
    whole = pickle.dumps({"a": np.arange(3, dtype=np.int64)}, protocol=2)
    path.write_bytes(whole.replace(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85"))  # a shape of 2^31 - 1
    with pytest.raises(CorpusError, match="is not a file of arrays"):
        read_arrays(path)


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2]), pickle.dumps({"a": 1})[:-3]])
def test_broken_files_are_rejected(tmp_path, content):
    path = tmp_path / "a.pkl"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=r"a\.pkl is not a file of arrays"):
        read_arrays(path)
    with pytest.raises(CorpusError, match="does not exist"):
        read_arrays(tmp_path / "b.pkl")


def test_nested_dictionaries_share_arrays(tmp_path):
    shared = np.arange(3.0)
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"a": {"b": {"c": shared}, "d": shared}, 7: shared, "no": None}))
    found = read_arrays(path)
    assert set(found) == {"a"} and set(found["a"]) == {"b", "d"}
    assert np.array_equal(found["a"]["d"], shared) and found["a"]["b"]["c"] is found["a"]["d"]


def test_a_small_file_does_not_become_gigabytes(tmp_path):
    """A memo of 2^31 entries, a bytearray of 2^60 bytes, 2^60 arrays, and a shape as long if it were printed."""
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02}r\xff\xff\xff\x7f.")
    assert read_arrays(path) == {}
    path.write_bytes(b"\x80\x05}\x8c\x01a\x96" + (1 << 60).to_bytes(8, "little") + b"xs.")
    with pytest.raises(CorpusError, match="is not a file of arrays"):
        read_arrays(path)
    tree: dict[str, Any] = {"a": np.arange(3)}
    shape: tuple[Any, ...] = (3,)
    for _ in range(60):
        tree, shape = {"x": tree, "y": tree}, (shape, shape)
    path.write_bytes(pickle.dumps(tree))
    found = read_arrays(path)
    assert found["x"] is found["y"]
    lying = pickle.dumps({"a": np.arange(3), "shape": shape}, protocol=2)
    path.write_bytes(lying)
    assert set(read_arrays(path)) == {"a"}
    path.write_bytes(pickle.dumps({"a": ShapedLike(shape)}, protocol=2))
    with pytest.raises(CorpusError, match="is not a file of arrays"):
        read_arrays(path)


class ShapedLike:
    """Pickles as an array of any shape."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape

    def __reduce__(self) -> Any:
        function, arguments, (version, _, *rest) = np.arange(3).__reduce__()
        return function, arguments, (version, self.shape, *rest)


def test_a_file_cannot_modify_the_reader(tmp_path):
    """BUILD can set attributes of any object that a pickle can name."""
    path = tmp_path / "a.pkl"
    path.write_bytes(
        b"\x80\x02c_codecs\nencode\nN}X\x0c\x00\x00\x00__defaults__X\x04\x00\x00\x00utf8\x85s\x86b."
    )
    with pytest.raises(CorpusError, match="modifies an object that is not an array"):
        read_arrays(path)
