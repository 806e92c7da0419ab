"""From a dance video to files: parts, several takes, and the stages reported."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from tiny_model import tiny_model

from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.video.probe import probe
from pn_diffusion_plugin.errors import FeatureFileError, UserError
from pn_diffusion_plugin.models import mastering
from pn_diffusion_plugin.models.pipeline import STAGES, Edit, Take, Video2Features, Video2Video


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
