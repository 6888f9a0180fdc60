"""What API servers refuse of an installation, in words that name the object, who stands in the way, and the mend."""

from __future__ import annotations

import re
from typing import NamedTuple

from isthmus.console.install.cluster import Key, NotServed
from isthmus.kube.errors import Conflict, Forbidden, KubeError, NotFound, Refused

_OWNER = re.compile(r'conflicts? with "([^"]+)"[^:]*:((?: \.\S.*)|(?:\n- .*)+)', re.MULTILINE)
_UNPROCESSABLE = 422


class Held(NamedTuple):
    """A field that another manager set to something else."""

    owner: str
    field: str


class CannotInstall(Exception):
    """What stands in the way of an installation, a line each."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def held_by(error: Conflict) -> list[Held]:
    """Which fields are others', as an API server tells of a server-side apply."""
    return [
        Held(owner, field.strip().removeprefix("- "))
        for owner, fields in _OWNER.findall(str(error))
        for field in fields.strip().split("\n")
    ]


def told(key: Key, error: KubeError | NotServed) -> list[str]:
    """What is said of an object that could not be applied."""
    match error:
        case Conflict() if held := held_by(error):
            hint = "(hint: --force-conflicts takes it over; or let that one give it up)"
            return [f"{key}: {field} is set by {owner} to something else {hint}" for owner, field in held]
        case NotServed():
            return [f"{error} (hint: isthmus install primary comes first, of the Gateway API gateway-api)"]
        case Forbidden():
            return [f"{key}: {error} (hint: an account that administers the cluster, by --context)"]
        case NotFound():
            return [f"{key}: {error} (hint: kubectl create namespace {key.namespace})"]
        case Refused(code=code) if code == _UNPROCESSABLE and "immutable" in str(error):
            place = f" -n {key.namespace}" if key.namespace else ""
            hint = f"hint: made anew only: kubectl delete {key.kind.lower()}{place} {key.name}, then again"
            return [f"{key}: {error} ({hint})"]
        case _:
            return [f"{key}: {error}"]
