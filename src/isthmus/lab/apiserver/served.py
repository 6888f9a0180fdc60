"""One API server: storage, verbs, documents and HTTP joined, to be started on sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from isthmus.kit.clock import Clock, SystemClock
from isthmus.lab.apiserver.admission import Admission
from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.authentication import Authentication
from isthmus.lab.apiserver.bootstrap import bootstrap_objects
from isthmus.lab.apiserver.builtin import builtin_types
from isthmus.lab.apiserver.credentials import ClusterCredentials
from isthmus.lab.apiserver.custom import CustomTypes
from isthmus.lab.apiserver.documents import Documents
from isthmus.lab.apiserver.doors import Doors
from isthmus.lab.apiserver.errors import unsupported_media_type
from isthmus.lab.apiserver.http import Front, Subresource
from isthmus.lab.apiserver.nodes import Nodes
from isthmus.lab.apiserver.protobuf import Undecodable, decode
from isthmus.lab.apiserver.rbac import Rbac
from isthmus.lab.apiserver.reviews import Reviews
from isthmus.lab.apiserver.schema import Schemas
from isthmus.lab.apiserver.storage import Store
from isthmus.lab.apiserver.subresources import handlers
from isthmus.lab.apiserver.tables import Tables
from isthmus.lab.apiserver.tokens import Tokens
from isthmus.lab.apiserver.webhook_caller import WebhookCaller
from isthmus.lab.apiserver.webhooks import Webhooks

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Address:
    """Where clients reach the server, for the documents that say so."""

    host: str
    port: int


class ApiServer:
    """The API server of one cluster. Nothing happens before `prepare` and `start`."""

    def __init__(
        self, credentials: ClusterCredentials, path: Path | None = None, clock: Clock | None = None
    ) -> None:
        self.credentials = credentials
        self.clock = clock or SystemClock()
        self.types, self.schemas, self.tables = builtin_types(), Schemas(), Tables()
        self.store = Store(path)
        self.api = Api(self.store, self.types, self.schemas, self.clock)
        self.tokens = Tokens(credentials.token_key, self.store, self.clock)
        self.rbac = Rbac(self.store)
        self.custom = CustomTypes(self.api, self.tables)
        self.nodes: Nodes | None = None
        doors = Doors(self.store, lambda: self.nodes)
        self.subresources: dict[tuple[str, str], Subresource] = handlers(
            self.api, self.tokens, self.custom.resources, doors, lambda: self.nodes
        )
        webhooks = Webhooks(self.store, WebhookCaller(doors.to_service), self.types)
        self.api.admission = Admission(self.store, self.api.validation, webhooks, self.rbac)
        self._authentication = Authentication(self.tokens, credentials.admin_token)
        self._runner: web.AppRunner | None = None
        self._sockets: list[socket.socket] = []

    async def prepare(self) -> None:
        """Make what a new cluster has before anyone asks; serve the custom types it knows already."""
        for obj in bootstrap_objects():
            each = self.types.by_kind(obj["apiVersion"], obj["kind"])
            if each is not None and self.api.find(each, "", obj["metadata"]["name"]) is None:
                await self.api.create(each, obj)
        self.api.hooks.append(self.custom.changed)
        await self.custom.load()

    async def start(self, sockets: Iterable[socket.socket], address: Address) -> None:
        """Serve HTTPS on listening sockets."""
        self._sockets = list(sockets)
        documents = Documents(
            self.types, self.schemas, f"{address.host}:{address.port}", self.tokens.well_known
        )
        reviews = Reviews(self.rbac, self.tokens, self._authentication.owner)
        front = Front(
            self.api,
            documents,
            self.tables,
            (self._authentication, self.rbac, reviews),
            (self.subresources, _decode),
        )
        self._runner = web.AppRunner(front.application(), access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        tls = self.credentials.server_context()
        for each in self._sockets:
            await web.SockSite(self._runner, each, ssl_context=tls, backlog=512).start()

    async def stop(self) -> None:
        """End all connections and close the sockets."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def attach(self, nodes: Nodes) -> None:
        """Answer for pods' logs, commands and ports by asking `nodes`."""
        self.nodes = nodes

    def close(self) -> None:
        """End the use of the store."""
        self.store.close()


def _decode(body: bytes) -> Json:
    try:
        return decode(body)
    except Undecodable as error:
        raise unsupported_media_type(("application/json", "application/yaml")) from error
