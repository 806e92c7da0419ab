"""Inference class of the baseline, with the methods of `PNDiffusion`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...data.condition import POSITIVE, positive_condition
from ...data.dance_attributes import DanceAttributes
from ...data.features.feature_file import Features
from ...errors import CheckpointError, UserError
from ...modules.windows import window_starts
from ...utils.progress import ProgressCallback
from ..builders import Config, build_feature_spec
from ..io.checkpoint import (
    EXPORT_SCHEMA,
    load_experiment,
    load_into,
    read_config,
    read_tensors,
    resolve_checkpoint,
    write_exported,
)
from ..validation import (
    batches_by_length,
    check_features,
    check_length,
    check_ranges,
    replace_params,
    seeds_and_names,
)
from .builders import LM_KEYS, build_dance_lm, build_lm_sequence
from .codec import Codec, build_codec, load_codec
from .lm import DanceLM

_CONFIG, _MODEL, _CODEC = "config.yaml", "model.safetensors", "codec.safetensors"


@dataclass(frozen=True)
class MusicGenParams:
    """Sampling parameters.

    Attributes:
        use_sampling: draw codes; False: the likeliest code.
        temperature: divisor of the logits.
        top_k: number of likeliest codes to draw from; 0: all.
        top_p: total probability of the likeliest codes to draw from; 0: all. Overrides `top_k`.
        guidance: weight of classifier-free guidance; 1: off.
        overlap: of neighbouring windows, as a share of a window: the end of one is the prompt of the next.
        batch_size: clips of equal length generated together.
    """

    use_sampling: bool = True
    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 0.0
    guidance: float = 3.0
    overlap: float = 0.5
    batch_size: int = 8


class DanceMusicGen:
    """A trained baseline with its sampling parameters and codec.

    It can be evaluated like `PNDiffusion`: `generate_from_features`, `reconstruct`, `sequence`, `sample_rate`.
    """

    #: It generates codes of sound, no notes.
    writes_scores = False

    def __init__(self, config: Config, lm: DanceLM, codec: Codec, device: torch.device | str = "cpu") -> None:
        self.config, self.lm, self.codec = config, lm, codec
        self.device = torch.device(device)
        self.sequence = build_lm_sequence(config, codec)
        self.feature_spec = build_feature_spec(config)
        sampling = config["generate"]["lm"]
        self.params = MusicGenParams()
        self.set_generation_params(
            temperature=sampling["temp"],
            guidance=config["classifier_free_guidance"]["inference_coef"],
            **{key: sampling[key] for key in ("use_sampling", "top_k", "top_p", "overlap", "batch_size")},
        )

    @classmethod
    def get_pretrained(cls, name_or_path: str | Path, device: torch.device | str = "cpu") -> DanceMusicGen:
        """Load a Dora signature, an experiment's folder, or an exported model.

        Raises:
            CheckpointError: there is no such model, or it is damaged.
        """
        folder = resolve_checkpoint(name_or_path)
        if (folder / _CONFIG).is_file():
            config, weights, codec = _load_exported(folder, device)
        else:
            state = load_experiment(folder, "dance_musicgen")
            config, weights = state["xp.cfg"], state["best_state"]["model"]
            codec = load_codec(state["codec_source"], config["codec"]["codebooks"], device)
        lm = build_dance_lm(config, codec, device)
        load_into(lm, weights, str(name_or_path))
        return cls(config, lm.eval(), codec, device)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the model as safetensors and YAML for `get_pretrained`; of a codec of the hub only the name."""
        config: dict[str, Any] = {
            "schema": EXPORT_SCHEMA,
            "solver": "dance_musicgen",
            **{key: self.config[key] for key in LM_KEYS},
            "codec": {**self.codec.description, "codebooks": self.codec.model.num_codebooks},
        }
        parts = {_MODEL: self.lm.state_dict()}
        if "pretrained" not in self.codec.description:
            parts[_CODEC] = self.codec.model.state_dict()
        return write_exported(folder, config, parts)

    @property
    def reads_backward(self) -> bool:
        """Whether the dance played backward is needed: never."""
        return False

    @property
    def sample_rate(self) -> int:
        """Sample rate of the music (Hz)."""
        return self.sequence.sample_rate

    def set_generation_params(self, **params: Any) -> None:
        """Set some of `MusicGenParams`.

        Raises:
            UserError: an unknown name, a value outside its range, or a guidance that the model was not trained for.
        """
        wanted = replace_params(self.params, params)
        rules = (
            ("temperature", wanted.temperature > 0, "more than 0"),
            ("top_k", wanted.top_k >= 0, "at least 0"),
            ("top_p", 0 <= wanted.top_p <= 1, "0 to 1"),
            ("overlap", 0 <= wanted.overlap < 1, "at least 0 and less than 1"),
            ("batch_size", wanted.batch_size >= 1, "at least 1"),
        )
        check_ranges(wanted, rules)
        if wanted.guidance != 1 and not self.config["conditioning"]["dropout"]:
            raise UserError(
                "guidance needs a model trained with conditioning.dropout, and this one was trained without: set "
                "classifier_free_guidance.inference_coef to 1"
            )
        self.params = wanted

    @torch.no_grad()
    def generate_from_features(
        self,
        features: Sequence[Features],
        seeds: Sequence[int] | None = None,
        progress: ProgressCallback | None = None,
        names: Sequence[str] | None = None,
    ) -> list[torch.Tensor]:
        """Generate music for features of clips: a waveform (1, N) each, N = seconds · sample_rate.

        Longer clips are generated in windows, each of which continues the codes of the previous one, as in MusicGen.

        Args:
            seeds: one per clip; 0, 1, 2 … by default.
            progress: called with frames of codes done and their total.
            names: for error messages.

        Raises:
            VideoError: a clip is shorter than a window of the model.
            FeatureFileError: features with other settings than the model's.
            UserError: the numbers of seeds and clips differ.
        """
        seeds, names = seeds_and_names(len(features), seeds, names)
        for name, clip in zip(names, features, strict=True):
            check_length(name, clip.header.seconds, self.sequence.seconds)
            check_features(name, clip, self.feature_spec)
        samples = [round(clip.header.seconds * self.sample_rate) for clip in features]
        frames_of = [max(self.sequence.columns_for(n), self.sequence.latent_columns) for n in samples]
        batches = batches_by_length(frames_of, self.params.batch_size)
        total, done = sum(frames for frames, _ in batches), 0
        waves: dict[int, torch.Tensor] = {}
        for frames, members in batches:
            base = done

            def made(n: int, base: int = base) -> None:
                if progress is not None:
                    progress(base + n, total)

            codes = self._codes([features[i] for i in members], frames, [seeds[i] for i in members], made)
            for i, one in zip(members, codes, strict=True):
                waves[i] = self.codec.decode(one[None])[0, :, : samples[i]].cpu()
            done += frames
        return [waves[i] for i in range(len(features))]

    def _codes(self, clips: Sequence[Features], frames: int, seeds: Sequence[int], made: Any) -> torch.Tensor:
        """Generate codes (B, K, frames) of clips of one length, window by window."""
        window, params = self.sequence.latent_columns, self.params
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        hop = max(1, round(window * (1 - params.overlap)))
        codes: torch.Tensor | None = None
        for start in window_starts(frames, window, hop):
            known = 0 if codes is None else codes.shape[-1] - start
            end = start + window
            attributes = [self._attributes(clip, start) for clip in clips]
            made_here = self.lm.generate(
                None if codes is None else codes[..., start:],
                attributes,
                generators=generators,
                max_gen_len=window,
                use_sampling=params.use_sampling,
                temp=params.temperature,
                top_k=params.top_k,
                top_p=params.top_p,
                cfg_coef=params.guidance,
                callback=lambda n, of, first=start + known, last=end: made(min(first + n, last)),
            )
            codes = made_here if codes is None else torch.cat([codes[..., :start], made_here], dim=-1)
        assert codes is not None
        return codes

    def _attributes(self, clip: Features, start: int) -> DanceAttributes:
        """Attributes of the window that begins at frame `start`."""
        positive = positive_condition(clip, start * self.sequence.column_seconds, self.sequence.seconds)
        return DanceAttributes(dance={POSITIVE: positive})

    @torch.no_grad()
    def reconstruct(self, wav: torch.Tensor) -> torch.Tensor:
        """Pass music (N,) through the codec: the upper bound of the model's quality."""
        codes = self.codec.encode(wav[None, None].to(self.device))
        return self.codec.decode(codes)[0, 0, : wav.shape[-1]].cpu()


def _load_exported(
    folder: Path, device: torch.device | str
) -> tuple[dict[str, Any], dict[str, torch.Tensor], Codec]:
    """Load configuration, weights and codec of an exported folder."""
    config, sha256 = read_config(folder)
    if config.get("solver") != "dance_musicgen":
        raise CheckpointError(f"{folder} is not an exported dance_musicgen model: give another folder")
    weights = read_tensors(folder / _MODEL, sha256.get(_MODEL))
    try:
        description = dict(config["codec"])
        codebooks = description.pop("codebooks")
        codec = build_codec(description, device)
        if "pretrained" not in description:
            codec_weights = read_tensors(folder / _CODEC, sha256.get(_CODEC))
            load_into(codec.model, codec_weights, f"the codec of {folder}")
        codec.model.set_num_codebooks(codebooks)
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"the exported model {folder} cannot be read ({type(error).__name__}: {error}): export it again"
        ) from error
    return config, weights, codec
