"""The picture is written, and the metrics need neither torch nor hydra."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pn_diffusion_plugin.metrics.figures import clip_figure
from pn_diffusion_plugin.metrics.nulls import click_track

RATE = 22050


@pytest.mark.parametrize("mel", [None, np.random.default_rng(0).random((1, 1, 64, 87))])
@pytest.mark.parametrize("reference", [None, [0.5, 1.0]])
def test_picture_is_written(tmp_path: Path, mel, reference) -> None:
    path = tmp_path / "clip.png"
    clip_figure(path, click_track(2 * RATE, RATE), RATE, mel, [0.4, 0.9], [0.5, 1.0], reference, "a clip")
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[0] > 400 and pixels.shape[1] > 800 and pixels.std() > 20


def test_silence_and_no_beats(tmp_path: Path) -> None:
    clip_figure(tmp_path / "clip.png", np.zeros(RATE), RATE, None, [], [])
    assert (tmp_path / "clip.png").stat().st_size > 1000


def test_nothing_half_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\(F, L\)"):
        clip_figure(tmp_path / "clip.png", np.zeros(RATE), RATE, np.zeros((2, 3, 4)), [], [])
    assert not list(tmp_path.iterdir())


def test_metrics_import_without_torch_and_hydra() -> None:
    code = (
        "import sys; import pn_diffusion_plugin.metrics.evaluate, pn_diffusion_plugin.metrics.figures; "
        "sys.exit(', '.join({'torch', 'hydra', 'audiocraft', 'mediapipe'} & sys.modules.keys()) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
