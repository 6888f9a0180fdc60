"""What must be known of a mesh to explain its calls."""

from __future__ import annotations

from typing import Protocol

from isthmus.api.resource import Ref
from isthmus.model.mesh import Mesh
from isthmus.model.proxy import Proxy
from isthmus.model.workload import Workload
from isthmus.translate.trace.held import Held


class Source(Protocol):
    """What is known of a mesh: from files, or of one that runs."""

    mesh: Mesh

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know beside the trace."""
        ...

    def proxy(self, workload: Workload) -> Proxy:
        """The proxy beside (or in) a pod."""
        ...

    def held(self, workload: Workload) -> Held | None:
        """What that proxy holds; None where it is not known."""
        ...

    def place(self, ref: Ref, path: str, /) -> str:
        """Where a part of an object is written, `file:line`; empty where that is not known."""
        ...
