"""What Pilot tells an agent, beside what it tells its Envoy, and the agent Pilot: over ADS, through that Envoy.

The last word is kept in a file, for an agent that starts while Pilot is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from isthmus.kit.scopes import agent as log
from isthmus.kit.tasks import keep_trying, supervise
from isthmus.kit.watchable import Watchable
from isthmus.sidecar.ads_messages import (
    DELTA_PATH,
    Answer,
    Resource,
    answer_of,
    asked_by,
    read_answer,
    reply,
    report,
    subscription,
)
from isthmus.sidecar.kept_answers import kept_file
from isthmus.wire.call import Channel
from isthmus.wire.stream import Stream, StreamClosed

Take = Callable[[Mapping[str, bytes]], None]
"""Takes resources' bodies by name. Raises `ValueError` where one is none of its kind: Pilot is told so."""


Said = Watchable[str | None]
"""What the agent says of the proxy to Pilot, whenever it changes; None: nothing yet."""


class Wanted(NamedTuple):
    """What is asked for of one type, and who takes it."""

    names: tuple[str, ...]
    take: Take


class Told:
    """Asks for a few resources of each type, and passes on those that change; says what is known here only."""

    def __init__(
        self,
        socket: Path,
        node: bytes,
        wanted: Mapping[str, Wanted],
        kept: Path,
        said: Mapping[str, Said],
    ) -> None:
        """`wanted` and `said`: by type; `kept`: a directory of one's own."""
        self._socket, self._node, self._wanted, self._kept = socket, node, wanted, kept
        self._said = said
        self._held: dict[str, dict[str, Resource]] = {type_url: {} for type_url in wanted}

    def remember(self) -> None:
        """Take what was told last, before this agent started."""
        for type_url in self._wanted:
            try:
                answer = read_answer(kept_file(self._kept, type_url).read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                log.warning("not read again", file=str(kept_file(self._kept, type_url)), reason=str(error))
                continue
            self._judge(answer._replace(type_url=type_url), keeps=False)

    async def run(self) -> None:
        """Listen until cancelled; where Pilot cannot be reached, try again."""
        await keep_trying("what pilot tells the agent", self._listen)

    async def _listen(self) -> None:
        async with Channel(f"unix:{self._socket}") as channel:
            stream = channel.bidi(DELTA_PATH)
            said: asyncio.Queue[bytes] = asyncio.Queue()  # one task alone may write
            try:
                for type_url, (names, _) in self._wanted.items():
                    held = {name: one.version for name, one in self._held[type_url].items()}
                    said.put_nowait(subscription(type_url, names, held))
                reports = [_report(type_url, source, said) for type_url, source in self._said.items()]
                async with supervise(_send(stream, said, self._node), *reports):
                    while (message := await stream.receive()) is not None:
                        answer = read_answer(message)
                        said.put_nowait(reply(answer, self._judge(answer)))
            finally:
                stream.cancel()

    def _judge(self, answer: Answer, *, keeps: bool = True) -> str | None:
        """Why the answer is not taken; None where it is."""
        wanted = self._wanted.get(answer.type_url)
        if wanted is None:
            return None
        new = {found.name: found for found in answer.resources if found.name in wanted.names}
        if not new:
            return None
        try:
            wanted.take({name: found.body for name, found in new.items()})
        except ValueError as error:
            return str(error)
        held = self._held[answer.type_url]
        held.update(new)
        if keeps:
            self._keep(answer.type_url, answer_of(held.values()))
        return None

    def _keep(self, type_url: str, body: bytes) -> None:
        path = kept_file(self._kept, type_url)
        try:
            new = path.with_suffix(".new")
            new.write_bytes(body)
            new.rename(path)
        except OSError as error:
            log.warning("not kept", file=str(path), reason=str(error))


async def _send(stream: Stream, said: asyncio.Queue[bytes], node: bytes) -> None:
    with suppress(StreamClosed):  # who listens is told why
        await stream.send(asked_by(node) + await said.get())
        while True:
            await stream.send(await said.get())


async def _report(type_url: str, source: Said, said: asyncio.Queue[bytes]) -> None:
    async for text in source.changes():
        if text is not None:
            said.put_nowait(report(type_url, text))
