"""What Pilot tells an agent, beside what it tells its Envoy: over ADS, through that Envoy.

The last word is kept in a file, for an agent that starts while Pilot is away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from isthmus.kit.log import log
from isthmus.kit.tasks import keep_trying
from isthmus.sidecar.ads_messages import DELTA_PATH, Answer, read_answer, reply, subscription
from isthmus.wire.call import Channel

Take = Callable[[bytes], None]
"""Takes a resource's body. Raises `ValueError` where it is none of its kind: Pilot is told so."""


class Told:
    """Asks for one resource of each type, and passes it on as often as it changes."""

    def __init__(self, socket: Path, node: bytes, wanted: Mapping[str, tuple[str, Take]], kept: Path) -> None:
        """`wanted`: by type, the resource's name and who takes it; `kept`: a directory of one's own."""
        self._socket, self._node, self._wanted, self._kept = socket, node, wanted, kept
        self._versions: dict[str, str] = {}  # of what was taken, by type

    def remember(self) -> None:
        """Take what was told last, before this agent started."""
        for type_url, (_, take) in self._wanted.items():
            try:
                take(self._file(type_url).read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                log.warning("not read again", file=str(self._file(type_url)), reason=str(error))

    async def run(self) -> None:
        """Listen until cancelled; where Pilot cannot be reached, try again."""
        await keep_trying("what pilot tells the agent", self._listen)

    async def _listen(self) -> None:
        async with Channel(f"unix:{self._socket}") as channel:
            stream = channel.bidi(DELTA_PATH)
            try:
                who = self._node
                for type_url, (name, _) in self._wanted.items():
                    version = self._versions.get(type_url)
                    held = {name: version} if version is not None else {}
                    await stream.send(subscription(type_url, [name], held, who))
                    who = b""
                while (message := await stream.receive()) is not None:
                    answer = read_answer(message)
                    await stream.send(reply(answer, self._judge(answer)))
            finally:
                stream.cancel()

    def _judge(self, answer: Answer) -> str | None:
        """Why the answer is not taken; None where it is."""
        name, take = self._wanted.get(answer.type_url, ("", None))
        for found in answer.resources:
            if found.name != name or take is None:
                continue
            try:
                take(found.body)
            except ValueError as error:
                return str(error)
            self._versions[answer.type_url] = found.version
            self._keep(answer.type_url, found.body)
        return None

    def _keep(self, type_url: str, body: bytes) -> None:
        path = self._file(type_url)
        try:
            new = path.with_suffix(".new")
            new.write_bytes(body)
            new.rename(path)
        except OSError as error:
            log.warning("not kept", file=str(path), reason=str(error))

    def _file(self, type_url: str) -> Path:
        return kept_file(self._kept, type_url)


def kept_file(directory: Path, type_url: str) -> Path:
    """Where the last word of a type is kept."""
    return directory / f"{type_url.rpartition('.')[2]}.binpb"
