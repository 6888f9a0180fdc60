"""Where the few programs are that the lab starts."""

from __future__ import annotations

import shutil

_ALSO = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin")
_PACKAGES = {"nft": "nftables", "unshare": "util-linux", "tc": "iproute2"}


class MissingProgram(Exception):
    """A program the lab needs is not installed."""


def find_program(name: str) -> str | None:
    """The path of `name`, also where an ordinary user's PATH does not lead; None if there is none."""
    return shutil.which(name) or shutil.which(name, path=":".join(_ALSO))


def program(name: str) -> str:
    """The path of `name`. Raises `MissingProgram`."""
    found = find_program(name)
    if found is None:
        raise MissingProgram(
            f"{name} is not installed (hint: it is in the package {_PACKAGES.get(name, name)})"
        )
    return found
