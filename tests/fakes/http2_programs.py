"""h2spec, and a client of grpc-go, where tools of these names have built them; h2load, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_TOOL = Path(__file__).parents[2] / "tools" / "h2spec"
_VERSION = next(
    line.partition("=")[2].split()[0]
    for line in _TOOL.read_text().splitlines()
    if line.startswith("version=")
)
PROGRAM = Path.home() / ".cache" / "isthmus" / f"h2spec-{_VERSION}" / "h2spec"
_GRPC_GO = subprocess.run(
    [_TOOL.parent / "grpc_go" / "build", "--built"], capture_output=True, text=True, check=False
).stdout.strip()
GRPC_GO = Path(_GRPC_GO or "/nowhere")
H2LOAD = shutil.which("h2load")

needs_h2spec = pytest.mark.skipif(not PROGRAM.exists(), reason="needs h2spec (hint: tools/h2spec)")
needs_grpc_go = pytest.mark.skipif(not GRPC_GO.exists(), reason="needs grpc-go (hint: tools/grpc_go/build)")
needs_h2load = pytest.mark.skipif(H2LOAD is None, reason="needs h2load, of Debian's package nghttp2-client")
