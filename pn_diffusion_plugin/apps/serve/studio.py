"""From a stranger's video to takes of music for it: what the page has done when somebody presses the button."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.features.extraction import extract_features
from ...data.features.feature_file import Features, FeatureSpec
from ...data.features.pose import PoseExtractor, PoseSource
from ...data.features.visual import VisualEncoder, build_visual_encoder
from ...data.video.container import codec_name, open_media
from ...data.video.cut import cut_video, encode_part
from ...data.video.mux import mux
from ...data.video.probe import VideoInfo, playback_problem, probe
from ...errors import UserError, VideoError
from ...metrics.beats import SAMPLE_RATE as BEATS_RATE
from ...metrics.beats import track_beats
from ...models.pn_diffusion import PNDiffusion
from ...utils.files import fit_name, sha256_file
from ...utils.sound import write_sound_file
from .command import repeat_command, take_name
from .jobs import Job, JobQueue
from .pictures import Axis, take_picture
from .progress import Course, Pace, Progress
from .settings import ServeSettings, Wish
from .uploads import check_stretch, check_upload, without_folder
from .workspace import Workspace

_CLIPS_REMEMBERED = 16  # a minute of dance is half a megabyte of features
_PLAYABLE = frozenset({"vp9", "av1"})  # by every browser; of others a copy is made to look at
_SHOWN_SIDE = 1280

FeatureKey = tuple[str, float | None, float | None, str | int, FeatureSpec]


@dataclass(frozen=True)
class Take:
    """Music of one seed for a video; files lie in the job's folder.

    Attributes:
        video: the dance with its music, for download; shown: the same, or a copy that every browser plays.
        wav, picture: file names.
        axis: where time runs in the picture.
        command: makes the take again.
    """

    seed: int
    seconds: float
    video: str
    shown: str
    wav: str
    picture: str
    axis: Axis
    command: str


@dataclass(frozen=True)
class Takes:
    """What came out of a job.

    Attributes:
        token: names the job's folder of the workspace.
    """

    token: str
    takes: tuple[Take, ...]


MusicJob = Job[Progress, Takes]


class Studio:
    """Models, queue and temporary files of one page.

    Raises:
        CheckpointError, UserError: a model cannot be loaded.
    """

    def __init__(self, settings: ServeSettings, workspace: Workspace) -> None:
        self.settings, self.workspace = settings, workspace
        self.models = {name: PNDiffusion.get_pretrained(name, settings.device) for name in settings.models}
        self.defaults: dict[str, dict[str, Any]] = {
            name: asdict(model.params) for name, model in self.models.items()
        }
        self.queue: JobQueue[Progress, Takes] = JobQueue(settings.queue)
        self.pace = Pace()
        self._remembered: OrderedDict[FeatureKey, Features] = OrderedDict()
        self._encoders: dict[str, VisualEncoder] = {}

    def look(self, upload: Path | str | None) -> VideoInfo:
        """What is in a video that was sent.

        Raises:
            VideoError: it cannot be used, or was not sent here.
        """
        if upload is not None and not self.workspace.holds(Path(upload)):
            raise VideoError("the video is not one that was sent here: drop it on the page")
        return check_upload(upload, self.settings)

    def submit(self, upload: Path | str | None, wish: Wish) -> MusicJob:
        """Check what can be checked at once and put the rest in the queue.

        Raises:
            UserError: the wish or the video cannot be used, or the queue is full.
        """
        model = self._model(wish)
        info, video = self.look(upload), Path(str(upload))
        check_stretch(video.name, info, self.settings, wish.start, wish.end, model.sequence.seconds)
        return self.queue.submit(lambda job: self._make(job, video, wish))

    def warm_up(self) -> None:
        """Load what the first job would have to wait for."""

        def load() -> None:
            for model in self.models.values():
                self._encoder(model.feature_spec.visual_encoder)
            track_beats(np.random.default_rng(0).standard_normal(BEATS_RATE).astype(np.float32), BEATS_RATE)

        self.queue.prepare(load)

    def close(self) -> None:
        """End all work and remove all files."""
        self.queue.close()
        self.workspace.close()

    def _model(self, wish: Wish) -> PNDiffusion:
        """The model of a wish, which must be one of the page's: a name is never looked up elsewhere."""
        if wish.model not in self.models:
            raise UserError(f"there is no model {wish.model} here: choose one of {', '.join(self.models)}")
        return self.models[wish.model]

    def _make(self, job: MusicJob, upload: Path, wish: Wish) -> Takes:
        """The work of a job (in the queue's thread, so never two at a time)."""
        if not upload.is_file():
            raise VideoError(f"{upload.name} was kept for too short a time: give it again")
        with self.workspace.job(upload) as (video, folder):
            try:
                takes = self._takes(job, video, folder, wish)
            except UserError as error:
                raise type(error)(without_folder(str(error), video)) from error
            finally:
                gc.collect()  # figures are cycles that hold megabytes, and would pile up till Python looks
        return Takes(folder.name, takes)

    def _takes(self, job: MusicJob, video: Path, folder: Path, wish: Wish) -> tuple[Take, ...]:
        model, name = self._model(wish), video.name
        params = {**self.defaults[wish.model], **wish.params}
        model.set_generation_params(**params)
        key = (sha256_file(video), wish.start, wish.end, wish.dancer, model.feature_spec)
        if wish.cuts:
            part = video.with_name(fit_name(f"part of {video.stem}", ".mp4"))
            cut_video(video, part, wish.start or 0.0, wish.end)
            video = part
        features = self._remembered.get(key)
        seconds = probe(video).seconds if features is None else features.header.seconds
        amount = seconds * len(wish.seeds)
        course = Course(
            self.pace,
            {
                "watching": seconds if features is None else 0.0,
                "denoising": amount * model.params.steps,
                "sounding": amount,
                "finishing": amount,
            },
            job.tell,
        )
        if features is None:
            features = self._watch(video, model.feature_spec, wish.dancer, seconds, course)
            self._remember(key, features)

        def step(done: int, total: int) -> None:
            course.at("denoising", done, total)
            if done == total:
                course.at("sounding", 0, len(wish.seeds))

        course.at("denoising", 0, model.params.steps)
        waves = model.generate_from_features(
            [features] * len(wish.seeds), wish.seeds, step, [name] * len(wish.seeds)
        )
        takes = []
        for number, (seed, wave) in enumerate(zip(wish.seeds, waves, strict=True)):
            course.at("finishing", number, len(wish.seeds))
            takes.append(self._write_take(video, name, folder, wish, seed, wave[0].numpy(), features))
        course.finish()
        return tuple(takes)

    def _write_take(
        self,
        video: Path,
        name: str,
        folder: Path,
        wish: Wish,
        seed: int,
        wav: NDArray[np.float32],
        features: Features,
    ) -> Take:
        """Write the files of a take into `folder`: `wav` (N,), under `video`, and a picture of both."""
        rate = self.models[wish.model].sample_rate
        files = {suffix: take_name(name, seed, suffix) for suffix in ("mp4", "wav", "png")}
        write_sound_file(folder / files["wav"], wav, rate)
        mux(video, wav, rate, folder / files["mp4"])
        return Take(
            seed=seed,
            seconds=features.header.seconds,
            video=files["mp4"],
            shown=_shown(folder, files["mp4"], wav, rate),
            wav=files["wav"],
            picture=files["png"],
            axis=take_picture(folder / files["png"], wav, rate, features),
            command=repeat_command(name, wish, seed, self.defaults[wish.model], self.settings.device),
        )

    def _watch(
        self, video: Path, spec: FeatureSpec, dancer: str | int, seconds: float, course: Course
    ) -> Features:
        course.at("watching", 0.0, seconds)
        watched = _Watched(PoseExtractor(dancer=dancer), lambda at: course.at("watching", at, seconds))
        return extract_features(video, spec, watched, self._encoder(spec.visual_encoder))

    def _encoder(self, name: str) -> VisualEncoder:
        if name not in self._encoders:
            self._encoders[name] = build_visual_encoder(name)
        return self._encoders[name]

    def _remember(self, key: FeatureKey, features: Features) -> None:
        """Keep a clip's features for its next takes, those of the last few clips alone."""
        self._remembered[key] = features
        while len(self._remembered) > _CLIPS_REMEMBERED:
            self._remembered.popitem(last=False)


class _Watched:
    """A pose source that tells how many seconds it has seen."""

    def __init__(self, source: PoseSource, seen: Any) -> None:
        self._source, self._seen = source, seen
        self.name, self.weights_sha256 = source.name, source.weights_sha256

    def extract(
        self,
        frames: Iterable[np.ndarray],
        fps: float,
        *,
        name: str = "the video",
        times: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        def told() -> Iterator[np.ndarray]:
            for number, frame in enumerate(frames):
                self._seen(number / fps)
                yield frame

        return self._source.extract(told(), fps, name=name, times=times)


def _shown(folder: Path, take: str, wav: np.ndarray, sample_rate: int) -> str:
    """Name of a file of a take that every browser plays: the take itself, where its picture's codec is such."""
    with open_media(folder / take) as container:
        stream = container.streams.video[0]
        if codec_name(stream) in _PLAYABLE or codec_name(stream) == "h264" and not playback_problem(stream):
            return take
    name = fit_name(f"shown_{Path(take).stem}", ".mp4")
    encode_part(folder / take, folder / name, size=_SHOWN_SIDE, audio=wav, sample_rate=sample_rate)
    return name
