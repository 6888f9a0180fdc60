"""What each proxy of a drawn mesh is sent, as trees in Envoy's own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from isthmus.console.drawn_mesh import DrawnMesh
from isthmus.console.explain_files import FromFiles
from isthmus.console.sent_parts import ENVOYS
from isthmus.kit.versioned import Versioned
from isthmus.model.workload import Workload
from isthmus.translate.offline import PARTS
from isthmus.translate.show import as_tree

Tree = dict[str, Any]


def resources(
    drawn: DrawnMesh, workload: Workload, parts: Sequence[str] = ()
) -> Mapping[str, Mapping[str, Versioned]]:
    """What the proxy of a pod is sent, or some parts of it: by part, then by name."""
    proxy = FromFiles(drawn).proxy(workload)
    generation = drawn.generation
    return {
        part: {one.name: one for one in generation.resources(proxy, PARTS[part], None)}
        for part in parts or ENVOYS
    }


def trees(found: Mapping[str, Mapping[str, Versioned]], pattern: str = "*", *, whole: bool = True) -> Tree:
    """The resources whose names fit, as people read them; of the whole, parts that have any."""
    return {
        part: {name: as_tree(one, PARTS[part]) for name, one in _sorted(named) if fnmatchcase(name, pattern)}
        for part, named in found.items()
        if named or not whole
    }


def _sorted(named: Mapping[str, Versioned]) -> Iterator[tuple[str, Versioned]]:
    for name in sorted(named):
        yield name, named[name]
