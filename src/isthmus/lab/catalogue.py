"""Which program of this machine stands for which container image."""

from __future__ import annotations

import fnmatch
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import yaml

_PATH = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where containers find programs: those of this Python's environment first."""


class UnknownImage(LookupError):
    """No program stands for the image; says which images are known."""


class Image(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program in place of an image: a Python module, or an entry point and its usual arguments."""

    name: str  # a pattern
    module: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str = "/"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    images: tuple[Image, ...]


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: with `module` as `python -m module *argv`, else `argv`."""

    argv: tuple[str, ...]
    module: str = ""
    env: dict[str, str] = {}
    cwd: str = "/"


class Catalogue:
    """The images of the lab: its own, then those of more files."""

    def __init__(self, images: Iterable[Image]) -> None:
        self._images = tuple(images)

    @classmethod
    def read(cls, samples: Path, more: Iterable[Path] = ()) -> Catalogue:
        """The lab's own images and those of `more` files, which come first. `samples` is their folder."""
        own = Path(__file__).with_name("images.yaml")
        images: list[Image] = []
        for path in (*more, own):
            text = path.read_text().replace("{samples}", str(samples))
            file = msgspec.convert(yaml.load(text, Loader=yaml.CSafeLoader), _File)
            images += file.images
        return cls(images)

    def program(self, image: str, command: list[str], args: list[str]) -> Program:
        """What runs for a container of `image`, as Kubernetes combines `command` and `args` with the image's own.

        Raises `UnknownImage`.
        """
        found = self._find(image)
        if found.module and not command:
            return Program(argv=tuple(args or found.cmd), module=found.module, env=found.env, cwd=found.cwd)
        argv = (*command, *args) if command else (*found.entrypoint, *(args or found.cmd))
        if not argv:
            raise UnknownImage(f'image "{image}" has no command of its own (hint: set command)')
        module, rest = as_module(argv)
        return Program(argv=rest, module=module, env=found.env, cwd=found.cwd)

    def _find(self, image: str) -> Image:
        tagged = image if ":" in image.rpartition("/")[2] else f"{image}:latest"
        for each in self._images:
            if fnmatch.fnmatchcase(tagged, each.name):
                return each
        known = ", ".join(sorted({each.name for each in self._images}))
        raise UnknownImage(f'no program stands for image "{image}" in the lab (hint: known are {known})')


def as_module(argv: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """`isthmus …` as the module it is, so that it starts fast; any other command with its program's path."""
    if argv[0] == "isthmus":
        return "isthmus", argv[1:]
    program = shutil.which(argv[0], path=_PATH) or shutil.which(argv[0]) or argv[0]
    if argv[0] in {"python", "python3"}:
        program = sys.executable
    return "", (program, *argv[1:])


def environment_of(program: Program, given: Mapping[str, str], hostname: str) -> dict[str, str]:
    """All of a container's environment: the machine's path, the image's own, what the pod gives."""
    basic = {"PATH": _PATH, "HOSTNAME": hostname, "HOME": "/root"}
    return {**basic, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", **program.env, **given}
