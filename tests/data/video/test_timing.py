"""How long frames are shown: recorders' clocks, B-frames at a variable rate, holds, gaps, and too few frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from ffmpeg import BARS, ffmpeg

from pn_diffusion_plugin.data.video.cut import cut_video
from pn_diffusion_plugin.data.video.mux import mux
from pn_diffusion_plugin.data.video.probe import probe, read_timing
from pn_diffusion_plugin.data.video.read import read_frames

RATE = 22050


def lengths(path: Path) -> list[float]:
    """Seconds of every stream according to the file's header."""
    with av.open(str(path)) as container:
        return [float(stream.duration * stream.time_base) for stream in container.streams]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds as a browser's recorder writes them: VP8, no duration, 1000 frames per second in the header."""
    folder = tmp_path_factory.mktemp("recorded")
    encoded, path = folder / "encoded.webm", folder / "recorded.webm"
    jitter = "settb=1/1000,setpts='PTS+round(24*(random(0)-0.5))'"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=30:duration=8", "-vf", jitter, "-fps_mode", "passthrough",
        "-enc_time_base", "1/1000", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", encoded,
    )  # fmt: skip
    with av.open(str(encoded)) as source, av.open(str(path), "w", options={"live": "1"}) as container:
        stream = container.add_stream_from_template(source.streams.video[0], opaque=True)
        stream.codec_context.framerate = Fraction(0)
        for packet in source.demux(video=0):
            if packet.size:
                packet.duration, packet.stream = 0, stream
                container.mux(packet)
    with av.open(str(path)) as container:
        assert container.duration is None and container.streams.video[0].guessed_rate == 1000
    return path


def test_the_clock_of_a_recorder_is_not_its_frame_rate(recorded: Path, tmp_path: Path) -> None:
    info = probe(recorded)
    assert info.fps == pytest.approx(30, abs=0.2) and info.seconds == pytest.approx(8, abs=0.05)
    assert read_timing(recorded).frame_seconds == pytest.approx(1 / 30, abs=1e-3)
    out = tmp_path / "out.mp4"
    mux(recorded, np.zeros(8 * RATE, np.float32), RATE, out)
    old, new = read_timing(recorded), read_timing(out)
    np.testing.assert_allclose(new.times, old.times, atol=1e-4)  # every frame once, at its own time
    assert lengths(out) == pytest.approx([old.seconds] * 2, abs=1e-3)
    cut_video(recorded, tmp_path / "part.mp4", 2.0, 4.0)
    assert len(read_timing(tmp_path / "part.mp4").times) == pytest.approx(60, abs=1)


@pytest.mark.parametrize("frames", ["B", "no B"])
@pytest.mark.parametrize(
    ("late", "seconds", "end"),
    [(46, 1.2, 3.2), (48, 20.0, 22.0), (50, 0.0, 2.0)],
    ids=["hold", "gap", "none"],
)
def test_frames_and_sound_end_together_at_a_variable_rate(
    tmp_path: Path, frames: str, late: int, seconds: float, end: float
) -> None:
    source, out = tmp_path / "a.mp4", tmp_path / "out.mp4"
    delay = f"setpts='PTS+if(gte(N,{late}),{seconds}/TB,0)'"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=2", "-vf", delay, "-fps_mode", "passthrough",
        "-c:v", "libx264", "-bf", "3" if frames == "B" else "0", source,
    )  # fmt: skip
    assert probe(source).seconds == pytest.approx(end, abs=1e-3)
    mux(source, np.zeros(10, np.float32), RATE, out)
    assert lengths(out) == pytest.approx([end, end], abs=1e-3)
    assert probe(out).seconds == pytest.approx(end, abs=1e-3)
    np.testing.assert_allclose(read_timing(out).times, read_timing(source).times, atol=1e-9)


def test_a_last_frame_that_is_held_is_shown_to_its_end(tmp_path: Path) -> None:
    """With B-frames, where the last packet is not the last frame, and without."""
    for frames in ("0", "3"):
        source, out = tmp_path / f"{frames}.mp4", tmp_path / "out.mp4"
        ffmpeg(
            *BARS,
            "-vf",
            "tpad=stop=1:stop_mode=clone,setpts='PTS+0'",
            "-c:v",
            "libx264",
            "-bf",
            frames,
            source,
        )
        mux(source, np.zeros(10, np.float32), RATE, out)
        assert lengths(out)[0] == pytest.approx(lengths(source)[0], abs=1e-3) == lengths(out)[1]


def test_frames_hidden_by_an_edit_list_stay_hidden(tmp_path: Path) -> None:
    whole, trimmed, out = (tmp_path / name for name in ("a.mp4", "trimmed.mp4", "out.mp4"))
    ffmpeg(*BARS, "-c:v", "libx264", "-bf", "2", whole)
    ffmpeg("-ss", "0.4", "-i", whole, "-c", "copy", trimmed)
    mux(trimmed, np.zeros(10, np.float32), RATE, out)
    assert probe(out).seconds == pytest.approx(0.6, abs=1e-3)
    assert len(read_timing(out).times) == 15
    for old, new in zip(read_frames(trimmed, 25), read_frames(out, 25), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(("fps", "warned"), [(2, True), (7, True), (8, False), (25, False)])
def test_too_few_frames_to_read_the_timing_from_are_named(tmp_path: Path, fps: int, warned: bool) -> None:
    source, out = tmp_path / "a.mp4", tmp_path / "out.mp4"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=size=64x64:rate={fps}:duration=2", "-c:v", "libx264", source)
    warnings = probe(source).warnings(source)
    assert [f"{fps} frames per second" in warning for warning in warnings] == [True] * warned
    mux(source, np.zeros(10, np.float32), RATE, out)
    assert probe(out).seconds == pytest.approx(2, abs=1e-3)
