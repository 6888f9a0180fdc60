"""Lives on the command line, written as `24h`."""

from __future__ import annotations

from typing import Any

import click

from isthmus.kit.duration import parse


class Duration(click.ParamType[float]):
    """Text such as `24h`, as seconds; more than none, since a life of none is a mistake."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds; ends with an error for what is no life."""
        if isinstance(value, float):
            return value
        try:
            seconds = parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0:
            self.fail(f"{value!r} is no life (hint: more than 0, such as 24h or 10m)", param, ctx)
        return seconds


DURATION = Duration()
