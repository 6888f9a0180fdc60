"""Each namespace gets its `default` account and the cluster's root; old-style token Secrets are filled."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable
from typing import Any

from isthmus.lab.apiserver.api import Api, Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.tokens import Grant, Tokens
from isthmus.lab.controllers.reconciler import Key, Reconciler, itself, key_of

Json = dict[str, Any]
_NAMESPACES, _ACCOUNTS = builtin("namespaces"), builtin("serviceaccounts")
_CONFIG_MAPS, _SECRETS = builtin("configmaps"), builtin("secrets")
_TOKEN_TYPE, _ACCOUNT = "kubernetes.io/service-account-token", "kubernetes.io/service-account.name"
_TEN_YEARS_S = 10 * 365 * 86400.0


class Accounts:
    """Keeps what every namespace must have, and fills Secrets of tokens."""

    def __init__(self, api: Api, tokens: Tokens, root: bytes) -> None:
        self._api, self._tokens, self._root = api, tokens, root

    async def run(self) -> None:
        """Follow namespaces, accounts and Secrets until cancelled."""
        spaces = Reconciler("accounts", self._api, {_NAMESPACES: itself}, self._furnish)
        sources = {_SECRETS: itself, _ACCOUNTS: self._secrets_of}
        secrets = Reconciler("token secrets", self._api, sources, self._fill)
        async with asyncio.TaskGroup() as group:
            group.create_task(spaces.run())
            group.create_task(secrets.run())

    def _secrets_of(self, account: Json) -> Iterable[Key]:
        meta = account["metadata"]
        for secret in self._api.list(_SECRETS, meta["namespace"]).items:
            if (secret["metadata"].get("annotations") or {}).get(_ACCOUNT) == meta["name"]:
                yield key_of(secret)

    async def _furnish(self, key: Key) -> None:
        found = self._api.find(_NAMESPACES, *key)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return
        name = key[1]
        if self._api.find(_ACCOUNTS, name, "default") is None:
            account = {"apiVersion": "v1", "kind": "ServiceAccount"}
            await self._api.create(_ACCOUNTS, account | {"metadata": {"name": "default", "namespace": name}})
        if self._api.find(_CONFIG_MAPS, name, "kube-root-ca.crt") is None:
            root = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "kube-root-ca.crt", "namespace": name},
                "data": {"ca.crt": self._root.decode()},
            }
            await self._api.create(_CONFIG_MAPS, root)

    async def _fill(self, key: Key) -> None:
        secret = self._api.find(_SECRETS, *key)
        if secret is None or secret.get("type") != _TOKEN_TYPE or (secret.get("data") or {}).get("token"):
            return
        name = (secret["metadata"].get("annotations") or {}).get(_ACCOUNT, "")
        account = self._api.get(_ACCOUNTS, key[0], name)  # a 404 is tried again until it is there
        token, _ = self._tokens.issue(Grant(account, lifetime_s=_TEN_YEARS_S, bound=(("secret", secret),)))
        texts = {"token": token.encode(), "ca.crt": self._root, "namespace": key[0].encode()}
        data = {name: base64.b64encode(text).decode() for name, text in texts.items()}
        await self._api.update(Target(_SECRETS, *key), {**secret, "data": data})
