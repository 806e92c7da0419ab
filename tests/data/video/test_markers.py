"""Markers are read again as an editor does: a table, events at timecodes, rational times in XML."""

from __future__ import annotations

import csv
import io
import re
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pn_diffusion_plugin.data.video.markers import (
    SUFFIXES,
    edl_text,
    fcpxml_text,
    frame_rate,
    marker_text,
    timecode,
)
from pn_diffusion_plugin.data.video.probe import VideoInfo

INFO = VideoInfo(seconds=8.0, fps=25, width=640, height=360, rotation=0, has_audio=True)
BEATS = [0.25, 0.75, 1.25, 1.75, 2.25]
FPS = st.sampled_from([12.5, 23.976, 24.0, 25.0, 29.94, 30.0, 59.94, 60.0])
TIMES = st.lists(st.floats(0, 600), max_size=30).map(sorted)


def read_edl(text: str, fps: int) -> list[tuple[int, str]]:
    """(frame, name) of the markers of an EDL at a nominal rate, and what its events must have."""
    head, *events = text.rstrip("\n").split("\n\n")
    title, mode = head.split("\n")
    assert title.startswith("TITLE: ") and mode == "FCM: NON-DROP FRAME"
    found = []
    for number, event in enumerate(events, 1):
        line, comment = event.split("\n")
        words = line.split()
        assert words[:4] == [f"{number:03d}", "001", "V", "C"] and words[4:6] == words[6:8]
        frames = []
        for code in words[4:6]:
            hours, minutes, seconds, frame = map(int, code.split(":"))
            assert len(code) == 11 and minutes < 60 and seconds < 60 and frame < fps
            frames.append((((hours - 1) * 60 + minutes) * 60 + seconds) * fps + frame)
        assert frames[1] == frames[0] + 1
        marker = re.fullmatch(r" \|C:ResolveColorBlue \|M:(beat \d+) \|D:1", comment)
        assert marker is not None
        found.append((frames[0], marker[1]))
    return found


def read_time(text: str) -> Fraction:
    """Seconds of a time such as 1001/30000s."""
    assert text.endswith("s")
    return Fraction(text[:-1])


def test_a_table() -> None:
    rows = list(csv.DictReader(io.StringIO(marker_text(".csv", BEATS, Path("a.mp4"), INFO, first=1))))
    assert [float(row["time_seconds"]) for row in rows] == BEATS
    assert [int(row["beat"]) for row in rows] == [1, 2, 3, 4, 5]
    assert [int(row["bar"]) for row in rows] == [0, 1, 1, 1, 1]
    assert marker_text(".csv", [], Path("a.mp4"), INFO) == "time_seconds,beat,bar\n"


@given(TIMES, FPS)
def test_edl_events_are_at_the_nearest_frames(times: list[float], fps: float) -> None:
    rate = frame_rate(fps)
    found = read_edl(edl_text(times, fps, "dance"), round(rate))
    assert [name for _, name in found] == [f"beat {number}" for number in range(1, len(times) + 1)]
    assert all(abs(frame / rate - time) <= 0.51 / rate for (frame, _), time in zip(found, times, strict=True))


@given(TIMES, FPS)
def test_fcpxml_markers_are_at_the_nearest_frames(times: list[float], fps: float) -> None:
    root = ElementTree.fromstring(fcpxml_text(times, fps, 600.0, Path("a.mp4"), (640, 360)))
    frame = read_time(root.find("resources/format").attrib["frameDuration"])  # type: ignore[union-attr]
    assert frame == 1 / frame_rate(fps)
    markers = root.findall("event/asset-clip/marker")
    starts = [read_time(marker.attrib["start"]) for marker in markers]
    assert all((start / frame).denominator == 1 for start in starts)
    assert all(abs(start - time) <= 0.51 * frame for start, time in zip(starts, times, strict=True))
    assert [marker.attrib["value"] for marker in markers] == [f"beat {n}" for n in range(1, len(times) + 1)]


def test_fcpxml_refers_to_the_video(tmp_path: Path) -> None:
    video = tmp_path / "my <dance> & ä.mp4"
    text = marker_text(".fcpxml", BEATS, video, INFO)
    assert text == marker_text(".xml", BEATS, video, INFO)
    assert text.startswith(
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n<fcpxml version="1.9">\n'
    )
    root = ElementTree.fromstring(text.encode())
    form, asset, clip = (
        root.find(path) for path in ("resources/format", "resources/asset", "event/asset-clip")
    )
    assert form is not None and asset is not None and clip is not None
    assert asset.attrib["format"] == clip.attrib["format"] == form.attrib["id"]
    assert clip.attrib["ref"] == asset.attrib["id"] and clip.attrib["name"] == video.name
    assert read_time(clip.attrib["duration"]) == 8 and (form.attrib["width"], form.attrib["height"]) == (
        "640",
        "360",
    )
    (media,) = asset
    assert media.tag == "media-rep" and unquote(urlparse(media.attrib["src"]).path) == str(video)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_do_not_break_a_file_and_beats_outside_the_video_are_left_out(suffix: str) -> None:
    text = marker_text(suffix, [-0.1, 0.0, 7.99, 8.0], Path("a\x1b\n|C:\udcff.mp4"), INFO)
    text.encode()
    if suffix == ".edl":
        assert [frame for frame, _ in read_edl(text, 25)] == [0, 200]
    elif suffix == ".csv":
        assert len(text.splitlines()) == 3
    else:
        assert len(ElementTree.fromstring(text).findall(".//marker")) == 2


@pytest.mark.parametrize("beats, every", [(999, 1), (1000, 4), (3996, 4), (3997, 8)])
def test_an_edl_of_many_beats_has_those_of_whole_bars(beats: int, every: int) -> None:
    found = read_edl(edl_text([0.5 * place for place in range(beats)], 30, "long"), 30)
    assert len(found) <= 999
    assert found[1] == (15 * every, f"beat {every + 1}")


def test_rates_are_those_of_editors() -> None:
    assert [frame_rate(fps) for fps in (23.98, 24.0, 29.9, 30.02, 59.9, 15.0)] == [
        Fraction(24000, 1001), 24, Fraction(30000, 1001), 30, Fraction(60000, 1001), 15
    ]  # fmt: skip
    assert timecode(25 * 3600 + 26, Fraction(25)) == "02:00:01:01"
