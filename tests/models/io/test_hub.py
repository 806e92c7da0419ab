"""Models by their name on the Hugging Face hub, from its cache and without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pn_diffusion_plugin.models.io import checkpoint

REPOSITORY = Path(__file__).resolve().parents[3]
EXPORTED = REPOSITORY / "tests" / "data_files" / "old_export"
COMMIT, TAGGED = "a" * 40, "b" * 40

PROGRAM = """
import json, sys
from pn_diffusion_plugin.errors import CheckpointError
from pn_diffusion_plugin.models.io.checkpoint import resolve_checkpoint
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion
told = {"loaded": PNDiffusion.get_pretrained("somebody/dancer").sample_rate}
for name in sys.argv[1:]:
    try:
        told[name] = str(resolve_checkpoint(name))
    except CheckpointError as error:
        told[name] = f"error: {error}"
print(json.dumps(told))
"""


def add_to_cache(cache: Path, name: str, commit: str, revision: str, files: Path) -> Path:
    """Lay out a snapshot as the hub's own client does."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True, exist_ok=True)
    (repository / "refs" / revision).write_text(commit)
    snapshot = repository / "snapshots" / commit
    (repository / "blobs").mkdir(exist_ok=True)
    snapshot.mkdir(parents=True)
    for file in files.iterdir():
        blob = repository / "blobs" / f"{commit[:8]}-{file.name}"
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(Path(os.path.relpath(blob, snapshot)))
    return snapshot


def test_a_model_of_the_hub_comes_from_its_cache_and_what_is_not_there_is_told(tmp_path: Path) -> None:
    cache = tmp_path / "hub"
    main = add_to_cache(cache, "somebody/dancer", COMMIT, "main", EXPORTED)
    tagged = add_to_cache(cache, "somebody/dancer", TAGGED, "v1", EXPORTED)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.safetensors").write_bytes(b"")
    add_to_cache(cache, "somebody/other", COMMIT, "main", tmp_path / "other")
    names = [
        "somebody/dancer",
        "somebody/dancer@v1",
        "somebody/dancer@v2",
        "nobody/nothing",
        "somebody/other",
    ]
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *names],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache), "HF_HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    told = json.loads(result.stdout.strip().splitlines()[-1])
    assert told["loaded"] == 8000
    assert told["somebody/dancer"] == str(main) and told["somebody/dancer@v1"] == str(tagged)
    for name in ("somebody/dancer@v2", "nobody/nothing"):
        assert told[name].startswith(
            f"error: no checkpoint '{name}': there is no such folder, and the download from the Hugging"
        )
        assert "\n" not in told[name] and len(told[name]) < 500
    assert told["somebody/other"].startswith(
        "error: 'somebody/other' on the Hugging Face hub has no config.yaml"
    )


@pytest.mark.parametrize(
    "name, meant",
    [
        ("somebody/dancer", True),
        ("somebody/dancer@v1.0", True),
        ("models/mine", False),  # there is a folder `models`: a path with a mistake
        ("outputs/nothing", False),
        ("dancer", False),
        ("a/b/c", False),
        ("/a/b", False),
        ("../b", False),
    ],
)
def test_what_is_taken_for_a_name_on_the_hub(
    name: str, meant: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    assert checkpoint._is_hub_id(name) == meant
