"""Validation of uploads, settings and requests."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pn_diffusion_plugin.apps.serve.settings import GenerationRequest, ServeSettings
from pn_diffusion_plugin.apps.serve.uploads import check_part, check_upload, plays_in_browsers
from pn_diffusion_plugin.data.video.probe import VideoInfo
from pn_diffusion_plugin.data.video.write import write_video
from pn_diffusion_plugin.errors import UserError, VideoError
from pn_diffusion_plugin.models.pipeline import Edit

SETTINGS = ServeSettings(max_upload_mb=0.5, max_seconds=20, max_side=128)
INFO = VideoInfo(seconds=30.0, fps=25, width=64, height=64, rotation=0, has_audio=False)


def video(path: Path, width: int = 64) -> Path:
    write_video(path, [np.full((48, width, 3), grey, np.uint8) for grey in range(25)], 25)
    return path


def test_a_video_is_accepted(tmp_path: Path) -> None:
    info = check_upload(video(tmp_path / "dance.mp4"), SETTINGS)
    assert (info.width, info.height, info.seconds) == (64, 48, 1.0)


@pytest.mark.parametrize(
    "kind, message",
    [
        ("nothing", "there is no video yet"),
        ("missing", "dance.mp4 does not exist"),
        ("large", "dance.mp4 has 1 MB and this page takes up to 0.5 MB"),
        ("wide", "dance.mp4 has frames of 256 x 48 and this page takes up to 128 pixels"),
        ("picture", "dance.mp4 is an image: give a video file"),
        ("text", "dance.mp4 cannot be read as a video"),
        ("folder", "dance.mp4 is a folder"),
        ("playlist", "dance.mp4 cannot be read as a video"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, kind: str, message: str) -> None:
    path = tmp_path / "dance.mp4"
    if kind == "large":
        path.write_bytes(bytes(600_000))
    elif kind == "wide":
        video(path, 256)
    elif kind == "picture":
        Image.new("RGB", (32, 32)).save(path, "PNG")
    elif kind == "text":
        path.write_text("no video " * 100)
    elif kind == "folder":
        path.mkdir()
    elif kind == "playlist":
        path.write_text(f"#EXTM3U\n#EXTINF:1,\n{video(tmp_path / 'other.mp4')}\n#EXT-X-ENDLIST\n")
    with pytest.raises(VideoError) as error:
        check_upload(None if kind == "nothing" else path, SETTINGS)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "start, end, meant",
    [(None, 20.0, (0.0, 20.0)), (12.0, None, (12.0, 30.0)), (10.5, 30.02, (10.5, 30.0))],
)
def test_a_part_within_the_video(start: float | None, end: float | None, meant: tuple[float, float]) -> None:
    assert check_part("a", INFO, SETTINGS, Edit(start, end), window=5.2) == meant


@pytest.mark.parametrize(
    "start, end, message",
    [
        (None, None, "the part of a is 30 s long and this page takes up to 20 s"),
        (-1.0, 10.0, "both within it"),
        (10.0, 10.0, "both within it"),
        (29.0, 31.0, "both within it"),
        (31.0, 40.0, "both within it"),
        (float("nan"), 10.0, "both within it"),
        (1.0, 4.0, "the part of a is 3.00 s long and the model needs at least 5.2 s"),
    ],
)
def test_a_part_that_cannot_be_used(start: float | None, end: float | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_part("a", INFO, SETTINGS, Edit(start, end), window=5.2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_seconds": 0},
        {"queue": -1},
        {"port": 70000},
        {"models": ()},
        {"root_path": "music"},
        {"keep_minutes": float("nan")},
    ],
)
def test_settings_that_allow_nothing(wrong: dict) -> None:
    with pytest.raises(UserError, match="give"):
        ServeSettings(**wrong)


@pytest.mark.parametrize("seeds", [(), (1, 2, 3, 4, 5), (-1,), (2**31,)])
def test_impossible_seeds(seeds: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="give"):
        GenerationRequest("mini", seeds)


def test_a_dancer_is_normalised_or_refused() -> None:
    assert (
        GenerationRequest("mini", dancer=" Left ").dancer == "left"
        and GenerationRequest("mini", dancer="2").dancer == 2
    )
    with pytest.raises(UserError, match="dancer is 'best': give prominent, left, right"):
        GenerationRequest("mini", dancer="best")


@pytest.mark.parametrize(
    "codec, pix_fmt, name, plays",
    [
        ("libx264", "yuv420p", "a.mp4", True),
        ("libx264", "yuv444p", "a.mp4", False),
        ("libx265", "yuv420p", "a.mov", False),
        ("mpeg4", "yuv420p", "a.mp4", False),
        ("libvpx", "yuv420p", "a.webm", True),
        ("libx264", "yuv420p", "a.avi", False),
    ],
)
def test_what_browsers_play(tmp_path: Path, codec: str, pix_fmt: str, name: str, plays: bool) -> None:
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = pix_fmt
        for grey in range(5):
            image = np.full((64, 64, 3), grey, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    assert plays_in_browsers(tmp_path / name) == plays
