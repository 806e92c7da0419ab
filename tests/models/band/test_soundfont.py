"""Stems of a SoundFont, with a SoundFont of one sine made here; and what happens without the package."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from pn_diffusion_plugin.data.score.notes import DRUM_KEYS, Note, Score
from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.models.band.instruments import RATE
from pn_diffusion_plugin.models.band.render import render

NOTES = (Note(0.5, 0.5, 69, 1.0, "lead"), Note(1.0, 0.0, DRUM_KEYS["kick"], 1.0, "kick"))
SCORE = Score(NOTES, 2.0, 9, "minor", "house")


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def sine_soundfont(path: Path) -> Path:
    """A SoundFont whose programs are all a looped sine of 441 Hz at its own pitch, 69."""
    period = (20000 * np.sin(2 * np.pi * np.arange(4410) / 100)).astype("<i2").tobytes()
    presets = [(program, 0) for program in range(128)] + [(0, 128)]

    def name(text: str) -> bytes:
        return text.encode().ljust(20, b"\0")

    headers = b"".join(
        name("sine") + struct.pack("<HHHIII", program, bank, number, 0, 0, 0)
        for number, (program, bank) in enumerate(presets)
    )
    end = len(presets)
    parts = {
        b"phdr": headers + name("EOP") + struct.pack("<HHHIII", 0, 0, end, 0, 0, 0),
        b"pbag": b"".join(struct.pack("<HH", number, 0) for number in range(end + 1)),
        b"pmod": bytes(10),
        b"pgen": struct.pack("<HH", 41, 0) * end + bytes(4),  # instrument 0
        b"inst": name("sine") + struct.pack("<H", 0) + name("EOI") + struct.pack("<H", 1),
        b"ibag": struct.pack("<HHHH", 0, 0, 2, 0),
        b"imod": bytes(10),
        b"igen": struct.pack("<HHHH", 54, 1, 53, 0) + bytes(4),  # looped, sample 0
        b"shdr": name("sine")
        + struct.pack("<IIIIIBbHH", 0, 4410, 0, 4400, 44100, 69, 0, 0, 1)
        + name("EOS")
        + bytes(26),
    }
    info = b"INFO" + chunk(b"ifil", struct.pack("<HH", 2, 1)) + chunk(b"isng", b"EMU8000\0")
    samples = b"sdta" + chunk(b"smpl", period + bytes(92))
    tables = b"pdta" + b"".join(chunk(key, data) for key, data in parts.items())
    path.write_bytes(
        chunk(b"RIFF", b"sfbk" + chunk(b"LIST", info) + chunk(b"LIST", samples) + chunk(b"LIST", tables))
    )
    return path


def test_notes_of_a_soundfont_sound_in_their_stems(tmp_path: Path) -> None:
    pytest.importorskip("tinysoundfont")
    stems = render(SCORE, 0, soundfont=sine_soundfont(tmp_path / "sine.sf2"))
    assert all(stem.shape == (2, 2 * RATE) and stem.dtype == np.float32 for stem in stems.values())
    assert not stems["bass"].any() and not stems["chords"].any()
    for stem, onset in (("lead", 0.5), ("drums", 1.0)):
        sounding = np.flatnonzero(np.abs(stems[stem]).max(axis=0) > 0.01)
        assert sounding[0] / RATE == pytest.approx(onset, abs=0.002)
    assert np.abs(stems["lead"][:, round(1.3 * RATE) :]).max() < 0.01
    spectrum = np.abs(np.fft.rfft(stems["lead"][0]))
    assert spectrum.argmax() / 2 == pytest.approx(441, abs=1)


def test_without_the_package_the_error_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is optional: most users see this first."""
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(UserError, match="pip install tinysoundfont"):
        render(SCORE, 0, soundfont=tmp_path / "sine.sf2")


def test_a_file_that_is_no_soundfont_is_named(tmp_path: Path) -> None:
    pytest.importorskip("tinysoundfont")
    (tmp_path / "song.sf2").write_text("no SoundFont")
    for name in ("song.sf2", "missing.sf2"):
        with pytest.raises(UserError, match=name):
            render(SCORE, 0, soundfont=tmp_path / name)
