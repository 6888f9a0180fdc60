"""How a lab is started: its doors on the host, and where its samples are."""

from __future__ import annotations

from pathlib import Path

import msgspec

from isthmus.lab.launch import Launch
from isthmus.lab.spec import LabSpec
from isthmus.lab.stock.programs import stock_programs
from isthmus.settings import environment

DOOR = "open"
"""The door of the host that leads to the Service that was opened last."""


def samples_folder() -> Path:
    """The folder `samples` beside the package's sources, within the installed package, or in the folder we are in."""
    package = Path(__file__).resolve().parents[1]
    places = (package.parents[1] / "samples", package / "samples")
    return next((each for each in places if each.is_dir()), Path.cwd() / "samples")


def lab_launch(state: Path, spec: LabSpec, samples: Path) -> Launch:
    """What to launch: a door for each API server, and one for a Service, on free ports of loopback.

    Raises `NoPrograms` where upstream's are wanted and not there.
    """
    spec = _with_programs(spec)
    doors = {f"api-{cluster.name}": ("127.0.0.1", 0) for cluster in spec.clusters}
    return Launch(
        module="isthmus.lab.inner",
        state=state,
        arguments=(msgspec.json.encode(spec).decode(), str(samples.absolute())),
        doors={**doors, DOOR: ("127.0.0.1", 0)},
    )


def _with_programs(spec: LabSpec) -> LabSpec:
    clusters = tuple(
        msgspec.structs.replace(each, programs=str(stock_programs(environment(), each.programs).absolute()))
        if each.api_server == "kube"
        else each
        for each in spec.clusters
    )
    return msgspec.structs.replace(spec, clusters=clusters)
