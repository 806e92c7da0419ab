from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from audiocraft.modules.conditioners import BaseConditioner, ConditioningProvider
from tiny_musicgen import CODEC, tiny_musicgen, tiny_musicgen_config

from pn_diffusion_plugin.data.condition import NEGATIVE, POSITIVE, dance_conditions
from pn_diffusion_plugin.data.dance_attributes import DanceAttributes
from pn_diffusion_plugin.data.features.feature_file import Features
from pn_diffusion_plugin.errors import CheckpointError, FeatureFileError, UserError, VideoError
from pn_diffusion_plugin.models.musicgen import codec as dance_musicgen_codec
from pn_diffusion_plugin.models.musicgen.builders import build_dance_lm
from pn_diffusion_plugin.models.musicgen.codec import Codec, build_codec, load_codec
from pn_diffusion_plugin.models.musicgen.condition import (
    ATTENDED,
    FRAMES,
    DanceDropout,
    FrameFuser,
    without_dance,
)
from pn_diffusion_plugin.models.musicgen.dance_musicgen import DanceMusicGen
from pn_diffusion_plugin.models.musicgen.lm import draw, keep_likely
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion
from pn_diffusion_plugin.models.pretrained import get_pretrained

MakeFeatures = Callable[..., Features]


def attributes(clip: Features, seconds: float = 2.56) -> DanceAttributes:
    pair = dance_conditions(clip, 0.0, seconds)
    return DanceAttributes(text={"genre": "waltz"}, dance={POSITIVE: pair[0], NEGATIVE: pair[1]})


def conditions(model: DanceMusicGen, samples: list[DanceAttributes]) -> dict[str, Any]:
    provider = model.lm.condition_provider
    with torch.no_grad():
        return provider(provider.tokenize(samples))


def test_guidance_in_two_passes_is_guidance_in_one(make_features: MakeFeatures) -> None:
    model = tiny_musicgen({"conditioning.temporal": "aligned"})
    samples = [attributes(make_features(3.0, seed)) for seed in (1, 2)]
    settings: dict[str, Any] = {"max_gen_len": 20, "use_sampling": False, "cfg_coef": 2.5}
    one, two = (model.lm.generate(None, samples, two_step_cfg=each, **settings) for each in (False, True))
    assert torch.equal(one, two)
    assert not torch.equal(one, model.lm.generate(None, samples, **{**settings, "cfg_coef": 1.0}))


def test_the_provider_is_audiocrafts(make_features: MakeFeatures) -> None:
    provider = tiny_musicgen().lm.condition_provider
    assert isinstance(provider, ConditioningProvider) and isinstance(provider.dance, BaseConditioner)


@pytest.mark.parametrize("temporal", ["pooled", "tokens", "aligned"])
@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("memory_efficient", [True, False])
def test_step_by_step_is_what_was_trained(
    temporal: str, guidance: float, memory_efficient: bool, make_features: MakeFeatures
) -> None:
    """The likeliest codes, made one step at a time, are the likeliest ones of a single pass that is given them."""
    model = tiny_musicgen(
        {"conditioning.temporal": temporal, "transformer_lm.memory_efficient": memory_efficient}
    )
    samples = [attributes(make_features(3.0, seed)) for seed in (1, 2)]
    codes = model.lm.generate(None, samples, max_gen_len=40, use_sampling=False, cfg_coef=guidance)
    untold = [without_dance(x) for x in samples]
    with torch.no_grad():
        told, none = (
            model.lm.compute_predictions(codes, [], conditions(model, x), keep_only_valid_steps=False)
            for x in (samples, untold)
        )
    logits = none.logits + guidance * (told.logits - none.logits)
    assert told.mask.all()
    assert torch.equal(logits.argmax(dim=-1), codes)
    assert not torch.equal(codes[0], codes[1])
    prompted = model.lm.generate(
        codes[..., :17], samples, max_gen_len=40, use_sampling=False, cfg_coef=guidance
    )
    assert torch.equal(prompted, codes)


def test_a_step_is_told_the_dance_of_its_frame() -> None:
    frames = torch.arange(1.0, 7.0)[None, :, None].expand(2, 6, 4)
    told = {FRAMES: (frames, torch.ones(2, 6, dtype=torch.bool))}
    fuser = FrameFuser({"sum": [FRAMES], "cross": [], "prepend": [], "input_interpolate": []})
    whole, _ = fuser(torch.zeros(2, 8, 4), told)
    assert whole[0, :, 0].tolist() == [1, 2, 3, 4, 5, 6, 0, 0]
    with fuser.streaming():
        pieces = [fuser(torch.zeros(2, steps, 4), told)[0] for steps in (3, 1, 1, 2, 1)]
    assert torch.equal(torch.cat(pieces, dim=1), whole)


def test_frames_show_the_same_second_as_the_motion(make_features: MakeFeatures) -> None:
    """A dance that changes at 1.6 s changes the frames at 1.6 s (80 frames), as far as the networks reach."""
    model = tiny_musicgen()
    clip, other = make_features(3.0, 1), make_features(3.0, 1)
    other.keypoints[40:, 16, :2] += 0.3
    a, b = (conditions(model, [attributes(one)])[FRAMES][0][0] for one in (clip, other))
    assert a.shape == (128, 16)
    changed = (a - b).abs().amax(dim=-1) > 1e-6
    # velocity (1) and two convolutions over time (2), in poses of two frames; interpolation and the fold's 1.
    assert not changed[: 80 - 2 * 3 - 3].any()
    assert changed[80:90].all()


def test_where_nobody_is_found_and_without_dance_the_learned_token_stands(
    make_features: MakeFeatures,
) -> None:
    model = tiny_musicgen()
    samples = [attributes(make_features(3.0, seed)) for seed in (1, 2)]
    hidden = attributes(make_features(3.0, 3))
    hidden.dance[POSITIVE].detected.zero_()
    untold = [without_dance(x) for x in samples]
    nothing = conditions(model, [*untold, hidden])
    for name in (ATTENDED, FRAMES):
        values, mask = nothing[name]
        assert mask.all()
        assert torch.allclose(values[0], values[1]) and torch.allclose(values[0], values[2])
        assert not torch.allclose(conditions(model, samples)[name][0][0], values[0])


def test_a_glimpse_of_nobody_does_not_blur_what_was_seen(make_features: MakeFeatures) -> None:
    """Of the tokens averaged for attention only those count in which somebody was found."""
    model = tiny_musicgen({"conditioning.attention_stride": 2, "conditioning.motion.dim": 0})
    torch.nn.init.zeros_(model.lm.condition_provider.position.weight)
    whole, part = (attributes(make_features(3.0, 1)) for _ in range(2))
    part.dance[POSITIVE].detected[0, 1:64:2] = False  # the visual stream is steady over two poses
    a, b = (conditions(model, [x]) for x in (whole, part))
    assert torch.allclose(a[ATTENDED][0], b[ATTENDED][0], atol=1e-6)
    assert not torch.allclose(a[FRAMES][0], b[FRAMES][0])
    with pytest.raises(ValueError, match=r"mixes segments of \[2.0, 2.56\] s"):
        conditions(model, [whole, attributes(make_features(3.0, 1), 2.0)])


def test_dropout_takes_the_dance_from_single_clips_in_training(make_features: MakeFeatures) -> None:
    samples = [attributes(make_features(3.0, 1))] * 2000
    dropout = DanceDropout(0.3)
    torch.manual_seed(3)
    share = sum(int(x.dance[POSITIVE].motion_length) == 0 for x in dropout(samples)) / len(samples)
    assert share == pytest.approx(0.3, abs=0.03)
    assert int(samples[0].dance[POSITIVE].motion_length) > 0  # the inputs are not changed
    dropout.eval()
    assert dropout(samples) == samples


def test_draws_follow_the_probabilities_and_their_own_generator() -> None:
    p = torch.tensor([0.5, 0.3, 0.2, 0.0])
    logits = p.log().expand(2, 20000, 4)

    def generators(*seeds: int) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    drawn = draw(logits, generators(1, 2))
    assert drawn.shape == (2, 20000, 1)
    shares = torch.stack([(drawn == index).float().mean() for index in range(4)])
    assert torch.allclose(shares, p, atol=0.01)
    assert torch.equal(draw(logits[:1], generators(2))[0], drawn[1])


def test_only_the_likely_are_kept() -> None:
    logits = torch.tensor([[0.1, 0.5, 0.15, 0.25]]).log()
    kept = keep_likely(logits, top_k=2).isfinite()
    assert kept.tolist() == [[False, True, False, True]]
    # 0.5 + 0.25 is not yet 0.8, with 0.15 it is; top_p goes before top_k.
    assert keep_likely(logits, top_k=1, top_p=0.8).isfinite().tolist() == [[False, True, True, True]]
    assert torch.equal(keep_likely(logits), logits)
    assert torch.equal(keep_likely(logits, top_k=9), logits)


def test_music_is_as_long_as_the_clip_and_its_own_whatever_it_is_made_with(
    make_features: MakeFeatures,
) -> None:
    model = tiny_musicgen()
    clips = [make_features(seconds, seed) for seed, seconds in enumerate((6.001, 2.56, 6.001, 3.3))]
    told: list[tuple[int, int]] = []
    waves = model.generate_from_features(clips, [4, 5, 6, 7], lambda *n: told.append(n))
    assert [wav.shape for wav in waves] == [(1, 48008), (1, 20480), (1, 48008), (1, 26400)]
    assert told[-1] == (301 + 128 + 165, 301 + 128 + 165) and told == sorted(told)
    for index in (0, 2, 3):
        (alone,) = model.generate_from_features([clips[index]], [4 + index])
        assert torch.allclose(alone, waves[index], atol=1e-4)
    (other,) = model.generate_from_features([clips[0]], [9])
    assert not torch.allclose(other, waves[0], atol=1e-2)


def test_a_window_continues_the_codes_of_the_one_before(make_features: MakeFeatures) -> None:
    model = tiny_musicgen()
    model.set_generation_params(use_sampling=False, overlap=0.25)
    clip = make_features(6.0)
    codes = model._codes([clip], 300, [0], lambda n: None)
    assert codes.shape == (1, 3, 300)
    for start, known in ((0, 0), (96, 32), (172, 52)):  # hop 96; the last ends with the clip
        prompt = codes[..., start : start + known] if known else None
        dance = dance_conditions(clip, start / 50, 2.56)[0]
        again = model.lm.generate(
            prompt, [DanceAttributes(dance={POSITIVE: dance})], max_gen_len=128, use_sampling=False
        )
        assert torch.equal(again, codes[..., start : start + 128])


def test_long_sounds_decode_in_pieces_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = tiny_musicgen().codec
    codes = torch.randint(0, 16, (2, 3, 333))
    whole = codec.decode(codes)
    assert whole.shape == (2, 1, 333 * 160)
    monkeypatch.setattr(dance_musicgen_codec, "_PIECE_SECONDS", 1.0)
    assert torch.allclose(codec.decode(codes), whole, atol=1e-6)


def test_the_ceiling_is_the_reference_through_the_codec() -> None:
    model = tiny_musicgen()
    wav = torch.sin(torch.arange(12345) / 20)
    ceiling = model.reconstruct(wav)
    assert ceiling.shape == wav.shape
    expected = model.codec.model(wav[None, None]).x[0, 0]
    assert torch.allclose(ceiling, expected, atol=1e-5)


def test_what_was_saved_loads_and_makes_the_same_music(make_features: MakeFeatures, tmp_path: Path) -> None:
    model = tiny_musicgen()
    model.codec.model.set_num_codebooks(3)
    folder = model.save_pretrained(tmp_path / "export")
    assert sorted(path.suffix for path in folder.iterdir()) == [".safetensors", ".safetensors", ".yaml"]
    again = DanceMusicGen.get_pretrained(folder)
    clip = make_features(3.0)
    assert torch.equal(
        model.generate_from_features([clip], [3])[0], again.generate_from_features([clip], [3])[0]
    )
    (folder / "codec.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="is damaged"):
        DanceMusicGen.get_pretrained(folder)
    (folder / "config.yaml").write_text("schema: 1\nsolver: pn_diffusion\n")
    with pytest.raises(CheckpointError, match="not an exported dance_musicgen"):
        DanceMusicGen.get_pretrained(folder)


def test_a_model_is_loaded_by_its_own_class(make_model: Callable[..., PNDiffusion], tmp_path: Path) -> None:
    for model in (tiny_musicgen(), make_model()):
        folder = model.save_pretrained(tmp_path / type(model).__name__)
        assert type(get_pretrained(folder)) is type(model)
    (folder / "config.yaml").write_text("- nothing")
    with pytest.raises(CheckpointError, match="give the folder of a model of this project"):
        get_pretrained(folder)


def test_fewer_codebooks_of_a_codec(tmp_path: Path) -> None:
    codec = tiny_musicgen().codec
    state = {"xp.cfg": {**CODEC, "solver": "compression"}, "best_state": {"model": codec.model.state_dict()}}
    torch.save(state, tmp_path / "checkpoint.th")
    fewer = load_codec(tmp_path, 2)
    wav = torch.randn(1, 1, 8000)
    assert torch.equal(fewer.encode(wav), codec.encode(wav)[:, :2])
    with pytest.raises(CheckpointError, match="codec.codebooks is 4 and the codec .* has 3"):
        load_codec(tmp_path, 4)


def test_mistakes_are_told(make_features: MakeFeatures) -> None:
    with pytest.raises(CheckpointError, match="//pretrained/nobody/nothing cannot be loaded"):
        load_codec("//pretrained/nobody/nothing")
    with pytest.raises(CheckpointError, match="frame of 77 samples does not divide 8000 Hz"):
        build_codec({**CODEC, "seanet": {**CODEC["seanet"], "ratios": [7, 11]}})
    codec = build_codec(CODEC)
    with pytest.raises(UserError, match="codebooks_pattern.modeling is 'unroll'"):
        build_dance_lm(tiny_musicgen_config({"codebooks_pattern.modeling": "unroll"}), codec)
    with pytest.raises(ValueError, match="frame_kernel is 4"):
        build_dance_lm(tiny_musicgen_config({"conditioning.frame_kernel": 4}), codec)
    with pytest.raises(UserError, match="sample_rate=16000"):
        tiny_musicgen({"sample_rate": 16000})
    with pytest.raises(UserError, match="guidance needs a model trained with conditioning.dropout"):
        tiny_musicgen({"conditioning.dropout": 0.0})
    model = tiny_musicgen()
    for name, value in (("temperature", 0.0), ("top_k", -1), ("top_p", 1.5), ("overlap", 1.0)):
        with pytest.raises(UserError, match=f"{name} is {value}"):
            model.set_generation_params(**{name: value})
    with pytest.raises(UserError, match="unknown generation parameter"):
        model.set_generation_params(steps=3)
    with pytest.raises(VideoError, match="clip 0 is 1.00 s long"):
        model.generate_from_features([make_features(1.0)])
    with pytest.raises(UserError, match="1 seeds for 2 clips"):
        model.generate_from_features([make_features(3.0)] * 2, [1])
    with pytest.raises(FeatureFileError, match="pose_fps is 25.0, not 12.5"):
        tiny_musicgen({"features.pose_fps": 12.5}).generate_from_features([make_features(3.0)])


def test_a_codec_that_rescales_is_refused() -> None:
    config = {**CODEC, "encodec": {**CODEC["encodec"], "renormalize": True}}
    codec = build_codec(config)
    assert isinstance(codec, Codec)
    with pytest.raises(CheckpointError, match="has a scale"):
        codec.encode(torch.randn(1, 1, 8000))
