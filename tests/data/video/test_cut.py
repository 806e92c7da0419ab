"""Parts of videos, and sounds beneath others: known pictures, known powers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pn_diffusion_plugin.apps.serve.settings import ServeSettings
from pn_diffusion_plugin.apps.serve.uploads import check_part
from pn_diffusion_plugin.data.video.cut import cut_video, part_seconds
from pn_diffusion_plugin.data.video.probe import probe
from pn_diffusion_plugin.data.video.read import read_frames
from pn_diffusion_plugin.data.video.sound import mix_beneath, read_audio
from pn_diffusion_plugin.data.video.write import write_video
from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.models.pipeline import Edit
from pn_diffusion_plugin.models.validation import check_length
from pn_diffusion_plugin.sequence import LENGTH_TOLERANCE

FPS, RATE = 25, 22050


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds whose picture i is of brightness 4 i, and whose sound is a tone in its second half."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    frames = [np.full((32, 32, 3), 4 * i, np.uint8) for i in range(2 * FPS)]
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)
    tone[:RATE] = 0
    write_video(path, frames, FPS, tone.astype(np.float32), RATE)
    return path


def test_a_part_shows_and_plays_what_the_video_did_then(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.mp4"
    cut_video(clip, out, 0.8, 1.6)
    assert probe(out).seconds == pytest.approx(0.8)
    shades = [int(picture.mean()) for picture in read_frames(out, FPS)]
    assert len(shades) == 20
    assert np.abs(np.array(shades) - 4 * np.arange(20, 40)).max() <= 4
    sound = read_audio(out, RATE)
    onset = np.flatnonzero(np.abs(sound) > 0.1)[0] / RATE
    assert onset == pytest.approx(0.2, abs=0.01)


def test_a_part_of_a_silent_video_is_silent(clip: Path, tmp_path: Path) -> None:
    silent = tmp_path / "silent.mp4"
    write_video(silent, read_frames(clip, FPS), FPS)
    cut_video(silent, tmp_path / "part.mp4", end=0.4)
    info = probe(tmp_path / "part.mp4")
    assert not info.has_audio and info.seconds == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("start", "end"), [(1.0, 1.0), (3.0, None), (0.0, 2.5), (-1.0, 1.0), (float("nan"), 1.0)]
)
def test_a_part_that_is_not_there_is_refused(
    clip: Path, tmp_path: Path, start: float, end: float | None
) -> None:
    with pytest.raises(UserError, match=r"not within the video \(0 s to 2\.00 s\): give a start"):
        cut_video(clip, tmp_path / "part.mp4", start, end)
    assert not list(tmp_path.iterdir())


def test_one_tolerance_for_ends_after_the_video_and_parts_shorter_than_a_window(clip: Path) -> None:
    """The command, the page and the Python class share it."""
    info = probe(clip)
    assert part_seconds(clip, info, None, 2 + 0.9 * LENGTH_TOLERANCE) == (0.0, info.seconds)
    with pytest.raises(UserError):
        part_seconds(clip, info, None, 2 + 1.1 * LENGTH_TOLERANCE)
    for check in (
        lambda window: check_length("clip", info.seconds, window),
        lambda window: Edit().check("clip", info, window),
        lambda window: check_part("clip", info, ServeSettings(), Edit(), window),
    ):
        check(2 + 0.9 * LENGTH_TOLERANCE)
        with pytest.raises(UserError, match="needs at least"):
            check(2 + 1.1 * LENGTH_TOLERANCE)


def test_the_sound_beneath_has_the_level_asked_for() -> None:
    time = np.arange(RATE) / RATE
    music, sound = 0.2 * np.sin(2 * np.pi * 400 * time), 0.7 * np.sin(2 * np.pi * 1000 * time)
    mixed = mix_beneath(music, sound, -12.0)
    spectrum = np.abs(np.fft.rfft(mixed)) * 2 / RATE
    assert spectrum[400] == pytest.approx(0.2, rel=1e-3)
    assert 20 * np.log10(spectrum[1000] / spectrum[400]) == pytest.approx(-12, abs=0.01)


def test_a_mixture_never_clips_and_silence_adds_nothing() -> None:
    music = np.sin(np.arange(1000.0))
    assert np.abs(mix_beneath(music, np.cos(np.arange(1000.0)), 0.0)).max() <= 0.99 + 1e-6
    quiet = 0.5 * music
    assert np.allclose(mix_beneath(quiet, np.zeros(1000), -6.0), quiet, atol=1e-7)
    assert np.array_equal(mix_beneath(np.zeros(10), quiet[:10], -6.0), np.zeros(10, np.float32))
