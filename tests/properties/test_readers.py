"""Files that are nearly valid are read or refused in a sentence, whatever is wrong with them."""

from __future__ import annotations

import io
import json
import resource
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import READERS, Reader

from pn_diffusion_plugin.errors import UserError

SECONDS, MEGABYTES, ROOM = 10.0, 500, 6 << 30  # limits of a reader; bytes that it may allocate

#: Values of the wrong kind, size or sign, some of which readers have failed on.
VALUES: list[Any] = [
    None, True, 0, -1, 1, 10**6, 10**9, 10**18, 10**400, -0.5, 1e-300, 1e308, float("nan"), float("inf"),
    "", "x", "x" * 3000, "../../../etc/passwd", "/dev/zero", "a\nb\x00c", "\ud800", "1", "nan",
    [], {}, [[]], [1, 2, 3], ["x"], {"x": 1}, [None] * 50,
]  # fmt: skip
NUMBERS = [0, 1, 255, 1 << 15, (1 << 31) - 1, 1 << 31, 1 << 40, 1 << 62, (1 << 63) - 1, (1 << 64) - 1]
YAML_BOMB = b"a: &a [x]\n" + b"".join(
    f"{y}: &{y} [{','.join(['*' + x] * 10)}]\n".encode() for x, y in zip("abcdefgh", "bcdefghi", strict=True)
)

PLACES = st.one_of(st.floats(0, 1), st.floats(0, 0.02), st.floats(0.98, 1))  # headers are at one of the ends
BYTE_EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "truncate", "insert", "delete", "repeat", "number"]),
        PLACES,
        st.integers(0, 255),
        st.sampled_from([1, 2, 4, 8, 100, 5000]),
    ),
    min_size=1,
    max_size=3,
)
VALUE_EDITS = st.tuples(
    st.lists(st.floats(0, 0.999), min_size=1, max_size=5),
    st.sampled_from(["replace", "replace", "delete", "repeat"]),
    st.sampled_from(VALUES),
)


def edit_bytes(data: bytes, edits: list[tuple[str, float, int, int]]) -> bytes:
    """Apply changes that do not depend on the format."""
    for kind, place, number, length in edits:
        at = int(place * len(data))
        if kind == "flip" and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ (1 << number % 8)]) + data[at + 1 :]
        elif kind == "truncate":
            data = data[:at]
        elif kind == "insert":
            data = data[:at] + bytes([number]) * length + data[at:]
        elif kind == "delete":
            data = data[:at] + data[at + length :]
        elif kind == "repeat":
            data = data[:at] + data[at : at + length] * 3 + data[at:]
        elif kind == "number":  # a wrong length or offset
            width = min(length, 8)
            value = NUMBERS[number % len(NUMBERS)] % (1 << 8 * width)
            data = data[:at] + value.to_bytes(width, "little" if number < 128 else "big") + data[at + width :]
    return data


def edit_value(value: Any, path: list[float], how: str, new: Any) -> Any:
    """Replace, delete or repeat the part of a JSON value at a path, whose numbers select children."""
    if not path or not isinstance(value, (dict, list)) or not value:
        return new
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[int(path[0] * len(keys))]
    if len(path) > 1 or how == "replace":
        child = edit_value(value[key], path[1:], how, new)
        return {**value, key: child} if isinstance(value, dict) else [*value[:key], child, *value[key + 1 :]]
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if k != key} | ({"\ud800": new} if how == "repeat" else {})
    return value[:key] + value[key:][how == "delete" :] + ([value[key]] if how == "repeat" else [])


def edit_inside(name: str, data: bytes, draw: Callable[[Any], Any]) -> bytes | None:
    """Change what is behind a format's lengths and checksums; None for formats without."""
    suffix = name.rpartition(".")[2]

    def changed(text: str | bytes) -> str:
        return json.dumps(edit_value(json.loads(text), *draw(VALUE_EDITS)))

    if suffix == "json":
        return changed(data).encode()
    if suffix == "jsonl":
        lines = data.splitlines() or [b"{}"]
        lines[0] = changed(lines[0]).encode()
        return b"\n".join(lines)
    if suffix == "yaml":
        value = edit_value(yaml.safe_load(data), *draw(VALUE_EDITS))
        return yaml.safe_dump(value, sort_keys=False).encode("utf-8", "replace")
    if suffix in ("th", "npz"):
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w") as new:
            names = archive.namelist()
            small = [n for n in names if n.endswith((".pkl", ".npy"))] or names
            victim = draw(st.sampled_from(small))
            for n in names:
                content = archive.read(n)
                new.writestr(n, edit_bytes(content, draw(BYTE_EDITS)) if n == victim else content)
        return out.getvalue()
    if suffix == "safetensors":
        end = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:end])
        about = header.get("__metadata__", {})
        if "header" in about and draw(st.booleans()):
            about["header"] = changed(about["header"])
        else:
            header = edit_value(header, *draw(VALUE_EDITS))
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + data[end:]
    return None


@pytest.fixture(scope="module")
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader in a folder of its own; what it allocates is limited."""
    built = READERS[request.param](tmp_path_factory.mktemp("reader"))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, hard))
    yield built
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def assert_read_or_refused(reader: Reader) -> None:
    peak, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        reader.read()
    except UserError as error:
        assert 20 < len(str(error)) < 1000 and "\n" not in str(error)
    assert time.process_time() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < MEGABYTES << 10


def write(files: dict[Path, bytes]) -> None:
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", READERS, indirect=True)
@given(data=st.data())
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_a_damaged_file_is_read_or_refused_in_a_sentence(reader: Reader, data: st.DataObject) -> None:
    files = dict(data.draw(st.sampled_from(reader.seeds)))
    path = data.draw(st.sampled_from(sorted(files)))
    inside = edit_inside(path.name, files[path], data.draw) if data.draw(st.booleans()) else None
    files[path] = edit_bytes(files[path], data.draw(BYTE_EDITS)) if inside is None else inside
    write(files)
    assert_read_or_refused(reader)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", READERS, indirect=True)
@pytest.mark.parametrize(
    "content", [b"", b"[" * 100000, YAML_BOMB, b"\xff" * 100], ids=["empty", "deep", "bomb", "ff"]
)
def test_files_that_readers_have_failed_on(reader: Reader, content: bytes) -> None:
    for seed in reader.seeds:
        for path in seed:
            write({**seed, path: content})
            assert_read_or_refused(reader)
