"""From an upload to takes, with a tiny model and a real dancer."""

from __future__ import annotations

import contextlib
import io
import shutil
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from tiny_model import tiny_model
from tiny_score_model import tiny_score_model

from pn_diffusion_plugin.apps.serve.progress import Progress
from pn_diffusion_plugin.apps.serve.settings import GenerationRequest, ServeSettings
from pn_diffusion_plugin.apps.serve.studio import JobResult, Studio
from pn_diffusion_plugin.apps.serve.workspace import Workspace
from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.score.midi import read_midi
from pn_diffusion_plugin.data.video.probe import probe
from pn_diffusion_plugin.data.video.read import read_frames
from pn_diffusion_plugin.errors import UserError, VideoError
from pn_diffusion_plugin.models import mastering
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An exported model of random weights; its window is 2.56 s."""
    return str(tiny_model().save_pretrained(tmp_path_factory.mktemp("model") / "tiny"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a dancer."""
    return write_clip_video(MiniSpec(seconds=3.0).plan("test", 0), tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def studio(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    settings = ServeSettings(models=(model,), max_seconds=10)
    one = Studio(settings, Workspace(600, 1e9, tmp_path_factory.mktemp("temporary")))
    yield one
    one.close()
    assert not one.workspace.folder.exists()


def send(studio: Studio, video: Path, name: str = "dance.mp4") -> Path:
    """An upload."""
    return Path(shutil.copy(video, studio.workspace.uploads / name))


@contextlib.contextmanager
def held(studio: Studio) -> Iterator[None]:
    """Nothing begins inside this block."""
    go = threading.Event()
    studio.queue.run_in_background(lambda: go.wait(60))
    yield
    go.set()


def cached(studio: Studio) -> dict:
    """Features of the last videos."""
    (extractor,) = studio.extractors.values()
    return extractor._cache


def stages(studio: Studio, upload: Path, request: GenerationRequest) -> tuple[list[str], JobResult]:
    """The names of a job's stages in their order, and what came out."""
    seen: list[str] = []
    with held(studio):
        job = studio.submit(upload, request)
        report = job.report

        def record(progress: Progress) -> None:
            report(progress)
            seen.append(progress.stage)

        job.report = record  # type: ignore[method-assign]
    result = job.future.result(120)
    return list(dict.fromkeys(seen)), result


def test_takes_of_a_part_and_again_from_cached_features(studio: Studio, model: str, clip: Path) -> None:
    upload = send(studio, clip)
    request = GenerationRequest(model, (4, 5), {"steps": 2}, start=0.2)
    first, _ = stages(studio, upload, request)
    assert first == ["extract", "denoise", "decode", "write"]
    again, result = stages(studio, upload, GenerationRequest(model, (5,), {"steps": 2}, start=0.2))
    assert again == ["denoise", "decode", "write"]
    (take,) = result.takes
    folder = studio.workspace.results / result.token
    assert {file.name for file in folder.iterdir()} == {take.video, take.wav, take.chart}
    assert take.midi is None and take.stems is None
    assert take.preview == take.video == "dance_seed5.mp4" and take.seconds == pytest.approx(2.8)
    assert 0 < take.axis[0] < 0.2 and 0.8 < take.axis[1] < 1
    assert take.command.endswith("--seed 5 --checkpoint " + model + " --steps 2 --start 0.2")
    wav, rate = soundfile.read(folder / take.wav, dtype="float32")
    assert rate == mastering.RATE and wav.shape == (round(2.8 * rate), 2)
    with soundfile.SoundFile(folder / take.wav) as file:
        assert file.comment.endswith(f"model {Path(model).name}, seed 5)")  # not where it lies
    assert probe(folder / take.video).seconds == pytest.approx(2.8, abs=0.05)

    (features,) = cached(studio).values()
    alone = PNDiffusion.get_pretrained(model)
    alone.set_generation_params(steps=2)
    (wanted,) = alone.generate_from_features([features], [5])
    mastered = mastering.master(mastering.prepare(wanted[0].numpy(), alone.sample_rate))
    assert np.abs(wav.T - mastered).max() < 1e-3


def test_takes_of_a_model_that_writes_notes(tmp_path: Path, clip: Path) -> None:
    band = str(tiny_score_model().save_pretrained(tmp_path / "band"))
    studio = Studio(ServeSettings(models=(band,)), Workspace(600, 1e9, tmp_path))
    with contextlib.closing(studio):
        params = {"steps": 2, "style": "funk", "key": "A minor"}
        job = studio.submit(send(studio, clip), GenerationRequest(band, (4, 5), params))
        result = job.future.result(240)
        folder = studio.workspace.results / result.token
        files = {name for t in result.takes for name in (t.video, t.wav, t.chart, t.midi, t.stems)}
        assert {file.name for file in folder.iterdir()} == files and len(files) == 10
        take = result.takes[1]
        assert take.midi == "dance_seed5.mid" and take.stems == "dance_seed5.stems.zip"
        assert take.command.endswith("--steps 2 --style funk --key 'A minor'")
        score = read_midi(folder / take.midi)
        assert (score.tonic, score.style, score.seconds) == (9, "funk", pytest.approx(3.0))
        with zipfile.ZipFile(folder / take.stems) as archive:
            assert archive.testzip() is None
            sounds = [soundfile.read(io.BytesIO(archive.read(name)))[0] for name in archive.namelist()]
            names = [Path(name).name for name in archive.namelist()]
        assert names == ["bass.wav", "chords.wav", "drums.wav", "lead.wav"]
        whole, _ = soundfile.read(folder / take.wav)
        assert np.abs(sum(sounds) - whole).max() < 1e-3
        wrong = studio.submit(send(studio, clip), GenerationRequest(band, params={"style": "polka"}))
        with pytest.raises(UserError, match="style is polka: give one of any, house, funk"):
            wrong.future.result(60)


def test_a_video_that_browsers_do_not_play_gets_a_preview(
    studio: Studio, model: str, clip: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old.avi"
    with av.open(str(old), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 256
        stream.pix_fmt = "yuv420p"
        for frame in read_frames(clip, 25):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    result = studio.submit(send(studio, old, "old.avi"), GenerationRequest(model, (0, 1))).future.result(120)
    take = result.takes[1]
    folder = studio.workspace.results / result.token
    codecs = []
    for name in (take.video, take.preview):
        with av.open(str(folder / name)) as container:
            codecs.append(container.streams.video[0].codec_context.name)
            assert len(container.streams.audio) == 1
    assert codecs == ["mpeg4", "h264"]


def test_a_cancelled_job_leaves_nothing(studio: Studio, model: str, clip: Path) -> None:
    before = set(studio.workspace.results.iterdir())
    again = clip.with_name("again.mp4")
    again.write_bytes(clip.read_bytes() + (8).to_bytes(4, "big") + b"free")  # other bytes: not cached
    job = studio.submit(send(studio, again, "again.mp4"), GenerationRequest(model))
    while job.progress is None:
        assert not job.future.done()
    job.cancel()
    with pytest.raises(CancelledError):
        job.future.result(120)
    assert set(studio.workspace.results.iterdir()) == before


def test_impossible_requests_are_refused_at_once(studio: Studio, model: str, clip: Path) -> None:
    upload = send(studio, clip)
    for video, request, message in (
        (upload, GenerationRequest("mini"), "model is mini: give one of"),
        (upload, GenerationRequest(model, end=99.0), "give a start before the end, both within it"),
        (clip, GenerationRequest(model), "was not uploaded here"),
        (None, GenerationRequest(model), "there is no video yet"),
    ):
        with pytest.raises(UserError, match=message):
            studio.submit(video, request)


def test_errors_of_a_running_job(studio: Studio, model: str, clip: Path, tmp_path: Path) -> None:
    job = studio.submit(send(studio, clip), GenerationRequest(model, params={"negative_guidance": -1.0}))
    with pytest.raises(UserError, match="negative_guidance is -1.0: give at least 0"):
        job.future.result(120)
    upload = send(studio, clip, "gone.mp4")
    with held(studio):
        job = studio.submit(upload, GenerationRequest(model))
        upload.unlink()
    with pytest.raises(VideoError, match="^gone.mp4 was removed meanwhile: upload it again"):
        job.future.result(120)


def test_features_of_each_dancer_are_cached(studio: Studio, model: str, pair: Path) -> None:
    upload, places = send(studio, pair, "pair.mp4"), {}
    for dancer in ("left", "right"):
        request = GenerationRequest(model, params={"steps": 1}, dancer=dancer)
        first, result = stages(studio, upload, request)
        assert first[0] == "extract" and result.takes[0].command.endswith(f"--dancer {dancer}")
        features = next(reversed(cached(studio).values()))
        places[dancer] = np.median(features.keypoints[features.detected][:, [23, 24], 0])  # of the hips
        again, _ = stages(studio, upload, request)
        assert "extract" not in again
    assert places["left"] < 0.5 < places["right"]
