"""Training music from folders and manifests; references that stand in it are found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.metrics.evaluate import evaluate_folders
from pn_diffusion_plugin.metrics.folders import read_clips
from pn_diffusion_plugin.metrics.settings import Settings
from pn_diffusion_plugin.metrics.training_music import leaks, read_training

RATE = 22050


def music(seed: int, seconds: float = 6.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(RATE // 4) / RATE
    notes = [
        np.sin(2 * np.pi * rng.uniform(150, 3000) * time) * np.exp(-8 * time) for _ in range(int(4 * seconds))
    ]
    return (0.3 * np.concatenate(notes)).astype(np.float32)


def write(folder: Path, name: str, wav: np.ndarray, song: str | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / f"{name}.wav", wav, RATE)
    if song is not None:
        (folder / f"{name}.json").write_text(json.dumps({"song": song}))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Training music of songs s0 … s3, references of songs r0 … r2."""
    for i in range(4):
        write(tmp_path / "train", f"t{i}", music(i), f"s{i}")
    for i in range(3):
        write(tmp_path / "reference", f"c{i}", music(10 + i), f"r{i}")
    return tmp_path / "train", tmp_path / "reference"


def check(train: Path, reference: Path, limit: int | None = None) -> str:
    return leaks(read_clips(reference, {"model": reference}), read_training(train, limit))


def test_songs_that_are_all_known_and_different_are_ok(folders: tuple[Path, Path]) -> None:
    assert check(*folders) == "ok"


def test_a_recording_in_the_training_music_is_found_whatever_it_is_called(folders: tuple[Path, Path]) -> None:
    train, reference = folders
    write(reference, "c1", 0.3 * music(2)[RATE:], "another name")
    assert check(train, reference).startswith(
        "LEAKING: 1 of 3 references are in the training music (c1 is in t2)"
    )


def test_a_song_in_the_training_music_is_found_by_its_name(folders: tuple[Path, Path]) -> None:
    train, reference = folders
    write(reference, "c0", music(77), "s3")
    assert check(train, reference).startswith(
        "LEAKING: 1 of 3 references are songs of the training music (c0: s3)"
    )


def test_unknown_songs_are_not_called_ok(folders: tuple[Path, Path]) -> None:
    train, reference = folders
    assert check(train, reference, limit=2).startswith("unknown: ")  # a part of the training music only
    (reference / "c2.json").unlink()
    assert check(train, reference).startswith("unknown: no reference recording is in the training music")
    (train / "t0.json").unlink()
    assert check(train, reference).startswith("unknown: ")


def test_a_manifest_names_the_clips(folders: tuple[Path, Path], tmp_path: Path) -> None:
    train, _ = folders
    manifest = tmp_path / "egs" / "data.jsonl"
    manifest.parent.mkdir()
    manifest.write_text("".join(json.dumps({"path": str(train / f"t{i}.wav")}) + "\n" for i in (1, 3)))
    for source in (manifest, manifest.parent):
        assert read_training(source).songs == {"t1": "s1", "t3": "s3"}
    assert read_training([manifest, train]).songs == {f"t{i}": f"s{i}" for i in range(4)}


def test_a_limit_takes_clips_from_everywhere(folders: tuple[Path, Path]) -> None:
    found = read_training(folders[0], 2)
    assert found.songs == {"t0": "s0", "t3": "s3"} and len(found.clips) == 2 and not found.complete
    assert read_training(folders[0], 9).complete


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere is not a folder"):
        read_training(tmp_path / "nowhere")


def test_a_report_tells_leaks_and_copies(folders: tuple[Path, Path], tmp_path: Path) -> None:
    train, reference = folders
    generated = tmp_path / "generated"
    for i in range(3):
        write(generated, f"c{i}", music(3) if i == 1 else music(20 + i))  # one repeats its training music
    settings = Settings(metrics=("nearest_training",))
    report = evaluate_folders(reference, generated, settings=settings, training=train)
    assert report["leak_check"] == "ok"
    told = report["memorisation"]
    assert told["training_clips"] == 4 and told["copies"] == {"model": 1, "reference": 0}
    assert told["nearest"]["model"][0]["clip"] == "c1" and told["nearest"]["model"][0]["training"] == "t3"
    rows = {row["name"]: row["metrics"] for row in report["rows"]}
    assert rows["model"]["nearest_training"]["mean"] < rows["reference"]["nearest_training"]["mean"]
    assert rows["silence"]["nearest_training"] == {"not_run": "needs a clip that is not silent"}
    without = evaluate_folders(reference, generated, settings=settings)
    assert "memorisation" not in without and without["leak_check"].startswith("unknown: ")
    assert without["rows"][0]["metrics"]["nearest_training"] == {"not_run": "needs the training music"}
