"""Find clips with the same recording by landmarks of the spectrogram, after Wang (2003).

A landmark is a pair of nearby spectral peaks: (frequency of the first, frequency step, time between them).
It does not depend on level, start of the clip or lossy encoding. Two clips match if many of their landmarks are equal
at the same time shift. (A. Wang, "An industrial-strength audio search algorithm", ISMIR 2003.)

It finds the same recording with another cut (if the cuts overlap), level or encoding. It does not find another
performance, tempo or key, or two cuts without common sound: label such songs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import librosa
import numpy as np
from scipy.ndimage import maximum_filter

SAMPLE_RATE = 22050
N_FFT = 2048  # 93 ms
HOP_LENGTH = 512  # 23 ms
MAX_BIN = 400  # 4.3 kHz: above that encoders differ
PEAK_BINS, PEAK_FRAMES = 9, 7  # a peak is the largest within ± these
PEAKS_A_SECOND = 40
FLOOR_DB = 60.0  # peaks further than this below the loudest are ignored
FAN_OUT = 6  # landmarks that begin at one peak
MAX_STEP = 64  # largest frequency step of a landmark, bins
MAX_FRAMES = 63  # longest landmark, frames (1.5 s)
MIN_COMMON = 20  # landmarks that two clips must share at one shift …
MIN_SHARE = 0.1  # … and the share of those within their overlap
# Occurrences of a landmark that are compared with each other: very frequent ones carry no information.
_WINDOW = 96
# Landmarks compared at a time: limits memory (100 to 200 MB), without effect on the result.
_BLOCK = 50_000


def fingerprint(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """Landmarks of a sound.

    Args:
        wav: (N,) float, mono.
        sample_rate: in Hz.

    Returns:
        (n, 2) int32: landmark and the frame at which it begins, sorted by time; n = 0 for silence.
    """
    if sample_rate != SAMPLE_RATE:
        wav = librosa.resample(np.asarray(wav, np.float32), orig_sr=sample_rate, target_sr=SAMPLE_RATE)
    frames, bins = _peaks(np.asarray(wav, np.float32))
    first: list[int] = []
    second: list[int] = []
    for index in range(len(frames)):
        later = slice(index + 1, index + 1 + 12 * FAN_OUT)
        apart, step = frames[later] - frames[index], bins[later] - bins[index]
        near = np.flatnonzero((apart >= 2) & (apart <= MAX_FRAMES) & (np.abs(step) <= MAX_STEP))[:FAN_OUT]
        first.extend([index] * len(near))
        second.extend(index + 1 + near)
    start, end = np.array(first, np.int64), np.array(second, np.int64)
    if not len(start):
        return np.zeros((0, 2), np.int32)
    step = bins[end] - bins[start] + MAX_STEP
    apart = (frames[end] - frames[start]) // 2  # A cut between two frames moves peaks by one.
    landmark = (bins[start] << 14) | (step << 6) | apart
    return np.stack([landmark, frames[start]], axis=1).astype(np.int32)


def _peaks(wav: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(frames, bins) of the strongest local maxima of the spectrogram, sorted by time."""
    empty = np.zeros(0, int)
    if len(wav) < N_FFT or not np.any(wav):
        return empty, empty
    power = np.abs(librosa.stft(wav, n_fft=N_FFT, hop_length=HOP_LENGTH))[2:MAX_BIN]
    level = 20 * np.log10(np.maximum(power, 1e-10))
    local = maximum_filter(level, size=(2 * PEAK_BINS + 1, 2 * PEAK_FRAMES + 1), mode="nearest")
    bins, frames = np.nonzero((level == local) & (level > level.max() - FLOOR_DB))
    most = int(PEAKS_A_SECOND * len(wav) / SAMPLE_RATE) + 1
    strongest = np.argsort(-level[bins, frames], kind="stable")[:most]
    bins, frames = bins[strongest], frames[strongest]
    order = np.lexsort((bins, frames))
    return frames[order], bins[order]


def matching_pairs(prints: Mapping[str, np.ndarray]) -> list[tuple[str, str]]:
    """Pairs of clips whose sounds match.

    Args:
        prints: clip → `fingerprint`.

    Returns:
        Sorted pairs of names, each pair once.
    """
    return [(one, other) for one, other, share in similarities(prints) if share >= MIN_SHARE]


def similarities(prints: Mapping[str, np.ndarray]) -> list[tuple[str, str, float]]:
    """For clips with at least `MIN_COMMON` landmarks in common at one shift: (one, other, share in [0, 1]).

    The share refers to the landmarks of the sparser clip within the overlap at that shift.
    """
    names = sorted(prints)
    sizes = [len(prints[name]) for name in names]
    if sum(sizes) == 0:
        return []
    landmark = np.concatenate([prints[name][:, 0] for name in names])
    frame = np.concatenate([prints[name][:, 1] for name in names]).astype(np.int64)
    clip = np.repeat(np.arange(len(names)), sizes)
    order = np.lexsort((frame, clip, landmark))
    landmark, frame, clip = landmark[order], frame[order], clip[order]

    # Within a landmark clips ascend: one <= other. A shift is the frame of `other` in the time of `one`.
    span = int(frame.max()) + 2
    rows = np.argsort(clip, kind="stable")  # grouped by clip: a pair is counted within one block
    found: dict[tuple[int, int], float] = {}
    for block in _blocks(sizes):
        of = rows[block]
        keys = []
        for distance in range(1, _WINDOW):
            of = of[of < len(landmark) - distance]
            of = of[landmark[of] == landmark[of + distance]]  # occurrences of a landmark are adjacent
            same = of[clip[of] != clip[of + distance]]
            shift = frame[same] - frame[same + distance]
            keys.append((clip[same] * len(names) + clip[same + distance]) * (2 * span) + shift + span)
        key, count = np.unique(np.concatenate(keys), return_counts=True)
        # A cut between two frames spreads the matches over two neighbouring shifts.
        following = np.where(key[1:] == key[:-1] + 1, count[1:], 0)
        total = count + np.append(following, 0)[: len(count)]
        for index in np.flatnonzero(total >= MIN_COMMON):
            pair, offset = divmod(int(key[index]), 2 * span)
            one, other = divmod(pair, len(names))
            possible = _overlap(prints[names[one]], prints[names[other]], offset - span)
            share = min(1.0, float(total[index]) / max(possible, MIN_COMMON))
            found[one, other] = max(found.get((one, other), 0.0), share)
    return [(names[one], names[other], share) for (one, other), share in sorted(found.items())]


def _blocks(sizes: Sequence[int]) -> Iterator[slice]:
    """Slices of all landmarks: successive whole clips of about `_BLOCK` landmarks together."""
    start = end = 0
    for size in sizes:
        end += size
        if end - start >= _BLOCK:
            yield slice(start, end)
            start = end
    if end > start:
        yield slice(start, end)


def _overlap(one: np.ndarray, other: np.ndarray, shift: int) -> int:
    """Landmarks of the sparser clip in the overlap, if `other` begins at frame `shift` of `one`."""
    start, end = max(one[0, 1], other[0, 1] + shift), min(one[-1, 1], other[-1, 1] + shift)
    inside = [np.count_nonzero((row >= start) & (row <= end)) for row in (one[:, 1], other[:, 1] + shift)]
    return int(min(inside))
