"""Checkpoints written here, byte by byte as LevelDB and TensorFlow document them, come back."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from pn_diffusion_plugin.errors import CheckpointError
from pn_diffusion_plugin.metrics.tf_bundle import crc32c, read_bundle

ARRAYS = {
    "conv/bias": np.arange(3, dtype=np.float32),
    "conv/kernel": np.random.default_rng(0).standard_normal((2, 3, 500)).astype(np.float32),
    "step": np.array(70000, dtype=np.int64),
}


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries: list[tuple[bytes, bytes]], compression: int = 0) -> bytes:
    """Keys share the beginning that they have in common with the one before."""
    body, before = b"", b""
    for key, value in entries:
        shared = next(
            (i for i in range(min(len(key), len(before))) if key[i] != before[i]), min(len(key), len(before))
        )
        body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    body += struct.pack("<II", 0, 1)  # one restart, at 0
    tail = bytes([compression])
    return body + tail + struct.pack("<I", masked(body + tail))


def write_bundle(prefix: str, compression: int = 0, byte_order: int = 0) -> None:
    data = b""
    entries = [(b"", field(1, 1) + field(2, byte_order))]
    for name, array in sorted(ARRAYS.items()):
        raw = array.tobytes()
        shape = b"".join(field(2, field(1, size)) for size in array.shape)
        kind = {"float32": 1, "int64": 9}[array.dtype.name]
        entry = field(1, kind) + field(2, shape) + field(4, len(data)) + field(5, len(raw))
        entries.append((name.encode(), entry + varint(6 << 3 | 5) + struct.pack("<I", masked(raw))))
        data += raw
    first, second = block(entries[:2], compression), block(entries[2:], compression)
    size = len(first) - 5
    handles = [(b"conv/bias", varint(0) + varint(size))]
    handles.append((b"step", varint(len(first)) + varint(len(second) - 5)))
    index = block(handles)
    at = len(first) + len(second)
    footer = varint(0) + varint(0) + varint(at) + varint(len(index) - 5)
    footer = footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    Path(f"{prefix}.index").write_bytes(first + second + index + footer)
    Path(f"{prefix}.data-00000-of-00001").write_bytes(data)


@pytest.mark.parametrize("name", ["model", ""])
def test_arrays_come_back(tmp_path: Path, name: str) -> None:
    write_bundle(f"{tmp_path}/{name}")
    found = read_bundle(f"{tmp_path}/{name}")
    assert found.keys() == ARRAYS.keys()
    for key, array in ARRAYS.items():
        assert found[key].dtype == array.dtype
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 2047, 2048, 5000])
def test_checksum_of_any_length(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    slow = 0xFFFFFFFF
    for byte in data:
        slow ^= byte
        for _ in range(8):
            slow = slow >> 1 ^ (0x82F63B78 if slow & 1 else 0)
    assert crc32c(data) == slow ^ 0xFFFFFFFF


def test_known_checksums() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


def test_every_damaged_byte_of_the_arrays_is_found(tmp_path: Path) -> None:
    write_bundle(f"{tmp_path}/m")
    path = tmp_path / "m.data-00000-of-00001"
    whole = path.read_bytes()
    for at in (0, 5000, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(CheckpointError, match="checksum"):
            read_bundle(f"{tmp_path}/m")
    path.write_bytes(whole[:-1])
    with pytest.raises(CheckpointError, match="step holds 7 bytes"):
        read_bundle(f"{tmp_path}/m")


def test_a_damaged_index_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    write_bundle(f"{tmp_path}/m")
    path = tmp_path / "m.index"
    whole = path.read_bytes()
    for end in (0, 20, 47, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(CheckpointError, match="not a whole TensorFlow checkpoint"):
            read_bundle(f"{tmp_path}/m")
    for at in range(0, len(whole) - 60, 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(CheckpointError):
            read_bundle(f"{tmp_path}/m")


def test_what_is_not_read_is_told(tmp_path: Path) -> None:
    write_bundle(f"{tmp_path}/m", compression=1)
    with pytest.raises(CheckpointError, match="compressed"):
        read_bundle(f"{tmp_path}/m")
    write_bundle(f"{tmp_path}/m", byte_order=1)
    with pytest.raises(CheckpointError, match="big-endian"):
        read_bundle(f"{tmp_path}/m")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_bundle(f"{tmp_path}/nowhere")
