"""Memory that a process gives back."""

from __future__ import annotations

import ctypes
import os

_M_ARENA_MAX = -8  # of glibc's mallopt


def share_heaps(most: int = 2) -> bool:
    """Let all threads share a few heaps, before any starts.

    The C library gives every thread a heap of its own, and none of them gives back what lies under something still in
    use. With decoders, models and a page each starting threads, a process that makes pieces one after the other grows
    for hours (140 MB in a hundred pieces of the page); with two heaps it does not, and is no slower.

    Args:
        most: heaps. `MALLOC_ARENA_MAX` in the environment goes before it.

    Returns:
        Whether the C library has such a switch (glibc) and took it.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_ARENA_MAX, most))
