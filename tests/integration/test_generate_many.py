"""Many videos, several takes, parts, old sounds, and Ctrl-C, by the real command on rendered dances."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ffmpeg import ffmpeg
from tiny_experiment import REPOSITORY, program, run
from tiny_model import tiny_model

from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.video.probe import probe
from pn_diffusion_plugin.data.video.sound import read_audio

pytestmark = pytest.mark.integration

SHORT = MiniSpec(train=2, valid=1, test=1, seconds=2.8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model of random weights; its window is 2.56 s."""
    return tiny_model().save_pretrained(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def dances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two dances, one of them in a folder within, and a video that cannot be used."""
    folder = tmp_path_factory.mktemp("dances") / "dances"
    for index in range(2):
        write_clip_video(SHORT.plan("train", index), folder)
    (folder / "within").mkdir()
    shutil.move(folder / "mini-train-0001.mp4", folder / "within")
    (folder / "text.mp4").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def made(model: Path, dances: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict]:
    """Two takes of the folder: where they are, their waves, and what `--json` said."""
    folder = tmp_path_factory.mktemp("out")
    result = run(
        program("pn-diffusion"), "generate", str(dances), "-o", str(folder / "videos"), "--wav",
        str(folder / "waves"), "--seeds", "2", "--seed", "5", "-c", str(model), "--json",
    )  # fmt: skip
    assert result.returncode == 1, result.stderr  # one of the videos is none
    return folder / "videos", folder / "waves", json.loads(result.stdout)


@pytest.mark.slow
def test_every_dance_of_a_folder_gets_its_takes(made: tuple[Path, Path, dict], dances: Path) -> None:
    videos, waves, told = made
    names = ["mini-train-0000_seed5", "mini-train-0000_seed6"]
    names += ["within/mini-train-0001_seed5", "within/mini-train-0001_seed6"]
    found = sorted(str(path.relative_to(videos)) for path in videos.rglob("*.*"))
    assert found == [f"{name}.mp4" for name in names]
    assert sorted(str(path.relative_to(waves)) for path in waves.rglob("*.*")) == [f"{n}.wav" for n in names]
    assert [Path(take["output"]).name for take in told["made"]] == [Path(f"{n}.mp4").name for n in names]
    assert all(0 <= take["alignment"] <= 1 for take in told["made"])
    (failed,) = told["failed"]
    assert failed["video"] == str(dances / "text.mp4") and "not a media file" in failed["reason"]
    music = [soundfile.read(waves / f"{name}.wav")[0] for name in names]
    assert not np.allclose(music[0], music[1])  # another seed
    assert not np.allclose(music[0], music[2])  # another dance


@pytest.mark.slow
def test_what_is_there_is_not_made_again(made: tuple[Path, Path, dict], model: Path, dances: Path) -> None:
    videos, waves, before = made
    times = {path: path.stat().st_mtime_ns for path in (*videos.rglob("*.mp4"), *waves.rglob("*.wav"))}
    lost = videos / "mini-train-0000_seed6.mp4"
    lost.unlink()
    result = run(
        program("pn-diffusion"), "--quiet", "generate", str(dances), "-o", str(videos), "--wav", str(waves),
        "--seeds", "2", "--seed", "5", "-c", str(model), "--skip-existing", "--json",
    )  # fmt: skip
    told = json.loads(result.stdout)
    assert [take["output"] for take in told["made"]] == [str(lost)]
    assert len(told["skipped"]) == 3 and told["failed"] == before["failed"]
    assert result.returncode == 1
    assert result.stderr == f"failed: {before['failed'][0]['reason']}\n"  # --quiet does not hide it
    again = {path: path.stat().st_mtime_ns for path in times}
    assert {path.name for path in times if times[path] != again[path]} == {
        lost.name,
        "mini-train-0000_seed6.wav",
    }


def test_hard_names_and_one_failure_do_not_end_a_folder(model: Path, dances: Path, tmp_path: Path) -> None:
    """A name of 253 bytes of which one is not UTF-8, a link to its own folder, places with a colon, a file that is no
    video, and frames that need encoding."""
    name = os.fsdecode(b"\xe9" + "舞".encode() * 82)
    folder = tmp_path / "dances"
    folder.mkdir()
    ffmpeg(
        "-i",
        dances / "mini-train-0000.mp4",
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv444p",
        "-an",
        folder / "a.mp4",
    )
    (folder / "a.mp4").rename(folder / f"{name}.mp4")
    (folder / "text.mp4").write_text("no video")
    (folder / "loop").symlink_to(folder)
    result = subprocess.run(
        [
            program("pn-diffusion"), "generate", "dances", "-o", "12:30", "--wav", "w:1", "--seeds", "2",
            "--compatible", "-c", str(model), "--json",
        ],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert result.returncode == 1 and "Traceback" not in result.stderr, result.stderr
    told = json.loads(result.stdout)
    assert [Path(failed["video"]).name for failed in told["failed"]] == ["text.mp4"]
    assert told["warnings"] == []
    made = [(Path(take["output"]), Path(take["wav"])) for take in told["made"]]
    assert sorted(os.listdir(tmp_path / "12:30")) == sorted(output.name for output, _ in made)
    assert len(made) == 2 and len({output.name for output, _ in made}) == 2
    for output, wav in made:
        assert output.name.startswith(name[:60])
        info = probe(tmp_path / output)
        assert info.has_audio and info.playback is None
        assert (tmp_path / wav).is_file()


@pytest.mark.slow
def test_a_part_keeps_its_old_sound(model: Path, dances: Path, tmp_path: Path) -> None:
    video, out, wav = dances / "mini-train-0000.mp4", tmp_path / "out.mp4", tmp_path / "out.wav"
    result = run(
        program("pn-diffusion"), "generate", str(video), "-o", str(out), "--wav", str(wav), "-c", str(model),
        "--start", "0.2", "--keep-audio-db", "0", "--raw",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert sorted(os.listdir(tmp_path)) == ["out.mp4", "out.wav"]
    assert probe(out).seconds == pytest.approx(2.6)
    music, rate = soundfile.read(wav)
    heard, old = read_audio(out, rate), read_audio(video, rate)[round(0.2 * rate) :]
    basis = np.stack([music, old], axis=1)
    weights, *_ = np.linalg.lstsq(basis, heard, rcond=None)
    powers = weights**2 * (basis**2).mean(axis=0)
    assert 10 * np.log10(powers[1] / powers[0]) == pytest.approx(
        0, abs=1
    )  # the old sound, as loud as the music


def test_a_part_shorter_than_a_window_is_told_of_the_video(model: Path, dances: Path, tmp_path: Path) -> None:
    video = dances / "mini-train-0000.mp4"
    result = run(
        program("pn-diffusion"), "generate", str(video), "-o", str(tmp_path / "out.mp4"), "-c", str(model),
        "--end", "1", "--json",
    )  # fmt: skip
    assert result.returncode == 1
    sentence = f"the part of {video} is 1.00 s long and the model needs at least 2.56 s: give a longer video"
    assert json.loads(result.stdout) == {"error": sentence}
    assert result.stderr.endswith(f"error: {sentence}\n")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_stopped_it_leaves_nothing_half_written(
    model: Path, dances: Path, tmp_path: Path, number: int, code: int
) -> None:
    """While a part of a video lies in a temporary folder beside the result."""
    command = [
        program("pn-diffusion"), "generate", str(dances / "mini-train-0000.mp4"), "-o", str(tmp_path / "out.mp4"),
        "-c", str(model), "--start", "0.1", "--steps", "1000", "--sampler", "ddpm",
    ]  # fmt: skip
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )  # a shell's background job, which the tests may be, passes on that Ctrl-C is ignored
    deadline = time.monotonic() + 300
    while not list(tmp_path.rglob("*.mp4")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(tmp_path.glob(".part-*/*.mp4"))
    process.send_signal(number)
    _, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
