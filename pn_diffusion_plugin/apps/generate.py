"""Music for many videos, and several takes of each: which files that makes, and making them.

A take is the music of one seed for one video. A video is watched once, however many takes are made of it, and one
that cannot be used does not keep the others from theirs.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import soundfile

from ..data.corpora.folder import find_videos
from ..data.video.cut import cut_video, part_seconds
from ..data.video.mux import mux
from ..data.video.probe import probe
from ..data.video.sound import fit_length, mix_beneath, read_audio
from ..errors import AudioError, UserError
from ..models.validation import check_length
from ..utils.files import atomic_path
from ..utils.progress import ProgressCallback

if TYPE_CHECKING:
    from ..data.features.feature_file import Features
    from ..models.pn_diffusion import PNDiffusion

VIDEO, WAV = (".mp4",), (".wav", ".flac")


@dataclass(frozen=True)
class Take:
    """One piece of music to be made.

    Attributes:
        video: the dance.
        seed: another seed, other music.
        output: the video with its new music.
        wav: the music alone; None: not wanted.
    """

    video: Path
    seed: int
    output: Path
    wav: Path | None = None

    @property
    def files(self) -> list[Path]:
        """What it leaves behind."""
        return [self.output] if self.wav is None else [self.output, self.wav]


@dataclass(frozen=True)
class Edit:
    """What to do with the dance beside giving it music.

    Attributes:
        start, end: the part that is wanted, in seconds; None: from the beginning, to the end.
        keep_audio_db: leave the old sound beneath the music, with this mean power against the music's; None: do not.
    """

    start: float | None = None
    end: float | None = None
    keep_audio_db: float | None = None

    @property
    def cuts(self) -> bool:
        """Whether a part is wanted."""
        return self.start is not None or self.end is not None


def plan_takes(
    videos: Sequence[Path], output: Path, wav: Path | None = None, seeds: Sequence[int] = (0,)
) -> list[Take]:
    """The takes of videos, and of the videos in folders, ordered by video.

    `output` and `wav` are files for one take of one video. For several videos they are folders, in which every video
    keeps its name (and its place below the folder that was given). Several takes add `_seed3` to the name.

    Raises:
        UserError: a name that cannot be written, two videos of one name, or a take that would replace its video.
    """
    named: dict[Path, Path] = {}  # video → its place in an output folder
    for path in videos:
        if path.is_dir():
            named |= {found: found.relative_to(path) for found in find_videos(path, leave_out=output)}
        else:
            named[path] = Path(path.name)
    many = len(named) > 1 or any(path.is_dir() for path in videos)
    mp4_of = _placer(output, VIDEO, many)
    wav_of = None if wav is None else _placer(wav, WAV, many)
    takes: list[Take] = []
    for video, name in named.items():
        for seed in seeds:
            more = f"_seed{seed}" if len(seeds) > 1 else ""
            takes.append(Take(video, seed, mp4_of(name, more), wav_of(name, more) if wav_of else None))
    _check_files(takes)
    return takes


def _check_files(takes: Sequence[Take]) -> None:
    """Raise UserError unless every take has files of its own, none of which is a dance."""
    dances = {take.video.resolve(): take.video for take in takes}
    owner: dict[Path, Path] = {}
    for take in takes:
        if take.output.resolve() in dances:
            raise UserError(f"{take.output} is the dance itself: give another name or folder with -o")
        other = owner.setdefault(take.output, take.video)
        if other != take.video:
            raise UserError(
                f"{other} and {take.video} would both become {take.output}: rename one, or make their music "
                "in two calls with different folders"
            )


def _placer(target: Path, suffixes: tuple[str, ...], many: bool) -> Callable[[Path, str], Path]:
    """From a video's place and a take's suffix to the file that is written for it."""
    if target.suffix.lower() in suffixes and not many and not target.is_dir():
        return lambda name, more: target.with_name(f"{target.stem}{more}{target.suffix}")
    if target.is_dir() and target.suffix.lower() not in suffixes or not target.suffix:
        return lambda name, more: target / name.parent / f"{name.stem}{more}{suffixes[0]}"
    if many and target.suffix.lower() in suffixes:
        raise UserError(f"{target} is one file and there may be several videos: give the name of a folder")
    raise UserError(
        f"{target} cannot be written: give the name of a file that ends in {' or '.join(suffixes)}, or of a folder, "
        "which must be there if its name has a dot"
    )


def make_takes(
    model: PNDiffusion,
    takes: Sequence[Take],
    edit: Edit | None = None,
    visual_weights: Path | None = None,
    progress: Callable[[Path, str, int, int | None], None] | None = None,
    dancer: str | int = "prominent",
) -> Iterator[tuple[Path, list[Take], UserError | None]]:
    """Make takes; yields every video with the takes that are made, or the reason why there are none.

    Args:
        visual_weights: file with the visual encoder's weights, where it needs one.
        progress: told the video, what is done, how much of it, and of how much.
        dancer: who is followed where there are several (see `data.dancers`).

    Raises:
        UserError: there is no such choice of a dancer.
    """
    from ..data.features.extraction import extract_features
    from ..data.features.pose import PoseExtractor
    from ..data.features.visual import build_visual_encoder

    edit = edit or Edit()
    tell = progress or (lambda *_: None)
    pose, encoder = PoseExtractor(dancer=dancer), None
    by_video: dict[Path, list[Take]] = {}
    for take in takes:
        by_video.setdefault(take.video, []).append(take)
    for video, mine in by_video.items():
        try:
            _check(video, edit, model.sequence.seconds)
            encoder = encoder or build_visual_encoder(model.feature_spec.visual_encoder, visual_weights)
            with _part(video, edit, mine[0].output.parent) as part:
                tell(video, "looking at the dance", 0, None)
                features = extract_features(part, model.feature_spec, pose, encoder)
                _make(model, features, part, mine, edit, partial(tell, video, "making music"))
        except UserError as error:
            yield video, [], error
        else:
            yield video, mine, None


def _check(video: Path, edit: Edit, window: float) -> None:
    """Raise UserError, before the slow part, unless a video can be given music."""
    info = probe(video)
    start, end = part_seconds(video, info, edit.start, edit.end)
    check_length(f"the part of {video}" if edit.cuts else str(video), end - start, window)
    if edit.keep_audio_db is not None and not info.has_audio:
        raise AudioError(f"{video} has no sound track that could be kept: leave out --keep-audio-db")


@contextlib.contextmanager
def _part(video: Path, edit: Edit, folder: Path) -> Iterator[Path]:
    """The part of a video that is wanted, while the block lasts: a file in `folder`, or the video itself."""
    if not edit.cuts:
        yield video
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as temporary:
        part = Path(temporary) / f"{video.stem}.mp4"
        cut_video(video, part, edit.start, edit.end)
        try:
            yield part
        except UserError as error:  # the user knows the video, not this file
            raise type(error)(str(error).replace(str(part), f"that part of {video}")) from error


def _make(
    model: PNDiffusion,
    features: Features,
    video: Path,
    takes: Sequence[Take],
    edit: Edit,
    progress: ProgressCallback,
) -> None:
    """Make all takes of one video, and write their files."""
    seeds, names = [take.seed for take in takes], [str(video)] * len(takes)
    waves = model.generate_from_features([features] * len(takes), seeds, progress, names)
    beneath = None if edit.keep_audio_db is None else read_audio(video, model.sample_rate)
    for take, wave in zip(takes, waves, strict=True):
        music = wave[0].numpy()
        if take.wav is not None:
            with atomic_path(take.wav) as temporary:
                soundfile.write(temporary, music, model.sample_rate)
        if beneath is not None and edit.keep_audio_db is not None:
            music = mix_beneath(music, fit_length(beneath, len(music)), edit.keep_audio_db)
        mux(video, music, model.sample_rate, take.output)
