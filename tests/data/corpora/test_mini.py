"""The embedded corpus: dance and music on the same beats, splits apart, files exact."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import librosa
import mir_eval
import numpy as np
import pytest

from pn_diffusion_plugin.data.corpora.mini import (
    METADATA_COLUMNS,
    SAMPLE_RATE,
    SPLITS,
    MiniSpec,
    build_videos,
    clip_dance,
    clip_plan,
    synthesise_clip_audio,
    tempos,
    write_clip,
)
from pn_diffusion_plugin.data.corpora.mini.body import (
    INDEX,
    PARAMETER,
    Body,
    Camera,
    mirror_pose,
    neutral_pose,
    pose_joints,
)
from pn_diffusion_plugin.data.corpora.mini.choreography import MOVES, STYLES, dance, move_through
from pn_diffusion_plugin.data.corpora.mini.music import PATTERNS, synthesise
from pn_diffusion_plugin.data.corpora.mini.render import DancerRenderer
from pn_diffusion_plugin.data.corpora.mini.score import Mode, make_score
from pn_diffusion_plugin.data.features.pose import PoseExtractor
from pn_diffusion_plugin.data.video.probe import probe
from pn_diffusion_plugin.data.video.read import read_frames
from pn_diffusion_plugin.data.video.sound import read_audio
from pn_diffusion_plugin.errors import CorpusError

SPEC = MiniSpec()
TINY = MiniSpec(train=2, valid=1, test=1, seconds=1.2, size=96)


def joint_speed(keypoints: np.ndarray, fps: float) -> np.ndarray:
    """(T,) mean speed of the joints, picture units a second."""
    return np.linalg.norm(np.gradient(keypoints[..., :2], axis=0), axis=-1).mean(axis=1) * fps


def speed_minima(keypoints: np.ndarray, fps: float) -> np.ndarray:
    v = joint_speed(keypoints, fps)
    return (np.flatnonzero((v[1:-1] <= v[:-2]) & (v[1:-1] < v[2:])) + 1) / fps


# --- plans and splits


def test_splits_share_no_tempo_choreography_or_song() -> None:
    assert sorted(bpm for split in SPLITS for bpm in tempos(split)) == list(range(60, 181))
    seen: dict[str, set[object]] = {}
    for split in SPLITS:
        for index in range(SPEC.clips(split)):
            plan = clip_plan(SPEC, split, index)
            assert plan.bpm in tempos(split)
            for name, value in [
                ("song", plan.song),
                ("choreography", plan.choreography),
                ("dancer", plan.dancer),
                ("seed", tuple(plan.motion_seed.generate_state(2))),
                ("style", tuple(plan.music_seed.generate_state(2))),
            ]:
                assert value not in seen.setdefault(name, set())
                seen[name].add(value)


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_covers_tempos_and_genres(split: str) -> None:
    plans = [clip_plan(SPEC, split, i) for i in range(SPEC.clips(split))]
    thirds = np.histogram([p.bpm for p in plans], bins=[60, 100, 140, 181])[0]
    assert thirds.min() >= len(plans) // 4
    assert {p.genre for p in plans} == set(STYLES)


def test_corpus_has_half_time_double_time_and_pauses() -> None:
    modes = {
        hit.mode for i in range(40) for hit in clip_plan(SPEC, "train", i).score.hits if 0 <= hit.time < 8.0
    }
    assert modes == set(Mode)
    assert any(clip_plan(SPEC, "train", i).score.pauses() for i in range(40))


def test_a_plan_does_not_depend_on_the_number_of_clips_and_seeds_differ() -> None:
    small = dataclasses.replace(SPEC, train=5)
    assert clip_plan(small, "train", 4).score == clip_plan(SPEC, "train", 4).score
    other = dataclasses.replace(SPEC, seed=1)
    assert clip_plan(other, "train", 4).score != clip_plan(SPEC, "train", 4).score


def test_wrong_split_or_index_names_the_value() -> None:
    with pytest.raises(CorpusError, match="'dev'"):
        SPEC.clips("dev")
    with pytest.raises(CorpusError, match="no clip 200"):
        clip_plan(SPEC, "train", 200)


# --- score


@pytest.mark.parametrize("bpm", [60.0, 97.0, 180.0])
def test_beats_lie_on_one_grid_and_leave_pauses_out(bpm: float) -> None:
    for seed in range(12):
        score = make_score(np.random.default_rng(seed), 8.0, bpm)
        beats, period = score.beats(), 60.0 / bpm
        steps = np.diff(beats) / period
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
        assert beats.min() >= 0 and beats.max() < 8.0
        assert np.isin(score.accents(), beats).all()
        for start, end in score.pauses():
            assert not ((beats >= start - 1e-9) & (beats < end - 1e-9)).any()
        assert len(beats) * period + sum(b - a for a, b in score.pauses()) == pytest.approx(
            8.0, abs=2 * period
        )


def test_first_beat_falls_anywhere_in_its_period() -> None:
    phases = [make_score(np.random.default_rng(s), 8.0, 120.0).hits[0].time % 0.5 for s in range(200)]
    assert np.histogram(phases, bins=4, range=(0, 0.5))[0].min() > 30


# --- body


def test_bones_keep_their_length_in_every_move() -> None:
    body = Body.random(np.random.default_rng(0))
    rows = []
    for keys in MOVES.values():
        for key in keys:
            pose = neutral_pose()
            for name, value in key.items():
                pose[PARAMETER[name]] = value
            rows.append(pose)
    joints = pose_joints(np.stack(rows), body)

    def length(a: str, b: str) -> np.ndarray:
        return np.linalg.norm(joints[:, INDEX[a]] - joints[:, INDEX[b]], axis=-1)

    for side in ("left", "right"):
        np.testing.assert_allclose(length(f"{side}_shoulder", f"{side}_elbow"), body.upper_arm, atol=1e-9)
        np.testing.assert_allclose(length(f"{side}_elbow", f"{side}_wrist"), body.forearm, atol=1e-9)
        np.testing.assert_allclose(length(f"{side}_hip", f"{side}_knee"), body.thigh, atol=1e-6)
        np.testing.assert_allclose(length(f"{side}_knee", f"{side}_ankle"), body.shin, atol=1e-6)
    np.testing.assert_allclose(length("left_hip", "right_hip"), 2 * body.hip, atol=1e-9)
    assert joints[..., 1].min() > -0.02, "nobody's foot goes through the floor"


def test_a_standing_body_is_one_height_tall_and_its_left_is_at_the_pictures_right() -> None:
    joints = pose_joints(neutral_pose()[None], Body())[0]
    assert 0.92 < joints[INDEX["left_eye"], 1] < 0.98
    assert joints[INDEX["left_shoulder"], 0] > joints[INDEX["right_shoulder"], 0]
    assert joints[INDEX["nose"], 2] > joints[INDEX["left_ear"], 2], "it faces the camera"


def test_mirroring_a_pose_mirrors_the_picture() -> None:
    rng = np.random.default_rng(3)
    pose = neutral_pose() + rng.normal(0, 0.2, neutral_pose().shape)
    joints = pose_joints(np.stack([pose, mirror_pose(pose)]), Body())
    swap = [INDEX[n.replace("left", "*").replace("right", "left").replace("*", "right")] for n in INDEX]
    body_only = [i for name, i in INDEX.items() if not any(f in name for f in ("index", "pinky", "thumb"))]
    mirrored = joints[0][swap] * np.array([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(joints[1][body_only], mirrored[body_only], atol=1e-9)
    np.testing.assert_allclose(mirror_pose(mirror_pose(pose)), pose)


def test_a_quarter_turn_to_the_left_turns_the_nose_to_the_left() -> None:
    pose = neutral_pose()
    pose[PARAMETER["yaw"]] = np.pi / 2
    joints = pose_joints(pose[None], Body())[0]
    assert joints[INDEX["nose"], 0] > 0.05
    near = Camera().project(np.array([0.0, 0.5, 0.0]))
    np.testing.assert_allclose(near, [Camera().x, Camera().y, 0.0])


# --- choreography


def test_motion_halts_in_every_key_pose_and_only_there() -> None:
    times = np.array([0.0, 0.5, 1.25, 1.75])
    poses = np.random.default_rng(0).normal(0, 0.3, (4, len(PARAMETER)))
    at = np.linspace(0.0, 1.749, 4000)
    for sharpness in (0.0, 0.5, 1.0):
        way = move_through(times, poses, at, sharpness)
        arm = way[:, PARAMETER["left_raise"]]
        speed = np.abs(np.gradient(arm, at))
        for t in times[1:3]:
            near = np.abs(at - t) < 0.002
            assert speed[near].min() < 0.02 * speed.max()
            i = PARAMETER["left_raise"]
            np.testing.assert_allclose(arm[near].mean(), poses[times == t][0, i], atol=1e-2)
        turns = np.flatnonzero((speed[1:-1] < speed[:-2]) & (speed[1:-1] < speed[2:])) + 1
        np.testing.assert_allclose(at[turns], times[1:3], atol=0.002)


@pytest.mark.parametrize("genre", sorted(STYLES))
def test_speed_minima_fall_on_beats(genre: str) -> None:
    """Where all bars are normal, every halt is a beat and every beat a halt, to one frame and a bit."""
    for seed, bpm in [(0, 63.0), (1, 118.0), (2, 176.0)]:
        score = make_score(np.random.default_rng(seed), 8.0, bpm)
        on_beats = [hit for hit in score.hits if hit.on_beat]
        plain = dataclasses.replace(
            score, hits=tuple(dataclasses.replace(hit, mode=Mode.NORMAL, still=False) for hit in on_beats)
        )
        made = dance(np.random.SeedSequence(seed), plain, genre, 25.0)
        speed = joint_speed(made.keypoints, made.fps)
        minima = speed_minima(made.keypoints, made.fps)
        halts = minima[speed[np.round(minima * made.fps).astype(int)] < 0.5 * np.median(speed)]
        inner = made.beats[(made.beats > 0.1) & (made.beats < 7.9)]
        assert all(np.abs(minima - beat).min() <= 0.045 for beat in inner)
        assert np.mean([np.abs(made.beats - halt).min() <= 0.045 for halt in halts]) > 0.9


def test_halts_are_deep_and_stressed_poses_are_low() -> None:
    ratios, plain, stressed = [], [], []
    for i in range(24):
        made = clip_dance(SPEC, "train", i)
        v = joint_speed(made.keypoints, made.fps)
        beats = made.beats[made.beats < 7.9]
        at = np.round(beats * made.fps).astype(int)
        ratios.append(np.percentile(v, 75) / np.median(v[at]))
        height = made.keypoints[:, [INDEX["left_hip"], INDEX["right_hip"]], 1].mean(axis=1) / made.scale
        accent = np.isin(beats, made.accents)
        stressed += list(height[at[accent]] - height.mean())
        plain += list(height[at[~accent]] - height.mean())
    assert np.median(ratios) > 4
    assert np.mean(stressed) - np.mean(plain) > 0.03, "y points down: body heights lower"


def test_dancers_stay_in_the_picture() -> None:
    for split in SPLITS:
        for index in range(16):
            made = clip_dance(SPEC, split, index)
            assert made.keypoints.shape == (200, 33, 3) and made.keypoints.dtype == np.float32
            assert made.keypoints[..., :2].min() > 0.0 and made.keypoints[..., :2].max() < 1.0


# --- music


@pytest.mark.parametrize("genre", sorted(PATTERNS))
def test_every_beat_sounds(genre: str) -> None:
    covered = []
    for seed, bpm in [(0, 66.0), (1, 104.0), (2, 150.0)]:
        score = make_score(np.random.default_rng(seed), 8.0, bpm)
        wav = synthesise(np.random.SeedSequence(seed), score, genre)
        assert wav.shape == (8 * SAMPLE_RATE,) and wav.dtype == np.float32
        assert np.abs(wav).max() == pytest.approx(0.9, abs=1e-5)
        onsets = librosa.onset.onset_detect(y=wav, sr=SAMPLE_RATE, units="time", wait=1, delta=0.2)
        covered += [np.abs(onsets - beat).min() <= 0.05 for beat in score.beats()]
    assert np.mean(covered) >= 0.9


def test_a_beat_tracker_finds_the_beats() -> None:
    scores = []
    for index in range(8):
        wav, rate, info = synthesise_clip_audio(SPEC, "test", index)
        tracked = librosa.beat.beat_track(y=wav, sr=rate, units="time", bpm=info["bpm"])[1]
        scores.append(mir_eval.beat.f_measure(np.array(info["beats"]), tracked))
    assert np.mean(scores) > 0.85


def test_pauses_are_silent() -> None:
    checked = 0
    for index in range(16):
        wav, rate, info = synthesise_clip_audio(SPEC, "train", index)
        for start, end in info["pauses"]:
            inner = wav[round((start + 0.1) * rate) : round((end - 0.02) * rate)]
            if inner.size:
                checked += 1
                assert np.sqrt(np.mean(inner**2)) < 0.05 * np.sqrt(np.mean(wav**2))
    assert checked > 2


def test_audio_is_deterministic_quantised_and_differs_between_clips() -> None:
    wav, rate, _ = synthesise_clip_audio(SPEC, "valid", 3)
    again = synthesise_clip_audio(SPEC, "valid", 3)[0]
    other = synthesise_clip_audio(SPEC, "valid", 4)[0]
    assert rate == SAMPLE_RATE
    np.testing.assert_array_equal(wav, again)
    np.testing.assert_array_equal(wav * 32768.0, np.round(wav * 32768.0))
    assert np.abs(np.corrcoef(wav, other)[0, 1]) < 0.3


# --- pictures and files


def test_frames_are_deterministic_and_show_the_dancer_where_the_joints_are() -> None:
    made = clip_dance(SPEC, "test", 0)
    plan = clip_plan(SPEC, "test", 0)
    renderer = DancerRenderer(made, plan.look_seed, 256)
    assert len(renderer) == 200
    frame = renderer.frame(40)
    assert frame.shape == (256, 256, 3) and frame.dtype == np.uint8
    np.testing.assert_array_equal(frame, DancerRenderer(made, plan.look_seed, 256).frame(40))
    later = renderer.frame(60).astype(int)
    moved = np.abs(frame.astype(int) - later).sum(axis=-1) > 60
    rows, columns = np.nonzero(moved)
    both = np.concatenate([made.keypoints[40], made.keypoints[60]])[:, :2] * 256
    assert columns.min() >= both[:, 0].min() - 20 and columns.max() <= both[:, 0].max() + 20
    assert rows.min() >= both[:, 1].min() - 20 and rows.max() <= both[:, 1].max() + 20


@pytest.mark.parametrize("index", [1, 2])
def test_blazepose_finds_the_dancer_and_reads_the_beats(index: int) -> None:
    spec = dataclasses.replace(SPEC, seconds=4.0)
    main = [0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
    made = clip_dance(spec, "test", index)
    frames = DancerRenderer(made, clip_plan(spec, "test", index).look_seed, 256)
    found, detected = PoseExtractor().extract(frames, 25.0)
    assert detected.mean() >= 0.9
    error = np.linalg.norm(found[..., :2] - made.keypoints[..., :2], axis=-1)[detected][:, main] / made.scale
    assert error.mean() < 0.05
    true, read = joint_speed(made.keypoints, 25.0), joint_speed(found, 25.0)
    assert np.corrcoef(true, read)[0, 1] > 0.8


def test_a_written_clip_holds_exactly_its_music_and_beats(tmp_path: Path) -> None:
    path = write_clip(TINY, "train", 1, tmp_path)
    wav, rate, info = synthesise_clip_audio(TINY, "train", 1)
    found = probe(path)
    assert (found.seconds, found.fps, found.width, found.height) == (pytest.approx(1.2), 25.0, 96, 96)
    np.testing.assert_array_equal(read_audio(path, rate), wav)
    frames = np.stack(list(read_frames(path, 25.0)))
    drawn = DancerRenderer(clip_dance(TINY, "train", 1), clip_plan(TINY, "train", 1).look_seed, 96)
    assert np.abs(frames[7].astype(float) - drawn.frame(7)).mean() < 6.0
    written = json.loads(path.with_suffix(".json").read_text())
    assert {key: written[key] for key in info} == info
    assert {
        "id",
        "split",
        "song",
        "choreography",
        "dancer",
        "genre",
        "bpm",
        "beats",
        "accents",
        "seconds",
    } <= set(written)


def test_building_is_resumable_and_lists_what_is_there(tmp_path: Path) -> None:
    counts: list[tuple[int, int]] = []
    first = build_videos(
        TINY, tmp_path, ("train",), jobs=1, progress=lambda done, of: counts.append((done, of))
    )
    assert counts == [(0, 2), (1, 2), (2, 2)]
    kept = first[0].stat().st_mtime_ns
    first[1].with_suffix(".json").unlink()  # as after a kill between the two files
    made = build_videos(TINY, tmp_path, jobs=1)
    assert len(made) == 4 and all(path.is_file() for path in made)
    assert first[0].stat().st_mtime_ns == kept
    assert first[1].with_suffix(".json").is_file()
    with open(tmp_path / "metadata.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == METADATA_COLUMNS
    assert [row["file"] for row in rows] == [path.name for path in made]
    other = dataclasses.replace(TINY, seed=5)
    build_videos(other, tmp_path, ("valid",), jobs=1)
    assert json.loads((tmp_path / "mini-valid-0000.json").read_text())["seed"] == 5, (
        "another seed is made anew"
    )


def test_workers_write_the_same_clips(tmp_path: Path) -> None:
    alone = build_videos(TINY, tmp_path / "one", ("train",), jobs=1)
    together = build_videos(TINY, tmp_path / "two", ("train",), jobs=2)
    assert [p.read_bytes() for p in alone] == [p.read_bytes() for p in together]
