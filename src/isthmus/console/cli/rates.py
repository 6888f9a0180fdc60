"""How often somebody may ask, on the command line: `10/100`, ten a second in the long run and a hundred at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from isthmus.ca.rates import Rate

if TYPE_CHECKING:
    from isthmus.ca.rates import Limits

_FORM = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)/(\d{1,9})")
_MOST = 1_000_000
_HINT = "hint: a second/at once, such as 10/100"


class _Rate(click.ParamType[Rate]):
    """Text such as `10/100`."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rate:
        """The rate; ends with an error for what is none, and for none at all: nobody would get in."""
        if isinstance(value, Rate):
            return value
        found = _FORM.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no rate ({_HINT})", param, ctx)
        rate = Rate(per_s=float(found[1]), burst=float(found[2]))
        if not 0 < rate.per_s <= _MOST or not 1 <= rate.burst <= _MOST:
            self.fail(f"{value!r} is out of bounds (hint: more than 0, at most {_MOST} each)", param, ctx)
        return rate


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command a flag for each limit of Citadel."""
    from isthmus.ca.rates import Limits

    usual = Limits()
    for name, rate, what in (
        ("cluster", usual.cluster, "all workloads of a cluster together"),
        ("identity", usual.identity, "each identity, once it is proven"),
        ("address", usual.address, "each address, whatever it proves"),
    ):
        flag = f"--requests-of-one-{name}"
        told = f"{rate.per_s:g}/{rate.burst:g}"
        text = f"how often {what} may ask: a second in the long run/at once"
        option = click.option(
            flag, f"of_one_{name}", type=_Rate(), default=told, show_default=True, help=text
        )
        command = option(command)
    return command


def limits_of(flags: dict[str, Any]) -> Limits:
    """What those flags say."""
    from isthmus.ca.rates import Limits

    return Limits(
        identity=flags["of_one_identity"], address=flags["of_one_address"], cluster=flags["of_one_cluster"]
    )
