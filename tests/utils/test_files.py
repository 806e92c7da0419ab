"""Files are whole or not there, and readable by whoever may read their folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pn_diffusion_plugin.utils.files import atomic_path, sha256_file, write_json


def test_a_file_that_was_not_finished_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    write_json(path, {"ü": 1})
    assert json.loads(path.read_text(encoding="utf-8")) == {"ü": 1}
    with pytest.raises(KeyError), atomic_path(path) as temporary:
        assert temporary.parent == path.parent and temporary.suffix == ".json"
        temporary.write_text("half")
        raise KeyError
    assert json.loads(path.read_text(encoding="utf-8")) == {"ü": 1}
    assert [file.name for file in path.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("folder, file", [(0o755, 0o044), (0o750, 0o040), (0o700, 0)])
def test_a_file_is_as_readable_as_its_folder(tmp_path: Path, folder: int, file: int) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(folder)
    path = tmp_path / "shared" / "a.safetensors"
    with atomic_path(path) as temporary:
        save_file({"a": np.zeros(3)}, str(temporary))
    assert path.stat().st_mode & 0o044 == file


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a").startswith("ba7816bf8f01cfea")
