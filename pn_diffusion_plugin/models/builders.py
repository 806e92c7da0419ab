"""Build modules from a configuration of plain dictionaries.

The same dictionaries are stored in exported models, which are built by the same functions as in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch

from ..data.features.feature_file import FeatureSpec
from ..data.features.streams import stream_dim
from ..data.features.visual import visual_dim
from ..data.negatives import NEGATIVE_MUSIC, NegativeCue, get_cue
from ..data.score.image import ROWS
from ..errors import UserError
from ..modules.conditioners import ConditionerClasses, DanceConditioner, audiocraft_classes
from ..modules.dance_encoder import DanceEncoder
from ..modules.mel import MelSpectrogram
from ..modules.objective import Objective
from ..modules.readings import get_reading
from ..modules.schedule import NoiseSchedule
from ..modules.style import ANY
from ..sequence import SequenceConfig
from .dual import DualDiffusion, FixedNegative
from .latent_diffusion import LatentDiffusion
from .mel_vae import MelVAE
from .score_patches import ScorePatches
from .vocoders import NETWORKS, VocoderNetwork, vocoder_names
from .vocoders.griffin_lim import GriffinLim

Config = Mapping[str, Any]

#: Sections of the configuration that define the model; they are exported with the weights.
VAE_KEYS = ("sample_rate", "segment_seconds", "mel", "mel_vae")
MODEL_KEYS = (*VAE_KEYS, "features", "conditioning", "unet", "diffusion", "negative", "sampling", "vocoder")
#: Sections that are exported where present.
OPTIONAL_KEYS = ("distill", "music")
#: Keys of the section `vocoder` that are arguments of Griffin-Lim.
GRIFFIN_LIM_KEYS = ("iterations", "inversion_steps", "momentum", "seed", "peak", "chunk_frames")


def distilled_steps(config: Config) -> int | None:
    """Steps that a distilled model was trained for; None: not distilled."""
    rounds = (config.get("distill") or {}).get("rounds")
    return rounds[-1] if rounds else None


def uses_scores(config: Config) -> bool:
    """Whether the images are scores (`music.representation: score`) and not mel spectrograms.

    Raises:
        UserError: for an unknown representation, or other rows than a score's.
    """
    name = (config.get("music") or {}).get("representation", "mel")
    if name not in ("mel", "score"):
        raise UserError(f"music.representation={name!r}: give mel or score")
    if name == "score" and config["mel"]["n_mels"] != ROWS:
        raise UserError(f"mel.n_mels={config['mel']['n_mels']}: a score has {ROWS} rows, give that")
    return bool(name == "score")


def build_mel(config: Config) -> MelSpectrogram:
    """Mel front end."""
    return MelSpectrogram(sample_rate=config["sample_rate"], **config["mel"])


Autoencoder = MelVAE | ScorePatches


def build_autoencoder(config: Config) -> Autoencoder:
    """From images to latents and back: a network for mel spectrograms, patches for scores."""
    return ScorePatches(_latent_factor(config)) if uses_scores(config) else build_vae(config)


def _latent_factor(config: Config) -> int:
    """Frames of a latent column."""
    return int(2 ** (len(config["mel_vae"]["channels"]) - 1))


def build_vae(config: Config) -> MelVAE:
    """Autoencoder of mel spectrograms."""
    return MelVAE(**config["mel_vae"])


def build_feature_spec(config: Config) -> FeatureSpec:
    """Features that the model expects."""
    known = {field.name for field in fields(FeatureSpec)}
    return FeatureSpec(**{key: value for key, value in config["features"].items() if key in known})


def build_sequence(config: Config) -> SequenceConfig:
    """Lengths of a training segment, which is also the window of sampling."""
    spec = build_feature_spec(config)
    return SequenceConfig(
        seconds=config["segment_seconds"],
        sample_rate=config["sample_rate"],
        hop_length=config["mel"]["hop_length"],
        latent_factor=_latent_factor(config),
        column_multiple=2 ** (len(config["unet"]["channels"]) - 1),
        pose_fps=spec.pose_fps,
        visual_hop=spec.visual_hop / spec.visual_fps,
    )


def build_schedule(config: Config) -> NoiseSchedule:
    """Noise schedule and prediction type."""
    return NoiseSchedule(**config["diffusion"])


def build_objective(config: Config, schedule: NoiseSchedule) -> Objective:
    """Training objective: the reading that `negative.latent` names.

    Raises:
        UserError: an unknown name, a weight outside its range, or keys of `negative` that exclude each other.
    """
    negative = config["negative"]
    cue, music = build_cue(config), negative.get("music", "same")
    try:
        reading = get_reading(negative["latent"])
        options = {key: negative[key] for key in reading.options if key in negative}
        objective = reading(schedule, negative["alpha"], **options)
    except ValueError as error:
        raise UserError(f"the section negative of the configuration: {error}") from error
    if music not in NEGATIVE_MUSIC:
        raise UserError(f"negative.music={music!r}: give one of {', '.join(NEGATIVE_MUSIC)}")
    if music == "reversed" and (cue.name != "reversed" or not reading.takes_negative_latent):
        raise UserError(
            f"negative.music=reversed with negative.cue={cue.name} and negative.latent={reading.name}: it is the music "
            "of the reversed dance, for a reading with a negative latent; give cue=reversed and latent=mirrored"
        )
    if negative.get("branch_flag") and not reading.takes_branch_flag:
        raise UserError(
            f"negative.branch_flag=true with negative.latent={reading.name}, which trains the network as one branch: "
            "give branch_flag=false"
        )
    return objective


def build_cue(config: Config) -> NegativeCue:
    """The negative cue that `negative.cue` names.

    Raises:
        UserError: for an unknown name.
    """
    return get_cue(config["negative"].get("cue", "reversed"))


def negative_in_words(config: Config) -> str | None:
    """What the negative stream does in training, the rest of a sentence on the network; None without negatives."""
    if config["negative"]["alpha"] == 1:
        return None
    return get_reading(config["negative"]["latent"]).effect.format(dance=build_cue(config).words)


def style_names(config: Config) -> tuple[str, ...]:
    """Styles that `conditioning.styles` names; empty: the model has no such condition.

    Raises:
        UserError: not a list of different names, or one of them is `any`.
    """
    names = config["conditioning"].get("styles") or ()
    if isinstance(names, str) or not all(isinstance(name, str) and name for name in names):
        raise UserError(f"conditioning.styles={names!r}: give a list of names, or []")
    if len(set(names)) < len(names) or ANY in names:
        raise UserError(
            f"conditioning.styles={list(names)}: give each name once, without {ANY!r}, which is added by itself"
        )
    return tuple(names)


def build_conditioner(
    config: Config, device: torch.device | str = "cpu", audiocraft: bool = False
) -> DanceConditioner:
    """Dance encoder with its projection, for PN-Diffusion and the MusicGen baseline.

    Args:
        audiocraft: build an instance of audiocraft's `BaseConditioner`.
    """
    spec, conditioning = build_feature_spec(config), config["conditioning"]
    encoder = DanceEncoder(
        visual_dim=visual_dim(spec.visual_encoder),
        visual_out=conditioning["visual_out"],
        motion_dim=conditioning["motion"]["dim"],
        motion_inputs=tuple(conditioning["motion"]["inputs"]),
        channels=conditioning["motion"]["channels"],
        layers=conditioning["motion"]["layers"],
        kernel_size=conditioning["motion"]["kernel_size"],
        dropout=conditioning["motion"]["dropout"],
        temporal=conditioning["temporal"],
        streams={name: stream_dim(name) for name in spec.streams},
        stream_out=conditioning.get("stream_out", 16),
    )
    classes = audiocraft_classes() if audiocraft else ConditionerClasses()
    return classes.dance(encoder, conditioning["output_dim"], device=device)


def build_dual_diffusion(
    config: Config, device: torch.device | str = "cpu", audiocraft: bool = False
) -> DualDiffusion:
    """Condition provider and denoiser.

    Args:
        audiocraft: build the provider as audiocraft's `ConditioningProvider`, for training.
    """
    spec, sequence = build_feature_spec(config), build_sequence(config)
    conditioning, unet = config["conditioning"], dict(config["unet"])
    conditioner, styles = build_conditioner(config, device, audiocraft), style_names(config)
    channels, rows = config["mel_vae"]["latent_channels"], config["mel"]["n_mels"] // sequence.latent_factor
    if uses_scores(config):
        patches = ScorePatches(sequence.latent_factor)
        channels, rows = patches.latent_channels, patches.latent_rows
    denoiser = LatentDiffusion(
        latent_channels=channels,
        latent_rows=rows,
        condition_dim=conditioner.output_dim,
        temporal=conditioning["temporal"],
        token_rate=spec.pose_fps,
        column_seconds=sequence.column_seconds,
        samples_per_column=conditioning["moments"],
        aligned_channels=conditioning["aligned_channels"],
        attention_stride=conditioning["attention_stride"],
        channels=tuple(unet.pop("channels")),
        attention=tuple(unet.pop("attention")),
        branch_flag=config["negative"].get("branch_flag", False),
        styled=bool(styles),
        **unet,
    )
    other_dance = None
    if build_cue(config).needs_stored_dance:
        if spec.streams:
            raise UserError(
                "negative.cue=mismatched does not support features.streams: use cue=reversed or cue=shifted"
            )
        other_dance = FixedNegative(
            visual_windows=sequence.visual_windows,
            visual_dim=visual_dim(spec.visual_encoder),
            pose_frames=sequence.pose_frames,
            visual_rate=spec.visual_fps / spec.visual_hop,
            motion_rate=spec.pose_fps,
            seconds=sequence.seconds,
        )
    classes = audiocraft_classes() if audiocraft else ConditionerClasses()
    style = classes.style(styles, denoiser.time_dim, device) if styles else None
    provider = classes.provider(conditioner, device=device, style=style)
    return DualDiffusion(provider, denoiser, other_dance).to(device)


def build_vocoder_network(config: Config, mel: MelSpectrogram, name: str) -> VocoderNetwork:
    """Network of a trained vocoder; its arguments are the section of the same name.

    Raises:
        UserError: for an unknown name.
    """
    if name not in NETWORKS:
        raise UserError(f"vocoder.name={name!r}: give one of {', '.join(NETWORKS)}")
    return NETWORKS[name](mel, **config[name])


def vocoder_name(config: Config) -> str:
    """Validate `vocoder.name`.

    Raises:
        UserError: for an unknown name.
    """
    name: str = config["vocoder"]["name"]
    if name not in vocoder_names():
        raise UserError(f"vocoder.name={name!r}: give one of {', '.join(vocoder_names())}")
    return name


def build_griffin_lim(config: Config, mel: MelSpectrogram) -> GriffinLim:
    """Griffin-Lim with the settings of the section `vocoder`, for any `vocoder.name`."""
    return GriffinLim(
        mel, **{key: config["vocoder"][key] for key in GRIFFIN_LIM_KEYS if key in config["vocoder"]}
    )
