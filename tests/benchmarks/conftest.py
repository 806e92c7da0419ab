"""Tiny models and experiments of the other tests, for the benchmark's contenders."""

from __future__ import annotations

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(_TESTS / folder) for folder in ("benchmarks", "models", "integration")]
