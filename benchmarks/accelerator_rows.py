"""What `accelerator.py` measures: hardware limits, training steps, sampling of a clip, feature extraction.

Nothing here needs audiocraft or PyAV. Inputs are noise: costs depend on sizes alone. On a CPU every function works,
with wall-clock times and without memory figures.
"""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn

from pn_diffusion_plugin.data.condition import DanceCondition
from pn_diffusion_plugin.data.features.inception_i3d import InceptionI3DNet
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion
from pn_diffusion_plugin.modules.objective import DualSample

from .configs import composed
from .counts import counting, parts_of
from .procedure_sampling import STREAMS, ReferenceSampling
from .procedure_training import ReferenceTraining, adamw

Row = dict[str, Any]

SIZES = {name: [f"solver=pn_diffusion/{name}"] for name in ("paper", "ours", "real", "bundled")}
#: Overrides that make every size a model of a few thousand weights.
TINY = [
    "segment_seconds=2.56",
    "mel.n_mels=16",
    "mel_vae.channels=[8,8]",
    "mel_vae.latent_channels=2",
    "mel_vae.norm_num_groups=4",
    "vocoder.iterations=2",
    "unet.channels=[8,16]",
    "unet.attention=[false,true]",
    "unet.layers_per_block=1",
    "unet.norm_num_groups=4",
    "unet.head_dim=8",
    "conditioning.visual_out=4",
    "conditioning.motion.dim=8",
    "conditioning.motion.channels=4",
    "conditioning.motion.layers=1",
    "dataset.batch_size=2",
]


@cache
def configuration(size: str, tiny: bool) -> dict[str, Any]:
    """Configuration of a size in `SIZES`."""
    return composed([*SIZES[size], *(TINY if tiny else [])])


def seconds_of(work: Callable[[], object], device: torch.device, budget: float, warm_up: int = 3) -> float:
    """Median seconds of a call, by CUDA events on a GPU.

    Args:
        budget: seconds to spend on timed calls, of which there are 3 to 50; 0: one call, without warm-up.
        warm_up: calls before them.
    """
    synchronize = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    repeats = 1
    for _ in range(warm_up if budget else 0):
        synchronize()
        began = time.perf_counter()
        work()
        synchronize()
        repeats = min(50, max(3, int(budget / (time.perf_counter() - began))))
    if device.type != "cuda":
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        return statistics.median(times)
    events = [
        (torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)
    ]
    for start, end in events:
        start.record()
        work()
        end.record()
    torch.cuda.synchronize()
    return statistics.median(start.elapsed_time(end) for start, end in events) / 1000


def free(device: torch.device) -> None:
    """Release what earlier rows allocated, and restart the peak of the memory in use."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_gb(device: torch.device) -> float | None:
    """Largest memory allocated on the GPU since `free` (GB); None on a CPU."""
    return torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None


def limit_row(name: str, device: torch.device, tiny: bool) -> Row:
    """FLOP/s of a product of two random square matrices in `bfloat16`, `TF32` or `float32`; bytes a second of a `copy`,
    read plus written; seconds of a kernel `launch`, the shortest time of an operation."""
    if name == "launch":
        value = torch.zeros(1, device=device)

        def launch() -> None:
            for _ in range(1000):
                value.add_(1)

        return {"name": name, "launch_seconds": seconds_of(launch, device, 0 if tiny else 0.2) / 1000}
    if name == "copy":
        size = 2**16 if tiny else 2**32
        source = torch.randint(255, (size,), dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        seconds = seconds_of(lambda: target.copy_(source), device, 0 if tiny else 0.5)
        return {"name": name, "bytes_per_second": 2 * size / seconds}
    side, dtype = 64 if tiny else 8192, torch.bfloat16 if name == "bfloat16" else torch.float32
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    with float32_precision(name):
        seconds = seconds_of(lambda: torch.mm(a, b), device, 0 if tiny else 0.5)
    return {"name": name, "flops_per_second": 2 * side**3 / seconds}


@contextmanager
def float32_precision(name: str) -> Iterator[None]:
    """Let float32 matrix products use TF32 where `name` is `TF32`."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if name == "TF32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def build(config: builders.Config, device: torch.device) -> Any:
    """Trainable model of a configuration with random weights."""
    torch.manual_seed(0)
    with device:  # initialises the weights where they live
        return builders.build_dual_diffusion(config, device)


def noise_dances(config: builders.Config, clips: int, device: torch.device) -> dict[str, DanceCondition]:
    """Both streams of dances of noise, in which a dancer is always found."""
    sequence = builders.build_sequence(config)
    width = builders.visual_dim(config["features"]["visual_encoder"])
    windows, frames = sequence.visual_windows, sequence.pose_frames

    def stream() -> DanceCondition:
        return DanceCondition(
            visual=torch.randn(clips, windows, width, device=device),
            motion=torch.rand(clips, frames, 33, 3, device=device),
            detected=torch.ones(clips, frames, dtype=torch.bool, device=device),
            visual_length=torch.full((clips,), windows, device=device),
            motion_length=torch.full((clips,), frames, device=device),
            visual_rate=[1 / sequence.visual_hop] * clips,
            motion_rate=[sequence.pose_fps] * clips,
            seconds=[sequence.seconds] * clips,
            path=[None] * clips,
            seek_time=[None] * clips,
        )

    return {name: stream() for name in STREAMS}


class PublishedUpdate:
    """A training step of the published procedure on noise."""

    def __init__(self, config: builders.Config, device: torch.device, clips: int) -> None:
        dual = build(config, device).train()
        with device:
            self.vae = builders.build_vae(config).to(device).eval()
        self.reference = ReferenceTraining(config, dual, self.vae)
        self.provider, self.denoiser = dual.provider, dual.denoiser
        self.config, self.device = config, device
        self.inputs(clips)

    def inputs(self, clips: int) -> None:
        """Draw a batch."""
        sequence = self.reference.sequence
        self.wav = torch.randn(clips, 1, sequence.samples, device=self.device) / 10
        self.dances = noise_dances(self.config, clips, self.device)
        self.mask = sequence.column_mask(torch.full((clips,), sequence.samples, device=self.device))

    def step(self) -> None:
        """One update."""
        self.reference.step(self.wav, self.dances, mask=self.mask)


class Update:
    """A training step as the solver makes it from cached latents: one pass for both streams, fused optimiser.

    Args:
        precision: `float32`, or the type of autocast.
        compiled: mode in which the U-Net is compiled, as with `compile.use` and `compile.mode`; None: eager.
    """

    def __init__(
        self, config: builders.Config, device: torch.device, clips: int, precision: str, compiled: str | None
    ) -> None:
        self.config, self.device = config, device
        self.dual = build(config, device).train()
        self.provider, self.denoiser = self.dual.provider, self.dual.denoiser
        with torch.device("meta"):  # for the count of its calls, which are none
            self.vae = builders.build_vae(config)
        self.sequence = builders.build_sequence(config)
        self.objective = builders.build_objective(config, builders.build_schedule(config))
        self.cue = builders.build_cue(config)
        self.optimizer = adamw(config, self.dual, fused=True)
        self.weights = list(self.dual.parameters())
        self.averages = [weight.detach().clone() for weight in self.weights]
        self.autocast: AbstractContextManager[Any] = torch.autocast(
            device.type, torch.bfloat16, enabled=precision == "bfloat16"
        )
        if compiled is not None:
            self.denoiser.unet.compile(mode=compiled)
        self.inputs(clips)

    def inputs(self, clips: int) -> None:
        """Draw a batch."""
        denoiser, sequence = self.denoiser, self.sequence
        shape = (clips, denoiser.latent_channels, denoiser.latent_rows, sequence.latent_columns)
        self.z0 = torch.randn(shape, device=self.device)
        dances = noise_dances(self.config, clips, self.device)
        self.dances = {name: dances[name] for name in self.objective.streams}
        self.mask = sequence.column_mask(torch.full((clips,), sequence.samples, device=self.device))

    def corrupt(
        self, eps: torch.Tensor, t: torch.Tensor, generator: torch.Generator | None = None
    ) -> DualSample:
        """The noisy batch; the generator is of what the objective draws beyond its noise."""
        objective = self.objective
        drawn = objective.draw(self.z0.shape, generator or torch.Generator())
        needs = objective.uses_negative and objective.needs_negative_latent
        latent = self.cue.latent(self.z0) if needs else None
        return objective.corrupt(self.z0, eps, t, latent, **{k: v.to(self.device) for k, v in drawn.items()})

    def loss(self) -> torch.Tensor:
        """Loss of the batch with fresh noise."""
        clips = len(self.z0)
        eps = torch.randn_like(self.z0)
        t = self.objective.schedule.sample_timesteps(clips, device=self.device)
        dropped = torch.rand(clips, device=self.device) < self.config["conditioning"]["dropout"]
        sample = self.corrupt(eps, t)
        with self.autocast:
            positive, negative = self.dual(sample, self.dances, dict.fromkeys(self.dances, dropped))
        return self.objective.loss(positive, negative, sample, self.mask).total

    def step(self) -> None:
        """One update."""
        self.loss().backward()
        nn.utils.clip_grad_norm_(self.weights, self.config["optim"]["max_norm"])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self.weights, 1 - self.config["optim"]["ema"]["decay"])


def training_row(
    size: str,
    procedure: str,
    device: torch.device,
    tiny: bool,
    clips: int | None = None,
    flops: dict[str, int] | None = None,
) -> Row:
    """Seconds, memory and FLOPs of an update.

    Args:
        size: of `SIZES`.
        procedure: `published`, `float32`, `TF32` or `bfloat16`, the last also with `, compiled` or
            `, compiled, CUDA graphs`.
        clips: of an update; None: the configuration's batch.
        flops: of a clip by size and kind of procedure, counted once and kept here.
    """
    config = configuration(size, tiny)
    clips = clips or config["dataset"]["batch_size"]
    flops = {} if flops is None else flops
    published, compiled = procedure == "published", "compiled" in procedure
    update: PublishedUpdate | Update
    if published:
        update = PublishedUpdate(config, device, clips)
    else:
        mode = "reduce-overhead" if "CUDA graphs" in procedure else "default" if compiled else None
        update = Update(config, device, clips, procedure.partition(",")[0], mode)
    counted = f"{size}, {'published' if published else 'ours'}"
    if counted not in flops:
        update.inputs(2)  # attention is counted by its products, which take more memory than the kernel
        with counting(parts_of(update.provider, update.denoiser, update.vae)) as counts:
            update.step()
        flops[counted] = counts.flops // 2
        update.inputs(clips)
        free(device)
    with float32_precision(procedure):
        began = time.perf_counter()
        update.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        first = time.perf_counter() - began
        seconds = seconds_of(update.step, device, 0 if tiny else 1.5)
    if compiled:
        torch.compiler.reset()
    row: Row = {"size": size, "procedure": procedure, "clips": clips, "seconds": seconds, "first": first}
    return row | {"peak_gb": peak_gb(device), "flops": flops[counted]}


def published_sampling_row(device: torch.device, tiny: bool, steps: int) -> Row:
    """A clip by the published procedure at the paper's size; `steps` of its 1000 steps are run."""
    config = configuration("paper", tiny)
    dual = build(config, device).eval()
    with device:
        vae = builders.build_vae(config).to(device).eval()
    reference = ReferenceSampling(config, dual, vae)
    dances = noise_dances(config, 1, device)
    budget = 0 if tiny else 1.5
    denoising = seconds_of(lambda: reference.latents(dances, [0], "ddpm", steps), device, budget, 1)
    z = reference.latents(dances, [0], "ddpm", 1)
    decoding = seconds_of(lambda: reference.decode(z), device, budget, 1)
    return {
        "name": f"published procedure, 1000 steps of DDPM ({steps} run)",
        "clips": 1,
        "seconds": 1000 / steps * denoising + decoding,
        "peak_gb": peak_gb(device),
    }


def sampling_row(
    device: torch.device, tiny: bool, size: str, steps: int, precision: str, clips: int = 1
) -> Row:
    """Clips of one window by the product, without the inversion of the mel spectrogram, which is timed apart."""
    config = configuration(size, tiny)
    dual = build(config, device).eval()
    with device:
        vae = builders.build_vae(config).to(device).eval()
    model = PNDiffusion(config, dual, vae, device)
    params = {"sampler": "unipc", "steps": steps, "precision": precision, "batch_size": clips}
    model.set_generation_params(**params, windows_per_call=2 * clips, channels_last=precision != "float32")
    dances = noise_dances(config, 1, device)
    mel = torch.rand(1, 1, model.mel.n_mels, model.sequence.mel_frames, device=device) * 2 - 1
    budget = 0 if tiny else 1.0
    whole = seconds_of(
        lambda: model.generate_from_conditions([dances] * clips, list(range(clips))), device, budget, 2
    )
    inversion = seconds_of(lambda: model.vocoder(mel, model.sequence.samples), device, budget, 2)
    guidance = " with guidance" if model.params.guidance != 1 else ""
    return {
        "name": f"{size}, {steps} steps of UniPC{guidance}, {precision}",
        "clips": clips,
        "seconds": whole / clips - inversion,
        "inversion": inversion,
        "peak_gb": peak_gb(device),
    }


def extraction_row(device: torch.device, tiny: bool, precision: str, windows: int) -> Row:
    """Frames a second of I3D on windows of 16 frames."""
    pixels, windows = (32, 1) if tiny else (224, windows)
    dtype = getattr(torch, precision)
    with device:
        net = InceptionI3DNet().eval().requires_grad_(False).to(dtype)
        net = net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        frames = torch.rand(windows, 3, 16, pixels, pixels, dtype=dtype)
    frames = frames.contiguous(memory_format=torch.channels_last_3d)

    @torch.inference_mode()
    def encode() -> torch.Tensor:
        return net(frames * 2 - 1)

    seconds = seconds_of(encode, device, 0 if tiny else 0.7)
    return {
        "precision": precision,
        "windows": windows,
        "frames_per_second": 16 * windows / seconds,
        "seconds": seconds,
        "peak_gb": peak_gb(device),
    }


PROCESS_GROUP = """
import sys, tempfile, torch
with tempfile.TemporaryDirectory() as folder:
    torch.distributed.init_process_group(sys.argv[1], f"file://{folder}/store", rank=0, world_size=1)
    values = torch.arange(4.0, device=sys.argv[2])
    torch.distributed.all_reduce(values)
    assert values.tolist() == [0, 1, 2, 3]
    torch.distributed.destroy_process_group()
"""


def check_process_group(device: torch.device, tiny: bool) -> str:
    """A process group of one rank sums a tensor; in a process of its own, since a fault can hang it."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    command = [sys.executable, "-c", PROCESS_GROUP, backend, device.type]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return backend


def check_float16_scaler(device: torch.device, tiny: bool) -> str:
    """The gradient scaler steps on finite gradients, and skips the step and backs off on an overflow."""
    layer = nn.Linear(64, 64, device=device)
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    scaler = torch.amp.GradScaler(device.type)
    for factor, stepped in ((1.0, True), (float("inf"), False)):
        before, scale = layer.weight.detach().clone(), scaler.get_scale()
        with torch.autocast(device.type, torch.float16):
            loss = layer(torch.ones(8, 64, device=device)).float().square().mean() * factor
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        assert torch.equal(layer.weight, before) != stepped, (
            f"stepped with loss times {factor}: {not stepped}"
        )
        assert stepped or scaler.get_scale() < scale
    return f"scale {scaler.get_scale():g} after one overflow"


def check_bfloat16(device: torch.device, tiny: bool) -> str:
    """The bundled size has the same loss on the device, also in bfloat16, as in float32 on the CPU."""
    config = configuration("bundled", tiny)
    losses = []
    cpu = torch.device("cpu")
    state = {name: value.cpu() for name, value in build(config, device).state_dict().items()}
    first = Update(config, cpu, 2, "float32", None)
    for at, precision in ((cpu, "float32"), (device, "float32"), (device, "bfloat16")):
        update = Update(config, at, 2, precision, None)
        update.dual.load_state_dict(state)
        update.z0 = first.z0.to(at)
        update.dances = {name: dance.to(at) for name, dance in first.dances.items()}
        t, eps = torch.tensor([200, 700], device=at), torch.sin(torch.arange(first.z0.numel()))
        sample = update.corrupt(eps.view_as(first.z0).to(at), t, torch.Generator().manual_seed(0))
        with torch.no_grad(), update.autocast:
            positive, negative = update.dual(sample, update.dances)
        losses.append(float(update.objective.loss(positive, negative, sample, update.mask).total))
    differences = [abs(loss / losses[0] - 1) for loss in losses[1:]]
    text = f"loss differs from the CPU's by {differences[0]:.1e} in float32, {differences[1]:.1e} in bfloat16"
    assert differences[0] < 2e-3 and differences[1] < 1e-2, text
    return text


def check_compile(device: torch.device, tiny: bool) -> str:
    """A compiled function gives the values of the eager one."""
    began = time.perf_counter()
    x = torch.linspace(-3, 3, 1000, device=device)
    compiled = torch.compile(lambda x: (x.sin() * x.exp()).softmax(0))
    torch.testing.assert_close(compiled(x), (x.sin() * x.exp()).softmax(0))
    return f"{time.perf_counter() - began:.0f} s for a small function"


CHECKS = {
    "process group of one rank": check_process_group,
    "float16 gradient scaler": check_float16_scaler,
    "bfloat16 autocast": check_bfloat16,
    "torch.compile": check_compile,
}
