"""`isthmus demo`: the whole story on this machine, each claim checked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isthmus.console.cli.api_servers import api_server_option
from isthmus.console.render import fail
from isthmus.lab.state import StateError
from isthmus.lab.stock.programs import NoPrograms
from isthmus.settings import state_folder

if TYPE_CHECKING:
    from isthmus.lab.spec import ApiServerKind


@click.command("demo")
@click.option("--keep", is_flag=True, help="leave it running with the page and the API servers until Ctrl-C")
@click.option("--record", type=click.Path(path_type=Path), help="save what is shown, as SVG")
@click.option("--samples", type=click.Path(path_type=Path), help="folder of the samples")
@api_server_option
def command(
    *, keep: bool, record: Path | None, samples: Path | None, apiserver: ApiServerKind | None
) -> None:
    """Two clusters, one mesh, red stars: the whole story on this machine, checked claim by claim."""
    import asyncio

    from rich.console import Console

    from isthmus.console.demo.story import Story
    from isthmus.console.lab_process import samples_folder
    from isthmus.lab.probe import check_machine, lacks, told
    from isthmus.lab.spec import TALK, with_api_servers

    if missing := lacks(check_machine()):
        fail(told(missing))
    # Whoever records wants the width of a page, not that of this terminal.
    console = Console(record=True, width=118) if record else Console()
    spec = with_api_servers(TALK, apiserver)
    story = Story(state_folder() / "demo", spec, samples or samples_folder(), console, keep=keep)
    try:
        held = asyncio.run(story.tell())
    except (StateError, NoPrograms, OSError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        held = False
    finally:
        left = story.end()
    if record:
        console.save_svg(str(record), title="isthmus demo")
    sys.exit(0 if held and not left else 1)
