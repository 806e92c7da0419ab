"""Files that are nearly right: bits flipped, parts lost, lengths that lie, values of the wrong kind.

Formats with an inner order (JSON, YAML, zip archives, safetensors) are also changed from within and put together again,
so that a reader gets past lengths and checksums to what lies behind them.
"""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

import yaml

_NUMBERS = [
    0,
    1,
    -1,
    2,
    255,
    256,
    1 << 15,
    1 << 31,
    (1 << 31) - 1,
    1 << 32,
    1 << 40,
    1 << 62,
    (1 << 63) - 1,
    (1 << 64) - 1,
]
_BYTES = [0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF, 0x0A, 0x22, 0x2C, 0x7B]
_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 10**6, 10**9, 10**18, 10**400, 0.0, -0.5, 1e-300, 1e308, float("nan"), float("inf"),
    "", "x", "x" * 3000, "../../../etc/passwd", "/dev/zero", "a\nb\x00c", "\ud800", "1", "nan",
    [], {}, [[]], [1, 2, 3], ["x"], {"x": 1}, [None] * 50,
]  # fmt: skip


class Mutator:
    """Changes files by a generator of random numbers."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def file(self, name: str, data: bytes, other: bytes) -> bytes:
        """A changed file; `name` tells its format, `other` is a file of the same kind to borrow from."""
        inner = {
            "json": self._json, "jsonl": self._lines, "yaml": self._yaml, "th": self._zip, "npz": self._zip,
            "safetensors": self._safetensors,
        }.get(name.rpartition(".")[2])  # fmt: skip
        if inner is not None and self.rng.random() < 0.7:
            data = inner(data)
            if self.rng.random() < 0.8:
                return data
        return self.raw(data, other)

    def raw(self, data: bytes, other: bytes) -> bytes:
        """One to four changes that know no format."""
        ways: list[Callable[[bytearray], bytearray]] = [
            self._flip, self._flip, self._byte, self._truncate, self._insert, self._delete, self._repeat,
            self._number, self._number, lambda changed: self._splice(changed, other),
        ]  # fmt: skip
        changed = bytearray(data)
        for _ in range(self.rng.choice([1, 1, 1, 2, 4])):
            changed = self.rng.choice(ways)(changed)
        return bytes(changed)

    def _place(self, data: bytearray) -> int:
        """Somewhere in the file, as often as not near its beginning or end, where most formats keep their order."""
        near = min(len(data), 200)
        part = self.rng.random()
        if part < 0.3:
            return self.rng.randrange(near + 1)
        if part < 0.45:
            return len(data) - self.rng.randrange(near + 1)
        return self.rng.randrange(len(data) + 1)

    def _flip(self, data: bytearray) -> bytearray:
        if data:
            data[min(self._place(data), len(data) - 1)] ^= 1 << self.rng.randrange(8)
        return data

    def _byte(self, data: bytearray) -> bytearray:
        if data:
            data[min(self._place(data), len(data) - 1)] = self.rng.choice(_BYTES)
        return data

    def _truncate(self, data: bytearray) -> bytearray:
        return data[: self._place(data)]

    def _insert(self, data: bytearray) -> bytearray:
        place, length = self._place(data), self.rng.choice([1, 2, 4, 8, 100, 5000])
        new = (
            bytes([self.rng.choice(_BYTES)]) * length
            if self.rng.random() < 0.5
            else self.rng.randbytes(length)
        )
        return data[:place] + new + data[place:]

    def _delete(self, data: bytearray) -> bytearray:
        place = self._place(data)
        return data[:place] + data[place + self.rng.choice([1, 2, 4, 8, 100, 1000]) :]

    def _repeat(self, data: bytearray) -> bytearray:
        start = self._place(data)
        part = data[start : start + self.rng.choice([4, 50, 1000])]
        return data[:start] + part * self.rng.choice([2, 3, 20]) + data[start + len(part) :]

    def _number(self, data: bytearray) -> bytearray:
        """A length or offset that lies."""
        width, order = self.rng.choice([1, 2, 4, 4, 8, 8]), self.rng.choice(["little", "big"])
        place = self._place(data)
        value = self.rng.choice(_NUMBERS) + self.rng.choice([0, 0, 1, -1])
        data[place : place + width] = (value % (1 << 8 * width)).to_bytes(width, order)  # type: ignore[arg-type]
        return data

    def _splice(self, data: bytearray, other: bytes) -> bytearray:
        return data[: self._place(data)] + bytearray(other)[self._place(bytearray(other)) :]

    # What has an inner order

    def value(self, value: Any) -> Any:
        """A JSON value with one of its parts replaced, left out, doubled or wrapped."""
        if isinstance(value, dict) and value and self.rng.random() < 0.9:
            key = self.rng.choice(list(value))
            way = self.rng.random()
            if way < 0.15:
                return {k: v for k, v in value.items() if k != key}
            if way < 0.2:
                return {**value, self.rng.choice(["x", "", "__class__", "\ud800"]): self.rng.choice(_VALUES)}
            return {**value, key: self.value(value[key])}
        if isinstance(value, list) and value and self.rng.random() < 0.9:
            place = self.rng.randrange(len(value))
            way = self.rng.random()
            if way < 0.15:
                return value[:place] + value[place + 1 :]
            if way < 0.3:
                return value[: place + 1] * 2 + value[place + 1 :]
            return [*value[:place], self.value(value[place]), *value[place + 1 :]]
        if self.rng.random() < 0.05:
            return [value]
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
        if number and self.rng.random() < 0.4:
            return value * self.rng.choice([-1, 0.5, 2, 1000, 1e-6]) + self.rng.choice([0, 1, -1])
        return self.rng.choice(_VALUES)

    def _json(self, data: bytes) -> bytes:
        if self.rng.random() < 0.02:
            return b"[" * 100000
        value = json.loads(data)
        for _ in range(self.rng.choice([1, 1, 2, 3])):
            value = self.value(value)
        return json.dumps(value).encode()

    def _lines(self, data: bytes) -> bytes:
        lines = data.splitlines() or [b"{}"]
        place = self.rng.randrange(len(lines))
        lines[place] = self._json(lines[place])
        return b"\n".join(lines)

    def _yaml(self, data: bytes) -> bytes:
        if self.rng.random() < 0.05:  # every level ten times the one before
            names = "abcdefghi"
            bomb = "".join(
                f"{y}: &{y} [{','.join(['*' + x] * 10)}]\n" for x, y in zip(names, names[1:], strict=False)
            )
            return b"a: &a [x]\n" + bomb.encode() + data
        value = self.value(yaml.safe_load(data))
        with_surrogates = yaml.safe_dump(value, sort_keys=False)
        return with_surrogates.encode("utf-8", "replace")

    def _zip(self, data: bytes) -> bytes:
        """One record changed, with checksums that agree."""
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w") as changed:
            names = archive.namelist()
            small = [name for name in names if name.endswith((".pkl", ".npy"))] or names
            victim, donor = self.rng.choice(small), self.rng.choice(names)
            for name in names:
                content = archive.read(name)
                if name == victim:
                    content = self.raw(content, archive.read(donor))
                changed.writestr(name, content)
        return out.getvalue()

    def _safetensors(self, data: bytes) -> bytes:
        """The header changed from within, its length put right."""
        end = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:end])
        about = header.get("__metadata__")
        if about and self.rng.random() < 0.6:
            name = self.rng.choice(list(about))
            try:
                about[name] = json.dumps(self.value(json.loads(about[name])))
            except ValueError:
                about[name] = self.raw(about[name].encode(), b"").decode("utf-8", "replace")
        else:
            header = self.value(header)
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + data[end:]
