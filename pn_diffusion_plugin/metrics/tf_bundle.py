"""Read the arrays of a TensorFlow checkpoint ("tensor bundle") without TensorFlow.

A bundle `P` is an index `P.index` and data files `P.data-SSSSS-of-NNNNN`. The index is a sorted string table of
LevelDB: a footer of 48 bytes (two block handles and a magic number) names the index block, whose entries name
the data blocks, whose entries are variable name → BundleEntryProto (a protocol buffer):

    1 dtype   2 shape { 2 dim { 1 size } }   3 shard   4 offset   5 size   6 crc32c (masked)

A block is entries (shared, unshared, value length as varints; the rest of the key; the value) and a list of
restart points, followed by a byte that names the compression and a masked CRC-32C. TensorFlow leaves the index
uncompressed. Format: tensorflow/core/util/tensor_bundle and leveldb's doc/table_format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointError

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5  # compression byte and checksum behind every block
_DTYPES = {1: np.float32, 2: np.float64, 3: np.int32, 9: np.int64, 10: np.bool_, 19: np.float16}


def read_bundle(prefix: str | Path) -> dict[str, NDArray[np.generic]]:
    """Every array of the checkpoint `prefix` (`prefix.index` and its data files), by variable name.

    `prefix` is a string that may end in a slash: the files of `folder/` are `folder/.index` and so on.

    Raises:
        CheckpointError: a file is missing, damaged, compressed, or holds a type that is no array of numbers.
    """
    prefix = str(prefix)
    index = Path(f"{prefix}.index")
    try:
        return dict(_arrays(prefix, index.read_bytes()))
    except OSError as error:
        raise CheckpointError(
            f"the checkpoint {index} cannot be read ({error}): install its package again"
        ) from error
    except (struct.error, IndexError, LookupError, UnicodeDecodeError, ValueError) as error:
        raise CheckpointError(
            f"{index} is not a whole TensorFlow checkpoint ({error}): install its package again"
        ) from error


def _arrays(prefix: str, table: bytes) -> Iterator[tuple[str, NDArray[np.generic]]]:
    entries = _table(table)
    name, header = next(entries)
    if name:
        raise ValueError("the header is missing")
    fields = _message(header)
    shards = int(fields.get(1, [1])[0])
    if fields.get(2, [0])[0] != 0:
        raise ValueError("its numbers are big-endian")
    data = [Path(f"{prefix}.data-{i:05d}-of-{shards:05d}").read_bytes() for i in range(shards)]
    for name, entry in entries:
        fields = _message(entry)
        dtype = np.dtype(_DTYPES[int(fields[1][0])])
        dims = [_message(dim) for dim in _message(fields.get(2, [b""])[0]).get(2, [])]
        shape = tuple(int(dim.get(1, [0])[0]) for dim in dims)
        shard, offset, size = (int(fields.get(key, [0])[0]) for key in (3, 4, 5))
        raw = data[shard][offset : offset + size]
        if len(raw) != size or size != dtype.itemsize * int(np.prod(shape)):
            raise ValueError(f"{name.decode()} holds {len(raw)} bytes, not those of {shape} {dtype}")
        if crc32c(raw) != _unmask(fields[6][0]):
            raise ValueError(f"the checksum of {name.decode()} is wrong")
        yield name.decode(), np.frombuffer(raw, dtype).reshape(shape)


def _table(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of a sorted string table, in order."""
    if len(table) < _FOOTER or struct.unpack_from("<Q", table, len(table) - 8)[0] != _MAGIC:
        raise ValueError("its footer is missing")
    footer = table[-_FOOTER:]
    position = 0
    for _ in range(2):  # the handle of the meta index, which is passed over
        _, position = _varint(footer, position)
    for _, handle in _block(table, *_handle(footer, position)):
        yield from _block(table, *_handle(handle, 0))


def _handle(data: bytes, position: int) -> tuple[int, int]:
    offset, position = _varint(data, position)
    size, _ = _varint(data, position)
    return offset, size


def _block(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of one block."""
    block, trailer = table[offset : offset + size], table[offset + size : offset + size + _TRAILER]
    if trailer[0] != 0:
        raise ValueError("its index is compressed")
    if crc32c(block + trailer[:1]) != _unmask(struct.unpack_from("<I", trailer, 1)[0]):
        raise ValueError("the checksum of its index is wrong")
    restarts = struct.unpack_from("<I", block, len(block) - 4)[0]
    end = len(block) - 4 * (restarts + 1)
    key, position = b"", 0
    while position < end:
        shared, position = _varint(block, position)
        unshared, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        yield key, block[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """(number, position behind it): seven bits a byte, lowest first."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _message(data: bytes | int) -> dict[int, list]:
    """Fields of a protocol buffer: number → values (int, or bytes of strings and messages inside)."""
    if isinstance(data, int):
        raise ValueError("a number stands where a message should")
    fields: dict[int, list] = {}
    position = 0
    value: bytes | int
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(data, position)
        elif kind == 2:
            length, position = _varint(data, position)
            value, position = data[position : position + length], position + length
        elif kind in (1, 5):
            value, width = (0, 8) if kind == 1 else (0, 4)
            value = int.from_bytes(data[position : position + width], "little")
            position += width
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


# --- CRC-32C (Castagnoli), as LevelDB and TensorFlow use it ---

_POLYNOMIAL = 0x82F63B78
_LANE = 1 << 10  # bytes that are done one after another; lanes go side by side in NumPy


def _byte_table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


_TABLE = _byte_table()


def _zeros_operator(count: int) -> NDArray[np.uint32]:
    """Columns (32,) of the matrix over GF(2) that takes a CRC state past `count` zero bytes."""
    state = np.uint32(1) << np.arange(32, dtype=np.uint32)
    for _ in range(count):
        state = (state >> np.uint32(8)) ^ _TABLE[state & 0xFF]
    return state


def crc32c(data: bytes) -> int:
    """CRC-32C of `data`; megabytes in a fraction of a second without a compiled helper.

    The state is linear over GF(2): lanes of 1 KiB are run side by side from state 0, and each result is moved
    past the bytes that follow it by the operator of a lane of zeros.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    state = np.uint32(0xFFFFFFFF)
    lanes = len(data) // _LANE
    if lanes > 1:
        rows = np.frombuffer(data, np.uint8, lanes * _LANE).reshape(lanes, _LANE)
        sums = np.zeros(lanes, dtype=np.uint32)
        for column in rows.T:
            sums = (sums >> np.uint32(8)) ^ _TABLE[(sums ^ column) & 0xFF]
        columns = [int(c) for c in _zeros_operator(_LANE)]
        running = int(state)
        for lane in sums:
            moved = 0
            for bit, column_value in enumerate(columns):
                if running >> bit & 1:
                    moved ^= column_value
            running = moved ^ int(lane)
        state = np.uint32(running)
        data = data[lanes * _LANE :]
    value = int(state)
    for byte in data:
        value = (value >> 8) ^ int(_TABLE[(value ^ byte) & 0xFF])
    return value ^ 0xFFFFFFFF


def _unmask(masked: int) -> int:
    """LevelDB's stored form back to the CRC."""
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF
