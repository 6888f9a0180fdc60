"""What is known of each proxy: connected since when, and where it stands with each type."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from isthmus.kit.versioned import Versioned
from isthmus.xds.fanout import Fanout
from isthmus.xds.session import Session
from isthmus.xds.subscription import Subscription
from isthmus.xds.type_urls import short

S = TypeVar("S", bound=Hashable)


class State(Enum):
    """Where a proxy stands with a type."""

    NOT_SENT = "not sent"
    SYNCED = "synced"
    STALE = "stale"
    """Sent and not answered yet, or about to be looked at."""
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """One type of one proxy."""

    type_url: str
    name: str
    state: State
    resources: int
    """How many the proxy holds."""
    rejected: tuple[str, ...] = ()
    reason: str = ""
    """What the proxy said when it rejected; empty when it is content."""
    nonce: str = ""
    """Of the last response."""


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """One proxy, in plain values: JSON as it is."""

    proxy: str
    version: str
    address: str
    identities: tuple[str, ...]
    dialect: str
    connected_at: float
    """Seconds of the epoch."""
    types: tuple[TypeStatus, ...]


def proxies(fanout: Fanout[S]) -> list[ProxyStatus]:
    """All connected proxies by their ids."""
    return sorted((status_of(session) for session in fanout.sessions), key=lambda status: status.proxy)


def status_of(session: Session[S]) -> ProxyStatus:
    """Where the proxy of `session` stands."""
    return ProxyStatus(
        proxy=session.node.id,
        version=session.node.version,
        address=session.peer.address,
        identities=session.peer.uris,
        dialect=session.conversation.dialect,
        connected_at=session.connected_at,
        types=tuple(
            _of_type(each, waits=session.conversation.waits(type_url))
            for type_url, each in session.conversation.subscriptions.items()
        ),
    )


def _of_type(subscription: Subscription, *, waits: bool) -> TypeStatus:
    return TypeStatus(
        type_url=subscription.type_url,
        name=short(subscription.type_url),
        state=state_of(subscription, waits=waits),
        resources=len(subscription.held.existing()),
        rejected=tuple(sorted(subscription.refused)),
        reason=subscription.reason,
        nonce=subscription.last_nonce,
    )


def state_of(subscription: Subscription, *, waits: bool = False) -> State:
    """Where the proxy stands with one type; `waits`: something of it may have changed and was not sent yet.

    A response in flight hides an older rejection.
    """
    known = subscription.sent or bool(subscription.held)
    if subscription.in_flight is not None or (waits and known):
        return State.STALE
    if subscription.refused:
        return State.REJECTED
    return State.SYNCED if known else State.NOT_SENT


def config_dump(fanout: Fanout[S], session: Session[S]) -> Iterator[tuple[str, Versioned]]:
    """Type URL and resource of all that the proxy of `session` should hold now."""
    world = fanout.shared.world
    if world is None:
        return
    for type_url in world.order:
        subscription = session.conversation.subscriptions.get(type_url)
        if subscription is None:
            continue
        for resource in world.generation.resources(
            session.conversation.subject, type_url, subscription.scope
        ):
            if subscription.wants(resource.name):
                yield type_url, resource
