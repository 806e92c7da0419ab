"""Which files a call of `generate` makes."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from headers import make_header

from pn_diffusion_plugin.apps.generate import alignment, plan_takes, public_name, write_markers
from pn_diffusion_plugin.commands.generation_options import OPTIONS
from pn_diffusion_plugin.data.features.feature_file import Features
from pn_diffusion_plugin.data.score.notes import DRUM_KEYS, Note, Score
from pn_diffusion_plugin.data.video.write import write_video
from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.models.pipeline import Music, Take
from pn_diffusion_plugin.models.pn_diffusion import GenerationParams


def names(folder: Path, *arguments: object, **options: object) -> list[tuple[str, int, str]]:
    """(video, seed, output) of every take, relative to `folder`."""
    takes = plan_takes(*arguments, **options)  # type: ignore[arg-type]
    return [(str(t.video.relative_to(folder)), t.seed, str(t.output.relative_to(folder))) for t in takes]


@pytest.fixture
def dances(tmp_path: Path) -> Path:
    """Two dances, one of them in a folder within, and something else."""
    folder = tmp_path / "dances"
    (folder / "day 2").mkdir(parents=True)
    for name in ("a.mp4", "day 2/b.MOV", "notes.txt"):
        (folder / name).touch()
    return folder


def test_one_video_becomes_the_file_that_is_named(tmp_path: Path) -> None:
    video = tmp_path / "dance.mov"
    (take,) = plan_takes([video], tmp_path / "new" / "out.mp4", tmp_path / "out.flac")
    assert (take.video, take.seed) == (video, 0)
    assert take.files == [tmp_path / "new" / "out.mp4", tmp_path / "out.flac"]
    assert names(tmp_path, [video], tmp_path / "new") == [("dance.mov", 0, "new/dance.mp4")]


def test_takes_are_told_apart_by_their_seeds(tmp_path: Path) -> None:
    takes = plan_takes([tmp_path / "a.mp4"], tmp_path / "o.mp4", tmp_path / "wavs", range(3, 5))
    assert [take.output.name for take in takes] == ["o_seed3.mp4", "o_seed4.mp4"]
    assert [take.wav for take in takes] == [tmp_path / "wavs" / f"a_seed{seed}.wav" for seed in (3, 4)]


def test_markers_are_a_file_for_one_take_and_a_folder_for_several(tmp_path: Path, dances: Path) -> None:
    for name in ("beats.edl", "beats.fcpxml", "beats.XML"):
        (take,) = plan_takes([dances / "a.mp4"], tmp_path / "out.mp4", markers=tmp_path / name)
        assert take.markers == tmp_path / name and take.files == [take.output, take.markers]
    takes = plan_takes([dances], tmp_path / "out", seeds=(0, 1), markers=tmp_path / "beats")
    assert [str(take.markers) for take in takes[2:]] == [
        str(tmp_path / "beats" / "day 2" / f"b_seed{seed}.csv") for seed in (0, 1)
    ]
    with pytest.raises(
        UserError, match=r"beats\.txt cannot be written: .* \.csv or \.edl or \.fcpxml or \.xml"
    ):
        plan_takes([dances / "a.mp4"], tmp_path / "out.mp4", markers=tmp_path / "beats.txt")


def music_for_markers(folder: Path, score: Score | None) -> Music:
    """Four seconds with clicks every half second from 0.5 s on, of a take whose video is written."""
    rate, video = 22050, folder / "dance.mp4"
    write_video(video, [np.zeros((32, 32, 3), np.uint8)] * 100, 25)
    wave = np.zeros(4 * rate, np.float32)
    for at in np.arange(0.5, 4, 0.5):
        wave[round(at * rate) : round(at * rate) + 400] = np.random.default_rng(0).standard_normal(400)
    keypoints = np.full((100, 33, 3), 0.5, np.float32)
    dance = Features(
        make_header(seconds=4.0), keypoints, np.ones(100, bool), np.zeros((3, 8), np.float32), None
    )
    return Music(Take(video, 0, video), wave, dance, wave, rate, score)


def test_markers_are_the_beats_of_the_notes_or_of_the_sound(tmp_path: Path) -> None:
    kicks = tuple(Note(beat, 0.0, DRUM_KEYS["kick"], 1.0, "kick") for beat in (1.3, 3.3))
    score = Score(kicks, 4.0, 0, "major", "house", (0.3, 0.8, 1.3, 1.8, 2.3, 2.8, 3.3))
    for notes, beats, bars in (
        (score, score.beats, [0, 0, 1, 1, 1, 1, 2]),
        (None, np.arange(0.5, 4, 0.5), None),
        (Score((), 4.0, 0, "major", "house"), (), []),
    ):
        write_markers(music_for_markers(tmp_path, notes), 22050, tmp_path / "new" / "beats.csv")
        rows = [line.split(",") for line in (tmp_path / "new" / "beats.csv").read_text().splitlines()[1:]]
        found = [float(time) for time, _, _ in rows]
        assert all(min(abs(time - beat) for time in found) < 0.03 for beat in beats)
        if bars is not None:
            assert [int(bar) for _, _, bar in rows] == bars


def test_the_name_of_a_model_tells_nothing_of_its_place(tmp_path: Path) -> None:
    (tmp_path / "secret" / "mine").mkdir(parents=True)
    (tmp_path / "secret" / "mine" / "checkpoint.th").touch()
    assert public_name(str(tmp_path / "secret" / "mine")) == "mine"
    assert public_name(str(tmp_path / "secret" / "mine" / "checkpoint.th")) == "mine"
    assert public_name("mini") == "mini" and public_name("OWNER/NAME") == "OWNER/NAME"


def test_a_folder_keeps_its_order(tmp_path: Path, dances: Path) -> None:
    assert names(tmp_path, [dances], tmp_path / "out") == [
        ("dances/a.mp4", 0, "out/a.mp4"),
        ("dances/day 2/b.MOV", 0, "out/day 2/b.mp4"),
    ]


def test_a_video_that_is_given_twice_is_one(tmp_path: Path, dances: Path) -> None:
    assert len(plan_takes([dances / "a.mp4", dances, dances / "a.mp4"], tmp_path / "out")) == 2


def test_results_among_the_dances_are_not_taken_for_dances(tmp_path: Path, dances: Path) -> None:
    (dances / "out").mkdir()
    (dances / "out" / "a.mp4").touch()
    assert [video for video, _, _ in names(tmp_path, [dances], dances / "out")] == [
        "dances/a.mp4",
        "dances/day 2/b.MOV",
    ]


def test_nothing_is_written_over(tmp_path: Path, dances: Path) -> None:
    with pytest.raises(UserError, match=r"a\.mp4 is the dance itself: give another"):
        plan_takes([dances], dances)
    with pytest.raises(UserError, match="is the dance itself"):
        plan_takes([dances / "a.mp4"], dances / "day 2" / ".." / "a.mp4")
    (tmp_path / "a.mov").touch()
    with pytest.raises(UserError, match=r"a\.mp4 and .*a\.mov would both become .*a\.mp4: rename"):
        plan_takes([dances / "a.mp4", tmp_path / "a.mov"], tmp_path / "out")


@pytest.mark.parametrize(
    ("output", "wav", "message"),
    [
        ("out.mp4", None, "out.mp4 is one file and there may be several videos: give the name of a folder"),
        (
            "out.mkv",
            None,
            r"out.mkv cannot be written: give the name of a file that ends in \.mp4, or of a folder",
        ),
        ("out", "out.wav", "out.wav is one file"),
        ("out", "out.mp3", r"out.mp3 cannot be written: .* \.wav or \.flac"),
    ],
)
def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, dances: Path, output: str, wav: str | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        plan_takes([dances], tmp_path / output, None if wav is None else tmp_path / wav)


@pytest.mark.parametrize("output", ["/dev/null", "notes.txt/out.mp4", "-"])
def test_a_place_that_cannot_be_written_is_found_before_the_work(
    dances: Path, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dances)
    with pytest.raises(UserError, match="give"):
        plan_takes([Path("a.mp4")], Path(output))
    with pytest.raises(UserError, match="give"):
        plan_takes([Path("a.mp4")], Path("out.mp4"), Path(output))


def test_takes_of_long_names_have_names_of_their_own(tmp_path: Path) -> None:
    videos = [tmp_path / f"{'舞' * 82}{last}.mp4" for last in "踊舞"]
    takes = plan_takes(videos, tmp_path / "out", tmp_path / "wavs", range(2))
    files = [file.name for take in takes for file in take.files]
    assert len(set(files)) == 8 and all(len(os.fsencode(name)) <= 255 for name in files)


def test_every_setting_of_the_sampler_is_an_option() -> None:
    assert set(OPTIONS) == {field.name for field in dataclasses.fields(GenerationParams)}


def test_the_take_that_sounds_when_the_dancer_stops_is_aligned_best() -> None:
    """A dancer who stops every half second, with clicks then, a quarter of a second later, and never."""
    time, rate = np.arange(200) / 25, 22050
    keypoints = np.full((200, 33, 3), 0.5, np.float32)
    keypoints[..., 0] += (np.sin(2 * np.pi * time) / 8)[:, None]  # slowest at 0.25 s, 0.75 s …
    arrays = np.ones(200, bool), np.zeros((6, 8), np.float32), None

    def fit(features: Features, first: float) -> float | None:
        wave = np.zeros(8 * rate, np.float32)
        for at in np.arange(first, 8, 0.5):
            wave[round(at * rate) : round(at * rate) + 400] = np.random.default_rng(0).standard_normal(400)
        take = Take(Path("a.mp4"), 0, Path("b.mp4"))
        return alignment(Music(take, wave, features, wave, rate), rate)

    dance = Features(make_header(seconds=8.0), keypoints, *arrays)
    there, late, never = fit(dance, 0.25), fit(dance, 0.5), fit(dance, 8.0)
    assert there is not None and late is not None
    assert there > 0.8 and late < 0.1 and never == 0
    still = Features(make_header(seconds=8.0), np.full_like(keypoints, 0.5), *arrays)
    assert fit(still, 0.25) is None
