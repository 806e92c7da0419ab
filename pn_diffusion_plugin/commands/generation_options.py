"""Options for sampling, one for each field of `GenerationParams`.

An option that is not given keeps the model's setting. The dataclass is not imported here,
since `--help` would import torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

_PANEL = "Sampling (default: the settings of the model)"


def _option(kind: Any, help: str, *names: str) -> Any:
    return Annotated[kind | None, typer.Option(*names, help=help, rich_help_panel=_PANEL)]


OPTIONS: dict[str, Any] = {
    "sampler": _option(str, "ddim, ddpm, dpm++ or unipc."),
    "steps": _option(int, "Denoising steps."),
    "guidance": _option(float, "Classifier-free guidance; 1: off."),
    "negative_guidance": _option(float, "Push away from the negative dance; 0: off."),
    "negative_cfg": _option(float, "The negative dance in classifier-free guidance; 0: off."),
    "guidance_rescale": _option(float, "Share of the contrast that guidance adds to be taken back, 0 to 1."),
    "guidance_from": _option(float, "Share of the timesteps at which guidance begins; 1: pure noise."),
    "guidance_until": _option(float, "… and ends, 0 to 1."),
    "spacing": _option(str, "Of the timesteps: trailing or leading."),
    "eta": _option(float, "Noise added at each step by ddim, 0 to 1."),
    "overlap": _option(float, "Overlap of neighbouring windows of a long video, as a share of a window."),
    "batch_size": _option(int, "Takes denoised together."),
    "windows_per_call": _option(int, "Windows denoised at once: fewer need less memory."),
    "precision": _option(str, "Of the network's weights: float32, bfloat16 or float16."),
    "channels_last": _option(bool, "Memory format of convolutions: faster on some processors."),
    "vocoder": _option(str, "From mel to sound: auto (the model's own), vocos or griffin_lim."),
    "compile": _option(bool, "torch.compile of the U-Net: minutes at the start, faster steps after."),
    "style": _option(str, "Style of the music, one of those the model was trained with, or any."),
    "key": _option(str, "Of models that write notes: 'A minor', 'F# major', … or any."),
    "pulse": _option(float, "Of models that write notes: how far they move to a steady pulse, 0 to 1."),
    "guidance_style": _option(float, "Classifier-free guidance of the style; 1: off."),
}


def with_generation_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with these options beside its own; those that were given are its argument `params`, a dict."""
    parameters = [
        p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "params"
    ]
    for name, hint in OPTIONS.items():
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)
        )

    def run(**arguments: Any) -> None:
        given = {name: arguments.pop(name) for name in OPTIONS}
        command(params={name: value for name, value in given.items() if value is not None}, **arguments)

    run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run
