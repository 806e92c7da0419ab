"""Stimuli: each dance as a short video with each system's music, at equal loudness.

Loudness is ITU-R BS.1770's, the same for all stimuli of a test, since louder music would be called better music.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...data.video.cut import encode_part
from ...data.video.mux import mux
from ...data.video.probe import probe
from ...errors import UserError
from ...metrics.beats import resample
from ...metrics.nulls import repeat_to, shuffle_clips
from ...utils.loudness import Wave, loudness
from ..report.clips import Dance, choose, common_clips, read_dances
from ..report.media import read_wave
from ..report.rows import CEILING, Row
from .design import ANCHOR, REFERENCE, Design

LOUDNESS = -23.0
"""LUFS wanted (EBU R 128); less where a stimulus would clip."""
PEAK = 0.98


@dataclass(frozen=True)
class Material:
    """The clips and systems available for a test.

    Attributes:
        systems: system → its row.
        dances: clip → dance; every one has a video.
        anchors: clip → clip whose music its anchor is.
        seconds: longest stimulus.
    """

    systems: dict[str, Row]
    dances: dict[str, Dance]
    anchors: dict[str, str]
    seconds: float


def gather(
    rows: Sequence[Row],
    manifest: Path | None,
    count: int,
    *,
    seconds: float = 10.0,
    ceiling: bool = False,
    seed: int = 0,
) -> Material:
    """Choose clips, spread evenly over those for which every system has music, and their anchors.

    Args:
        rows: of one split.
        manifest: of its clips.
        count: clips wanted.
        seconds: of each dance, at most.
        ceiling: rate the reference through autoencoder and vocoder as well.
        seed: of the anchors.

    Raises:
        UserError: there is no music, the manifest or a video is missing, or there is only one clip.
    """
    kept = [row for row in rows if row.waves and (row.kind == "system" or (ceiling and row.name == CEILING))]
    names = common_clips(kept)
    if not names:
        raise UserError("no clip has the music of every system beside its report.json: evaluate again")
    if manifest is None:
        raise UserError(
            "the corpus of these clips was not found: name their manifest (--manifest …/egs/test)"
        )
    dances = read_dances(manifest, names)
    names = [name for name in names if name in dances]
    if len(names) < 2:
        raise UserError(f"{manifest} has {len(names)} of the clips: an anchor needs at least two")
    others = shuffle_clips([dances[name].info.song for name in names], seed)
    anchor_of = {name: names[other] for name, other in zip(names, others, strict=True)}
    chosen = choose(names, count)
    for name in chosen:
        if dances[name].video is None:
            raise UserError(
                f"{dances[name].info.video} is missing: a listening test shows the dance; prepare it again"
            )
    anchors = {name: anchor_of[name] for name in chosen}
    systems = {row.short: row for row in kept}
    return Material(systems, {name: dances[name] for name in names}, anchors, seconds)


def write_stimuli(design: Design, material: Material, folder: Path) -> None:
    """Write `<token>.mp4` of every stimulus, in the order of the tokens.

    Raises:
        VideoError, AudioError: a file cannot be read.
    """
    waves, rates = {}, {}
    for token, (clip, system) in sorted(design.stimuli.items()):
        waves[token], rates[token] = _music(material, clip, system)
    for token, wav in equally_loud(waves, rates).items():
        dance = material.dances[design.stimuli[token][0]]
        assert dance.video is not None  # gather() made sure
        _write(folder / f"{token}.mp4", dance.video, wav, rates[token], material.seconds)


def equally_loud(
    waves: Mapping[str, Wave], rates: Mapping[str, int], target: float = LOUDNESS
) -> dict[str, Wave]:
    """The sounds (N,) at one loudness: `target` LUFS, or what the one with the highest peak allows.

    Silence stays silence.
    """
    levels = {name: loudness(wav, rates[name]) for name, wav in waves.items()}
    gains = {name: target - level for name, level in levels.items() if np.isfinite(level)}
    headroom = [20 * np.log10(PEAK / np.abs(waves[name]).max()) - gain for name, gain in gains.items()]
    lowered = min([0.0, *headroom])
    return {
        name: (wav * 10 ** ((gains[name] + lowered) / 20)).astype(np.float32) if name in gains else wav
        for name, wav in waves.items()
    }


def _music(material: Material, clip: str, system: str) -> tuple[Wave, int]:
    """Music for a dance, and its sample rate (Hz)."""
    dance = material.dances[clip]
    if system == REFERENCE:
        return read_wave(dance.reference, material.seconds)
    if system == ANCHOR:
        other, rate = read_wave(material.dances[material.anchors[clip]].reference)
        own = dance.info.sample_rate
        count = round(min(dance.info.seconds, material.seconds) * own)
        return repeat_to(resample(other, rate, own), count), own
    return read_wave(material.systems[system].waves[clip], material.seconds)


def _write(path: Path, video: Path, wav: Wave, rate: int, seconds: float) -> None:
    info = probe(video)
    if info.seconds <= seconds + 0.5 / info.fps:
        mux(video, wav, rate, path)
    else:
        encode_part(video, path, end=seconds, audio=wav, sample_rate=rate)
