"""Colours of frames that are encoded again: measured in the decoded file, by its own tags."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from ffmpeg import ffmpeg

from pn_diffusion_plugin.data.video.cut import cut_video, encode_part
from pn_diffusion_plugin.data.video.hdr import light_to_pq, pq_to_light, to_sdr
from pn_diffusion_plugin.data.video.mux import mux
from pn_diffusion_plugin.data.video.read import read_frames
from pn_diffusion_plugin.data.video.write import write_video

COLOURS = {"red": (190, 0, 0), "green": (0, 189, 0), "blue": (30, 60, 200), "skin": (210, 160, 130)}
MATRIX = {"bt709": "bt709", "bt601": "smpte170m", "bt2020": "bt2020nc"}


def make(
    path: Path, colour: tuple[int, int, int], matrix: str, codec: list[str], form: str, size: str
) -> None:
    """Ten frames of one colour, converted with a matrix and tagged with it."""
    name = "0x" + bytes(colour).hex()
    transfer = "bt709" if matrix != "bt2020" else "bt2020-10"
    primaries = "bt709" if matrix != "bt2020" else "bt2020"
    ffmpeg(
        "-f", "lavfi", "-i", f"color={name}:size={size}:rate=25:duration=0.4,format=gbrp", "-vf",
        f"scale=out_color_matrix={matrix}:out_range=limited,format={form},"
        f"setparams=colorspace={MATRIX[matrix]}:color_primaries={primaries}:color_trc={transfer}:range=limited",
        *codec, path,
    )  # fmt: skip


def shown(path: Path) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Mean RGB of the first frame by ffmpeg's own conversion, and the (matrix, primaries, transfer) tags."""
    raw = path.with_suffix(".rgb")
    ffmpeg("-i", path, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", raw)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        tags = context.colorspace, context.color_primaries, context.color_trc
    return np.frombuffer(raw.read_bytes(), np.uint8).reshape(-1, 3).mean(axis=0), tags


@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
@pytest.mark.parametrize(
    ("suffix", "codec", "form", "matrix"),
    [
        (".mp4", ["-c:v", "libx264", "-crf", "1"], "yuv420p", "bt709"),
        (".mp4", ["-c:v", "libx264", "-crf", "1"], "yuv420p", "bt601"),
        (".mov", ["-c:v", "prores_ks"], "yuv422p10le", "bt709"),
        (".mkv", ["-c:v", "ffv1"], "yuv444p", "bt709"),
        (".mkv", ["-c:v", "ffv1"], "yuv420p10le", "bt2020"),
    ],
)
def test_encoded_again_a_colour_and_its_tags_stay(
    tmp_path: Path, colour: tuple[int, int, int], suffix: str, codec: list[str], form: str, matrix: str
) -> None:
    source, out = tmp_path / f"a{suffix}", tmp_path / "out.mp4"
    make(source, colour, matrix, codec, form, "64x64")
    encode_part(source, out, 0.1, 0.3)
    (before, old), (after, new) = shown(source), shown(out)
    np.testing.assert_allclose(before, colour, atol=4)  # the test's own conversion
    np.testing.assert_allclose(after, before, atol=4)
    assert new == old
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


@pytest.mark.parametrize(("size", "matrix"), [("1280x720", "bt709"), ("64x64", "bt601")])
def test_without_tags_the_matrix_is_the_one_that_players_assume(
    tmp_path: Path, size: str, matrix: str
) -> None:
    source, out = tmp_path / "a.mkv", tmp_path / "out.mp4"
    make(source, COLOURS["green"], matrix, ["-c:v", "ffv1"], "yuv420p", size)
    bare = tmp_path / "bare.mp4"
    unset = "setparams=colorspace=unknown:color_primaries=unknown:color_trc=unknown"
    ffmpeg("-i", source, "-vf", unset, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "1", bare)
    encode_part(bare, out, size=64)
    np.testing.assert_allclose(shown(out)[0], COLOURS["green"], atol=4)
    assert shown(out)[1][0] == {"bt709": 1, "bt601": 5}[matrix]


def test_full_range_becomes_limited_without_a_shift(tmp_path: Path) -> None:
    source, out = tmp_path / "a.mkv", tmp_path / "out.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=0xd2a082:size=64x64:duration=1", "-c:v", "mjpeg", "-q:v", "1", source)
    mux(source, np.zeros(10, np.float32), 22050, out)
    np.testing.assert_allclose(shown(out)[0], COLOURS["skin"], atol=4)


def test_frames_from_arrays_are_tagged(tmp_path: Path) -> None:
    images = np.full((2, 720, 1280, 3), COLOURS["green"], np.uint8)
    write_video(tmp_path / "a.mp4", images, 10)
    np.testing.assert_allclose(shown(tmp_path / "a.mp4")[0], COLOURS["green"], atol=3)
    np.testing.assert_allclose(next(read_frames(tmp_path / "a.mp4", 10))[8, 8], COLOURS["green"], atol=3)


def test_hdr_below_the_knee_keeps_its_light_and_the_peak_reaches_white() -> None:
    grey = np.array([[0.0] * 3, *[[light_to_pq(np.array(nits))] * 3 for nits in (1, 50, 1000, 4000)]])
    sdr = to_sdr(grey, 16)
    expected = [0, (1 / 203) ** (1 / 2.4), (50 / 203) ** (1 / 2.4), 1, 1]
    np.testing.assert_allclose(sdr, np.repeat(np.array(expected)[:, None], 3, axis=1), atol=2e-3)
    ramp = to_sdr(np.repeat(np.linspace(0, 1, 50)[:, None], 3, axis=1), 18)
    assert (np.diff(ramp, axis=0) >= 0).all() and ramp[-1] == pytest.approx([1, 1, 1], abs=1e-3)
    np.testing.assert_allclose(
        pq_to_light(light_to_pq(np.array([0.1, 203.0, 9999.0]))), [0.1, 203, 9999], rtol=1e-6
    )


@pytest.mark.parametrize("transfer", ["arib-std-b67", "smpte2084"])
def test_a_part_of_an_hdr_video_is_mapped_to_bt709(tmp_path: Path, transfer: str) -> None:
    source, out = tmp_path / "a.mp4", tmp_path / "part.mp4"
    ffmpeg(
        "-f", "lavfi", "-i", "color=0x808080:size=64x64:rate=25:duration=1,format=gbrp10", "-vf",
        "scale=out_color_matrix=bt2020:out_range=limited,format=yuv420p10le,setparams=colorspace=bt2020nc:"
        f"color_primaries=bt2020:color_trc={transfer}:range=limited", "-c:v", "libx265", "-preset", "ultrafast",
        "-x265-params", "log-level=error", "-tag:v", "hvc1", source,
    )  # fmt: skip
    cut_video(source, out, 0.2, 0.8)
    found, tags = shown(out)
    expected = 255 * to_sdr(np.full((1, 3), 128 / 255), 18 if transfer == "arib-std-b67" else 16)[0]
    np.testing.assert_allclose(found, expected, atol=3)
    assert tags == (1, 1, 1)
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_a_part_is_upright_with_square_pixels(tmp_path: Path) -> None:
    source, turned, out = tmp_path / "a.mp4", tmp_path / "turned.mp4", tmp_path / "out.mp4"
    corner = "color=black:size=96x64:rate=25:duration=1,drawbox=0:0:48:32:white:fill,setsar=4/3"
    ffmpeg("-f", "lavfi", "-i", corner, "-c:v", "libx264", source)
    for options in (["-display_rotation", "90"], ["-display_rotation", "180", "-display_hflip"], []):
        ffmpeg(*options, "-i", source, "-c", "copy", turned)
        encode_part(turned, out)
        expected, found = next(read_frames(turned, 25)), next(read_frames(out, 25))
        assert found.shape == expected.shape
        assert np.abs(found.astype(int) - expected).mean() < 3
        with av.open(str(out)) as container:
            assert next(container.decode(video=0)).rotation == 0
