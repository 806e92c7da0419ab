"""Music segments with the dance of the same seconds, as an audiocraft dataset."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from audiocraft.data.audio import audio_read
from audiocraft.data.audio_dataset import AudioMeta
from audiocraft.data.audio_utils import convert_audio
from audiocraft.data.info_audio_dataset import AudioInfo, InfoAudioDataset

from ..errors import CorpusError, UserError
from .augment import Augmentation, Change
from .condition import NEGATIVE, POSITIVE, DanceCondition, dance_conditions
from .dance_attributes import DanceAttributes
from .features.feature_file import Features, load_features
from .manifest import CorpusPaths, DanceInfo, corpus_root, load_manifest
from .negatives import TrainingSegment, get_cue
from .score.files import read_scores
from .score.image import encode_score
from .score.notes import Score

if TYPE_CHECKING:
    from .features.feature_file import FeatureSpec

_read_scores = lru_cache(maxsize=512)(read_scores)  # a third of a megabyte each


@dataclass(eq=False)
class DanceSegmentInfo(AudioInfo):
    """A segment of music with its dance and the description of its clip.

    Attributes:
        name, song, choreography, dancer, genre, bpm, split: see `DanceInfo`.
        video: path of the clip's video, which may not exist any more.
        features: path of the clip's feature file.
        clip_seconds: length of the whole clip (s).
        beats: times of the music's beats in seconds of the *segment*, or None if unknown.
        dance: name (`dance`, `dance_reverse`) → `DanceCondition` with B = 1; empty with `load_features=False`.
    """

    name: str | None = None
    song: str | None = None
    choreography: str | None = None
    dancer: str | None = None
    genre: str | None = None
    bpm: float | None = None
    split: str | None = None
    video: str | None = None
    features: str | None = None
    clip_seconds: float | None = None
    beats: list[float] | None = None
    dance: dict[str, DanceCondition] = field(default_factory=dict)

    @property
    def dance_reverse(self) -> DanceCondition:
        """The negative condition."""
        return self.dance[NEGATIVE]

    def to_condition_attributes(self) -> DanceAttributes:
        """Attributes for conditioners: the dance, and genre and bpm as text."""
        bpm = None if self.bpm is None else f"{self.bpm:g}"
        return DanceAttributes(text={"genre": self.genre, "bpm": bpm}, dance=dict(self.dance))


class ScoreReader:
    """Images of the scores of segments, in the place of their sound: `reader(meta, start)`.

    A clip has several scores of different styles (`score.files`). Segments that start at successive multiples of
    `start_every` take them in turn, so that each start has one score, and one style.

    Args:
        sample_rate, hop_length: Hz, and samples of a frame.
        samples: length of a segment.
        start_every: seconds; None: always the first score.
    """

    def __init__(self, sample_rate: int, hop_length: int, samples: int, start_every: float | None) -> None:
        self.sample_rate, self.hop_length, self.samples = sample_rate, hop_length, samples
        self.start_every = start_every

    @staticmethod
    def file(meta: AudioMeta) -> Path:
        """File of the scores of a clip."""
        return CorpusPaths(corpus_root(meta.path)).scores(Path(meta.path).stem)

    def score(self, meta: AudioMeta, start: float) -> Score:
        """The score of the segment that starts at `start` (s). Raises CorpusError, see `read_scores`."""
        scores = _read_scores(self.file(meta))
        number = 0 if self.start_every is None else round(start / self.start_every)
        return scores[number % len(scores)].between(start, self.samples / self.sample_rate)

    def __call__(self, meta: AudioMeta, start: float) -> tuple[torch.Tensor, int]:
        """Image (1, ROWS, L) of a segment, and its number of unpadded samples."""
        frames = -(-self.samples // self.hop_length)
        image = encode_score(self.score(meta, start), frames, self.hop_length / self.sample_rate)
        available = round((meta.duration - start) * self.sample_rate)
        return torch.from_numpy(image)[None], min(self.samples, available)


class FeatureCache:
    """Least-recently-used cache of memory-mapped feature files, up to `max_bytes`."""

    def __init__(self, max_bytes: int, expect: FeatureSpec | None = None):
        self.max_bytes = max_bytes
        self.expect = expect
        self.bytes = 0
        self._clips: OrderedDict[str, Features] = OrderedDict()

    def __call__(self, path: str | Path) -> Features:
        """Features in the file `path`. Raises FeatureFileError, see `load_features`."""
        key = str(path)
        if key in self._clips:
            self._clips.move_to_end(key)
            return self._clips[key]
        features = load_features(Path(path), self.expect)
        self._clips[key] = features
        self.bytes += features.nbytes
        while self.bytes > self.max_bytes and len(self._clips) > 1:
            self.bytes -= self._clips.popitem(last=False)[1].nbytes
        return features

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "bytes": 0,
            "_clips": OrderedDict(),
        }  # loader processes start with an empty cache


class DanceDataset(InfoAudioDataset):
    """An `InfoAudioDataset` of a prepared corpus: `(wav (1, N), DanceSegmentInfo)` for each segment.

    Build it with `DanceDataset.from_meta("CORPUS/egs/train", …)`; batch it with
    `collate_fn=dataset.collater`.

    * `shuffle=True` (training): clip and start are drawn at random as audiocraft does, `num_samples` per epoch; with
      `start_epoch(epoch)` they are the same in every run.
    * `shuffle=False` (valid, test): fixed segments; first the beginning of every clip in the order of the manifest,
      then the next `segment_duration` seconds of every clip that is long enough, and so on; at most `num_samples`.
    * `segment_duration=None`: whole clips.

    Args:
        meta: audiocraft's list of clips.
        segment_duration: length of a segment (s); shorter clips are padded with silence (see `info.n_frames`).
        min_segment_ratio: smallest share of a random segment that is not padding. audiocraft's default is 0.5; padding
            would teach the model that music stops while the dance continues.
        load_features: False omits the dance (the mel autoencoder does not need it).
        expect: required settings of the feature files.
        negative_cue: content of `dance_reverse`: `reversed` (the same seconds backward), `shifted` or `mismatched`; see
            `negatives`. Random draws depend only on epoch and index.
        augment: augmentation of the keypoints, drawn from `seed`, epoch and index only; None: none.
        seed: of the augmentation.
        start_every: random segments begin at multiples of this (s); None: anywhere.
        score_hop: return the image of a segment's score (`ScoreReader`) instead of its sound, a column every so many
            samples, and the score's style as the genre; None: its sound.
        cache_bytes: size of the cache of memory-mapped feature files, which loader processes share.
        kwargs: of `audiocraft.data.audio_dataset.AudioDataset`; the defaults here are mono, 22 050 Hz and
            `return_info=True`.
    """

    def __init__(
        self,
        meta: list[AudioMeta],
        *,
        segment_duration: float | None = None,
        min_segment_ratio: float = 1.0,
        load_features: bool = True,
        expect: FeatureSpec | None = None,
        negative_cue: str = "reversed",
        augment: Augmentation | None = None,
        seed: int = 0,
        start_every: float | None = None,
        score_hop: int | None = None,
        cache_bytes: int = 1 << 30,
        **kwargs: Any,
    ):
        kwargs = {"sample_rate": 22050, "channels": 1, "return_info": True, **kwargs}
        if not meta:
            raise CorpusError("the dataset has no clips: give a manifest that lists some")
        super().__init__(
            meta, segment_duration=segment_duration, min_segment_ratio=min_segment_ratio, **kwargs
        )
        if start_every is not None and not start_every > 0:
            raise UserError(f"start_every={start_every}: give seconds greater than 0, or null for any start")
        self.load_features = load_features
        self.start_every = start_every
        #: Replaces the sound of a segment, e.g. by its latent; returns it with the number of unpadded samples.
        self.latents: Callable[[AudioMeta, float], tuple[torch.Tensor, int]] | None = None
        self.scores: ScoreReader | None = None
        if score_hop is not None and segment_duration is not None:
            samples = round(segment_duration * self.sample_rate)
            turn = start_every if self.shuffle else None
            self.scores = ScoreReader(self.sample_rate, score_hop, samples, turn)
        self.negative_cue = get_cue(negative_cue)
        self.augment, self.seed = augment, seed
        self._features = FeatureCache(cache_bytes, expect)
        self._infos: dict[str, tuple[DanceInfo, CorpusPaths]] = {}
        self.segments: list[tuple[AudioMeta, float]] = []
        if segment_duration is not None and not self.shuffle:
            self.segments = _sequential_segments(self.meta, segment_duration)[: self.num_samples]
            self.num_samples = len(self.segments)

    @classmethod
    def from_meta(
        cls, root: str | Path | Sequence[str | Path], clips: int | None = None, **kwargs: Any
    ) -> DanceDataset:
        """The dataset of a manifest: a `data.jsonl` or its folder, e.g. `CORPUS/egs/train`.

        Args:
            root: one manifest, or several, e.g. of different corpora, whose clips are concatenated.
            clips: use only the first clips of each manifest; None: all.

        Raises:
            CorpusError: a manifest is missing, damaged or lists no clip.
        """
        roots = [root] if isinstance(root, str | Path) else root
        return cls(
            [AudioMeta.from_dict(line) for one in roots for line in load_manifest(one)[:clips]], **kwargs
        )

    def __getitem__(self, index: int) -> Any:
        if self.segment_duration is None:
            return_info, self.return_info = self.return_info, True
            try:
                sound, info = super().__getitem__(index)
                assert isinstance(info, AudioInfo)
            finally:
                self.return_info = return_info
        else:
            meta, start = self.segment(index)
            sound, n_frames = (self.latents or self.read)(meta, start)
            info = AudioInfo(
                meta,
                start,
                n_frames=n_frames,
                total_frames=int(self.segment_duration * self.sample_rate),  # as audiocraft
                sample_rate=self.sample_rate,
                channels=self.channels,
            )
        return (sound, self._with_dance(info, index)) if self.return_info else sound

    def start_epoch(self, epoch: int) -> None:
        self._epoch.fill_(epoch)

    @property
    def current_epoch(self) -> int | None:
        """The epoch set by `start_epoch`, in every loader process."""
        epoch = int(self._epoch)
        return None if epoch < 0 else epoch

    @current_epoch.setter
    def current_epoch(self, epoch: int | None) -> None:
        # In shared memory, so that persistent loader processes see the next epoch. (audiocraft sets None.)
        if not hasattr(self, "_epoch"):
            self._epoch = torch.full((), -1).share_memory_()
        self._epoch.fill_(-1 if epoch is None else epoch)

    def segment(self, index: int) -> tuple[AudioMeta, float]:
        """Clip and start (s) of segment `index`: fixed, or drawn exactly as audiocraft's `AudioDataset` does."""
        if self.segments:
            return self.segments[index]
        rng = torch.Generator()
        epoch = self.current_epoch
        # Seeded like audiocraft's AudioDataset.__getitem__, whose draw cannot be called separately.
        rng.manual_seed(
            index
            + self.num_samples * (random.randint(0, 2**24) if epoch is None else epoch + self.shuffle_seed)
        )
        meta = self.sample_file(index, rng)
        fraction = torch.rand(1, generator=rng).item()
        if self.start_every is None:
            return meta, fraction * self._last_start(meta)
        starts = self.starts(meta)
        return meta, starts[int(fraction * len(starts))]

    def starts(self, meta: AudioMeta) -> list[float]:
        """All possible starts of segments of a clip (s). Raises UserError if they can be anywhere."""
        if self.segments:
            return [start for clip, start in self.segments if clip.path == meta.path]
        if self.start_every is None:
            raise UserError(
                "with start_every=null segments begin anywhere and cannot be cached: give it in seconds"
            )
        return [
            k * self.start_every for k in range(int(self._last_start(meta) / self.start_every + 1e-6) + 1)
        ]

    def _last_start(self, meta: AudioMeta) -> float:
        assert self.segment_duration is not None
        return max(0.0, meta.duration - self.segment_duration * self.min_segment_ratio)

    def read(self, meta: AudioMeta, start: float) -> tuple[torch.Tensor, int]:
        """Sound (1, N) of a segment, padded with silence, or its score's image; and the number of unpadded samples."""
        assert self.segment_duration is not None
        if self.scores is not None:
            return self.scores(meta, start)
        if Path(meta.path).suffix in (".wav", ".flac"):  # audiocraft's FFmpeg is ten times slower
            rate = soundfile.info(meta.path).samplerate
            samples, rate = soundfile.read(
                meta.path,
                start=int(start * rate),
                frames=int(self.segment_duration * rate),
                dtype="float32",
                always_2d=True,
            )
            wav = torch.from_numpy(samples.T.copy())
        else:
            wav, rate = audio_read(meta.path, start, self.segment_duration)
        wav = convert_audio(wav, rate, self.sample_rate, self.channels)
        n_frames = wav.shape[-1]
        if self.pad:
            wav = F.pad(wav, (0, int(self.segment_duration * self.sample_rate) - n_frames))
        return wav, n_frames

    def _clip(self, audio: str) -> tuple[DanceInfo, CorpusPaths]:
        """Description and corpus of the clip with the sound file `audio`."""
        if audio not in self._infos:
            root = corpus_root(audio)
            self._infos[audio] = DanceInfo.load(Path(audio).with_suffix(".json"), root), CorpusPaths(root)
        return self._infos[audio]

    def _with_dance(self, info: AudioInfo, index: int) -> DanceSegmentInfo:
        clip, paths = self._clip(info.meta.path)
        features = paths.features(clip.name)
        seconds = (
            info.total_frames / info.sample_rate if self.segment_duration is None else self.segment_duration
        )
        common = {item.name: getattr(info, item.name) for item in fields(AudioInfo)}
        segment = DanceSegmentInfo(
            **common,
            name=clip.name,
            song=clip.song,
            choreography=clip.choreography,
            dancer=clip.dancer,
            genre=clip.genre if self.scores is None else self.scores.score(info.meta, info.seek_time).style,
            bpm=clip.bpm,
            split=clip.split,
            video=clip.video,
            features=str(features),
            clip_seconds=clip.seconds,
            beats=_beats_within(clip.beats, info.seek_time, seconds),
        )
        if self.load_features:
            change, start = self._change(index), info.seek_time
            of_clip = self._features(features)
            positive, backward = dance_conditions(of_clip, start, seconds, features, change)
            cue_segment = TrainingSegment(
                of_clip, start, seconds, backward, features, change, partial(self._other_song, segment)
            )
            epoch = self._drawn_epoch
            rng = np.random.default_rng(None if epoch is None else [epoch, index])
            segment.dance = {POSITIVE: positive, NEGATIVE: self.negative_cue.for_training(cue_segment, rng)}
        return segment

    @property
    def _drawn_epoch(self) -> int | None:
        """Epoch that random draws depend on; None: not reproducible, as in audiocraft without `start_epoch`."""
        return self.current_epoch if self.shuffle else 0

    def _change(self, index: int) -> Change | None:
        """The augmentation of a segment."""
        if self.augment is None:
            return None
        epoch = self._drawn_epoch
        if epoch is None:
            return self.augment.change(int(np.random.default_rng().integers(2**63)))
        return self.augment.change(self.seed, epoch, index)

    def _other_song(
        self, segment: DanceSegmentInfo, rng: np.random.Generator
    ) -> tuple[Features, float, Path]:
        """Draw a clip of the manifest with another song than the segment's: features, seconds, feature file.

        Raises:
            CorpusError: there is none.
        """
        for number in rng.permutation(len(self.meta)):
            clip, paths = self._clip(self.meta[number].path)
            if clip.name != segment.name and (clip.song is None or clip.song != segment.song):
                path = paths.features(clip.name)
                return self._features(path), clip.seconds, path
        raise CorpusError(
            f"all {len(self.meta)} clips of the manifest have the song of {segment.name}: negative_cue=mismatched "
            "needs another one"
        )


def _sequential_segments(meta: list[AudioMeta], seconds: float) -> list[tuple[AudioMeta, float]]:
    """All whole segments: the first one of every clip (padded if necessary), then the second ones, …"""
    counts = [max(1, int((clip.duration + 1e-3) / seconds)) for clip in meta]
    return [
        (clip, number * seconds)
        for number in range(max(counts))
        for clip, count in zip(meta, counts, strict=True)
        if number < count
    ]


def _beats_within(beats: list[float] | None, start: float, seconds: float) -> list[float] | None:
    if beats is None:
        return None
    return [beat - start for beat in beats if start <= beat < start + seconds]
