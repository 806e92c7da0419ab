"""What of single clips a report shows: waveforms, mel spectrograms with the beats, players beside the dance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data.features.feature_file import load_features
from ...data.manifest import CorpusPaths, DanceInfo, corpus_root, load_manifest
from ...errors import UserError
from ...metrics.beats import track_beats
from ...metrics.dance import dance_beats
from .blocks import Block, Figure, Player, Section, Text
from .figures import RowAudio, mel_figure, waveform_figure
from .media import EXCERPT, encode_mp3, read_wave, small_video
from .rows import Row

REFERENCE_LABEL = "reference"


@dataclass(frozen=True)
class Dance:
    """A clip in the corpus: music, video, kinematic beats (s); None for what is missing."""

    name: str
    info: DanceInfo
    reference: Path
    video: Path | None
    motion_beats: NDArray[np.float64] | None


def read_dances(manifest: Path | None, names: Sequence[str]) -> dict[str, Dance]:
    """The named clips of a manifest, as far as it has them.

    Raises:
        CorpusError: the manifest or a clip's json is damaged.
    """
    if manifest is None:
        return {}
    root = corpus_root(manifest)
    paths, dances = CorpusPaths(root), {}
    for line in load_manifest(manifest):
        path = Path(line["path"])
        if path.stem not in names or not path.is_file():
            continue
        info = DanceInfo.load(path.with_suffix(".json"), root)
        features, video = paths.features(info.name), Path(info.video)
        beats = dance_beats(load_features(features)) if features.is_file() else None
        dances[path.stem] = Dance(path.stem, info, path, video if video.is_file() else None, beats)
    return dances


def common_clips(rows: Sequence[Row]) -> list[str]:
    """Names of the clips of which every row that has sound has some, sorted."""
    audio = [set(row.waves) for row in rows if row.waves]
    return sorted(set.intersection(*audio)) if audio else []


def choose(names: Sequence[str], count: int, wanted: Sequence[str] = ()) -> list[str]:
    """`count` names spread evenly over the list (not selected by listening), or the wanted ones.

    >>> choose(["a", "b", "c", "d", "e"], 3)
    ['a', 'c', 'e']

    Raises:
        UserError: a wanted one is not there.
    """
    for name in wanted:
        if name not in names:
            raise UserError(
                f"there is no music of every system for the clip {name}: name one of {_some(names)}"
            )
    if wanted:
        return list(wanted)
    places = np.linspace(0, len(names) - 1, min(count, len(names))).round()
    return [names[int(place)] for place in places]


def clip_sections(
    rows: Sequence[Row],
    manifest: Path | None,
    count: int,
    wanted: Sequence[str] = (),
    video: bool = True,
) -> list[Section]:
    """One section a clip, each with waveforms, mel spectrograms and players of every row that has sound.

    Args:
        rows: of one split.
        manifest: of its clips, for reference music, dance and video; None: not known.
        count, wanted: see `choose`.
        video: put the dance beside the players.
    """
    names = common_clips(rows)
    sections = []
    dances = read_dances(manifest, chosen := choose(names, count, wanted))
    for name in chosen:
        dance = dances.get(name)
        audio = _row_audio(name, rows, dance)
        motion = None if dance is None else dance.motion_beats
        motion = None if motion is None else motion[motion < EXCERPT]
        legend = "orange: beats of the dance; blue: of the music"
        blocks: list[Block] = [
            Figure(
                f"{name}-waveforms", waveform_figure(audio, name, motion), f"{name}, waveforms ({legend})"
            ),
            Figure(f"{name}-mel", mel_figure(audio, name, motion), f"{name}, mel spectrograms ({legend})"),
            Player(
                name,
                {one.label: encode_mp3(one.wav, one.sample_rate) for one in audio},
                small_video(dance.video) if video and dance is not None and dance.video is not None else None,
            ),
        ]
        if dance is None:
            blocks.insert(
                0, Text("Reference music and dance were not found: name the manifest of the clips.")
            )
        sections.append(Section(f"Clip {name}", blocks, level=3))
    return sections


def _row_audio(name: str, rows: Sequence[Row], dance: Dance | None) -> list[RowAudio]:
    """Music for a clip by every row, the reference first."""
    files = {} if dance is None else {REFERENCE_LABEL: dance.reference}
    files |= {row.short: row.waves[name] for row in rows if row.waves}
    audio = []
    for label, path in files.items():
        wav, rate = read_wave(path, EXCERPT)
        audio.append(RowAudio(label, wav, rate, track_beats(wav, rate)))
    return audio


def _some(names: Sequence[str]) -> str:
    return (
        ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        if names
        else "none, there is no sound at all"
    )
