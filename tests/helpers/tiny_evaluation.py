"""An evaluation of two systems on three dances of a second, with everything a report or listening test reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml
from headers import make_header

from pn_diffusion_plugin.data.corpora.clips import write_clip
from pn_diffusion_plugin.data.corpora.prepare import write_or_check_settings
from pn_diffusion_plugin.data.features.feature_file import Features, FeatureSpec
from pn_diffusion_plugin.data.features.visual import window_indices
from pn_diffusion_plugin.data.manifest import CorpusPaths, DanceInfo, write_manifests
from pn_diffusion_plugin.data.video.write import write_video
from pn_diffusion_plugin.metrics.evaluate import evaluate_systems
from pn_diffusion_plugin.metrics.nulls import click_track
from pn_diffusion_plugin.metrics.report import write_report
from pn_diffusion_plugin.metrics.scoring import EvaluationClip

RATE, SECONDS, CLIPS = 22050, 1.0, 3
SPEC = FeatureSpec()
HOSTILE = "<script>document.title='taken'</script>|`x`"  # a label that must be shown, never run


def music(number: int, late: float = 0.0) -> np.ndarray:
    """Clicks of a tempo of their own, some seconds late."""
    return click_track(round(SECONDS * RATE), RATE, period=0.25 + 0.05 * number, first=0.1 + late)


def features() -> Features:
    """Joints that stop every quarter second."""
    frames = round(SECONDS * SPEC.pose_fps)
    keypoints = np.ones((frames, 33, 3), np.float32)
    keypoints[..., :2] = 0.5 + 0.2 * np.sin(4 * np.pi * np.arange(frames) / SPEC.pose_fps)[:, None, None]
    windows = len(window_indices(round(SECONDS * SPEC.visual_fps), SPEC.visual_window, SPEC.visual_hop))
    seen = np.zeros((windows, 1024), np.float32)
    header = make_header(SECONDS, SPEC)  # fmt: skip
    return Features(header, keypoints, np.ones(frames, bool), seen, seen)


def build_corpus(root: Path) -> Path:
    """A corpus of three clips with videos; the manifest of its test split."""
    write_or_check_settings(CorpusPaths(root), SPEC, RATE)
    for number in range(CLIPS):
        name, video = f"dance-{number}", root / "videos" / f"dance-{number}.mp4"
        pictures = (np.full((64, 48, 3), 40 * number + frame, np.uint8) for frame in range(25))
        write_video(video, pictures, 25, music(number), RATE)
        info = DanceInfo(
            name, SECONDS, RATE, round(SECONDS * RATE), f"videos/{video.name}", "0" * 64, 0, 48, 64, 25.0, 1.0,
            split="test", split_source="label", song=f"song-{number}", song_source="label",
        )  # fmt: skip
        write_clip(root, info, music(number), features())
    write_manifests(root)
    return CorpusPaths(root).manifest("test")


def build_evaluation(folder: Path, label: str = "ours", leak: str = "ok") -> Path:
    """report.json and the waves of `model`, of `lagging` and of `ceiling` on the corpus's clips."""
    names = [f"dance-{number}" for number in range(CLIPS)]
    systems = {
        "model": {name: music(number) for number, name in enumerate(names)},
        "lagging": {name: 0.1 * music(number, 0.12) for number, name in enumerate(names)},
        "ceiling": {name: 0.9 * music(number) for number, name in enumerate(names)},
    }
    clips = [
        EvaluationClip(name, music(number), RATE, None, np.array([0.25, 0.5, 0.75]), f"song-{number}")
        for number, name in enumerate(names)
    ]
    report = evaluate_systems(
        clips,
        systems,
        {"model": label},
        split="corpus/test",
        leak_check=leak,
        command="pn-diffusion x",
        seeds=[1, 2, 3],
    )
    for name, waves in systems.items():
        for clip, wav in waves.items():
            path = folder / name / f"{clip}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, wav, RATE)
    write_report(report, folder / "report.json")
    return folder


def as_experiment(evaluation: Path, folder: Path, scores: dict[str, float], **settings: Any) -> Path:
    """A copy of an evaluation's report as what a Dora experiment with these settings ({"a.b": value}) wrote."""
    report = json.loads((evaluation / "report.json").read_text(encoding="utf-8"))
    for row in report["rows"]:
        if row["name"] == "model":
            row["metrics"] |= {
                name: {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "n": 3}
                for name, mean in scores.items()
            }
    write_report(report, folder / "evaluate" / "report.json")
    config: dict[str, Any] = {"solver": "pn_diffusion", "seed": 1, "twice": "${solver}"}
    for key, value in settings.items():
        head, _, tail = key.partition("__")
        config.setdefault(head, {})[tail] = value
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    arguments = ["solver=pn_diffusion", *(f"{k.replace('__', '.')}={v}" for k, v in settings.items())]
    (folder / ".argv.json").write_text(json.dumps(arguments))
    return folder
