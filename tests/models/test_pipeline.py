"""From a dance video to files: parts, several takes, and the stages reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from tiny_model import tiny_model

from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.generated import GeneratedSpec
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.score.midi import read_midi
from pn_diffusion_plugin.data.score.notes import Score
from pn_diffusion_plugin.data.video.probe import probe
from pn_diffusion_plugin.errors import FeatureFileError, UserError
from pn_diffusion_plugin.models import mastering
from pn_diffusion_plugin.models.band.render import STEMS
from pn_diffusion_plugin.models.pipeline import STAGES, Edit, Take, Video2Features, Video2Video
from pn_diffusion_plugin.utils.loudness import loudness


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.8 seconds of a dancer."""
    spec = MiniSpec(train=1, valid=1, test=1, seconds=2.8)
    return write_clip_video(spec.plan("test", 0), tmp_path_factory.mktemp("clip"))


def test_takes_of_a_video_and_of_its_part(clip: Path, tmp_path: Path) -> None:
    model = tiny_model()
    pipeline = Video2Video(model, Video2Features(model.feature_spec, cache_size=1))
    seen: list[tuple[str, float, float]] = []
    takes = [Take(clip, seed, tmp_path / f"{seed}.mp4", tmp_path / f"{seed}.wav") for seed in (3, 4)]
    results = list(pipeline(takes, Edit(master=False), progress=lambda *stage: seen.append(stage)))

    assert [result.take for result in results] == takes
    assert tuple(dict.fromkeys(stage for stage, _, _ in seen)) == STAGES
    assert all(0 <= done <= total for _, done, total in seen)
    (alone,) = model.generate([clip], seeds=[4])  # the same music from the Python class
    wave, rate = soundfile.read(takes[1].files[1], dtype="float32")
    assert rate == model.sample_rate and len(wave) == round(2.8 * rate)
    assert np.abs(wave - alone[0].numpy()).max() < 2e-4
    assert probe(takes[1].output).seconds == pytest.approx(2.8)

    seen.clear()
    list(pipeline(takes[:1], progress=lambda *stage: seen.append(stage)))
    assert seen[0][0] == "denoise"  # the features are in the cache
    part = Take(clip, 3, tmp_path / "part.mp4")
    (result,) = pipeline([part], Edit(start=0.2))
    assert len(result.wave) == round(2.6 * rate) and probe(part.output).seconds == pytest.approx(
        2.6, abs=0.05
    )
    assert not list(tmp_path.glob(".part-*"))


def test_music_is_mastered_and_says_what_made_it(clip: Path, tmp_path: Path) -> None:
    model = tiny_model()
    take = Take(clip, 3, tmp_path / "out.mp4", tmp_path / "out.wav")
    (result,) = Video2Video(model)([take])
    (wave,) = model.generate([clip], seeds=[3])
    sound, rate = soundfile.read(take.files[1], dtype="float32")
    wanted = mastering.master(mastering.prepare(wave[0].numpy(), model.sample_rate))
    assert rate == mastering.RATE == result.sound_rate and np.abs(sound.T - wanted).max() < 1e-4
    np.testing.assert_allclose(result.sound, wanted, atol=1e-5)
    np.testing.assert_allclose(result.wave, wave[0].numpy(), atol=1e-6)
    with av.open(str(take.output)) as container:
        assert (container.streams.audio[0].rate, container.streams.audio[0].channels) == (rate, 2)
        assert container.streams.audio[0].bit_rate > 120_000  # nothing to store for the sides
        comment = container.metadata["comment"]
    assert comment.startswith("AI-generated music") and comment.endswith("seed 3)")
    with soundfile.SoundFile(take.files[1]) as file:
        assert file.comment == comment


def test_the_dance_is_played_backward_only_where_guidance_reads_it(clip: Path, tmp_path: Path) -> None:
    """Half of the encoder's work is saved, and the music is the same."""
    model = tiny_model()
    extract = Video2Features(model.feature_spec, cache_size=2)
    take = Take(clip, 3, tmp_path / "out.mp4")
    (forward,) = Video2Video(model, extract)([take])
    assert "visual_reverse" not in forward.features.streams
    whole = extract(clip)
    assert np.array_equal(whole.visual, forward.features.visual)
    (wave,) = model.generate_from_features([whole], [3])
    assert np.array_equal(wave[0].numpy(), forward.wave)
    model.set_generation_params(negative_guidance=0.5)
    (both,) = Video2Video(model, extract)([take])
    assert np.array_equal(both.features.visual_reverse, whole.visual_reverse)
    with pytest.raises(
        FeatureFileError, match="lack the video played backward: extract them with backward=True"
    ):
        model.generate_from_features([forward.features], [3])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Edit(start=1.0), "the part of .*mp4 is 1.80 s long and the model needs at least 2.56 s"),
        (Edit(start=2.0, end=1.0), "is empty"),
        (Edit(end=9.0), "not within the video"),
    ],
)
def test_parts_that_cannot_be_used(clip: Path, tmp_path: Path, edit: Edit, message: str) -> None:
    model = tiny_model()
    with pytest.raises(UserError, match=message):
        list(Video2Video(model)([Take(clip, 0, tmp_path / "out.mp4")], edit))
    assert list(tmp_path.iterdir()) == []


SCORES = {
    "music": {"representation": "score"},
    "mel.n_mels": 64,
    "diffusion.prediction": "sample",
    "conditioning.styles": ["house", "funk"],
}


class Composer:
    """A model that always composes one score of the corpus, as long as the clip."""

    def __init__(self) -> None:
        model = tiny_model(SCORES)
        self.feature_spec, self.sequence, self.device = model.feature_spec, model.sequence, model.device
        self.sample_rate, self.reads_backward, self.writes_scores = model.sample_rate, False, True
        self.score = GeneratedSpec().plan("train", 2).score()

    def compose_from_features(
        self, features: Any, seeds: Any, progress: Any = None, names: Any = None
    ) -> list[Score]:
        return [self.score.between(0, f.header.seconds) for f in features]

    def generate_from_features(self, *arguments: Any) -> Any:
        raise AssertionError("its scores are played")


def test_notes_become_a_mix_stems_and_midi(tmp_path: Path) -> None:
    spec = MiniSpec(train=1, valid=1, test=1, seconds=6.0)
    clip = write_clip_video(spec.plan("test", 0), tmp_path)
    take = Take(clip, 3, tmp_path / "out.mp4", tmp_path / "out.wav", tmp_path / "stems", tmp_path / "out.mid")
    (music,) = Video2Video(Composer())([take])  # type: ignore[arg-type]
    assert all(file.is_file() for file in take.files) and len(take.files) == 7
    mix, rate = soundfile.read(take.wav, dtype="float32")
    assert rate == mastering.RATE and mix.shape == (6 * rate, 2)
    stems = {name: soundfile.read(take.stems / f"{name}.wav", dtype="float32")[0] for name in STEMS}  # type: ignore[operator]
    error = np.sqrt(np.mean((sum(stems.values()) - mix) ** 2)) / np.sqrt(np.mean(mix**2))
    assert 20 * np.log10(error) < -60
    assert loudness(mix.T.copy(), rate) == pytest.approx(mastering.LOUDNESS, abs=0.3)
    assert np.abs(mix[:, 0] - mix[:, 1]).max() > 0.01
    assert np.abs(mix[-100:]).max() < 1e-3, "it ends, and is not cut"
    assert music.score is not None
    read, wanted = read_midi(take.midi), [n for n in music.score.notes if 0 <= n.onset < 6]  # type: ignore[arg-type]
    onsets = np.array([note.onset for note in read.notes])
    assert max(np.abs(onsets - note.onset).min() for note in wanted) < 0.001
    with av.open(str(take.output)) as video:
        stream = video.streams.audio[0]
        assert (stream.rate, stream.channels) == (44100, 2)
    raw = Take(clip, 3, tmp_path / "raw.mp4", tmp_path / "raw.wav")
    (music,) = Video2Video(Composer())([raw], Edit(master=False, keep_audio_db=-12))  # type: ignore[arg-type]
    assert np.abs(music.sound).max() <= 1 and raw.output.is_file()


def test_notes_of_a_model_without_any_are_refused(clip: Path, tmp_path: Path) -> None:
    for take, edit in (
        (Take(clip, 0, tmp_path / "a.mp4", midi=tmp_path / "a.mid"), Edit()),
        (Take(clip, 0, tmp_path / "a.mp4", stems=tmp_path / "stems"), Edit()),
        (Take(clip, 0, tmp_path / "a.mp4"), Edit(soundfont=tmp_path / "a.sf2")),
    ):
        with pytest.raises(UserError, match="needs a model that writes notes"):
            list(Video2Video(tiny_model())([take], edit))
