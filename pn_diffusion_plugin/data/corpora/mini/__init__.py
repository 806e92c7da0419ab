"""The embedded corpus: generated dances with generated music, the same from the same seed.

No licence is attached to it.

    score.py → choreography.py → render.py ─┐
        └────→ music.py ────────────────────┴→ <id>.mp4 (H.264 + lossless ALAC) and <id>.json

The three splits share no choreography, no tempo, no dancer and no song.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import CorpusError
from ....utils.files import atomic_path, write_json
from ...video.write import write_video
from .choreography import STYLES, Dance, dance
from .music import synthesise
from .render import DancerRenderer
from .score import Score, make_score

SAMPLE_RATE = 22050  # Hz
SPLITS = ("train", "valid", "test")
GENERATOR = 2  # changes whenever the generated clips change
METADATA_COLUMNS = ("file", "split", "song", "choreography", "dancer", "genre", "bpm")

# Whole tempos from 60 to 180 dealt to the splits in turn, so that each covers the range and none is in two
_TEMPO_RESIDUES = {"train": (0, 2), "valid": (1,), "test": (3,)}
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class MiniSpec:
    """What the corpus holds.

    Args:
        train, valid, test: clips of each split.
        seconds: length of a clip.
        fps: pictures a second.
        size: pixels of the square picture.
        seed: another seed, another corpus.
    """

    train: int = 200
    valid: int = 16
    test: int = 32
    seconds: float = 8.0
    fps: int = 25
    size: int = 256
    seed: int = 0

    def clips(self, split: str) -> int:
        """Number of clips of a split."""
        if split not in SPLITS:
            raise CorpusError(
                f"the embedded corpus has no split {split!r}: choose one of {', '.join(SPLITS)}"
            )
        return int(getattr(self, split))


@dataclass(frozen=True)
class ClipPlan:
    """What decides one clip."""

    id: str
    split: str
    index: int
    song: str
    choreography: str
    dancer: str
    genre: str
    bpm: float
    score: Score
    motion_seed: np.random.SeedSequence
    look_seed: np.random.SeedSequence
    music_seed: np.random.SeedSequence


def tempos(split: str) -> list[int]:
    """The tempos (beats a minute) of a split, in order."""
    return [bpm for bpm in range(60, 181) if (bpm - 60) % 4 in _TEMPO_RESIDUES[split]]


def clip_plan(spec: MiniSpec, split: str, index: int) -> ClipPlan:
    """The plan of clip `index` of a split: a function of (spec.seed, split, index) and the length alone.

    Tempos follow a golden-ratio sequence, so that any number of first clips covers the range evenly.

    Raises:
        CorpusError: there is no such split, or no such clip in it.
    """
    if not 0 <= index < spec.clips(split):
        raise CorpusError(
            f"split {split} of the embedded corpus has {spec.clips(split)} clips, and no clip {index}"
        )
    root = np.random.SeedSequence((spec.seed, SPLITS.index(split), index))
    timing, motion, look, music = root.spawn(4)
    rng = np.random.default_rng(timing)
    own = tempos(split)
    bpm = float(own[int(((index + 0.5) * _GOLDEN % 1.0) * len(own))])
    genres = list(STYLES)
    genre = genres[(index + SPLITS.index(split)) % len(genres)]
    name = f"mini-{split}-{index:04d}"
    return ClipPlan(
        id=name,
        split=split,
        index=index,
        song=f"{name}-song",
        choreography=f"{name}-choreography",
        dancer=f"{name}-dancer",
        genre=genre,
        bpm=bpm,
        score=make_score(rng, spec.seconds, bpm),
        motion_seed=motion,
        look_seed=look,
        music_seed=music,
    )


def clip_dance(spec: MiniSpec, split: str, index: int) -> Dance:
    """The true joints of a clip."""
    plan = clip_plan(spec, split, index)
    return dance(plan.motion_seed, plan.score, plan.genre, float(spec.fps))


def _information(plan: ClipPlan, spec: MiniSpec) -> dict[str, Any]:
    return {
        "id": plan.id,
        "split": plan.split,
        "song": plan.song,
        "choreography": plan.choreography,
        "dancer": plan.dancer,
        "genre": plan.genre,
        "bpm": plan.bpm,
        "beats": [round(float(t), 6) for t in plan.score.beats()],
        "accents": [round(float(t), 6) for t in plan.score.accents()],
        "pauses": [[round(a, 6), round(b, 6)] for a, b in plan.score.pauses()],
        "seconds": spec.seconds,
        "generator": GENERATOR,
        "seed": spec.seed,
    }


def synthesise_clip_audio(spec: MiniSpec, split: str, index: int) -> tuple[np.ndarray, int, dict[str, Any]]:
    """Music of a clip without its picture: (wav (N,), rate in Hz, information).

    The wav is float32 on the grid of 16-bit samples, to the bit what the clip's mp4 holds.
    """
    plan = clip_plan(spec, split, index)
    wav = synthesise(plan.music_seed, plan.score, plan.genre, SAMPLE_RATE)
    quantised = np.round(wav * 32768.0).clip(-32768, 32767) / 32768.0
    return quantised.astype(np.float32), SAMPLE_RATE, _information(plan, spec)


def write_clip(spec: MiniSpec, split: str, index: int, folder: str | Path) -> Path:
    """Write `<id>.mp4` and `<id>.json` into `folder`; gives the path of the video.

    The JSON is written last: a clip that has it is whole.
    """
    wav, rate, information = synthesise_clip_audio(spec, split, index)
    plan = clip_plan(spec, split, index)
    frames = DancerRenderer(clip_dance(spec, split, index), plan.look_seed, spec.size)
    path = Path(folder) / f"{plan.id}.mp4"
    path.with_suffix(".json").unlink(missing_ok=True)  # of an older clip, whose video goes next
    write_video(path, frames, spec.fps, wav, rate, audio_codec="alac")
    write_json(path.with_suffix(".json"), {**information, "fps": spec.fps, "size": spec.size})
    return path


def _is_written(spec: MiniSpec, split: str, index: int, folder: Path) -> bool:
    """Whether a clip of exactly this plan is there."""
    plan = clip_plan(spec, split, index)
    try:
        found = json.loads((folder / f"{plan.id}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    wanted = {**_information(plan, spec), "fps": spec.fps, "size": spec.size}
    return bool(found == wanted and (folder / f"{plan.id}.mp4").is_file())


def write_metadata(spec: MiniSpec, folder: str | Path) -> Path:
    """Write `metadata.csv`: one row a clip that is there, with the columns that `prepare folder` reads."""
    path = Path(folder) / "metadata.csv"
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, METADATA_COLUMNS)
        writer.writeheader()
        for split in SPLITS:
            for index in range(spec.clips(split)):
                plan = clip_plan(spec, split, index)
                if not (path.parent / f"{plan.id}.mp4").is_file():
                    continue
                row = {name: getattr(plan, name) for name in METADATA_COLUMNS if name != "file"}
                writer.writerow({"file": f"{plan.id}.mp4", **row})
    return path


def build_videos(
    spec: MiniSpec,
    folder: str | Path,
    splits: Sequence[str] = SPLITS,
    jobs: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write all clips of some splits and `metadata.csv`; clips that are there already are kept.

    Args:
        spec: what to make.
        folder: where to.
        splits: which splits.
        jobs: worker processes.
        progress: called with (clips finished, clips in all).
    Returns:
        The videos, in the order of splits and clips.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [(split, index) for split in splits for index in range(spec.clips(split))]
    missing = [clip for clip in wanted if not _is_written(spec, *clip, folder)]
    done = len(wanted) - len(missing)
    if progress is not None:
        progress(done, len(wanted))

    def advance() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(wanted))

    if jobs <= 1 or len(missing) <= 1:
        for split, index in missing:
            write_clip(spec, split, index, folder)
            advance()
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(jobs, len(missing)), mp_context=context) as pool:
            for future in as_completed([pool.submit(write_clip, spec, *clip, folder) for clip in missing]):
                future.result()
                advance()
    write_metadata(spec, folder)
    return [folder / f"{clip_plan(spec, *clip).id}.mp4" for clip in wanted]
