"""From a dance video to a video with music, in steps that can be called alone.

`Video2Features` → `Video2Wave` → `Video2Video`: each calls the one before. `PNDiffusion.generate`, `pn-diffusion
generate` and the web page use them.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..data.score.midi import write_midi
from ..data.score.notes import Score
from ..data.video.cut import cut_video, part_seconds
from ..data.video.mux import mux
from ..data.video.probe import VideoInfo, probe
from ..data.video.sound import fit_length, mix_beneath, read_audio
from ..errors import AudioError, UserError
from ..utils.files import sha256_file
from ..utils.sound import write_sound_file
from . import mastering
from .band.ending import ending
from .band.render import STEMS, Stems, mix_of, render, to_mono
from .validation import check_length

if TYPE_CHECKING:
    import torch

    from ..data.features.feature_file import Features, FeatureSpec
    from ..data.features.visual import VisualEncoder
    from ..sequence import SequenceConfig
    from ..utils.progress import ProgressCallback

EXTRACT, DENOISE, DECODE, WRITE = STAGES = ("extract", "denoise", "decode", "write")

StageCallback = Callable[[str, float, float], None]
"""Called with one of `STAGES`, what is done of it and of how much: seconds of video, steps, takes, takes. May raise."""


class FeatureModel(Protocol):
    """A model that generates music from features (`PNDiffusion`, `DanceMusicGen`)."""

    feature_spec: FeatureSpec
    sequence: SequenceConfig
    device: torch.device

    @property
    def sample_rate(self) -> int: ...

    @property
    def reads_backward(self) -> bool:
        """Whether the current parameters need the dance played backward."""
        ...

    writes_scores: bool
    """Whether it generates notes, and has `compose_from_features`."""

    def generate_from_features(
        self,
        features: Sequence[Features],
        seeds: Sequence[int] | None = None,
        progress: ProgressCallback | None = None,
        names: Sequence[str] | None = None,
    ) -> list[torch.Tensor]: ...


@dataclass(frozen=True)
class Take:
    """One piece of music to generate, and the files to write it to.

    Attributes:
        video: the dance.
        seed: of the noise.
        output: the video with the music (mp4).
        wav: the music alone (wav, flac); None: not written.
        stems: folder for the parts of the music, `STEM.wav` each; None: not written.
        midi: the notes (mid); None: not written.
        markers: the beats for a video editor, written by `apps.generate`; None: not written.
    """

    video: Path
    seed: int
    output: Path
    wav: Path | None = None
    stems: Path | None = None
    midi: Path | None = None
    markers: Path | None = None

    @property
    def files(self) -> list[Path]:
        """Every file that is written."""
        stems = [] if self.stems is None else [self.stems / f"{name}.wav" for name in STEMS]
        single = (self.wav, self.midi, self.markers)
        return [self.output, *(file for file in single if file is not None), *stems]


@dataclass(frozen=True)
class Edit:
    """Changes to a video besides its music.

    Attributes:
        start, end: the part to use, in seconds; None: the beginning, the end of the video.
        keep_audio_db: mean power of the original sound, mixed with the music, relative to the music; None: left out.
        compatible: re-encode frames that some common players do not show as H.264.
        master: bring the music to 44.1 kHz stereo, an ending and the usual loudness (`mastering`); False: as generated.
        soundfont: a SoundFont file that plays the notes of models that generate scores.
    """

    start: float | None = None
    end: float | None = None
    keep_audio_db: float | None = None
    compatible: bool = False
    master: bool = True
    soundfont: Path | None = None

    @property
    def cuts(self) -> bool:
        """Whether a part is used."""
        return self.start is not None or self.end is not None

    def check(self, video: str | Path, info: VideoInfo, window: float) -> tuple[float, float]:
        """(start, end) of the part in seconds.

        Args:
            video: for error messages.
            info: of the video.
            window: seconds that a model needs at least.

        Raises:
            UserError: the part is empty or not within the video.
            VideoError: the part is shorter than `window`.
            AudioError: there is no sound to keep.
        """
        start, end = part_seconds(video, info, self.start, self.end)
        check_length(f"the part of {video}" if self.cuts else str(video), end - start, window)
        if self.keep_audio_db is not None and not info.has_audio:
            raise AudioError(f"{video} has no sound track to keep: leave out --keep-audio-db")
        return start, end


class Video2Features:
    """Video → features. Networks are loaded at the first call and kept.

    Args:
        spec: of the features.
        visual_weights: file with the visual encoder's weights, where it needs one.
        cache_size: videos whose features are kept (half a megabyte per minute).
        device: where the visual encoder runs; keypoints are found on the CPU.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        visual_weights: str | Path | None = None,
        cache_size: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.spec, self.visual_weights, self.cache_size = spec, visual_weights, cache_size
        self.device = device
        self._encoder: VisualEncoder | None = None
        self._cache: OrderedDict[tuple[str, str | int], Features] = OrderedDict()

    def load(self) -> VisualEncoder:
        """Load the visual encoder."""
        from ..data.features.visual import build_visual_encoder

        if self._encoder is None:
            self._encoder = build_visual_encoder(self.spec.visual_encoder, self.visual_weights, self.device)
        return self._encoder

    def __call__(
        self,
        video: str | Path,
        dancer: str | int = "prominent",
        progress: Callable[[float, float], None] | None = None,
        backward: bool = True,
    ) -> Features:
        """Extract the features of `dancer` (see `data.features.dancers`), those of the video played backward or not.

        Raises:
            VideoError: the video cannot be used.
            UserError: there is no such dancer.
        """
        from ..data.features.extraction import extract_features
        from ..data.features.pose import PoseExtractor

        key = (sha256_file(video) if self.cache_size else "", dancer)
        features = self._cache.pop(key, None)
        if features is None or backward and "visual_reverse" not in features.streams:
            pose = PoseExtractor(dancer=dancer)
            features = extract_features(
                video, self.spec, pose, self.load(), progress=progress, backward=backward
            )
        self._cache[key] = features
        while len(self._cache) > self.cache_size:
            self._cache.popitem(last=False)
        return features


class Video2Wave:
    """Video → waveforms, one per seed.

    Args:
        model: generates the music.
        extract: extracts what `model` needs; None: `Video2Features(model.feature_spec)`.
    """

    def __init__(self, model: FeatureModel, extract: Video2Features | None = None) -> None:
        self.model = model
        self.extract = extract or Video2Features(model.feature_spec, device=model.device)

    def waves(
        self,
        video: Path,
        seeds: Sequence[int],
        dancer: str | int = "prominent",
        progress: StageCallback | None = None,
    ) -> tuple[Features, list[NDArray[np.float32]]]:
        """The features of a video and a waveform (N,) per seed, each as long as the video.

        Raises:
            VideoError: the video cannot be used, or is shorter than the model's window.
            UserError: there is no such dancer.
        """
        features, waves = self._generate("generate_from_features", video, seeds, dancer, progress)
        return features, [wave[0].numpy() for wave in waves]

    def scores(
        self,
        video: Path,
        seeds: Sequence[int],
        dancer: str | int = "prominent",
        progress: StageCallback | None = None,
    ) -> tuple[Features, list[Score]]:
        """The features of a video and a score per seed, by a model that `writes_scores`; see `waves`."""
        return self._generate("compose_from_features", video, seeds, dancer, progress)

    def _generate(
        self,
        method: str,
        video: Path,
        seeds: Sequence[int],
        dancer: str | int,
        progress: StageCallback | None,
    ) -> tuple[Features, list[Any]]:
        """The features of a video, and what a method of the model generates from them, once per seed."""
        report = progress or (lambda *_: None)

        def step(done: int, total: int) -> None:
            report(DENOISE, done, total)
            if done == total:
                report(DECODE, 0, len(seeds))

        features = self.extract(
            video, dancer, lambda done, total: report(EXTRACT, done, total), self.model.reads_backward
        )
        names = [str(video)] * len(seeds)
        return features, getattr(self.model, method)([features] * len(seeds), seeds, step, names)


@dataclass(frozen=True, eq=False)
class Music:
    """What was generated for a take.

    Attributes:
        wave: (N,), float32, as generated.
        features: of the dance.
        sound: what was written, the original sound of the video left out: (N,) or (2, N).
        sound_rate: of `sound`, Hz.
        score: its notes; None: the model generates none.
    """

    take: Take
    wave: NDArray[np.float32]
    features: Features
    sound: NDArray[np.float32]
    sound_rate: int
    score: Score | None = None


class Video2Video(Video2Wave):
    """Video → videos with music, one per take.

    Args:
        name: of the model, for the metadata of the files; None: left out.
    """

    def __init__(
        self, model: FeatureModel, extract: Video2Features | None = None, name: str | None = None
    ) -> None:
        super().__init__(model, extract)
        self.name = name

    def __call__(
        self,
        takes: Sequence[Take],
        edit: Edit | None = None,
        dancer: str | int = "prominent",
        progress: StageCallback | None = None,
    ) -> Iterator[Music]:
        """Write the files of the takes of one video; yields each take when its files are written.

        Raises:
            VideoError, AudioError: the video cannot be used.
            UserError: there is no such part or dancer, or the model generates no notes and files of them are wanted.
        """
        edit, report, video = edit or Edit(), progress or (lambda *_: None), takes[0].video
        self._check(takes, edit)
        edit.check(video, probe(video), self.model.sequence.seconds)
        old = None
        with _part(video, edit, takes[0].output.parent) as source:
            seeds = [take.seed for take in takes]
            make: Any = self.scores if self.model.writes_scores else self.waves
            features, pieces = make(source, seeds, dancer, progress)
            frames = source
            for number, (take, piece) in enumerate(zip(takes, pieces, strict=True)):
                report(WRITE, number, len(takes))
                music, stems = self._music(take, piece, features, edit)
                comment = self._comment(take)
                if take.wav is not None:
                    write_sound_file(take.wav, music.sound.T, music.sound_rate, comment=comment)
                for name, stem in stems.items():
                    if take.stems is not None:
                        write_sound_file(
                            take.stems / f"{name}.wav", stem.T, music.sound_rate, comment=comment
                        )
                if take.midi is not None and music.score is not None:
                    write_midi(music.score, take.midi)
                mixed = music.sound
                if edit.keep_audio_db is not None:
                    old = read_audio(source, music.sound_rate) if old is None else old
                    mixed = self._beneath(music, old, edit)
                mux(frames, mixed, music.sound_rate, take.output, compatible=edit.compatible, comment=comment)
                frames = take.output  # what had to be re-encoded is re-encoded once
                yield music

    def _comment(self, take: Take) -> str:
        """What the metadata of the files say."""
        model = "" if self.name is None else f"model {self.name}, "
        return f"AI-generated music (pn_diffusion_plugin {__version__}, {model}seed {take.seed})"

    def _check(self, takes: Sequence[Take], edit: Edit) -> None:
        """Raise UserError if notes are wanted of a model that generates none."""
        wanted = {
            "--stems": any(take.stems for take in takes),
            "--midi": any(take.midi for take in takes),
            "--soundfont": edit.soundfont,
        }
        for option, given in wanted.items():
            if given and not self.model.writes_scores:
                raise UserError(f"{option} needs a model that writes notes, such as band: choose it with -c")

    def _music(self, take: Take, piece: Any, features: Features, edit: Edit) -> tuple[Music, Stems]:
        """The music of a take, and its stems where it has any, from its score or its waveform (N,)."""
        rate = self.model.sample_rate
        if not isinstance(piece, Score):
            if not edit.master:
                return Music(take, piece, features, piece, rate), {}
            sound = mastering.master(mastering.prepare(piece, rate))
            return Music(take, piece, features, sound, mastering.RATE), {}
        score = ending(piece) if edit.master else piece
        stems = render(score, take.seed, edit.soundfont)
        wave = to_mono(stems, rate)
        if edit.master:
            gain = mastering.master_gain(mix_of(stems))
            stems = {name: stem * gain for name, stem in stems.items()}
        return Music(take, wave, features, mix_of(stems), mastering.RATE, score), stems

    def _beneath(self, music: Music, old: NDArray[np.float32], edit: Edit) -> NDArray[np.float32]:
        """The music mixed with the original sound (N,), mastered together."""
        assert edit.keep_audio_db is not None
        mixed = mix_beneath(music.sound, fit_length(old, music.sound.shape[-1]), edit.keep_audio_db)
        return mastering.master(mixed) if edit.master else mixed


@contextlib.contextmanager
def _part(video: Path, edit: Edit, folder: Path) -> Iterator[Path]:
    """The part of a video to use, a temporary file in `folder`, or the video itself."""
    if not edit.cuts:
        yield video
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as temporary:
        part = Path(temporary) / "part.mp4"
        cut_video(video, part, edit.start, edit.end)
        try:
            yield part
        except UserError as error:  # the user knows the video, not this file
            raise type(error)(str(error).replace(str(part), f"the part of {video}")) from error
