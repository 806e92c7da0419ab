"""From an upload to takes: what a press of the button *Make music* does."""

from __future__ import annotations

import gc
import shutil
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...data.features.feature_file import FeatureSpec
from ...data.video.cut import encode_part
from ...data.video.mux import mux
from ...data.video.probe import VideoInfo
from ...errors import UserError, VideoError
from ...metrics.beats import SAMPLE_RATE as BEATS_RATE
from ...metrics.beats import track_beats
from ...metrics.dance import dance_beats
from ...metrics.figures import clip_figure
from ...models.pipeline import DECODE, DENOISE, EXTRACT, WRITE, Music, Take, Video2Features, Video2Video
from ...models.pn_diffusion import PNDiffusion
from ..generate import music_beats, public_name
from .command import repeat_command, take_name
from .jobs import Job, JobQueue
from .progress import Progress, ProgressTracker, StageTimings
from .settings import GenerationRequest, ServeSettings
from .uploads import check_part, check_upload, plays_in_browsers
from .workspace import Workspace

_CACHED_VIDEOS = 16  # half a megabyte of features per minute
_PREVIEW_SIDE = 1280


@dataclass(frozen=True)
class TakeFiles:
    """Files of a take, by name, in the job's folder.

    Attributes:
        seconds: length.
        video: the dance with its music, to download.
        preview: the same, or a copy that browsers play.
        wav: the music alone.
        chart: waveform, mel spectrogram and beats, PNG.
        axis: where the chart's time axis begins and ends, as shares of its width.
        command: generates the take again.
        midi: the notes; None: the model generates none.
        stems: the parts of the music, a zip file; None: as `midi`.
    """

    seed: int
    seconds: float
    video: str
    preview: str
    wav: str
    chart: str
    axis: tuple[float, float]
    command: str
    midi: str | None = None
    stems: str | None = None


@dataclass(frozen=True)
class JobResult:
    """Result of a job.

    Attributes:
        token: name of the job's folder in the workspace.
    """

    token: str
    takes: tuple[TakeFiles, ...]


MusicJob = Job[Progress, JobResult]


class Studio:
    """Models, queue and temporary files of the page.

    Raises:
        CheckpointError, UserError: a model cannot be loaded.
    """

    def __init__(self, settings: ServeSettings, workspace: Workspace) -> None:
        self.settings, self.workspace = settings, workspace
        self.models = {name: PNDiffusion.get_pretrained(name, settings.device) for name in settings.models}
        self.defaults: dict[str, dict[str, Any]] = {
            name: asdict(model.params) for name, model in self.models.items()
        }
        self.queue: JobQueue[Progress, JobResult] = JobQueue(settings.queue)
        self.timings = StageTimings()
        specs: set[FeatureSpec] = {model.feature_spec for model in self.models.values()}
        self.extractors = {
            spec: Video2Features(spec, cache_size=_CACHED_VIDEOS, device=settings.device) for spec in specs
        }

    def check_upload(self, upload: Path | str | None) -> VideoInfo:
        """Validate an uploaded video.

        Raises:
            UserError: it cannot be used, or is not an upload.
        """
        if upload is not None and not self.workspace.holds(Path(upload)):
            raise VideoError("the video was not uploaded here: drop it on the page")
        try:
            return check_upload(upload, self.settings)
        except UserError as error:
            raise type(error)(self.workspace.hide_paths(str(error))) from error

    def submit(self, upload: Path | str | None, request: GenerationRequest) -> MusicJob:
        """Validate a request and append it to the queue.

        Raises:
            UserError: the request or the video cannot be used, or the queue is full.
        """
        if request.model not in self.models:  # a name is never looked up elsewhere
            raise UserError(f"model is {request.model}: give one of {', '.join(self.models)}")
        info, video = self.check_upload(upload), Path(str(upload))
        window = self.models[request.model].sequence.seconds
        start, end = check_part(video.name, info, self.settings, request.edit, window)
        return self.queue.submit(lambda job: self._run(job, video, request, end - start))

    def warm_up(self) -> None:
        """Load what the first job needs."""

        def load() -> None:
            for extractor in self.extractors.values():
                extractor.load()
            track_beats(np.random.default_rng(0).standard_normal(BEATS_RATE).astype(np.float32), BEATS_RATE)

        self.queue.run_in_background(load)

    def close(self) -> None:
        """Cancel all jobs and remove all files."""
        self.queue.close()
        self.workspace.close()

    def _run(self, job: MusicJob, upload: Path, request: GenerationRequest, seconds: float) -> JobResult:
        """The work of a job (in the queue's thread, one at a time)."""
        if not upload.is_file():
            raise VideoError(f"{upload.name} was removed meanwhile: upload it again")
        try:
            with self.workspace.job(upload) as (video, folder):
                return JobResult(folder.name, self._generate(job, video, folder, request, seconds))
        except UserError as error:
            raise type(error)(self.workspace.hide_paths(str(error))) from error
        finally:
            gc.collect()  # figures are cycles that hold megabytes

    def _generate(
        self, job: MusicJob, video: Path, folder: Path, request: GenerationRequest, seconds: float
    ) -> tuple[TakeFiles, ...]:
        model = self.models[request.model]
        model.set_generation_params(**{**self.defaults[request.model], **request.params})
        amount = seconds * len(request.seeds)
        units = {EXTRACT: seconds, DENOISE: amount * model.params.steps, DECODE: amount, WRITE: amount}
        tracker = ProgressTracker(self.timings, units, job.report)
        takes = [_take(video, seed, folder, model.writes_scores) for seed in request.seeds]
        generate = Video2Video(model, self.extractors[model.feature_spec], public_name(request.model))
        files: list[TakeFiles] = []
        for music in generate(takes, request.edit, request.dancer, tracker.update):
            first = folder / files[0].preview if files else None
            files.append(self._take_files(music, request, model.sample_rate, first))
        tracker.finish()
        return tuple(files)

    def _take_files(
        self, music: Music, request: GenerationRequest, sample_rate: int, first_preview: Path | None
    ) -> TakeFiles:
        """Write chart, preview and stems of a take."""
        take, video, name, seed = music.take, music.take.output, music.take.video.name, music.take.seed
        chart = video.with_name(take_name(name, seed, "png"))
        beats = dance_beats(music.features), np.asarray(music_beats(music, sample_rate))
        axis = clip_figure(chart, music.wave, sample_rate, None, *beats, transparent=True)
        return TakeFiles(
            seed=seed,
            seconds=music.features.header.seconds,
            video=video.name,
            preview=_preview(music, first_preview),
            wav=take_name(name, seed, "wav"),
            chart=chart.name,
            axis=axis,
            command=repeat_command(name, request, seed, self.defaults[request.model], self.settings.device),
            midi=None if take.midi is None else take.midi.name,
            stems=None if take.stems is None else _zip(take.stems).name,
        )


def _take(video: Path, seed: int, folder: Path, notes: bool) -> Take:
    """A take and its files in a job's folder; `notes`: whether there are notes and stems."""
    mp4, wav, midi = (folder / take_name(video.name, seed, suffix) for suffix in ("mp4", "wav", "mid"))
    if not notes:
        return Take(video, seed, mp4, wav)
    stems = (folder / take_name(video.name, seed, "stems.zip")).with_suffix("")
    return Take(video, seed, mp4, wav, stems, midi)


def _zip(folder: Path) -> Path:
    """A zip file in the place of a folder of files."""
    file = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for part in sorted(folder.iterdir()):
            archive.write(part, f"{folder.name}/{part.name}")
    shutil.rmtree(folder)
    return file


def _preview(music: Music, first: Path | None) -> str:
    """Name of a file of a take that browsers play: the take or a copy, whose frames are encoded for the first only."""
    video = music.take.output
    if plays_in_browsers(video):
        return video.name
    preview = video.with_name(f"preview_{music.take.seed}.mp4")
    if first is None:
        encode_part(video, preview, size=_PREVIEW_SIDE, audio=music.sound, sample_rate=music.sound_rate)
    else:
        mux(first, music.sound, music.sound_rate, preview)
    return preview.name
