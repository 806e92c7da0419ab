"""What is written to a disk that becomes full, or read-only, in the middle of it; run by test_disk.py.

python disk_worker.py FOLDER full|read-only: prints {scenario: "" or what went wrong}.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tiny_corpus import fast_extractor, make_features, tree, write_tiny_video
from tiny_model import tiny_model

from pn_diffusion_plugin.errors import explain

MOUNTED = os.environ.get("DISK_IS_MOUNTED") == "1"
TOLD = {
    "full": "disk is full|larger than the limit",
    "read-only": "file system is read-only|permission denied",
}


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """No room on the disk; where none could be mounted, no file may be larger than a kilobyte."""
    if not MOUNTED:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        yield
        return resource.setrlimit(resource.RLIMIT_FSIZE, before)
    ballast = folder / "ballast"
    with open(ballast, "wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(1 << 16))
    os.truncate(ballast, ballast.stat().st_size - 3000)
    yield
    ballast.unlink()


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A read-only disk; where none could be mounted, read-only folders."""
    if MOUNTED:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        return
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    if os.getuid() == 0:
        os.seteuid(65534)
    yield
    if os.getuid() == 0:
        os.seteuid(0)
    for path in folders:
        path.chmod(0o755)


class Place:
    """A folder whose disk can be made unusable for a while."""

    def __init__(self, folder: Path, disk: Path, how: str) -> None:
        self.folder, self.how = folder, how
        self.disk = disk if MOUNTED else folder

    def fails(self, write: Callable[[], object]) -> None:
        """Write while it is unusable: one sentence."""
        with (full if self.how == "full" else read_only)(self.disk):
            try:
                write()
            except Exception as error:
                told = explain(error) or f"unexpected {type(error).__name__}: {error}"
            else:
                told = "nothing failed"
        assert re.search(TOLD[self.how], told) and "\n" not in told, told

    def changes_nothing(self, write: Callable[[], object]) -> None:
        """As `fails`, and everything is as it was, nothing more."""
        before = self._everything()
        self.fails(write)
        after = self._everything()
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        assert not changed, f"changed: {sorted(changed)}"

    def _everything(self) -> dict[str, bytes]:
        files = (path for path in sorted(self.folder.rglob("*")) if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}


def model_is_exported_over_an_export(place: Place) -> None:
    from pn_diffusion_plugin.models.io.checkpoint import load_weights

    model = tiny_model()
    folder = model.save_pretrained(place.folder / "model")
    place.changes_nothing(lambda: model.save_pretrained(folder))
    assert load_weights(folder).model.keys() == model.dual.state_dict().keys()
    load_weights(model.save_pretrained(folder))


def music_is_put_under_a_video(place: Place) -> None:
    from pn_diffusion_plugin.data.video.mux import mux
    from pn_diffusion_plugin.data.video.probe import probe

    video, out = write_tiny_video(place.folder / "in.mp4", 1), place.folder / "out.mp4"
    wav = np.sin(np.arange(22050) / 10).astype(np.float32)
    mux(video, wav, 22050, out)
    place.changes_nothing(lambda: mux(video, wav, 22050, out))
    mux(video, wav, 22050, out)
    assert probe(out).has_audio


def features_are_written_again(place: Place) -> None:
    from pn_diffusion_plugin.data.features.feature_file import load_features, save_features

    path = place.folder / "clip.safetensors"
    save_features(path, make_features(2.0))
    place.changes_nothing(lambda: save_features(path, make_features(2.0, seed=1)))
    assert load_features(path) == make_features(2.0)


def corpus_grows(place: Place) -> None:
    """What was prepared stays; with room again the rest follows, as if nothing had been."""
    from pn_diffusion_plugin.data.corpora.prepare import prepare_folder

    src, dst, other = (place.folder / name for name in ("videos", "corpus", "whole"))
    options = {"jobs": 0, "progress": False, "extractor": fast_extractor}
    for number in range(2):
        write_tiny_video(src / f"dance{number}.mp4", number)
    prepare_folder(src, dst, **options)
    for number in range(2, 4):
        write_tiny_video(src / f"dance{number}.mp4", number)
    clips = tree(dst)
    place.fails(lambda: prepare_folder(src, dst, **options))
    assert tree(dst) == clips
    assert prepare_folder(src, dst, **options).done == ["dance2", "dance3"]
    prepare_folder(src, other, **options)
    ours, theirs = tree(dst), tree(other)
    assert ours.keys() == theirs.keys()
    assert all(ours[name] == theirs[name] for name in ours if name.endswith((".wav", ".safetensors")))


def checkpoint_is_written(place: Place) -> None:
    import torch
    from audiocraft.utils.checkpoint import save_checkpoint

    from pn_diffusion_plugin.solvers.base import check_last_checkpoint

    path = place.folder / "checkpoint.th"
    save_checkpoint({"epoch": 1, "weights": torch.ones(5000)}, path)
    good = path.read_bytes()
    place.fails(lambda: save_checkpoint({"epoch": 2, "weights": torch.zeros(5000)}, path))
    check_last_checkpoint(path)
    assert path.read_bytes() == good
    assert [p.name for p in place.folder.iterdir()] == ["checkpoint.th"]
    save_checkpoint({"epoch": 2, "weights": torch.zeros(5000)}, path)
    assert torch.load(path, weights_only=True)["epoch"] == 2


SCENARIOS = (
    model_is_exported_over_an_export,
    music_is_put_under_a_video,
    features_are_written_again,
    corpus_grows,
    checkpoint_is_written,
)


def main(folder: Path, how: str) -> None:
    results = {}
    for scenario in SCENARIOS:
        place = folder / scenario.__name__
        place.mkdir()
        try:
            scenario(Place(place, folder, how))
            results[scenario.__name__] = ""
        except Exception:
            results[scenario.__name__] = traceback.format_exc()
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
