"""What the demo claims, and whether it held."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that must be true: what, how it was looked at, what was seen."""

    what: str
    how: str
    held: bool
    seen: str = ""


@dataclass(slots=True)
class Verdict:
    """All claims made so far."""

    claims: list[Claim] = field(default_factory=list)

    def add(self, claim: Claim) -> Claim:
        """Remember `claim`; returns it."""
        self.claims.append(claim)
        return claim

    @property
    def held(self) -> bool:
        """Whether all claims held, and there were any."""
        return bool(self.claims) and all(claim.held for claim in self.claims)

    def table(self) -> Table:
        """The claims as a table for a terminal."""
        table = Table(title="What was shown", title_justify="left", expand=False, show_lines=True)
        table.add_column("")
        table.add_column("claim, and how it was checked", ratio=3)
        table.add_column("seen", ratio=2, overflow="fold")
        for claim in self.claims:
            mark = "[green]pass[/]" if claim.held else "[bold red]FAIL[/]"
            table.add_row(mark, f"{escape(claim.what)}\n[dim]{escape(claim.how)}[/]", escape(claim.seen))
        return table
