"""A folder of videos becomes a corpus, whatever is wrong with one of them, whenever the work is killed."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_corpus import RATE, dying_extractor, fast_extractor, tree, write_tiny_video

from pn_diffusion_plugin.data.corpora.clips import build_extractor
from pn_diffusion_plugin.data.corpora.locking import Shard
from pn_diffusion_plugin.data.corpora.prepare import PrepareReport, finish_corpus, prepare_folder
from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.features.feature_file import FeatureSpec, load_features
from pn_diffusion_plugin.data.manifest import CorpusPaths, DanceInfo, load_manifest
from pn_diffusion_plugin.data.video.sound import read_audio
from pn_diffusion_plugin.data.video.write import write_video
from pn_diffusion_plugin.errors import CorpusError, UserError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def prepare(src: Path, dst: Path, **options) -> PrepareReport:
    return prepare_folder(src, dst, **{"jobs": 0, "progress": False, "extractor": fast_extractor, **options})


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Ten videos, each with music of its own but two, which share theirs; and five of no use."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(9):
        write_tiny_video(folder / f"dance{number}.mp4", number, 1.6 + 0.2 * (number % 3))
    shutil.copy(folder / "dance0.mp4", folder / "again.mp4")
    write_tiny_video(folder / "bad" / "silent film.mp4", 50, audio=False)
    write_tiny_video(folder / "bad" / "black.mp4", -1)
    (folder / "bad" / "empty.mp4").write_bytes(b"")
    (folder / "bad" / "text.mp4").write_text("no video at all")
    whole = (folder / "dance1.mp4").read_bytes()
    (folder / "bad" / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="module")
def prepared(videos, tmp_path_factory) -> tuple[Path, PrepareReport]:
    dst = tmp_path_factory.mktemp("prepared") / "corpus"
    return dst, prepare(videos, dst)


def test_one_bad_video_does_not_stop_the_others(videos, prepared):
    _, report = prepared
    assert report.done == ["again", *(f"dance{number}" for number in range(9))]
    reasons = {path.name: reason for path, reason in report.failed}
    assert set(reasons) == {"silent film.mp4", "black.mp4", "empty.mp4", "text.mp4", "cut.mp4"}
    for name, reason in reasons.items():
        assert name in reason and "\n" not in reason and ": " in reason
    assert "no person was found" in reasons["black.mp4"] and "0 bytes" in reasons["empty.mp4"]


AWKWARD = [b"x" * 246, "舞".encode() * 83, b"caf\xe9", b"2024-05-01T12:30:05", b"a,(b)=[c]@{d}'e"]


def test_names_links_and_sidecars_of_one_video_do_not_stop_the_rest(videos, tmp_path):
    src, dst = tmp_path / "src", tmp_path / "corpus"
    for number, name in enumerate(AWKWARD):
        (src / "more").mkdir(parents=True, exist_ok=True)
        shutil.copy(videos / f"dance{number}.mp4", os.fsencode(src / "more") + b"/" + name + b".mp4")
    shutil.copy(videos / "dance7.mp4", src / "unreadable.mp4")
    (src / "unreadable.json").write_bytes(b"\xff")
    (src / "more" / "loop").symlink_to(src)
    (src / "self").symlink_to("self")
    (src / "gone.mp4").symlink_to("nowhere.mp4")
    for shard in (Shard(0, 2), Shard(1, 2), None):
        report = prepare(src, dst, shard=shard, jobs=1)
    assert len(report.done + report.skipped) == len(AWKWARD)
    assert [path.name for path, _ in report.failed] == ["gone.mp4", "unreadable.mp4"]
    assert prepare(src, dst).done == []
    videos_named = {DanceInfo.load(CorpusPaths(dst).info(name)).video for name in report.skipped}
    assert str(src / "more" / "caf\\xe9.mp4") in videos_named


def test_nan_fails_silence_is_in_no_split_and_low_rates_are_reported(videos, tmp_path):
    src, dst = tmp_path / "src", tmp_path / "corpus"
    src.mkdir()
    for number in range(5):
        shutil.copy(videos / f"dance{number}.mp4", src)
    slow = [np.full((32, 32, 3), grey, np.uint8) for grey in (200, 100, 150, 120)]
    write_video(src / "dance5.mp4", slow, 2, np.random.default_rng(1).normal(0, 0.1, 2 * RATE), RATE)
    wav = np.random.default_rng(0).normal(0, 0.1, (2 * RATE, 1)).astype(np.float32)
    wav[RATE] = np.nan
    soundfile.write(tmp_path / "nan.wav", wav, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "silent.wav", np.full(2 * RATE, 1e-4), RATE, subtype="PCM_24")
    sounds = {src / "dance0.mp4": tmp_path / "nan.wav", src / "dance1.mp4": tmp_path / "silent.wav"}
    splits = {"dance0.mp4": "test", "dance1.mp4": "test", "dance2.mp4": "test"}
    for _ in range(2):  # the second call finds all clips complete
        report = prepare(src, dst, sounds=sounds, splits=splits)
        ((failed, reason),) = report.failed
        assert failed.name == "dance0.mp4" and "nan.wav contains NaN" in reason
        silent, slow = report.warnings
        assert "dance1.mp4 has a silent sound track" in silent
        assert "dance5.mp4 has 2 frames per second" in slow
        assert sum(report.splits.values()) == 4 and report.splits["test"] == 1
    assert DanceInfo.load(CorpusPaths(dst).info("dance1")).split is None
    assert report.leak_check == "ok"


def test_no_files_remain_of_bad_videos(prepared):
    dst, report = prepared
    names = {
        path.split("/")[-1].rsplit(".", 1)[0] for path in tree(dst) if path.startswith(("clips", "features"))
    }
    assert names == set(report.done)


def test_a_clip_is_the_video(videos, prepared):
    dst, _ = prepared
    paths = CorpusPaths(dst)
    info = DanceInfo.load(paths.info("dance3"), dst)
    assert info.video == str(videos / "dance3.mp4") and info.seconds == pytest.approx(1.6)
    wav, rate = soundfile.read(paths.wav("dance3"), dtype="float32")
    expected = read_audio(videos / "dance3.mp4", RATE)
    assert rate == RATE and len(wav) == len(expected) == info.n_samples
    assert abs(wav - expected).max() <= 0.5 / 32768 + 1e-6
    assert load_features(paths.features("dance3"), FeatureSpec()).header.video_sha256 == info.video_sha256


def test_splits_hold_all_clips_and_clips_of_the_same_sound_stay_together(prepared):
    dst, report = prepared
    assert sum(report.splits.values()) == 10 and all(report.splits.values())
    assert report.frames == 3 * (40 + 45 + 50) + 40 and report.frames_per_second > 0
    assert report.leak_check == "ok"
    paths = CorpusPaths(dst)
    first, again = (DanceInfo.load(paths.info(name)) for name in ("dance0", "again"))
    assert (first.split, first.song) == (again.split, again.song) and again.song_source == "fingerprint"
    listed = [
        Path(line["path"]).stem
        for split in report.splits
        if report.splits[split]
        for line in load_manifest(paths.manifest(split))
    ]
    assert sorted(listed) == report.done


def test_running_again_does_nothing(videos, prepared):
    dst, report = prepared
    before = tree(dst)
    again = prepare(videos, dst)
    assert again.done == [] and again.skipped == report.done and again.failed == report.failed
    assert again.frames == again.frames_per_second == 0
    assert tree(dst) == before


@pytest.mark.parametrize("clips", [None, [], {"dance0": None}, {"dance0": {"source": "chosen"}}])
def test_damaged_splits_are_rejected(prepared, tmp_path, clips):
    corpus = shutil.copytree(prepared[0], tmp_path / "corpus")
    file = CorpusPaths(corpus).splits
    file.write_text(json.dumps({**json.loads(file.read_text()), "clips": clips}))
    with pytest.raises(CorpusError, match=r"splits\.json is damaged: delete it and prepare the corpus again"):
        finish_corpus(corpus)


def test_worker_processes_give_the_same(videos, prepared, tmp_path):
    report = prepare(videos, tmp_path / "corpus", jobs=2)
    assert report.done == prepared[1].done and report.frames == prepared[1].frames
    assert tree(tmp_path / "corpus") == tree(prepared[0])


def test_changed_and_damaged_clips_are_made_again(videos, tmp_path):
    src, dst = tmp_path / "src", tmp_path / "corpus"
    src.mkdir()
    for number in range(4):
        shutil.copy(videos / f"dance{number}.mp4", src)
    prepare(src, dst)
    paths, before = CorpusPaths(dst), tree(dst)
    write_tiny_video(src / "dance0.mp4", 77)  # another video
    paths.features("dance1").write_bytes(b"damaged")
    paths.wav("dance2").unlink()
    assert prepare(src, dst).done == ["dance0", "dance1", "dance2"]
    after = tree(dst)
    assert {name for name in before if before[name] != after[name]} >= {
        "clips/dance0.wav",
        "clips/dance0.json",
    }
    assert all(before[name] == after[name] for name in before if "dance1" in name or "dance2" in name)
    write_tiny_video(src / "dance0.mp4", -1)  # now without a person
    assert [path.name for path, _ in prepare(src, dst).failed] == ["dance0.mp4"]
    assert paths.clip_names() == ["dance1", "dance2", "dance3"]


def test_other_settings_are_refused(videos, prepared):
    dst, _ = prepared
    with pytest.raises(CorpusError, match=r"was prepared with pose_fps = 25\.0, not 30\.0"):
        prepare(videos, dst, spec=FeatureSpec(pose_fps=30.0))
    with pytest.raises(CorpusError, match="sample_rate = 22050"):
        prepare(videos, dst, sample_rate=44100)
    with pytest.raises(CorpusError, match="dancer = 'prominent', not 'left'"):
        prepare(videos, dst, dancer="left")
    with pytest.raises(UserError, match="dancer is 'best': give prominent"):
        prepare(videos, dst, dancer="best")


def test_labels_come_from_the_table_and_from_beside_the_video(videos, tmp_path):
    src, dst = tmp_path / "src", tmp_path / "corpus"
    src.mkdir()
    for number in range(6):
        shutil.copy(videos / f"dance{number}.mp4", src)
    rows = ["file,song,genre", *(f"dance{number}.mp4,song{number // 2},pop" for number in range(6))]
    (src / "metadata.csv").write_text("\n".join(rows))
    (src / "dance0.json").write_text(json.dumps({"song": "wrong", "bpm": 100, "beats": [0.1, 0.7]}))
    (src / "dance5.json").write_text("{")
    report = prepare(src, dst)
    assert [path.name for path, _ in report.failed] == ["dance5.mp4"]
    paths = CorpusPaths(dst)
    infos = [DanceInfo.load(paths.info(f"dance{number}")) for number in range(5)]
    assert (infos[0].song, infos[0].genre, infos[0].bpm, infos[0].beats) == (
        "song0",
        "pop",
        100.0,
        [0.1, 0.7],
    )
    assert infos[0].split == infos[1].split and infos[2].split == infos[3].split
    assert {info.song_source for info in infos} == {"label"}
    (src / "metadata.csv").write_text(
        "file,song,split\ndance0.mp4,new,test\n"
    )  # labels change, the clip does not
    report = prepare(src, dst)
    assert report.done == [] and DanceInfo.load(paths.info("dance0")).song == "new"
    assert DanceInfo.load(paths.info("dance0")).split == "test"


def test_a_corpus_is_put_together_from_several_calls(videos, tmp_path):
    dst = tmp_path / "corpus"
    for split, numbers in (("train", (0, 1, 2)), ("valid", (3,)), ("test", (4, 5))):
        report = prepare(videos, dst, splits=split, files=[f"dance{number}.mp4" for number in numbers])
    assert report.splits == {"train": 3, "valid": 1, "test": 2}
    mixed = prepare(
        videos, tmp_path / "other", splits={"dance0.mp4": "test"}, files=["dance0.mp4", "dance1.mp4"]
    )
    assert mixed.splits == {"train": 1, "valid": 0, "test": 1}


def test_a_leaking_table_is_used_and_reported(videos, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("file,song,split\ndance0.mp4,s,train\ndance1.mp4,s,test\n")
    report = prepare(videos, tmp_path / "corpus", metadata=table, files=["dance0.mp4", "dance1.mp4"])
    assert report.leak_check.startswith("LEAKING: 1 song") and report.splits["test"] == 1


def test_a_folder_without_one_usable_video_leaves_nothing(videos, tmp_path):
    with pytest.raises(CorpusError, match="none of the 5 videos in .*bad can be used; the first: "):
        prepare(videos / "bad", tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()
    with pytest.raises(CorpusError, match="contains no video"):
        prepare(tmp_path, tmp_path / "corpus")


def test_a_crashing_decoder_takes_only_its_own_video_along(videos, tmp_path):
    src = tmp_path / "src"
    src.mkdir()
    for number in range(3):
        shutil.copy(videos / f"dance{number}.mp4", src)
    shutil.copy(videos / "dance4.mp4", src / "crash.mp4")
    report = prepare(src, tmp_path / "corpus", jobs=1, extractor=dying_extractor)
    assert report.done == ["dance0", "dance1", "dance2"]
    assert [path.name for path, _ in report.failed] == ["crash.mp4"]
    assert "crashed its worker process" in report.failed[0][1]


def test_two_runs_do_not_write_to_one_corpus(videos, prepared):
    dst, _ = prepared
    with open(dst / ".run", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(CorpusError, match="being prepared by another process"):
            prepare(videos, dst)


def test_the_networks_see_a_dancer(tmp_path):
    """The whole way with BlazePose and I3D, on a second and a half of the embedded corpus."""
    plan = MiniSpec(train=1, valid=0, test=0, seconds=1.6).plan("train", 0)
    write_clip_video(plan, tmp_path / "videos")
    report = prepare(tmp_path / "videos", tmp_path / "corpus", extractor=build_extractor)
    (name,) = report.done
    paths = CorpusPaths(tmp_path / "corpus")
    features = load_features(paths.features(name), FeatureSpec())
    info = DanceInfo.load(paths.info(name))
    assert features.keypoints.shape == (40, 33, 3) and info.detected_share >= 0.9
    assert (features.visual != features.visual_reverse).any()
    assert info.split == "train" and info.beats and info.song
    assert (soundfile.read(paths.wav(name), dtype="float32")[0] == plan.audio()).all()


def broken_extractor(spec, weights):
    raise CorpusError("the visual weights are missing: fetch them")


def test_an_extractor_that_cannot_be_built_stops_at_once(videos, tmp_path):
    with pytest.raises(CorpusError, match="visual weights are missing"):
        prepare(videos, tmp_path / "corpus", extractor=broken_extractor)
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize("files, message", [([], "lists no video of"), (["/a.mp4"], "is not in")])
def test_wrong_lists_of_files_are_rejected(videos, tmp_path, files, message):
    with pytest.raises(CorpusError, match=message):
        prepare(videos, tmp_path / "corpus", files=files)


def wait_for_lock(path: Path, seconds: float) -> None:
    """Wait until the lock on a file is free."""
    deadline = time.monotonic() + seconds
    with open(path) as stream:
        while True:
            try:
                return fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                assert time.monotonic() < deadline, f"process {path.name} is still there"
                time.sleep(0.05)


def test_killed_at_random_moments_it_ends_as_if_it_had_not_been(videos, prepared, tmp_path):
    """SIGKILL to `prepare` alone: its workers must go too, and the next run must finish the work."""
    dst = tmp_path / "corpus"
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "from pn_diffusion_plugin.data.corpora.prepare import prepare_folder\n"
        "from tiny_corpus import fast_extractor\n"
        "if __name__ == '__main__':\n"
        "    prepare_folder(*sys.argv[1:], jobs=2, progress=False, extractor=fast_extractor)\n"
    )
    workers = tmp_path / "workers"
    workers.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TINY_WORKERS": str(workers)}
    command = [sys.executable, str(script), str(videos), str(dst)]
    finished = CorpusPaths(dst).clip_names
    draw = random.Random(1)
    seen = []
    for _ in range(2):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        enough = len(finished()) + draw.randrange(3)
        while process.poll() is None and len(finished()) <= enough:
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.05))
        process.kill()
        process.wait()
        seen.append(len(finished()))
    assert 0 < seen[0] < 10, seen
    report = prepare(videos, dst)  # at once, while the last workers may still be there
    assert sorted(report.done + report.skipped) == prepared[1].done
    assert tree(dst) == tree(prepared[0])
    for worker in workers.iterdir():
        wait_for_lock(worker, 10)
