"""The way of 2018: a Secret `istio.<account>` with key and certificate for every service account, kept fresh.

For programs that read files and speak to no Citadel. Whoever reads the Secret is the account, so this is off
unless the operator asks for it.
"""

from __future__ import annotations

import asyncio
import base64
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol

import msgspec

from isthmus.api.core.secret import Secret
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Object, Ref
from isthmus.ca.authority import Authority, Issued
from isthmus.kit import x509
from isthmus.kit.backoff import Backoff
from isthmus.kit.clock import Clock
from isthmus.kit.key_kind import KeyKind
from isthmus.kit.scopes import ca as log
from isthmus.kit.watchable import Watchable
from isthmus.kube.errors import KubeError, NotFound
from isthmus.model.identity import SpiffeId

TYPE = "istio.io/key-and-cert"
ANNOTATION = "istio.io/service-account.name"
CHAIN, KEY, ROOTS = "cert-chain.pem", "key.pem", "root-cert.pem"
_PREFIX = "istio."
_JITTER = 0.1  # of the part of a life that is left: Secrets of one minute are not renewed in one minute
_LONGEST_WAIT_S = 60.0
_AT_ONCE = 20  # signatures that are verified before others have their turn: each takes 0.1 ms


class Renewal(msgspec.Struct, frozen=True, kw_only=True):
    """Which Secrets are kept, and when they are renewed."""

    namespaces: tuple[str, ...] = ()  # empty: all
    grace_ratio: float = 0.5  # the part of its life that a certificate has left when it is renewed
    least_grace_s: float = 600.0  # it never has less left
    key_kind: KeyKind = KeyKind.EC_P256

    def due(self, begin: float, end: float, jitter: float) -> float:
        """When a certificate with this life is renewed; `jitter` is from -1 to 1. No sooner than at its half."""
        life_s = end - begin
        grace_s = max(life_s * self.grace_ratio * (1 + _JITTER * jitter), self.least_grace_s)
        return end - min(grace_s, life_s * 0.8)


class Account(NamedTuple):
    """A service account, by its place."""

    namespace: str
    name: str

    @property
    def secret(self) -> str:
        return f"{_PREFIX}{self.name}"


class Bundle(NamedTuple):
    """What is in a Secret, all PEM. `repr` does not show the key."""

    chain: bytes
    key: bytes
    roots: bytes

    def __repr__(self) -> str:
        return f"Bundle({len(self.chain)} bytes)"


class _Held(NamedTuple):
    """What is in a Secret whose certificate is its account's, with its key."""

    leaf: x509.Certificate
    roots: bytes


class Store(Protocol):
    """The Secrets of the cluster."""

    async def write(self, account: Account, bundle: Bundle) -> None:
        """Make the account's Secret hold this. Raises `KubeError`."""
        ...

    async def delete(self, account: Account) -> None:
        """Take the account's Secret away. Raises `KubeError`."""
        ...


class Desk(Protocol):
    """Signs for accounts."""

    def identity(self, account: Account) -> SpiffeId:
        """Who the account is."""
        ...

    async def issue(self, csr: bytes, account: Account) -> Issued:
        """The chain for the account, written down in the audit log. Raises `InvalidCertificate`."""
        ...


_Step = Callable[[Account], Awaitable[None]]


class AccountSecrets:
    """Keeps the Secrets of all accounts that it is told of; what is there already is told as well."""

    def __init__(
        self, store: Store, desk: Desk, authority: Watchable[Authority], renewal: Renewal, clock: Clock
    ) -> None:
        self._store, self._desk, self._authority = store, desk, authority
        self._renewal, self._clock = renewal, clock
        self._accounts: set[Account] = set()
        self._held: dict[Account, _Held] = {}
        self._due: dict[Account, float] = {}  # of Secrets that are good now
        self._stale: set[Account] = set()  # of Secrets that are there, whatever they hold
        self._look = asyncio.Event()

    def account_seen(self, ref: Ref, now: Object | InvalidConfig | None) -> None:
        """A service account came, changed or went (an informer's handler)."""
        account = Account(ref.namespace, ref.name)
        if isinstance(now, Object) and now.metadata.deletion_timestamp is None:
            self._accounts.add(account)
        else:
            self._accounts.discard(account)
        self._look.set()

    def secret_seen(self, ref: Ref, now: Object | InvalidConfig | None) -> None:
        """A Secret of our type came, changed or went (an informer's handler)."""
        if not ref.name.startswith(_PREFIX):
            return
        account = Account(ref.namespace, ref.name.removeprefix(_PREFIX))
        self._held.pop(account, None)
        if now is None:
            self._stale.discard(account)
        else:
            self._stale.add(account)
            if isinstance(now, Secret) and (held := self._read(account, now.data)) is not None:
                self._held[account] = held
        self._judge(account)
        self._look.set()

    async def run(self, held: Watchable[bool]) -> None:
        """Keep all Secrets true until cancelled, while that is `held` to be ours; what fails is tried again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_authority())
            group.create_task(self._follow(held))
            group.create_task(self._keep(held))

    async def _follow(self, held: Watchable[bool]) -> None:
        async for _ in held.changes():
            self._look.set()

    async def _follow_authority(self) -> None:
        """By another root or CA every Secret is to be made anew, but for those that another Citadel made by it."""
        async for _ in self._authority.changes():
            for number, account in enumerate(tuple(self._due.keys() | self._held.keys())):
                self._judge(account)
                if not number % _AT_ONCE:
                    await asyncio.sleep(0)
            self._look.set()

    async def _keep(self, held: Watchable[bool]) -> None:
        backoff = Backoff(limit_s=30.0)
        while True:
            await self._wait()
            if not held.value:
                await self._look.wait()  # what is due is another's to renew
            elif await self._make_true():
                backoff.reset()
            else:
                await self._clock.sleep(backoff.next_s())
                self._look.set()

    async def _wait(self) -> None:
        """Until something is told, or the first Secret is due."""
        due = min((self._due[each] for each in self._due.keys() & self._accounts), default=None)
        left_s = _LONGEST_WAIT_S if due is None else min(max(due - self._clock.now(), 0), _LONGEST_WAIT_S)
        async with asyncio.TaskGroup() as group:
            told = group.create_task(self._look.wait())
            sleeping = group.create_task(self._clock.sleep(left_s))
            await asyncio.wait((told, sleeping), return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
            sleeping.cancel()
        self._look.clear()

    async def _make_true(self) -> bool:
        now, complete = self._clock.now(), True
        wanted = [each for each in sorted(self._accounts) if self._due.get(each, 0.0) <= now]
        for account in wanted:
            complete &= await self._tried(account, self._renew)
        for account in sorted(self._stale - self._accounts):
            complete &= await self._tried(account, self._delete)
        return complete

    async def _tried(self, account: Account, step: _Step) -> bool:
        try:
            await step(account)
        except NotFound:  # its namespace, or the Secret, went in the meantime
            self._stale.discard(account)
        except (KubeError, x509.InvalidPem) as error:
            place = f"{account.namespace}/{account.secret}"
            log.warning("secret of account not written", secret=place, reason=str(error))
            return False
        return True

    async def _renew(self, account: Account) -> None:
        # Keys of RSA take up to seconds.
        key = await asyncio.to_thread(x509.new_key, self._renewal.key_kind)
        authority = self._authority.value
        issued = await self._desk.issue(x509.new_csr(key), account)
        bundle = Bundle(issued.pem, x509.key_pem(key), authority.roots_pem)
        await self._store.write(account, bundle)
        # Known before it is heard of again, so that who changes the CA meanwhile has it made anew once.
        self._held[account] = _Held(x509.load_certificate(bundle.chain), bundle.roots)
        self._judge(account)
        self._stale.add(account)

    async def _delete(self, account: Account) -> None:
        await self._store.delete(account)
        self._stale.discard(account)
        log.info("secret of account deleted", secret=f"{account.namespace}/{account.secret}")

    def _judge(self, account: Account) -> None:
        """See by the CA as it is now whether the account's Secret is good, and until when."""
        self._due.pop(account, None)
        held, authority = self._held.get(account), self._authority.value
        if held is not None and held.roots == authority.roots_pem and authority.has_signed(held.leaf):
            begin, end = x509.life(held.leaf)
            self._due[account] = self._renewal.due(begin + x509.BACKDATE_S, end, _jitter(account))

    def _read(self, account: Account, data: Mapping[str, str]) -> _Held | None:
        """What a Secret's `data` holds; None where it is no good, whoever the CA is."""
        try:
            chain, key, roots = (
                base64.b64decode(data.get(name, ""), validate=True) for name in (CHAIN, KEY, ROOTS)
            )
            leaf = x509.load_certificate(chain)
            matches = x509.matches(leaf, x509.load_key(key))
        except ValueError:
            return None
        ours = x509.names(leaf).uris == (str(self._desk.identity(account)),)
        return _Held(leaf, roots) if matches and ours else None


def _jitter(account: Account) -> float:
    """From -1 to 1, for each account always the same."""
    return zlib.crc32("/".join(account).encode()) / 0x7FFF_FFFF - 1
