"""The stage of the demo: the lab, kubectl for each cluster, a visitor of the product page, and a voice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from isthmus.console.demo.claims import Claim, Verdict
from isthmus.console.demo.kubectl import Kubectl
from isthmus.console.demo.page import Page, Stars, Visitor
from isthmus.console.lab_client import LabClient
from isthmus.kit.clock import Clock, SystemClock

PUBLIC, PRIVATE = "gke", "onprem"
CLUSTERS = (PUBLIC, PRIVATE)


@dataclass(slots=True)
class Stage:
    """All that a chapter needs to act and to look."""

    lab: LabClient
    samples: Path
    console: Console
    clock: Clock = field(default_factory=SystemClock)
    verdict: Verdict = field(default_factory=Verdict)
    begun: float = 0.0

    def __post_init__(self) -> None:
        self.begun = self.begun or self.clock.monotonic()

    def kubectl(self, cluster: str) -> Kubectl:
        """kubectl for `cluster`, by the kubeconfig that works from this side of the lab."""
        return Kubectl(self.lab.kubeconfig(cluster), self.lab.folder / "kubectl-cache")

    @property
    def visitor(self) -> Visitor:
        return Visitor(self.lab.page_url, self.clock)

    def passed_s(self) -> float:
        """Seconds since the demo began."""
        return self.clock.monotonic() - self.begun

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self.console.print(f"\n[bold]{title}[/]")

    def say(self, text: str) -> None:
        """One line of the story, with the time."""
        self.console.print(f"  [dim]{self.passed_s():6.1f}s[/]  {text}", highlight=False, soft_wrap=True)

    def show(self, text: str) -> None:
        """What a command printed, indented."""
        for line in text.rstrip().splitlines():
            self.console.print(f"           {line}", highlight=False, markup=False, soft_wrap=True)

    def claim(self, what: str, how: str, *, held: bool, seen: str = "") -> None:
        """State a claim and whether it held."""
        self.verdict.add(Claim(what, how, held, seen))
        mark = "[green]✔[/]" if held else "[bold red]✘[/]"
        self.say(f"{mark} {what}" + (f": {seen}" if seen else ""))

    async def until(self, condition: Callable[[], Awaitable[bool]], limit_s: float) -> bool:
        """Whether `condition` came true within `limit_s` seconds."""
        end = self.clock.monotonic() + limit_s
        while not await condition():
            if self.clock.monotonic() > end:
                return False
            await self.clock.sleep(0.2)
        return True

    async def steady(
        self, accept: Callable[[Page], bool], *, user: str = "", times: int = 10, limit_s: float = 15.0
    ) -> bool:
        """Whether `times` visits in a row were as `accept` wants them, within `limit_s` seconds."""
        end = self.clock.monotonic() + limit_s
        row = 0
        while row < times:
            if self.clock.monotonic() > end:
                return False
            row = row + 1 if accept(await self.visitor.visit(user)) else 0
        return True


def only(*stars: Stars) -> Callable[[Page], bool]:
    """Accepts pages that show one of `stars`."""
    return lambda page: page.stars in stars


async def both(one: Awaitable[object], other: Awaitable[object]) -> None:
    """Do two things at once."""
    await asyncio.gather(one, other)
