"""Vocoders: mel spectrogram to waveform.

Griffin-Lim needs no training. A trained vocoder is a `VocoderNetwork` in a file of its own and one entry of
`NETWORKS`; training (`solver=vocoder`, `vocoder.network`), chunks, refinement, export and loading are the same for all.
"""

from collections.abc import Callable

from .base import VocoderNetwork
from .vocos import VocosNetwork

#: Networks by name. The name is also the section of the configuration with the network's arguments.
NETWORKS: dict[str, Callable[..., VocoderNetwork]] = {"vocos": VocosNetwork}

GRIFFIN_LIM = "griffin_lim"


def vocoder_names() -> tuple[str, ...]:
    """Names of all vocoders, as in `vocoder.name`."""
    return (GRIFFIN_LIM, *NETWORKS)
