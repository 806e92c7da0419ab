"""Where the time of a piece of work goes, by group of operators: a table's numbers, and a picture."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.figure import Figure
from torch.profiler import ProfilerActivity, profile

from pn_diffusion_plugin.utils.files import atomic_path

OPTIMISER, ELEMENTWISE, REST = "optimiser, average", "elementwise", "Python, SciPy and other programs"
#: Group → operators, the first that fits counts. Names are the profiler's.
GROUPS = {
    OPTIMISER: r"^Optimizer\.|adam|foreach|lerp|moving average",
    "attention": r"scaled_dot_product|flash_attention|softmax",
    "convolution": r"conv|mkldnn_rnn",
    "matrix product": r"mm\b|matmul|linear|einsum|AddmmBackward|MmBackward",
    "normalisation": r"norm|moments",
    "compiled kernels": r"graph_\d|cpp_fused|inductor|Compiled",
    "Fourier transform": r"fft|stft",
    "copying": r"copy_|aten::to\b|_to_copy|cat|clone|contiguous|stack|index|gather|fill_|zero_|resize|empty",
}
ORDER = (*GROUPS, ELEMENTWISE, REST)


def group_of(operator: str) -> str:
    """Group of an operator of the profiler's table.

    >>> group_of("aten::mkldnn_convolution"), group_of("aten::addmm"), group_of("aten::silu")
    ('convolution', 'matrix product', 'elementwise')
    """
    for group, pattern in GROUPS.items():
        if re.search(pattern, operator, re.IGNORECASE):
            return group
    return ELEMENTWISE


def profiled(work: Callable[[], object]) -> dict[str, float]:
    """Seconds of `work` by group of operators; what an optimiser calls is the optimiser's.

    Backward passes run in a thread of their own while the caller waits, so the operators' own times add up to no more
    than the whole; what they leave is Python's and that of programs the profiler does not know.
    """
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as found:
        began = time.perf_counter()
        work()
        whole = time.perf_counter() - began
    groups = dict.fromkeys(ORDER, 0.0)
    inherited: dict[int, str] = {}  # events come parents first
    for event in sorted(found.events(), key=lambda event: (event.time_range.start, -event.time_range.end)):
        parent = inherited.get(event.cpu_parent.id) if event.cpu_parent is not None else None
        group = OPTIMISER if parent == OPTIMISER else group_of(event.name)
        inherited[event.id] = group
        groups[group] += event.self_cpu_time_total / 1e6
    groups[REST] = max(0.0, whole - sum(groups.values()))
    return {group: seconds for group, seconds in groups.items() if seconds > 0}


def markdown(profiles: Mapping[str, Mapping[str, float]]) -> str:
    """Table of seconds and shares: a row a group, a column a piece of work."""
    lines = ["| group | " + " | ".join(profiles) + " |", "|---" * (len(profiles) + 1) + "|"]
    wholes = {name: sum(groups.values()) for name, groups in profiles.items()}
    for group in ORDER:
        if any(group in groups for groups in profiles.values()):
            cells = [
                f"{groups.get(group, 0.0):.2f} s ({groups.get(group, 0.0) / wholes[name]:.0%})"
                for name, groups in profiles.items()
            ]
            lines.append(f"| {group} | " + " | ".join(cells) + " |")
    lines.append("| **whole** | " + " | ".join(f"**{whole:.2f} s**" for whole in wholes.values()) + " |")
    return "\n".join(lines)


def draw(path: Path, title: str, profiles: Mapping[str, Mapping[str, float]]) -> None:
    """A bar a piece of work, its groups side by side, as shares of the longest; the short ones again, enlarged."""
    figure = Figure(figsize=(9, 0.75 * len(profiles) + 1.9), layout="constrained")
    seconds, shares = figure.subplots(1, 2, sharey=True)
    names = list(profiles)
    for axes, scale in ((seconds, False), (shares, True)):
        left = [0.0] * len(names)
        for number, group in enumerate(ORDER):
            wholes = [sum(profiles[name].values()) if scale else 1.0 for name in names]
            widths = [
                100 * profiles[name].get(group, 0.0) / whole if scale else profiles[name].get(group, 0.0)
                for name, whole in zip(names, wholes, strict=True)
            ]
            if any(widths):
                axes.barh(names, widths, left=left, color=f"C{number}", label=group)
            left = [a + b for a, b in zip(left, widths, strict=True)]
        axes.invert_yaxis() if not scale else None
        axes.set_xlabel("share of its own time (%)" if scale else "seconds")
    figure.legend(*seconds.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
    figure.suptitle(title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")
