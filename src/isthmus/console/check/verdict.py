"""What a check says, and what a check is: a function whose docstring is its claim and why it matters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec

from isthmus.console.check.cluster import Cluster


class State(Enum):
    """How it stands with a check, what is worst first."""

    ERROR = "error"
    WARNING = "warning"
    UNKNOWN = "unknown"
    """It could not be looked at."""
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Said:
    """What was seen, and the command that mends it where that is not as it should be."""

    state: State
    seen: str
    mend: str = ""


def fine(seen: str) -> Said:
    return Said(State.OK, seen)


def doubtful(seen: str, mend: str) -> Said:
    return Said(State.WARNING, seen, mend)


def broken(seen: str, mend: str) -> Said:
    return Said(State.ERROR, seen, mend)


Judge = Callable[[Cluster, Sequence[Cluster]], Iterator[Said]]
"""What is to be said of one cluster among all that were read. What is said of two is said of the first."""


class When(Enum):
    """To what state of things a check belongs."""

    ALWAYS = "always"
    BEFORE = "before an installation"
    AFTER = "where the mesh runs"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at. `needs`: the plurals without which nothing can be said of it."""

    judge: Judge
    when: When = When.ALWAYS
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What people call it: `pod-ranges`."""
        return self.judge.__name__.replace("_", "-")

    @property
    def group(self) -> str:
        """The file that it stands in."""
        return self.judge.__module__.rpartition(".")[2].replace("_", "-")

    @property
    def title(self) -> str:
        """What it holds to be true."""
        return (inspect.getdoc(self.judge) or "").partition("\n\n")[0].replace("\n", " ").rstrip(".")

    @property
    def why(self) -> str:
        """Why that matters."""
        return (inspect.getdoc(self.judge) or "").partition("\n\n")[2].replace("\n", " ")

    def belongs(self, *, before_install: bool) -> bool:
        """Whether it is looked at then."""
        return self.when is not (When.AFTER if before_install else When.BEFORE)


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the answer."""

    check: str
    group: str
    cluster: str
    state: State
    title: str
    seen: str
    why: str
    mend: str = ""


def checked(
    checks: Sequence[Check], clusters: Sequence[Cluster], *, before_install: bool
) -> Iterator[Checked]:
    """What `checks` say of `clusters`, check by check."""
    for check in checks:
        if check.belongs(before_install=before_install):
            for cluster in clusters:
                for said in _said(check, cluster, clusters):
                    yield Checked(
                        check=check.name,
                        group=check.group,
                        cluster=cluster.name,
                        state=said.state,
                        title=check.title,
                        seen=said.seen,
                        why=check.why,
                        mend=said.mend,
                    )


def _said(check: Check, cluster: Cluster, clusters: Sequence[Cluster]) -> Iterator[Said]:
    if cluster.error and check.needs:
        return  # that it does not answer is said once
    lacks = [f"{plural}: {cluster.unread[plural]}" for plural in check.needs if plural in cluster.unread]
    if lacks:
        yield Said(State.UNKNOWN, "; ".join(lacks), cluster.kubectl(f"auth can-i list {check.needs[0]} -A"))
        return
    yield from check.judge(cluster, [each for each in clusters if not each.error])
