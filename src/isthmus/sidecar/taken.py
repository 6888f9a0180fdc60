"""What Envoy has taken over of what its agent gave it, on all of its streams: only that does it hold."""

from __future__ import annotations

from isthmus.kit.watchable import Watchable
from isthmus.sidecar.certs import Held


class Taken:
    """`held` is the newest certificate, with its roots, that Envoy has accepted wherever it has asked for them."""

    def __init__(self) -> None:
        self.held: Watchable[Held | None] = Watchable(None)
        self._by_stream: dict[object, Held] = {}

    def note(self, stream: object, held: Held) -> None:
        """Envoy has all of `held` on `stream` that it wants there."""
        self._by_stream[stream] = held
        self._look(held)

    def forget(self, stream: object) -> None:
        """The stream has ended: what Envoy had on it is not renewed on it any more."""
        if self._by_stream.pop(stream, None) is not None and self._by_stream:
            self._look(next(iter(self._by_stream.values())))

    def _look(self, held: Held) -> None:
        if all(each is held for each in self._by_stream.values()):
            self.held.set(held)
