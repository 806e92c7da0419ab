"""Figure of one clip: waveform, mel spectrogram, beats of the dance and of the music on one time axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..utils.files import atomic_path
from .beats import as_mono, as_times

MOTION, MUSIC, REFERENCE = "tab:orange", "tab:blue", "tab:green"
_GREY = "#808080"  # readable on white and on black


def clip_figure(
    path: str | Path,
    wav: object,
    sample_rate: int,
    mel: object | None,
    motion_beats: object,
    music_beats: object,
    reference_beats: object | None = None,
    title: str = "",
    transparent: bool = False,
) -> tuple[float, float]:
    """Write a PNG of a clip and return the positions of its start and end as fractions of the image's width.

    Args:
        path: where to.
        wav: sound (N,) or (C, N).
        sample_rate: Hz.
        mel: (F, L) or with leading axes of one, lowest band first, any unit, as long as the sound; None:
            computed.
        motion_beats: kinematic beats of the dance, seconds.
        music_beats: beats of the sound, seconds.
        reference_beats: beats of the reference music, seconds, or None.
        title: above the image.
        transparent: draw the text in grey on a transparent background, for light and dark pages.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    mono = as_mono(wav)
    seconds = mono.size / sample_rate
    rows = [("dance", MOTION, motion_beats), ("music", MUSIC, music_beats)]
    if reference_beats is not None:
        rows.append(("reference", REFERENCE, reference_beats))

    figure = Figure(figsize=(10, 6), layout="constrained")  # no pyplot: no global state, no display
    FigureCanvasAgg(figure)
    waveform, spectrogram, beats = figure.subplots(
        3, 1, sharex=True, height_ratios=(1, 2, 0.3 * len(rows) + 0.2)
    )
    if title:
        figure.suptitle(title)

    waveform.plot(np.arange(mono.size) / sample_rate, mono, linewidth=0.4, color="0.3")
    waveform.set_ylabel("sound")
    waveform.set_ylim(-1.05, 1.05)

    image = mel_decibels(mono, sample_rate) if mel is None else _as_image(mel)
    spectrogram.imshow(image, origin="lower", aspect="auto", extent=(0, seconds, 0, len(image)), cmap="magma")
    spectrogram.set_ylabel("mel band")

    for height, (_, colour, events) in enumerate(reversed(rows)):
        times = as_times(events, seconds)
        beats.vlines(times, height - 0.4, height + 0.4, color=colour, linewidth=2)
        waveform.vlines(times if colour == MUSIC else [], -1, 1, color=colour, linewidth=0.8, alpha=0.6)
        spectrogram.vlines(
            times if colour == MOTION else [], 0, len(image), color="white", linewidth=0.8, linestyle=":"
        )
    beats.set_yticks(range(len(rows)), [name for name, _, _ in reversed(rows)])
    beats.set_ylim(-0.6, len(rows) - 0.4)
    beats.set_ylabel("beats")
    beats.set_xlabel("seconds")
    beats.set_xlim(0, seconds)
    if transparent:
        for axes in (waveform, spectrogram, beats):
            axes.tick_params(colors=_GREY)
            axes.spines[:].set_color(_GREY)
            axes.xaxis.label.set_color(_GREY)
            axes.yaxis.label.set_color(_GREY)
        waveform.lines[0].set_color(_GREY)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png", transparent=transparent)
    place = beats.get_position()
    return float(place.x0), float(place.x1)


def _as_image(mel: object) -> np.ndarray:
    image = np.squeeze(np.asarray(mel, dtype=np.float32))
    if image.ndim != 2:
        raise ValueError(f"a mel spectrogram must be (F, L), not {image.shape}")
    return image


def mel_decibels(mono: np.ndarray, sample_rate: int) -> np.ndarray:
    """Mel spectrogram in dB below its maximum, (64, L), of a sound (N,) at `sample_rate` Hz."""
    import librosa

    power = librosa.feature.melspectrogram(y=mono, sr=sample_rate, n_mels=64)
    return np.asarray(librosa.power_to_db(power, ref=np.max, top_db=80) if power.any() else power)
