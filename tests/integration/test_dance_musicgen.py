"""The MusicGen baseline by the real command: codec first, then the language model; killed and resumed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile
import torch
from tiny_experiment import (
    REPOSITORY,
    assert_equal,
    experiments,
    history,
    musicgen_overrides,
    program,
    run,
    stages,
    without_times,
)

pytestmark = pytest.mark.integration
EPOCHS = 3


@dataclass(frozen=True)
class Baseline:
    """A finished `dora run solver=dance_musicgen`, which had to train its codec first."""

    overrides: list[str]
    folder: Path
    codec: Path
    log: str


@pytest.fixture(scope="session")
def baseline(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    dora = tmp_path_factory.mktemp("musicgen")
    arguments = musicgen_overrides(tiny_corpus)
    result = run(program("dora"), "run", *arguments, AUDIOCRAFT_DORA_DIR=str(dora))
    assert result.returncode == 0, result.stderr[-3000:]
    (folder,), (codec,) = experiments(dora, "dance_musicgen"), experiments(dora, "compression")
    return Baseline(arguments, folder, codec, result.stdout + result.stderr)


def test_codec_and_language_model_run_through_all_stages(baseline: Baseline) -> None:
    whole = {"train", "valid", "evaluate", "generate"}
    assert stages(baseline.folder) == [{"train", "valid"}] * (EPOCHS - 1) + [whole]
    assert stages(baseline.codec) == [{"train", "valid"}, whole]
    assert "First: dora run solver=compression" in baseline.log
    state = torch.load(baseline.folder / "checkpoint.th", weights_only=True)
    assert state["codec_source"] == str(baseline.codec)


def test_the_report_and_the_samples(baseline: Baseline) -> None:
    report = json.loads((baseline.folder / "evaluate" / "report.json").read_text())
    rows = {row["name"]: row for row in report["rows"]}
    assert {"model", "ceiling", "shuffled", "click", "silence"} <= set(rows)
    assert rows["model"]["label"] == "MusicGen" and baseline.folder.name in report["command"]
    logged = history(baseline.folder)[-1]["evaluate"]
    assert logged["beat_f70"] == pytest.approx(rows["model"]["metrics"]["beat_f70"]["mean"])
    for system in ("model", "ceiling"):
        sound = soundfile.info(baseline.folder / "evaluate" / system / "mini-test-0000.wav")
        assert (sound.frames, sound.samplerate) == (132300, 22050)
    samples = sorted((baseline.folder / "samples" / str(EPOCHS)).glob("*.wav"))
    assert len(samples) == 2
    assert all(soundfile.info(path).duration == pytest.approx(2.56, abs=0.03) for path in samples)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["language model", "codec"])
def test_killed_it_resumes_and_ends_with_the_same_result(
    baseline: Baseline, part: str, tmp_path: Path
) -> None:
    """Killed after an epoch of the codec, or of the language model, which finds the codec that is there."""
    dora = tmp_path / "dora"
    finished = [baseline.codec] if part == "language model" else []
    for folder in finished:
        shutil.copytree(folder, dora / "xps" / folder.name)
    killed_in = dora / "xps" / (baseline.folder if finished else baseline.codec).name
    command = [program("dora"), "run", *baseline.overrides]
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "AUDIOCRAFT_DORA_DIR": str(dora)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not (killed_in / "history.json").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (dora / "xps" / baseline.folder.name / "evaluate" / "report.json").exists()

    result = run(*command, AUDIOCRAFT_DORA_DIR=str(dora))
    assert result.returncode == 0, result.stderr[-3000:]
    for ours in (baseline.codec, baseline.folder):
        theirs = dora / "xps" / ours.name
        a, b = (torch.load(folder / "checkpoint.th", weights_only=True) for folder in (ours, theirs))
        for part_of_state in ("model", "best_state", "ema", "optimizer", "lr_scheduler"):
            assert_equal(a[part_of_state], b[part_of_state], part_of_state)
        a, b = (without_times(history(folder)) for folder in (ours, theirs))
        for epoch in (*a, *b):
            epoch.get("generate", {}).pop("rtf", None)  # a measured time
        assert a == b
    for path in sorted((baseline.folder / "evaluate").rglob("*.wav")):
        again = dora / "xps" / path.relative_to(baseline.folder.parent)
        assert path.read_bytes() == again.read_bytes()
