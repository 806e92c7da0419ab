"""audiocraft's own metric classes, clip by clip, with what is wrong with them on today's machines put right.

Each is the class that MusicGen's or EnCodec's solver uses, built from the same keys. Around them:

* a clip at a time, so that there is an interval over clips (their states are sums over clips or frames);
* no collective calls: the first worker alone evaluates, and a `compute` that waits for the others would wait for ever;
* sounds at the metric's own rate: `ChromaCosineSimilarityMetric` counts frames at the rate it is given, so it would
  compare only a part of a clip of a lower one;
* FAD: a TensorFlow program that fails is an error and not the end of this process (`os._exit`); the environment
  it changes is restored;
* ViSQOL: its files are written by soundfile (torchaudio ≥ 2.9 wants torchcodec), and its errors are reported.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .._compat import ensure_ffmpeg, restored_environment, visqol_without_torchcodec
from .beats import resample
from .scoring import Audio, EvaluationClip, Sounds
from .statistics import NotRun, Rows, interval

logger = logging.getLogger(__name__)

Clips = Sequence[EvaluationClip]
Options = dict[str, Any]
PerClip = Callable[[Tensor, Tensor, int], dict[str, float]]
"""(generated (1, 1, N), reference (1, 1, N), rate in Hz) → metric name → value."""


def _each(clips: Clips, sounds: Sounds, rate: int | None, score: PerClip, seed: int) -> Rows:
    """Means over clips of what `score` gives, the sounds brought to `rate` first (None: left at the clip's)."""

    def tensor(wav: Audio, clip: EvaluationClip) -> Tensor:
        return torch.from_numpy(resample(wav, clip.sample_rate, rate or clip.sample_rate))[None, None]

    references = [tensor(clip.reference, clip) for clip in clips]
    rows: Rows = {}
    for row, wavs in sounds.items():
        scores = []
        for clip, wav, reference in zip(clips, wavs, references, strict=True):
            with torch.no_grad():
                scores.append(score(tensor(wav, clip), reference, rate or clip.sample_rate))
        rows[row] = {name: interval([one[name] for one in scores], seed) for name in scores[0]}
    return rows


def _alone(metric: Any) -> Any:
    """A torchmetrics metric that asks no other worker: the first alone evaluates, and the others would not answer."""
    metric.distributed_available_fn = lambda: False  # (`sync_on_compute` is read once, when a metric is made)
    return metric


def _one(metric: Any, generated: Tensor, reference: Tensor, rate: int) -> Any:
    """The value of an audiocraft metric for one clip."""
    metric.reset()
    metric.update(generated, reference, torch.tensor([reference.shape[-1]]), torch.tensor([rate]))
    return metric.compute()


def chroma_cosine(clips: Clips, sounds: Sounds, options: Options, seed: int) -> Rows:
    """Cosine similarity of chroma, frame by frame, to the reference's; 1: the same harmony."""
    from audiocraft.solvers import builders
    from omegaconf import OmegaConf

    metric = _alone(builders.get_chroma_cosine_similarity(OmegaConf.create(options)))

    def score(generated: Tensor, reference: Tensor, rate: int) -> dict[str, float]:
        return {"chroma_cosine": _one(metric, generated, reference, rate)}

    return _each(clips, sounds, metric.chroma_sample_rate, score, seed)


def rvm(clips: Clips, sounds: Sounds, options: Options, seed: int) -> Rows:
    """Relative volume mel: level (dB) of the difference to the reference, relative to it; lower is nearer."""
    from audiocraft.metrics import RelativeVolumeMel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # its narrowest bands hold no bin
        module = RelativeVolumeMel(**options)

    def score(generated: Tensor, reference: Tensor, rate: int) -> dict[str, float]:
        return {"rvm": float(module(generated, reference)["rvm"])}

    return _each(clips, sounds, module.melspec.sample_rate, score, seed)


def kld(clips: Clips, sounds: Sounds, options: Options, seed: int) -> Rows:
    """KL divergence between PaSST's class probabilities of the reference and of the music, in both directions."""
    if importlib.util.find_spec("hear21passt") is None:
        raise NotRun("needs the package hear21passt and its weights: pip install hear21passt")
    from audiocraft.solvers import builders
    from omegaconf import OmegaConf

    try:
        metric = _alone(builders.get_kldiv(OmegaConf.create(options)))
    except Exception as error:  # whatever the download or the package comes up with
        raise NotRun(f"needs PaSST's weights, which hear21passt could not load ({error})") from error

    def score(generated: Tensor, reference: Tensor, rate: int) -> dict[str, float]:
        found = _one(metric, generated, reference, rate)
        return {"kld": found["kld"], "kld_both": found["kld_both"]}

    return _each(clips, sounds, None, score, seed)


def fad(clips: Clips, sounds: Sounds, options: Options, seed: int) -> Rows:
    """Fréchet Audio Distance of VGGish by Google's program: one number a row, so without an interval."""
    settings = dict(options["tf"])
    if not settings.get("bin"):
        raise NotRun("needs Google's frechet_audio_distance with TensorFlow: metrics.fad.tf.bin=FOLDER")
    folder = Path(settings["bin"])
    if not (folder / "frechet_audio_distance").is_dir():
        raise NotRun(f"needs frechet_audio_distance in {folder}: metrics.fad.tf.bin=FOLDER")
    from audiocraft.metrics import FrechetAudioDistanceMetric

    class Metric(FrechetAudioDistanceMetric):
        def _log_process_result(self, returncode: int, log_file: Any, is_background: bool) -> None:
            if returncode:
                text = Path(log_file).read_text(errors="replace").strip()
                raise RuntimeError(text.splitlines()[-1] if text else f"exit status {returncode}")

    ensure_ffmpeg()
    rows: Rows = {}
    for row, wavs in sounds.items():
        with tempfile.TemporaryDirectory(prefix="fad-") as log_folder, restored_environment():
            try:
                metric = _alone(Metric(log_folder=log_folder, **settings))
                for i, (clip, wav) in enumerate(zip(clips, wavs, strict=True)):
                    generated, reference = (
                        torch.from_numpy(one)[None, None] for one in (wav, clip.reference)
                    )
                    sizes, rates = torch.tensor([clip.reference.size]), torch.tensor([clip.sample_rate])
                    metric.update(generated, reference, sizes, rates, [f"{i:05d}"])
                written = len(list(metric.samples_tests_dir.glob("*.wav")))
                if written != len(clips):
                    raise RuntimeError(f"only {written} of {len(clips)} sounds could be written")
                # its own `compute` would broadcast to workers that are not here
                value = float(metric._local_compute_frechet_audio_distance())
            except (AssertionError, OSError, RuntimeError) as error:
                raise NotRun(
                    f"needs a working frechet_audio_distance with VGGish's checkpoint ({error})"
                ) from error
        rows[row] = {"fad": {"mean": value, "low": value, "high": value, "n": len(clips), "interval": False}}
    return rows


def visqol(clips: Clips, sounds: Sounds, options: Options, seed: int) -> Rows:
    """ViSQOL: an estimate of how alike a listener would find music and reference, 1 to about 4.75."""
    from audiocraft.metrics import ViSQOL

    if not options.get("bin"):
        raise NotRun("needs a built ViSQOL: metrics.visqol.bin=FOLDER")
    program = Path(options["bin"]) / "bazel-bin" / "visqol"
    if not program.exists():
        raise NotRun(f"needs {program}: metrics.visqol.bin=FOLDER names another place")

    class Metric(ViSQOL):
        problem = "it gave no score"

        def _run_visqol(self, inputs: Any, results: Any, debug: Any = None) -> None:
            try:  # without a path for `debug` it would write a file called None into the working folder
                super()._run_visqol(inputs, results, Path(results).with_name("debug.json"))
            except (OSError, RuntimeError) as error:
                self.problem = str(error)
                raise RuntimeError(str(error)) from error  # which the caller logs and answers with None

    try:
        metric = Metric(**options)
    except AssertionError as error:
        raise NotRun(f"needs a whole ViSQOL ({error})") from error

    def score(generated: Tensor, reference: Tensor, rate: int) -> dict[str, float]:
        with visqol_without_torchcodec():
            found = metric(reference, generated, rate)
        if found is None:
            raise NotRun(f"needs a working ViSQOL ({metric.problem})")
        return {"visqol": float(found)}

    return _each(clips, sounds, None, score, seed)


METRICS: dict[str, Callable[[Clips, Sounds, Options, int], Rows]] = {
    "fad": fad,
    "kld": kld,
    "chroma_cosine": chroma_cosine,
    "rvm": rvm,
    "visqol": visqol,
}
