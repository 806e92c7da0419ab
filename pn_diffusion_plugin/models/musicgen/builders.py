"""Build the language model of the baseline from a configuration and its codec, which sets its sizes."""

from __future__ import annotations

from typing import Any

import torch
from audiocraft.modules.codebooks_patterns import (
    CodebooksPatternProvider,
    DelayedPatternProvider,
    ParallelPatternProvider,
)

from ...errors import UserError
from ...sequence import SequenceConfig
from ..builders import Config, build_conditioner, build_feature_spec
from .codec import Codec
from .condition import ATTENDED, FRAMES, DanceLMProvider, FrameFuser
from .lm import DanceLM

#: Sections of the configuration that define the language model; they are exported with the weights.
LM_KEYS = (
    "sample_rate",
    "segment_seconds",
    "features",
    "conditioning",
    "transformer_lm",
    "codebooks_pattern",
    "classifier_free_guidance",
    "generate",
)
_PATTERNS: dict[str, type[CodebooksPatternProvider]] = {
    "delay": DelayedPatternProvider,
    "parallel": ParallelPatternProvider,
}


def build_lm_sequence(config: Config, codec: Codec) -> SequenceConfig:
    """Lengths of a training segment; latent columns are frames of codes.

    Raises:
        UserError: the codec is for another sample rate.
    """
    if codec.model.sample_rate != config["sample_rate"]:
        raise UserError(
            f"the codec has {codec.model.sample_rate} Hz and this experiment sample_rate={config['sample_rate']}: "
            "use one rate"
        )
    spec = build_feature_spec(config)
    return SequenceConfig(
        seconds=config["segment_seconds"],
        sample_rate=config["sample_rate"],
        hop_length=codec.hop_length,
        latent_factor=1,
        column_multiple=1,
        pose_fps=spec.pose_fps,
        visual_hop=spec.visual_hop / spec.visual_fps,
    )


def build_dance_lm(config: Config, codec: Codec, device: torch.device | str = "cpu") -> DanceLM:
    """Language model over the codec's codes.

    Raises:
        UserError: a codebook pattern whose steps are not frames.
    """
    conditioning, lm = config["conditioning"], dict(config["transformer_lm"])
    pattern = config["codebooks_pattern"]["modeling"]
    if pattern not in _PATTERNS:
        raise UserError(f"codebooks_pattern.modeling is {pattern!r}: choose from {', '.join(_PATTERNS)}")
    provider = DanceLMProvider(
        build_conditioner(config, device, audiocraft=True),
        dim=lm["dim"],
        temporal=conditioning["temporal"],
        token_rate=build_feature_spec(config).pose_fps,
        frame_rate=codec.model.sample_rate / codec.hop_length,
        samples_per_frame=conditioning["moments"],
        frame_kernel=conditioning["frame_kernel"],
        attention_stride=conditioning["attention_stride"],
        device=device,
    )
    fused: dict[str, list[str]] = {"cross": [ATTENDED], "sum": [], "prepend": [], "input_interpolate": []}
    if provider.fold is not None:
        fused["sum"].append(FRAMES)
    options: dict[str, Any] = {**lm, "cross_attention": True, "causal": True}
    return DanceLM(
        pattern_provider=_PATTERNS[pattern](codec.model.num_codebooks),
        condition_provider=provider,
        fuser=FrameFuser(fused),
        n_q=codec.model.num_codebooks,
        card=codec.model.cardinality,
        dance_dropout=conditioning["dropout"],
        cfg_coef=config["classifier_free_guidance"]["inference_coef"],
        **options,
    ).to(device)
