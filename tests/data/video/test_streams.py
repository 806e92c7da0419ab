"""What a mux keeps of the frames it copies: every property of the stream, over codecs and containers."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest
from ffmpeg import BARS, TONE, ffmpeg, video_lines

from pn_diffusion_plugin.data.video.container import video_stream
from pn_diffusion_plugin.data.video.mux import mux
from pn_diffusion_plugin.data.video.probe import probe, read_timing

RATE = 22050
BT709 = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=limited"
FULL = "scale=out_range=full,setparams=range=full:colorspace=bt470bg"
PQ = (
    "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited:max-cll=1000,400:log-level=error:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
)
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "bframes=3:log-level=error")
SMALL = {
    "av1": ("-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1"),
    "vp9": ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime"),
}
#: name of a file → how its frames are encoded
KINDS: dict[str, tuple[str, ...]] = {
    "h264.mp4": ("-vf", f"{BT709},setsar=4/3", "-c:v", "libx264", "-bf", "3"),
    "h264.mkv": ("-vf", f"{BT709},setsar=4/3", "-c:v", "libx264", "-bf", "3"),
    "h264.ts": ("-vf", BT709, "-c:v", "libx264", "-bf", "3"),
    "full_range.mov": ("-vf", FULL, "-c:v", "libx264", "-bf", "0"),
    "hvc1.mov": ("-vf", BT709, *HEVC, "-tag:v", "hvc1"),
    "hev1.mp4": ("-vf", BT709, *HEVC, "-tag:v", "hev1"),
    "hevc.mkv": ("-vf", BT709, *HEVC),
    "av1.webm": ("-vf", BT709, *SMALL["av1"]),
    "av1.mp4": ("-vf", BT709, *SMALL["av1"]),
    "vp9.webm": ("-vf", f"{BT709},setsar=4/3", *SMALL["vp9"]),
    "vp9.mp4": ("-vf", BT709, *SMALL["vp9"]),
    "mpeg4.mp4": ("-vf", "setsar=4/3", "-c:v", "mpeg4", "-bf", "2"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-bf", "0"),
}
DERIVED: dict[
    str, tuple[str, tuple[str, ...], tuple[str, ...]]
] = {  # name → of which file, options before and after
    "turned.mov": ("hvc1.mov", ("-display_rotation", "90"), ()),
    "mirrored.mp4": ("h264.mp4", ("-display_rotation", "180", "-display_hflip"), ()),
    "late.mp4": ("h264.mp4", ("-itsoffset", "0.5"), ()),
    "late.mkv": ("h264.mp4", ("-itsoffset", "0.5"), ()),
    "wide.mkv": ("av1.webm", (), ("-aspect", "2:1")),  # the container's aspect beside another of the codec
    "trimmed.mp4": ("h264.mp4", ("-ss", "0.3"), ()),  # frames before the cut are hidden by an edit list
}
HDR = {"hdr.mp4": ("hvc1", "libx265"), "hdr.mkv": ("", "libx265"), "hdr_vp9.webm": ("", "libvpx-vp9")}


def clean(line: str) -> str:
    """A stream's line without what a copy may have otherwise: tag of another container, rates, the clock's ticks."""
    line = re.sub(r" \((avc1|hvc1|hev1|av01|vp09|mp4v|FMP4|\[27\]\[0\]\[0\]\[0\]) / 0x[0-9A-F]+\)", "", line)
    line = re.sub(r",? (\d+ kb/s|[\d.k]+ (fps|tbr|tbn)|start [\d.]+),?|\(default\)", "", line)
    return " ".join(re.sub(r"\[?(SAR \S+ DAR [^\s,\]]+)\]?", r"\1", line).replace(",", " ").split())


def times(path: Path) -> tuple[list[float], float]:
    """Presentation times of the packets that are not hidden, in stream order from the first shown; and the end."""
    with av.open(str(path)) as container:
        stream = video_stream(container, path)
        packets = [p for p in container.demux(stream) if p.size]
        first = min(p.pts for p in packets if not p.is_discard)
        base = float(stream.time_base)
        return [(p.pts - first) * base for p in packets], read_timing(path).seconds


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(video_stream(container, path)) if p.size]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of every kind."""
    folder = tmp_path_factory.mktemp("streams")
    for name, how in KINDS.items():
        ffmpeg(*BARS, *TONE, *how, "-c:a", "libopus" if name.endswith("webm") else "aac", folder / name)
    for name, (source, before, after) in DERIVED.items():
        ffmpeg(*before, "-i", folder / source, "-map", "0:v", "-c", "copy", *after, folder / name)
    pq = folder / "pq.mov"  # the encoders take mastering display and light level from decoded frames
    ffmpeg(*BARS, *HEVC[:4], "-x265-params", PQ, "-pix_fmt", "yuv420p10le", pq)
    for name, (tag, encoder) in HDR.items():
        how = [*HEVC[:4], "-x265-params", "log-level=error"] if encoder == "libx265" else SMALL["vp9"]
        tag_option = ("-tag:v", tag) if tag else ()
        ffmpeg("-i", pq, *how, *tag_option, "-pix_fmt", "yuv420p10le", folder / name)
    return folder


@pytest.mark.parametrize("name", [*KINDS, *DERIVED, *HDR])
def test_every_property_of_copied_frames_survives(folder: Path, tmp_path: Path, name: str) -> None:
    source, out = folder / name, tmp_path / "out.mp4"
    mux(source, np.zeros(10, np.float32), RATE, out)
    before, after = video_lines(source), video_lines(out)
    assert clean(after[0]) == clean(before[0])
    assert after[1:] == before[1:]  # rotation, mastering display, light level
    if "hev1" in before[0] or "hvc1" in before[0]:
        assert re.findall("hev1|hvc1", after[0]) == re.findall("hev1|hvc1", before[0])
    old, new = times(source), times(out)
    np.testing.assert_allclose(new[0], old[0], atol=1e-9)  # the order of B-frames too
    assert new[1] == pytest.approx(old[1], abs=1e-6)
    if source.suffix != ".ts":  # whose packets are framed otherwise
        assert packets(out) == packets(source)
    with av.open(str(out)) as container:
        lengths = [float(stream.duration * stream.time_base) for stream in container.streams]
        assert lengths == pytest.approx([new[1]] * 2, abs=1e-3)
        assert [stream.start_time for stream in container.streams] == [0, 0]


def test_untagged_hevc_gets_the_tag_that_apple_plays(folder: Path, tmp_path: Path) -> None:
    mux(folder / "hevc.mkv", np.zeros(10, np.float32), RATE, tmp_path / "out.mp4")
    assert "(hvc1 /" in video_lines(tmp_path / "out.mp4")[0]


def test_the_default_of_several_video_streams_is_taken(folder: Path, tmp_path: Path) -> None:
    two, out = tmp_path / "two.mkv", tmp_path / "out.mp4"
    ffmpeg(
        "-i", folder / "h264.mp4", "-i", folder / "hvc1.mov", "-map", "0:v", "-map", "1:v", "-c", "copy",
        "-disposition:v:0", "0", "-disposition:v:1", "default", two,
    )  # fmt: skip
    mux(two, np.zeros(10, np.float32), RATE, out)
    assert packets(out) == packets(folder / "hvc1.mov")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("h264.mp4", None),
        ("full_range.mov", None),
        ("hvc1.mov", None),
        ("hevc.mkv", None),
        ("hdr.mp4", None),
        ("hev1.mp4", "hev1 is not played by Apple"),
        ("mpeg4.mp4", "MPEG-4 part 2 is not played by browsers"),
        ("vp9.webm", "VP9 in mp4 is not played by Apple"),
        ("av1.mp4", "AV1 is not played by older phones"),
    ],
)
def test_frames_that_some_players_do_not_show_are_named_and_re_encoded_on_request(
    folder: Path, tmp_path: Path, name: str, says: str | None
) -> None:
    source, out = folder / name, tmp_path / "out.mp4"
    warnings = probe(source).warnings(name)
    assert len(warnings) == (says is not None)
    mux(source, np.zeros(10, np.float32), RATE, out, compatible=True)
    if says is None:
        assert packets(out) == packets(source)
    else:
        assert says in warnings[0] and "--compatible" in warnings[0]
        assert re.match(r"h264 .*yuv420p\(", video_lines(out)[0]) and not probe(out).warnings(out)


@pytest.mark.parametrize("form", ["yuv444p", "yuv422p", "yuv420p10le"])
def test_h264_that_only_some_programs_decode(tmp_path: Path, form: str) -> None:
    source, out = tmp_path / "a.mp4", tmp_path / "out.mp4"
    ffmpeg(*BARS, "-c:v", "libx264", "-pix_fmt", form, source)
    assert form in probe(source).warnings(source)[0]
    mux(source, np.zeros(10, np.float32), RATE, out, compatible=True)
    assert re.match(r"h264 \(High\).*yuv420p\(", video_lines(out)[0])


def test_prores_cannot_be_copied_and_keeps_times_and_tags(tmp_path: Path) -> None:
    source, out = tmp_path / "a.mov", tmp_path / "out.mp4"
    ffmpeg(*BARS, "-vf", BT709, "-c:v", "prores_ks", source)
    assert probe(source).warnings(source) == []
    mux(source, np.zeros(10, np.float32), RATE, out)
    assert re.match(r"h264 .*yuv420p\(tv, bt709", video_lines(out)[0])
    np.testing.assert_allclose(times(out)[0], times(source)[0], atol=1e-4)
