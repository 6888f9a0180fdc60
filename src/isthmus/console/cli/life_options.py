"""How long a credential lives, on the command line."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from isthmus.console.cli.durations import DURATION
from isthmus.console.cli.options import with_options
from isthmus.console.reader_account import USUAL_LIFE_S
from isthmus.console.render import fail
from isthmus.kit import duration

_OPTIONS = (
    click.option(
        "--life",
        type=DURATION,
        default=duration.show(USUAL_LIFE_S),
        show_default=True,
        help="how long the token lives; Pilot renews it when half of that is over",
    ),
    click.option("--long-lived", is_flag=True, help="a token without end, for what does not renew its token"),
)


def life_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command `--life` and `--long-lived`; it is told `life_s`, None where there is to be no end."""

    @wraps(command)
    def told(*args: Any, life: float, long_lived: bool, **flags: Any) -> None:
        from isthmus.kube.account_token import LEAST_LIFE_S

        if life < LEAST_LIFE_S:
            fail(f"--life: Kubernetes gives no token a shorter life than {duration.show(LEAST_LIFE_S)}")
        command(*args, life_s=None if long_lived else life, **flags)

    return with_options(_OPTIONS)(told)
