"""`isthmus run`: a part of the mesh as a process."""

from __future__ import annotations

from typing import Any

import click

from isthmus.console.cli import ToldWhole
from isthmus.console.cli.citadel import command as citadel
from isthmus.console.cli.cluster_access import own_access
from isthmus.console.cli.injector import command as injector
from isthmus.console.cli.options import set_up_logs_as
from isthmus.console.cli.settings_options import settings_from, settings_options
from isthmus.console.render import fail
from isthmus.kit import core_dumps
from isthmus.settings import PilotSettings


@click.group("run", cls=ToldWhole)
def command() -> None:
    """Run a part of the mesh: it serves until it is told to stop."""


@command.command("pilot")
@settings_options(PilotSettings)
def pilot(**flags: Any) -> None:
    """Follow all clusters of the mesh, and tell every Envoy what to do."""
    import uvloop

    from isthmus.app import run_pilot
    from isthmus.discovery.key_fetcher import ranges

    settings = settings_from(PilotSettings, flags)
    try:
        ranges(settings.issuer_refused_ranges)
    except ValueError as error:
        fail(f"--issuer-refused-ranges: {error}")
    set_up_logs_as("--log-level", settings.log_level)
    core_dumps.leave_none()
    uvloop.run(run_pilot(settings, own_access(settings.kubeconfig)))


command.add_command(citadel)
command.add_command(injector)
