"""Beats as markers for video editors: a table, an EDL for DaVinci Resolve, FCPXML for Final Cut Pro.

Editors cut between frames: in an EDL and in FCPXML a beat is at the frame nearest to it, in the table at its own time.

- A table for spreadsheets and scripts: seconds, number of the beat, number of the bar.
- CMX 3600, as DaVinci Resolve exports and imports the markers of a timeline: one event of one frame for each marker, at
  timecodes without dropped frames that begin at 01:00:00:00, and a comment with colour, name and length. The timeline
  must have the video's frame rate and begin there, as new ones do.
- FCPXML 1.9: the video as a clip of an event, with its markers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

from .probe import VideoInfo

CSV, EDL, FCPXML = ".csv", ".edl", (".fcpxml", ".xml")
SUFFIXES = (CSV, EDL, *FCPXML)
"""Of the files that `marker_text` can write."""

_NTSC = 1001
_RATES = (
    *(Fraction(1000 * rate, _NTSC) for rate in (24, 30, 48, 60)),
    *(Fraction(rate) for rate in (24, 25, 30, 48, 50, 60)),
)
_NEAR = 0.005  # of a standard rate, within which a mean rate is one: phones do not keep theirs exactly
_BAR = 4  # beats
_START_HOUR = 1
_EVENTS = 999  # of a CMX 3600 list, whose numbers have three digits


def marker_text(suffix: str, times: Sequence[float], video: Path, info: VideoInfo, first: int = 0) -> str:
    """The text of a file with markers.

    Args:
        suffix: one of `SUFFIXES`, which chooses the format.
        times: of the beats, seconds; those outside the video are left out.
        video: that the markers belong to.
        info: of `video`.
        first: place of the first beat that begins a bar, 0 to 3.
    """
    times = [time for time in times if 0 <= time < info.seconds]
    if suffix == CSV:
        return csv_text(times, first)
    if suffix == EDL:
        return edl_text(times, info.fps, video.stem)
    assert suffix in FCPXML, suffix
    return fcpxml_text(times, info.fps, info.seconds, video, (info.width, info.height))


def csv_text(times: Sequence[float], first: int = 0) -> str:
    """A table of beats, numbered from 1; bars have four, beats before the first whole one are in bar 0.

    >>> print(csv_text([0.25, 0.75], first=1), end="")
    time_seconds,beat,bar
    0.250,1,0
    0.750,2,1
    """
    rows = [f"{time:.3f},{place + 1},{(place - first) // _BAR + 1}" for place, time in enumerate(times)]
    return "\n".join(["time_seconds,beat,bar", *rows]) + "\n"


def edl_text(times: Sequence[float], fps: float, title: str) -> str:
    """A CMX 3600 list with a marker for each beat; where it cannot hold all, for every 4th, 8th … only.

    >>> print(edl_text([0.52], 25, "dance"), end="")
    TITLE: dance
    FCM: NON-DROP FRAME
    <BLANKLINE>
    001  001      V     C        01:00:00:13 01:00:00:14 01:00:00:13 01:00:00:14
     |C:ResolveColorBlue |M:beat 1 |D:1
    """
    rate = frame_rate(fps)
    every = 1 if len(times) <= _EVENTS else _BAR * math.ceil(len(times) / (_BAR * _EVENTS))
    lines = [f"TITLE: {_printable(title)}", "FCM: NON-DROP FRAME"]
    for event, place in enumerate(range(0, len(times), every), 1):
        frame = round(times[place] * rate)
        at, end = timecode(frame, rate), timecode(frame + 1, rate)
        lines += [
            "",
            f"{event:03d}  001      V     C        {at} {end} {at} {end}",
            f" |C:ResolveColorBlue |M:beat {place + 1} |D:1",
        ]
    return "\n".join(lines) + "\n"


def fcpxml_text(
    times: Sequence[float], fps: float, seconds: float, video: Path, size: tuple[int, int]
) -> str:
    """FCPXML with a clip of the whole video and a marker for each beat.

    Args:
        seconds: length of the video.
        video: its absolute path is written.
        size: width and height, pixels.
    """
    rate = frame_rate(fps)

    def at(frames: int) -> str:
        """A time as a rational number of seconds."""
        time = frames / rate
        return f"{time.numerator}s" if time.denominator == 1 else f"{time.numerator}/{time.denominator}s"

    def add(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
        return ElementTree.SubElement(parent, tag, attributes)

    name, length = _printable(video.name), at(round(seconds * rate))
    root = ElementTree.Element("fcpxml", version="1.9")
    resources = add(root, "resources")
    add(resources, "format", id="r1", frameDuration=at(1), width=str(size[0]), height=str(size[1]))
    asset = add(
        resources,
        "asset",
        id="r2",
        name=name,
        start="0s",
        duration=length,
        format="r1",
        hasVideo="1",
        hasAudio="1",
    )
    add(asset, "media-rep", kind="original-media", src=video.resolve().as_uri())
    event = add(root, "event", name=_printable(video.stem))
    clip = add(
        event, "asset-clip", ref="r2", name=name, start="0s", duration=length, format="r1", tcFormat="NDF"
    )
    for number, time in enumerate(times, 1):
        add(clip, "marker", start=at(round(time * rate)), duration=at(1), value=f"beat {number}")
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n{text}\n'


def frame_rate(fps: float) -> Fraction:
    """The standard rate that a video with a mean of `fps` frames per second has, or `fps` itself.

    >>> frame_rate(29.95), frame_rate(25.0), frame_rate(12.5)
    (Fraction(30000, 1001), Fraction(25, 1), Fraction(25, 2))
    """
    nearest = min(_RATES, key=lambda rate: abs(float(rate) - fps))
    return nearest if abs(float(nearest) / fps - 1) < _NEAR else Fraction(fps).limit_denominator(1000)


def timecode(frame: int, rate: Fraction) -> str:
    """Timecode of a frame, without dropped frames: the first is 01:00:00:00.

    >>> timecode(0, Fraction(25)), timecode(1800, Fraction(30000, 1001))
    ('01:00:00:00', '01:01:00:00')
    """
    seconds, frames = divmod(frame, max(1, round(rate)))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours + _START_HOUR:02d}:{minutes:02d}:{seconds:02d}:{frames:02d}"


def _printable(text: str) -> str:
    """The text without characters that a line or XML cannot hold."""
    return "".join(character if character.isprintable() else "?" for character in text)
