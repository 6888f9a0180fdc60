"""Accounts and their Secrets in the cluster: followed, signed for, written."""

from __future__ import annotations

import asyncio
import base64

from isthmus.api.resource import Kind, Object
from isthmus.ca.account_secrets import ANNOTATION, CHAIN, KEY, ROOTS, TYPE, Account, AccountSecrets, Bundle
from isthmus.ca.attest import Caller
from isthmus.ca.audit import Audit
from isthmus.ca.authority import Issued
from isthmus.ca.dns_names import DnsNames
from isthmus.ca.issuers import Issuer, Order
from isthmus.ca.self_signed import SECRETS
from isthmus.kit.metrics import CERTIFICATES
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, Scope
from isthmus.kube.informer import Informer
from isthmus.kube.watch import Watch
from isthmus.model.identity import SpiffeId

_ACCOUNTS = Kind("", ("v1",), "ServiceAccount", "serviceaccounts", Object)
_MANAGER = "istio-citadel"


class OwnDesk:
    """Signs for the accounts of Citadel's own cluster, and writes it down."""

    def __init__(self, issuer: Issuer, names: DnsNames, trust_domain: str, audit: Audit) -> None:
        self._issuer, self._names = issuer, names
        self._trust_domain, self._audit = trust_domain, audit

    def identity(self, account: Account) -> SpiffeId:
        """See `account_secrets.Desk`."""
        return SpiffeId(self._trust_domain, account.namespace, account.name)

    async def issue(self, csr: bytes, account: Account) -> Issued:
        """See `account_secrets.Desk`; the life is the usual one."""
        caller = Caller(self.identity(account), self._names.cluster, proof=f"secret {account.secret}")
        issued = await self._issuer.issue(Order(csr, caller.identity, 0, self._names.of(caller)))
        CERTIFICATES.inc()
        await self._audit.issued(caller, "", issued)
        return issued


class ClusterSecrets:
    """The Secrets in the cluster behind `client`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def write(self, account: Account, bundle: Bundle) -> None:
        """See `account_secrets.Store`."""
        content = {CHAIN: bundle.chain, KEY: bundle.key, ROOTS: bundle.roots}
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": account.secret,
                "namespace": account.namespace,
                "annotations": {ANNOTATION: account.name},
            },
            "type": TYPE,
            "data": {name: base64.b64encode(pem).decode() for name, pem in content.items()},
        }
        await self._client.apply(SECRETS, body, _MANAGER)

    async def delete(self, account: Account) -> None:
        """See `account_secrets.Store`."""
        await self._client.delete(SECRETS, account.namespace, account.secret)


async def keep_account_secrets(
    client: Client, kept: AccountSecrets, namespaces: tuple[str, ...], held: Watchable[bool]
) -> None:
    """Let `kept` keep the Secrets of `namespaces` (none: of all) true while it is `held` to, until cancelled."""
    followed = []
    for namespace in namespaces or ("",):
        accounts = Watch(client, _ACCOUNTS, Scope(namespace))
        secrets = Watch(client, SECRETS, Scope(namespace, fields=f"type={TYPE}"))
        followed.append(Informer(_ACCOUNTS, accounts, kept.account_seen))
        followed.append(Informer(SECRETS, secrets, kept.secret_seen))
    async with asyncio.TaskGroup() as group:
        for informer in followed:
            group.create_task(informer.run())
        # Else every Secret that is there already would be made once more at each start.
        for informer in followed:
            await informer.synced.wait()
        group.create_task(kept.run(held))
