"""The command that generates a take again, without the page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ...paths import DEFAULT_WEIGHTS
from ...utils.files import fit_name
from .settings import GenerationRequest


def repeat_command(
    video: str, request: GenerationRequest, seed: int, defaults: Mapping[str, Any], device: str = "cpu"
) -> str:
    """A command line for a shell; values that equal the defaults are left out.

    Args:
        video: file name as its owner knows it.
        request: of the take.
        seed: of the take.
        defaults: parameters of the model.

    >>> request = GenerationRequest("band", params={"steps": 30, "guidance": 2.0})
    >>> repeat_command("my dance.mp4", request, 3, {"steps": 24, "guidance": 2.0})
    "pn-diffusion generate 'my dance.mp4' -o 'my dance_seed3.mp4' --seed 3 --steps 30"
    >>> request = GenerationRequest("band", params={"compile": True})
    >>> repeat_command("dance.mp4", request, 0, {"compile": False})
    'pn-diffusion generate dance.mp4 -o dance_seed0.mp4 --seed 0 --compile'
    """
    source = f"./{video}" if video.startswith("-") else video
    words = ["pn-diffusion", "generate", source, "-o", take_name(source, seed, "mp4"), "--seed", str(seed)]
    if request.model != DEFAULT_WEIGHTS:
        words += ["--checkpoint", request.model]
    for name, value in request.params.items():
        if value != defaults.get(name):
            option = name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{option}" if value else f"--no-{option}")
            else:
                words += [f"--{option}", _number(value)]
    for name, value in (("start", request.start), ("end", request.end)):
        if value is not None:
            words += [f"--{name}", _number(value)]
    if request.dancer != "prominent":
        words += ["--dancer", str(request.dancer)]
    if device != "cpu":
        words += ["--device", device]
    return shlex.join(words)


def take_name(video: str, seed: int, suffix: str) -> str:
    """File name of a take: `dance.mov`, 3, `mp4` → `dance_seed3.mp4`."""
    stem = video.rpartition(".")[0] or video
    return fit_name(stem, f"_seed{seed}.{suffix}")


def _number(value: Any) -> str:
    """2.0 → 2, without loss."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
