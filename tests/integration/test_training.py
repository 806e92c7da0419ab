"""Training by the real command: from nothing to samples and a report, killed and resumed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import soundfile
import torch
from tiny_experiment import (
    EPOCHS,
    REPOSITORY,
    Experiment,
    assert_equal,
    experiments,
    history,
    overrides,
    program,
    run,
    stages,
    without_times,
)

from pn_diffusion_plugin._compat import hydra_override
from pn_diffusion_plugin.utils.files import exclusive

pytestmark = pytest.mark.integration


def test_both_experiments_run_through_all_stages(experiment: Experiment) -> None:
    whole = {"train", "valid", "evaluate", "generate"}
    assert stages(experiment.folder) == [{"train", "valid"}] * (EPOCHS - 1) + [whole]
    assert stages(experiment.vae) == [{"train", "valid"}, whole]
    losses = [epoch["train"]["loss"] for epoch in history(experiment.folder)]
    assert losses[-1] < losses[0]


def test_the_missing_autoencoder_was_trained_first(experiment: Experiment) -> None:
    assert "First: dora run solver=mel_vae" in experiment.log
    state = torch.load(experiment.folder / "checkpoint.th", weights_only=True)
    assert state["vae_source"] == str(experiment.vae)


def test_the_report_has_every_row(experiment: Experiment) -> None:
    report = json.loads((experiment.folder / "evaluate" / "report.json").read_text())
    rows = {row["name"]: row["metrics"] for row in report["rows"]}
    assert {"model", "ceiling", "shuffled", "click", "silence"} <= set(rows)
    assert report["leak_check"] == "ok"
    assert report["split"] == "corpus/test"
    assert experiment.folder.name in report["command"]
    assert rows["ceiling"]["beat_f70"]["mean"] > rows["shuffled"]["beat_f70"]["mean"]
    assert (experiment.folder / "evaluate" / "report.md").stat().st_size > 500
    logged = history(experiment.folder)[-1]["evaluate"]
    assert logged["beat_f70"] == pytest.approx(rows["model"]["beat_f70"]["mean"])


def test_samples_are_stored_beside_their_references(experiment: Experiment) -> None:
    for clip in ("mini-test-0000", "mini-test-0001"):
        for system in ("model", "ceiling"):
            sound = soundfile.info(experiment.folder / "evaluate" / system / f"{clip}.wav")
            assert (sound.frames, sound.samplerate) == (132300, 22050)
    for folder, epoch in ((experiment.folder, EPOCHS), (experiment.vae, 2)):
        samples = sorted((folder / "samples" / str(epoch)).glob("*.wav"))
        references = sorted((folder / "samples" / "reference").glob("*.wav"))
        assert len(samples) == len(references) == 4  # two segments of each test clip
        assert all(soundfile.info(path).duration == pytest.approx(2.56, abs=0.05) for path in samples)


@pytest.mark.slow
def test_two_workers_train_together(tiny_corpus: Path, tmp_path: Path) -> None:
    """From nothing: one process trains the missing autoencoder, then both train on halves of each batch."""
    environment = {"AUDIOCRAFT_DORA_DIR": str(tmp_path / "dora"), "CUDA_VISIBLE_DEVICES": ""}
    command = [program("dora"), "run", "-d", "--ddp_workers", "2", *overrides(tiny_corpus)]
    result = run(*command, **environment)
    assert result.returncode == 0, result.stderr[-3000:]
    (folder,) = experiments(tmp_path / "dora", "pn_diffusion")
    for epoch in history(folder):  # metrics of the workers are averaged, each with its like
        train = epoch["train"]
        expected = 0.6 * train["loss_positive"] + 0.4 * train["loss_negative"]
        assert train["loss"] == pytest.approx(expected, rel=1e-4)
        assert train["lr"] <= 1e-3
    assert "evaluate" in history(folder)[-1]


@pytest.mark.slow
def test_folders_of_any_name(tiny_corpus: Path, tmp_path: Path) -> None:
    """Corpus, outputs and experiments; the autoencoder's run is started by this one."""
    place = tmp_path / "é 舞 (a), b=c 'd' + @ {e} [f]"
    shutil.copytree(tiny_corpus, place / "corpus")
    for manifest in place.rglob("data.jsonl"):
        text = manifest.read_text(encoding="utf-8")
        moved = text.replace(str(tiny_corpus), json.dumps(str(place / "corpus"))[1:-1])
        manifest.write_text(moved, encoding="utf-8")
    corpus = hydra_override("datasource.root", str(place / "corpus"))
    small = [
        item for item in overrides(tiny_corpus) if not item.startswith(("datasource.root=", "vae.overrides="))
    ]
    quick = ["solver=mel_vae", "segment_seconds=2.56", "optim.epochs=1", "optim.updates_per_epoch=2"]
    quick += ["dset=${datasource.dset}", "datasource.root=${datasource.root}"]
    small += [f"vae.overrides={json.dumps(quick)}", "optim.epochs=1"]
    environment = {"PN_DIFFUSION_OUTPUTS": str(place / "outputs"), "AUDIOCRAFT_DORA_DIR": str(place / "dora")}
    result = run(program("dora"), "run", *small, corpus, **environment)
    assert result.returncode == 0, result.stderr[-3000:]
    (folder,), (vae,) = (experiments(place / "dora", solver) for solver in ("pn_diffusion", "mel_vae"))
    assert stages(folder) == stages(vae) == [{"train", "valid", "evaluate", "generate"}]


def test_killed_at_a_random_moment_it_ends_with_the_same_result(
    experiment: Experiment, tmp_path: Path
) -> None:
    """The killed run also finds the autoencoder that is there, and does not train it again."""
    dora = tmp_path / "dora"
    vae = dora / "xps" / experiment.vae.name
    shutil.copytree(experiment.vae, vae)
    trained_at = (vae / "checkpoint.th").stat().st_mtime_ns
    folder = dora / "xps" / experiment.folder.name
    command = [program("dora"), "run", *experiment.overrides]
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "AUDIOCRAFT_DORA_DIR": str(dora)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    chance = random.SystemRandom()
    epochs = chance.randrange(1, EPOCHS)
    while not (folder / "history.json").exists() or len(history(folder)) < epochs:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(
        chance.uniform(0, 0.4)
    )  # somewhere in the next epoch; the last one scores music and takes longer
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = len(torch.load(folder / "checkpoint.th", weights_only=True)["history"])
    assert 1 <= done < EPOCHS, "it was to be killed half-way"

    result = run(*command, AUDIOCRAFT_DORA_DIR=str(dora))
    assert result.returncode == 0, result.stderr[-3000:]
    assert (vae / "checkpoint.th").stat().st_mtime_ns == trained_at
    ours, theirs = (torch.load(f / "checkpoint.th", weights_only=True) for f in (experiment.folder, folder))
    for part in ("model", "best_state", "ema", "optimizer", "lr_scheduler"):
        assert_equal(ours[part], theirs[part], part)
    assert without_times(history(folder)) == without_times(history(experiment.folder))
    for path in sorted((experiment.folder / "evaluate").rglob("*.wav")):
        assert path.read_bytes() == (folder / path.relative_to(experiment.folder)).read_bytes()


def test_two_runs_of_one_experiment_do_not_write_over_each_other(experiment: Experiment) -> None:
    before = {
        path: path.read_bytes() for path in experiment.folder.rglob("*") if path.suffix in (".th", ".json")
    }
    with exclusive(experiment.folder / ".running"):
        result = run(program("dora"), "run", *experiment.overrides, AUDIOCRAFT_DORA_DIR=str(experiment.dora))
    assert result.returncode == 1 and "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(
        f"error: the experiment {experiment.folder.name} is being run by another process: "
    )
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_mistake_is_one_sentence_without_a_traceback(tmp_path: Path) -> None:
    corpus = tmp_path / "none"
    result = run(
        program("dora"), "run", "solver=mel_vae", "dset=dance/folder", f"datasource.root={corpus}",
        AUDIOCRAFT_DORA_DIR=str(tmp_path / "dora"),
    )  # fmt: skip
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and str(corpus) in last
    assert "Traceback" not in result.stderr
