"""Every length of a segment, from seconds and rates, in one place.

A segment of `seconds` is seen at many rates: audio samples, mel frames, latent columns, pose frames, windows of
the visual encoder. Deriving them all here keeps the streams of a batch from drifting apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

LENGTH_TOLERANCE = 0.05
"""A clip may be this much (s) shorter than a model's window: about one dropped frame."""


def _ceil_to(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


@dataclass(frozen=True)
class SequenceConfig:
    """Lengths of one segment.

    Args:
        seconds: length of the segment (s).
        sample_rate: of the audio (Hz).
        hop_length: samples a mel frame.
        latent_factor: mel frames a latent column (the VAE's f).
        column_multiple: latent columns must be a multiple of this (2 to the number of halvings in the U-Net).
        pose_fps: keypoint frames a second (Hz).
        visual_hop: seconds from one visual window to the next.

    >>> mini = SequenceConfig(5.2, 22050, 512, 4, 4, 25.0, 1.28)
    >>> mini.samples, mini.mel_frames, mini.latent_columns, mini.pose_frames, mini.visual_windows
    (114660, 224, 56, 130, 4)
    >>> paper = SequenceConfig(5.0, 22050, 512, 8, 8, 25.0, 0.64)  # 256 frames would be 5.94 s
    >>> paper.mel_frames, paper.latent_columns
    (256, 32)
    """

    seconds: float
    sample_rate: int
    hop_length: int
    latent_factor: int
    column_multiple: int
    pose_fps: float
    visual_hop: float

    def __post_init__(self) -> None:
        for name in (
            "seconds",
            "sample_rate",
            "hop_length",
            "latent_factor",
            "column_multiple",
            "pose_fps",
            "visual_hop",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be positive")

    @property
    def samples(self) -> int:
        """Audio samples of the segment."""
        return round(self.seconds * self.sample_rate)

    @property
    def latent_columns(self) -> int:
        """Columns of the latent, padded to what the U-Net can halve."""
        return self.columns_for(self.samples)

    @property
    def mel_frames(self) -> int:
        """Frames of the mel spectrogram, padding included."""
        return self.latent_columns * self.latent_factor

    @property
    def padded_samples(self) -> int:
        """Audio samples of the mel spectrogram, padding included."""
        return self.mel_frames * self.hop_length

    @property
    def column_seconds(self) -> float:
        """Seconds a latent column."""
        return self.latent_factor * self.hop_length / self.sample_rate

    @property
    def pose_frames(self) -> int:
        """Keypoint frames of the segment."""
        return round(self.seconds * self.pose_fps)

    @property
    def visual_windows(self) -> int:
        """Windows of the visual encoder."""
        return max(1, round(self.seconds / self.visual_hop))

    def columns_for(self, samples: int) -> int:
        """Latent columns that hold `samples` audio samples."""
        frames = -(-samples // self.hop_length)
        return _ceil_to(-(-frames // self.latent_factor), self.column_multiple)

    def column_mask(self, samples: torch.Tensor) -> torch.Tensor:
        """Which latent columns of a segment hold music: what the loss counts.

        Args:
            samples: (B,) audio samples of music in each segment, the rest being padding.

        Returns:
            (B, 1, 1, L) of 1 where a column holds music, be it a single sample, and 0 where it is padding only.
        """
        column = self.latent_factor * self.hop_length
        starts = torch.arange(self.latent_columns, device=samples.device) * column
        return (starts[None] < samples[:, None]).float()[:, None, None]
