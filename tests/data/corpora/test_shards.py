"""Several machines make one corpus: the same files as one machine, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_corpus import fast_extractor, tree, write_tiny_video
from typer.testing import CliRunner

from pn_diffusion_plugin.cli import app
from pn_diffusion_plugin.data.corpora.cluster import Cluster, prepare_on_cluster
from pn_diffusion_plugin.data.corpora.locking import Shard, lock_corpus
from pn_diffusion_plugin.data.corpora.prepare import PrepareReport, prepare_folder, write_or_check_settings
from pn_diffusion_plugin.data.features.feature_file import FeatureSpec
from pn_diffusion_plugin.data.manifest import CorpusPaths
from pn_diffusion_plugin.errors import CorpusError, UserError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

NAMES = [f"dance{number}" for number in range(6)]


def prepare(src: Path, dst: Path, shard: Shard | None = None, **options) -> PrepareReport:
    given = {"jobs": 0, "progress": False, "extractor": fast_extractor, **options}
    return prepare_folder(src, dst, shard=shard, **given)


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Six videos and one without a person."""
    folder = tmp_path_factory.mktemp("videos")
    for number, name in enumerate(NAMES):
        write_tiny_video(folder / f"{name}.mp4", number, 1.6)
    write_tiny_video(folder / "black.mp4", -1)
    return folder


@pytest.fixture(scope="module")
def whole(videos, tmp_path_factory) -> dict[str, bytes]:
    """The corpus as one process makes it."""
    dst = tmp_path_factory.mktemp("whole") / "corpus"
    prepare(videos, dst)
    return tree(dst)


def test_every_video_is_in_one_shard_whatever_else_there_is():
    paths = [Path(f"{folder}/{number}.mp4") for folder in "ab" for number in range(200)]
    for count in (1, 2, 7):
        shards = [Shard(index, count) for index in range(count)]
        held = [[path for path in paths if shard.holds(path)] for shard in shards]
        assert sorted(sum(held, [])) == sorted(paths)
        assert all(0.5 < len(part) * count / len(paths) < 1.5 for part in held)
    for index, count in ((2, 2), (-1, 2), (0, 0)):
        with pytest.raises(UserError, match=f"there is no shard {index} of {count}: count from 0 to"):
            Shard(index, count)


def test_shards_and_a_last_call_make_the_files_of_one_process(videos, whole, tmp_path):
    dst = tmp_path / "corpus"
    reports = [prepare(videos, dst, Shard(index, 3)) for index in (2, 0, 1)]
    assert sorted(sum((report.done for report in reports), [])) == NAMES
    assert all(report.splits == {} for report in reports) and not CorpusPaths(dst).splits.exists()
    assert [video.name for report in reports for video, _ in report.failed] == ["black.mp4"]
    last = prepare(videos, dst)
    assert (last.done, last.skipped) == ([], NAMES) and sum(last.splits.values()) == len(NAMES)
    assert tree(dst) == whole
    left = {path.name for path in dst.iterdir() if path.name.startswith(".")}
    assert left == {".run", ".workers", ".settings"}


def test_the_last_call_makes_missing_clips(videos, whole, tmp_path):
    dst = tmp_path / "corpus"
    made = prepare(videos, dst, Shard(0, 2)).done
    assert 0 < len(made) < len(NAMES)
    assert prepare(videos, dst).done == sorted(set(NAMES) - set(made))
    assert tree(dst) == whole


def test_runs_that_would_write_the_same_clips_refuse_each_other(tmp_path):
    with lock_corpus(tmp_path, Shard(0, 2)):
        with lock_corpus(tmp_path, Shard(1, 2)):
            pass
        with pytest.raises(CorpusError, match=r"shard 0 of .* is being prepared by another process"):
            with lock_corpus(tmp_path, Shard(0, 2)):
                pass
        with pytest.raises(CorpusError, match="is being prepared in 2 shards: give --shards 2 or wait"):
            with lock_corpus(tmp_path, Shard(2, 3)):
                pass
        with pytest.raises(CorpusError, match="is being prepared by another process"):
            with lock_corpus(tmp_path):
                pass
    with lock_corpus(tmp_path), pytest.raises(CorpusError, match="is being prepared by another process"):
        with lock_corpus(tmp_path, Shard(0, 2)):
            pass


def test_shards_side_by_side_have_the_same_settings(videos, tmp_path):
    dst = tmp_path / "corpus"
    with lock_corpus(dst, Shard(0, 2)):  # at work, without a clip yet
        write_or_check_settings(CorpusPaths(dst), FeatureSpec(), 22050)
        with pytest.raises(CorpusError, match="was prepared with sample_rate = 22050, not 44100"):
            prepare(videos, dst, Shard(1, 2), sample_rate=44100)
    # No run is active and no clip exists: the settings may change.
    assert prepare(videos, dst, Shard(1, 2), sample_rate=44100).done


def test_a_killed_shard_goes_on_where_it_was(videos, whole, tmp_path):
    dst = tmp_path / "corpus"
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "from pn_diffusion_plugin.data.corpora.prepare import prepare_folder\n"
        "from pn_diffusion_plugin.data.corpora.locking import Shard\n"
        "from tiny_corpus import fast_extractor\n"
        "if __name__ == '__main__':\n"
        "    shard = Shard(int(sys.argv[3]), 2)\n"
        "    prepare_folder(*sys.argv[1:3], jobs=1, progress=False, extractor=fast_extractor, shard=shard)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    larger = max((0, 1), key=lambda index: sum(Shard(index, 2).holds(Path(f"{name}.mp4")) for name in NAMES))
    command = [sys.executable, str(script), str(videos), str(dst), str(larger)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while not CorpusPaths(dst).clip_names():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = CorpusPaths(dst).clip_names()
    temporary = CorpusPaths(dst).root / "features" / f".{before[0]}.1.tmp.safetensors"
    temporary.write_bytes(b"half")
    prepare(videos, dst, Shard(1 - larger, 2))
    report = prepare(videos, dst, Shard(larger, 2))
    assert set(before) <= set(report.skipped) and temporary.exists()  # another shard may be writing it
    prepare(videos, dst)
    assert not temporary.exists()
    assert tree(dst) == whole


def test_the_jobs_of_a_cluster_make_the_files_of_one_process(videos, whole, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    dst, logs = tmp_path / "corpus", tmp_path / "logs"
    cluster = Cluster("local", minutes=5, memory_gb=1, cpus=1)
    report = prepare_on_cluster(videos, dst, 2, cluster, logs, extractor=fast_extractor, jobs=0)
    assert (report.done, report.skipped) == (NAMES, []) and sum(report.splits.values()) == len(NAMES)
    assert [video.name for video, _ in report.failed] == ["black.mp4"]
    assert tree(dst) == whole
    assert len(list(logs.glob("*_result.pkl"))) == 3
    with pytest.raises(CorpusError, match="was prepared with sample_rate = 22050"):
        prepare_on_cluster(videos, dst, 1, Cluster("debug"), logs, sample_rate=16000)


def test_a_wrong_dancer_is_rejected_before_a_job_is_submitted(videos, tmp_path):
    logs = tmp_path / "logs"
    with pytest.raises(UserError, match="dancer is 'best': give prominent, left"):
        prepare_on_cluster(videos, tmp_path / "corpus", 2, Cluster("local"), logs, dancer="best")
    assert not logs.exists() and not (tmp_path / "corpus").exists()


def test_slurm_gets_the_requested_resources(tmp_path, monkeypatch):
    """With a `sbatch` that only says that it has taken the job."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sbatch", "srun"):
        (programs / name).write_text("#!/bin/sh\necho Submitted batch job 17\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    cluster = Cluster("slurm", "fast", None, 90, 8, 6, {"constraint": "avx2"})
    executor = cluster.executor(tmp_path / "logs")
    with executor.batch():
        for index in range(2):
            executor.submit(print, index)
    script = (tmp_path / "logs" / "17_submission.sh").read_text()
    for line in (
        "partition=fast",
        "time=90",
        "mem=8GB",
        "cpus-per-task=6",
        "constraint=avx2",
        "array=0-1%2",
    ):
        assert f"#SBATCH --{line}\n" in script
    assert "account" not in script


@pytest.mark.parametrize(
    "options, told",
    [
        (["--shards", "2"], "--shards and --shard-index go together"),
        (["--shard-index", "0"], "--shards and --shard-index go together"),
        (["--shards", "2", "--shard-index", "2"], "there is no shard 2 of 2: count from 0 to 1"),
        (["--slurm"], "--slurm submits all shards: give --shards N"),
        (["--slurm", "--shards", "2", "--slurm-option", "qos"], "--slurm-option qos: write NAME=VALUE"),
        (["--slurm", "--shards", "2"], "this machine cannot submit SLURM jobs"),
    ],
)
def test_wrong_options_are_rejected(videos, tmp_path, options, told, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(app, ["prepare", "folder", str(videos), str(tmp_path / "corpus"), *options])
    assert result.exit_code != 0
    assert isinstance(result.exception, UserError) and told in str(result.exception)
