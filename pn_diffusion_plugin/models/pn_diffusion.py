"""Inference class of PN-Diffusion: music for dance videos.

Each method calls the next one: `generate` (videos) → `generate_from_features` (clips of any length) →
`_clip_latents` → `_latents`; latents become sound by `_to_wave`, or a score by `_to_score`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..data.condition import NEGATIVE, POSITIVE, DanceCondition, positive_condition
from ..data.features.feature_file import Features
from ..data.score.notes import Score
from ..data.video.probe import probe
from ..errors import CheckpointError, PNDiffusionWarning, UserError
from ..modules.guidance import Guidance, guided
from ..modules.sampling import clip_generators, sample
from ..modules.windows import window_starts, windowed
from ..utils.progress import ProgressCallback
from . import builders
from .band.compose import compose
from .band.render import render, to_mono
from .branches import ConditionCache, prepare_branches
from .dual import DualDiffusion
from .generation_params import GenerationParams, upgrade_sampling
from .inference import PRECISIONS, for_inference, weight_bytes
from .io.checkpoint import Weights, build_with_state, config_errors, load_weights, save_exported
from .latent_diffusion import Condition, LatentDiffusion
from .pipeline import Edit, Video2Features
from .validation import batches_by_length, check_features, check_length, replace_params, seeds_and_names
from .vocoders import GRIFFIN_LIM
from .vocoders.base import Vocoder
from .vocoders.trained import TrainedVocoder, load_vocoder

__all__ = ["GenerationParams", "PNDiffusion"]

#: First columns of windows → conditions by name, rows ordered by window, then clip.
WindowConditions = Callable[[list[int]], dict[str, Condition]]

#: Smallest size of the condition cache in bytes; for larger networks it is that of their weights.
_LEAST_CACHE = 64 * 2**20


class PNDiffusion:
    """A trained model with its sampling parameters, autoencoder and vocoder.

    >>> model = PNDiffusion.get_pretrained("mini")
    >>> model.set_generation_params(steps=20)
    >>> model.sample_rate
    22050

    `model.generate(["dance.mp4"], seeds=[1])` returns the music for a video.
    """

    def __init__(
        self,
        config: builders.Config,
        dual: DualDiffusion,
        vae: builders.Autoencoder,
        device: torch.device | str = "cpu",
        vocoder: TrainedVocoder | None = None,
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        self.dual, self.vae = dual, vae
        self.writes_scores = builders.uses_scores(config)
        self.mel = builders.build_mel(config).to(self.device)
        self.params = GenerationParams()
        self._griffin_lim = builders.build_griffin_lim(config, self.mel)
        self.use_vocoder(vocoder)
        self.schedule = builders.build_schedule(config)
        self.sequence = builders.build_sequence(config)
        self.feature_spec = builders.build_feature_spec(config)
        self.negative_latent: str = config["negative"]["latent"]
        self.negative_cue = builders.build_cue(config)
        self.trained_negative: bool = config["negative"]["alpha"] < 1
        self._fast: tuple[tuple[str, bool, bool], LatentDiffusion, builders.Autoencoder] | None = None
        self.set_generation_params(**upgrade_sampling(config["sampling"]))

    @classmethod
    def get_pretrained(cls, name_or_path: str | Path, device: torch.device | str = "cpu") -> PNDiffusion:
        """Load bundled weights, an exported folder, a Dora signature, or OWNER/NAME on the hub.

        Args:
            name_or_path: see `resolve_checkpoint`.

        Raises:
            CheckpointError: there is no such model, or it is damaged.
            UserError: `device` does not exist.
        """
        _check_device(device)
        weights = load_weights(name_or_path)
        missing = [key for key in builders.MODEL_KEYS if key not in weights.config]
        if missing:
            raise CheckpointError(
                f"the configuration of {name_or_path} lacks {', '.join(missing)}: export the model again"
            )
        with config_errors(name_or_path):
            config, name = weights.config, str(name_or_path)
            dual = build_with_state(
                partial(builders.build_dual_diffusion, config), weights.model, name, device
            )
            vae = build_with_state(
                lambda _: builders.build_autoencoder(config),
                weights.vae,
                f"the autoencoder of {name}",
                device,
            )
            vocoder = None if weights.vocoder is None else load_vocoder(weights.vocoder)
            refinement = config["vocoder"].get("refinement")
            if vocoder is not None and refinement is not None:
                vocoder = replace(vocoder, refinement=refinement)
            return cls(config, dual.eval(), vae.to(device).eval(), device, vocoder)

    def save_pretrained(self, folder: str | Path, half: bool = False) -> Path:
        """Write the model as safetensors and YAML for `get_pretrained`.

        Args:
            half: store matrices and kernels of dance encoder and U-Net as float16; they are loaded as float32.
        """
        model = self.dual.state_dict()
        if half:
            model = {name: value.half() if value.dim() > 1 else value for name, value in model.items()}
        weights = Weights(dict(self.config), model, self.vae.state_dict())
        optional = (key for key in builders.OPTIONAL_KEYS if key in self.config)
        keys = (*builders.MODEL_KEYS, *optional)
        trained = None if self.trained_vocoder is None else self.trained_vocoder.half()
        return save_exported(folder, weights, keys, trained)

    def use_vocoder(self, vocoder: TrainedVocoder | None) -> None:
        """Set the model's own vocoder, which is exported with it; None: Griffin-Lim.

        Raises:
            CheckpointError: it was trained for another mel front end.
        """
        search = {k: v for k, v in self.config["vocoder"].items() if k in builders.GRIFFIN_LIM_KEYS}
        own = {"name": GRIFFIN_LIM} if vocoder is None else vocoder.settings()
        self.config = {**self.config, "vocoder": {**own, **search}}
        self.trained_vocoder = vocoder
        self._neural = None if vocoder is None else vocoder.build(self.config, self.mel)
        self.vocoder = self._vocoder(self.params.vocoder)

    def _vocoder(self, name: str) -> Vocoder:
        """The vocoder that `GenerationParams.vocoder` names."""
        return self._griffin_lim if self._neural is None or name == GRIFFIN_LIM else self._neural

    @property
    def sample_rate(self) -> int:
        """Sample rate of the music (Hz)."""
        return self.sequence.sample_rate

    @property
    def styles(self) -> tuple[str, ...]:
        """Styles that `GenerationParams.style` can name beside `any`; empty: trained without styles."""
        conditioner = self.dual.provider.style
        return () if conditioner is None else conditioner.names

    def set_generation_params(self, **params: Any) -> None:
        """Set some of `GenerationParams`.

        Warns if a distilled model is used with other steps than it was trained for.

        Raises:
            UserError: an unknown name, a value outside its range, or a guidance that the model was not trained for.
        """
        wanted = replace_params(self.params, params)
        wanted.check(self.schedule.num_train_timesteps)
        if wanted.spacing == "leading" and self.schedule.zero_terminal_snr:
            raise UserError(
                "spacing is leading, which does not begin at pure noise as models with zero_terminal_snr need: give "
                "trailing"
            )
        for name in ("negative_guidance", "negative_cfg"):
            if getattr(wanted, name) and not self.trained_negative:
                raise UserError(
                    f"{name} needs a model trained with negatives, and this one has alpha = 1: leave it at 0"
                )
        if wanted.guidance != 1 and not self.config["conditioning"]["dropout"]:
            raise UserError(
                "guidance needs a model trained with conditioning.dropout, and this one was trained without: leave it "
                "at 1"
            )
        wanted.check_score(self.writes_scores)
        wanted.check_style(self.styles, self.config["conditioning"].get("style_dropout", 0.0))
        own = None if self.trained_vocoder is None else self.trained_vocoder.network
        if wanted.vocoder not in ("auto", GRIFFIN_LIM, own):
            raise UserError(
                f"vocoder is {wanted.vocoder}, and this model has no such vocoder: give griffin_lim, or export the "
                "model with one (pn-diffusion export --vocoder)"
            )
        steps = builders.distilled_steps(self.config)
        if steps is not None and (wanted.sampler, wanted.steps, wanted.guidance) != ("ddim", steps, 1):
            warnings.warn(
                f"this model was distilled for ddim, {steps} steps and guidance 1: with {wanted.sampler}, "
                f"{wanted.steps} and {wanted.guidance:g} expect worse music",
                PNDiffusionWarning,
                stacklevel=2,
            )
        if wanted.vocoder != self.params.vocoder:
            self.vocoder = self._vocoder(wanted.vocoder)
        self.params = wanted

    def generate(
        self,
        videos: Sequence[str | Path],
        seeds: Sequence[int] | None = None,
        progress: ProgressCallback | None = None,
        visual_weights: str | Path | None = None,
        dancer: str | int = "prominent",
    ) -> list[torch.Tensor]:
        """Generate music for videos: a waveform (1, N) each, as long as the video's frames.

        Args:
            seeds: one per video; 0, 1, 2 … by default.
            progress: called with denoising steps done and their total.
            visual_weights: weights of the visual encoder, if it needs a file.
            dancer: dancer to follow: prominent, left, right, largest, or a number from the left.

        Raises:
            VideoError: a video cannot be used, or is shorter than a window of the model.
        """
        for video in videos:  # before the slow part
            Edit().check(video, probe(video), self.sequence.seconds)
        extract = Video2Features(self.feature_spec, visual_weights, device=self.device)
        features = [extract(video, dancer, backward=self.reads_backward) for video in videos]
        return self.generate_from_features(features, seeds, progress, names=[str(video) for video in videos])

    @torch.no_grad()
    def generate_from_features(
        self,
        features: Sequence[Features],
        seeds: Sequence[int] | None = None,
        progress: ProgressCallback | None = None,
        names: Sequence[str] | None = None,
    ) -> list[torch.Tensor]:
        """Generate music for features of clips: a waveform (1, N) each, N = seconds · sample_rate.

        The result of a clip depends on its features and seed, not on the other clips of the batch.

        Args:
            seeds: one per clip; 0, 1, 2 … by default.
            progress: called with denoising steps done and their total.
            names: for error messages.

        Raises:
            VideoError: a clip is shorter than a window of the model.
            FeatureFileError: features with other settings than the model's.
            UserError: the numbers of seeds and clips differ.
        """
        seeds, names = seeds_and_names(len(features), seeds, names)
        latents = self._clip_latents(features, seeds, progress, names)
        samples = [round(f.header.seconds * self.sample_rate) for f in features]
        return [self._to_wave(*clip)[0] for clip in zip(latents, samples, seeds, strict=True)]

    @torch.no_grad()
    def compose_from_features(
        self,
        features: Sequence[Features],
        seeds: Sequence[int] | None = None,
        progress: ProgressCallback | None = None,
        names: Sequence[str] | None = None,
    ) -> list[Score]:
        """Generate the scores of clips, for `models.band`; arguments as of `generate_from_features`.

        Raises:
            UserError: the model generates mel spectrograms.
        """
        if not self.writes_scores:
            raise UserError(
                "this model generates sound and no notes: give one with music.representation=score"
            )
        seeds, names = seeds_and_names(len(features), seeds, names)
        latents = self._clip_latents(features, seeds, progress, names)
        clips = zip(latents, features, seeds, strict=True)
        return [self._to_score(z, f.header.seconds, seed) for z, f, seed in clips]

    def _clip_latents(
        self,
        features: Sequence[Features],
        seeds: Sequence[int],
        progress: ProgressCallback | None,
        names: Sequence[str],
    ) -> list[torch.Tensor]:
        """Latents (1, C, F, L) of clips, at least as long as each; see `generate_from_features`."""
        for name, f in zip(names, features, strict=True):
            check_length(name, f.header.seconds, self.sequence.seconds)
            check_features(name, f, self.feature_spec)
        samples = [round(f.header.seconds * self.sample_rate) for f in features]
        columns_of = [max(self.sequence.columns_for(n), self.sequence.latent_columns) for n in samples]
        batches = batches_by_length(columns_of, self._clips_at_once())
        total, done = self.params.steps * len(batches), 0
        latents: dict[int, torch.Tensor] = {}
        for columns, members in batches:
            clips = [features[i] for i in members]
            base = done

            def conditions(starts: list[int], clips: list[Features] = clips) -> dict[str, Condition]:
                return self._window_conditions(clips, starts)

            def step(n: int, base: int = base) -> None:
                if progress is not None:
                    progress(base + n, total)

            z = self._latents(conditions, columns, [seeds[i] for i in members], step)
            for i, latent in zip(members, z, strict=True):
                latents[i] = latent[None]
            done += self.params.steps
        return [latents[i] for i in range(len(features))]

    @torch.no_grad()
    def generate_from_conditions(
        self, dances: Sequence[dict[str, DanceCondition]], seeds: Sequence[int]
    ) -> list[torch.Tensor]:
        """Generate music for segments of one window: a waveform (1, N) each."""
        streams, size = self._streams(), self._clips_at_once()
        waves: list[torch.Tensor] = []
        for at in range(0, len(dances), size):
            group = dances[at : at + size]
            conditions = self._conditions(group, streams)

            def of_all(_: list[int], conditions: dict[str, Condition] = conditions) -> dict[str, Condition]:
                return conditions

            own = seeds[at : at + size]
            z = self._latents(of_all, self.sequence.latent_columns, own, None)
            for latent, seed in zip(z, own, strict=True):
                waves.append(self._to_wave(latent[None], self.sequence.samples, seed)[0])
        return waves

    def parts(self) -> tuple[nn.Module, ...]:
        """Modules with weights: provider and denoiser, autoencoder, and the model's own vocoder."""
        own = () if self._neural is None else (self._neural,)
        return (self.dual, self.vae, *own)

    def networks(self) -> tuple[LatentDiffusion, builders.Autoencoder]:
        """Denoiser and autoencoder in the precision and memory format of the parameters.

        They are copied at the first use, with the weights of that time.
        """
        p = self.params
        wanted = (p.precision, p.channels_last, p.compile)
        if self._fast is None or self._fast[0] != wanted:
            denoiser = for_inference(self.dual.denoiser, *wanted[:2], "unet" if p.compile else None)
            self._fast = wanted, denoiser, for_inference(self.vae, *wanted[:2])
        return self._fast[1:]

    def _clips_at_once(self) -> int:
        """Number of clips that are denoised together: all their branches fit in one call of the network."""
        branches = self.guidance_rule().branches
        return min(self.params.batch_size, max(1, self.params.windows_per_call // len(branches)))

    @property
    def reads_backward(self) -> bool:
        """Whether the current parameters need the dance played backward: guidance away from it."""
        return NEGATIVE in self._streams()

    def guidance_rule(self) -> Guidance:
        """Weights of the guidance branches for the current parameters."""
        return self.params.guidance_rule(self.negative_latent, self.schedule.num_train_timesteps)

    def _streams(self) -> tuple[str, ...]:
        return (POSITIVE, NEGATIVE) if "negative" in self.guidance_rule().branches else (POSITIVE,)

    def _window_hop(self) -> int:
        return max(1, round(self.sequence.latent_columns * (1 - self.params.overlap)))

    def _window_conditions(self, features: Sequence[Features], starts: Sequence[int]) -> dict[str, Condition]:
        """Conditions of every window of every clip, ordered by window, then clip."""
        streams, seconds = self._streams(), self.sequence.seconds
        stored = None if self.dual.other_dance is None else self.dual.other_dance.condition()
        dances = []
        for start in starts:
            for f in features:
                at = start * self.sequence.column_seconds
                dance = {POSITIVE: positive_condition(f, at, seconds)}
                if NEGATIVE in streams:
                    dance[NEGATIVE] = self.negative_cue.for_sampling(f, at, seconds, stored)
                dances.append(dance)
        return self._conditions(dances, streams)

    def _conditions(
        self, dances: Sequence[dict[str, DanceCondition]], streams: tuple[str, ...]
    ) -> dict[str, Condition]:
        """Conditions of dances, and of the style that the parameters name for all of them."""
        styles = [self.params.style] * len(dances)
        return self.dual.provider(self.dual.provider.collate(dances, streams, styles))

    def _latents(
        self,
        conditions: WindowConditions,
        columns: int,
        seeds: Sequence[int],
        on_step: Callable[[int], None] | None,
    ) -> torch.Tensor:
        """Sample latents (B, C, F, columns).

        Args:
            conditions: computes the conditions of windows, called for the windows of one network call at a time, so
                that the dance encoder's memory does not grow with the length.
            columns: latent columns, at least one window.
            seeds: one per clip.
            on_step: called with the number of steps done.
        """
        params, denoiser = self.params, self.networks()[0]
        dtype = PRECISIONS[params.precision]
        window, hop = self.sequence.latent_columns, self._window_hop()
        guidance = self.guidance_rule()
        branches = guidance.branches
        per_call = max(1, params.windows_per_call // (len(seeds) * len(branches)))
        starts = window_starts(columns, window, hop)
        cache = ConditionCache(denoiser, max(_LEAST_CACHE, weight_bytes(denoiser)))
        for i in range(0, len(starts), per_call):
            # Prepared in the trained network's precision, converted to that of the sampling copy.
            rows = prepare_branches(
                self.dual.denoiser, conditions(starts[i : i + per_call]), branches, window
            )
            cache.add(starts[i], rows, max(1, params.windows_per_call // len(rows[0]["tokens"])))

        def denoise_windows(z: torch.Tensor, t: torch.Tensor, group: list[int]) -> torch.Tensor:
            """(W B, C, F, window) → (K, W B, C, F, window), all K branches in one call if they fit."""
            z, wanted = z.to(dtype), len(guidance.at(t).branches)
            outputs: list[torch.Tensor] = []
            for rows in cache.calls(group[0]):
                k = min(len(rows["tokens"]) // len(z), wanted - len(outputs))
                if k == 0:  # no guidance at this step
                    break
                own = {name: value[: k * len(z)] for name, value in rows.items()}
                outputs += denoiser.denoise(z.repeat(k, 1, 1, 1), t.repeat(k), own).float().chunk(k)
            return torch.stack(outputs)

        evaluations = 0

        def count(_: Any) -> None:
            nonlocal evaluations
            evaluations += 1
            if on_step is not None:
                on_step(evaluations)

        return sample(
            guided(windowed(denoise_windows, window, hop, windows_per_call=per_call), guidance),
            self.schedule,
            (len(seeds), denoiser.latent_channels, denoiser.latent_rows, columns),
            sampler=params.sampler,
            steps=params.steps,
            generators=clip_generators(seeds),
            device=self.device,
            callback=count,
            eta=params.eta,
            spacing=params.spacing,
        )

    def _to_wave(self, z: torch.Tensor, samples: int, seed: int = 0) -> torch.Tensor:
        """Convert a latent (1, C, F, L) to a waveform (1, 1, samples) on the CPU; scores are played."""
        if self.writes_scores:
            score = self._to_score(z, samples / self.sample_rate, seed)
            wave = to_mono(render(score, seed), self.sample_rate)
            return torch.from_numpy(wave)[None, None, :samples]
        mel = self.networks()[1].decode(z)
        return self.vocoder(mel[..., : self.mel.frames(samples)], samples).cpu()

    def _to_score(self, z: torch.Tensor, seconds: float, seed: int) -> Score:
        """Convert a latent (1, C, F, L) to the score of a piece."""
        image = self.networks()[1].decode(z)[0, 0].float().cpu().numpy()
        frame = self.mel.hop_length / self.sample_rate
        style, key, pulse = self.params.style, self.params.key, self.params.pulse
        return compose(image, frame, seconds, seed=seed, style=style, key=key, pulse=pulse)

    @torch.no_grad()
    def reconstruct(self, wav: torch.Tensor) -> torch.Tensor:
        """Pass music (N,) through mel, autoencoder and vocoder: the upper bound of the model's quality.

        Music cannot be written as a score: a model that generates scores returns it as it is.
        """
        samples = wav.shape[-1]
        if self.writes_scores:
            return wav
        columns = self.sequence.columns_for(samples)
        padded = torch.nn.functional.pad(
            wav[None, None], (0, columns * self.sequence.latent_factor * self.sequence.hop_length - samples)
        )
        mel = self.mel(padded.to(self.device))
        return self._to_wave(self.vae.encode(mel, sample=False), samples)[0, 0]


def _check_device(device: torch.device | str) -> None:
    """Raise UserError unless `device` exists."""
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise UserError(f"device {device} is unknown to torch: give cpu or cuda") from error
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device {device} is not available, torch finds no usable GPU: give cpu")
