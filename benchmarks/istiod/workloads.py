"""What is done to a mesh while its control plane is measured; each takes a session as it is and leaves it whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.istiod.session import Change, Figures, Incomplete, Session

_SLOW = 10  # each tenth proxy
_ROLLED, _AT_ONCE = 100, 10
_SEEN = 1  # a service whose namespace has proxies, however few there are
_UNSEEN_S = 10.0  # in which what nobody is told of is read


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long what takes time does."""

    churn_s: float = 10.0
    changes_per_s: float = 10.0
    idle_s: float = 60.0
    lost_s: float = 20.0
    far_services: int = 1000
    added_services: int = 200


def connect(session: Session, _: Lengths) -> Figures:
    """All proxies connect at once, new."""

    def work() -> None:
        session.connect(again=False)
        session.until_whole()

    figures = session.measured(work)
    session.check_endpoints()
    return figures


def churn(session: Session, lengths: Lengths) -> Figures:
    """An endpoint of another service moves, so often a second."""
    figures = session.measured(partial(_churn, session, lengths, frozenset()))
    session.check_endpoints()
    return figures


def _churn(session: Session, lengths: Lengths, slow: frozenset[int]) -> None:
    world, begin = session.world, time.monotonic()
    for number in range(int(lengths.churn_s * lengths.changes_per_s)):
        time.sleep(max(0.0, begin + number / lengths.changes_per_s - time.monotonic()))
        service = world.next_service()
        session.change(partial(world.churn, service), world.seen_by(service, slow))


def rollout(session: Session, _: Lengths) -> Figures:
    """A service's hundred endpoints are replaced, ten at a time, as pods come and go."""
    service = _SEEN
    session.world.grow(service, _ROLLED)
    session.until_quiet()

    def work() -> None:
        for _ in range(_ROLLED // _AT_ONCE):
            session.change(partial(session.world.roll, service, _AT_ONCE), 0)
            time.sleep(0.2)
        # Steps before the last may have been overtaken by it.
        last = session.changes.pop()
        session.changes = [Change(last.at, last.mark, session.world.seen_by(service))]

    figures = session.measured(work)
    session.check_endpoints()
    return figures


def virtual_service(session: Session, _: Lengths) -> Figures:
    """One VirtualService is changed, ten times."""
    return session.measured(partial(_again, session, session.world.change_virtual_service, 0))


def mesh_wide(session: Session, _: Lengths) -> Figures:
    """A setting of the mesh is changed that is in every listener, three times."""
    audience = session.world.size.proxies

    def work() -> None:
        for _ in range(3):
            session.change(session.world.change_mesh, audience)
            session.until_arrived()
            session.until_quiet()

    return session.measured(work)


def _again(session: Session, write: Callable[[], str], service: int) -> None:
    for _ in range(10):
        session.change(write, session.world.seen_by(service))
        session.until_arrived()
        time.sleep(0.3)


def namespace(session: Session, lengths: Lengths) -> Figures:
    """A namespace of services comes; it goes afterwards, which is not measured."""
    had, wanted = session.sizes()[1][0], lengths.added_services

    def work() -> None:
        session.world.add_namespace(wanted)
        if not session.world.size.scoped:
            session.until(lambda: session.sizes()[1][0] >= had + wanted, "the namespace is not known")

    figures = session.measured(work)
    session.world.remove_namespace(wanted)
    session.until(lambda: session.sizes()[1][1] <= had, "the namespace is not forgotten")
    session.until_quiet()
    return figures


def cluster(session: Session, _: Lengths) -> Figures:
    """A cluster of services joins; afterwards it goes, which is not measured."""
    had = session.sizes()[1][0]
    figures = session.measured(partial(_join, session, had))
    session.world.part()
    session.until(lambda: session.sizes()[1][1] <= had, "the cluster is not forgotten")
    session.until_quiet()
    return figures


def _join(session: Session, had: int) -> None:
    far, size = session.far, session.world.size
    assert far is not None
    session.world.join(far.server.kubeconfig_text)
    if size.scoped:  # nobody sees it
        time.sleep(_UNSEEN_S)
    else:
        session.until(lambda: session.sizes()[1][0] >= had + far.size.services, "the cluster is not known")


def lost(session: Session, lengths: Lengths) -> Figures:
    """A cluster that has joined does not answer for a while; nothing of it is forgotten; then it is back."""
    far, had = session.far, session.sizes()[1][0]
    assert far is not None
    _join(session, had)
    session.until_quiet()
    before = session.held()

    def work() -> None:
        far.server.pause(paused=True)
        time.sleep(lengths.lost_s)
        same = session.held() == before
        far.server.pause(paused=False)
        if not same:
            raise Incomplete(f"{session.server.name}: proxies have forgotten what a lost cluster has")
        audience = 0 if session.world.size.scoped else session.world.size.proxies
        session.change(partial(far.churn_far, 0), audience)

    try:
        return session.measured(work)
    finally:
        session.world.part()
        session.until(lambda: session.sizes()[1][1] <= had, "the cluster is not forgotten")
        session.until_quiet()


def slow(session: Session, lengths: Lengths) -> Figures:
    """Endpoints move while a tenth of the proxies does not read; then these do, and hold the same as all."""
    chosen = tuple(range(0, session.world.size.proxies, _SLOW))
    session.fleet.ask("read_no_more", chosen, False)
    figures = session.measured(partial(_churn, session, lengths, frozenset(chosen)))
    session.check_endpoints(chosen)
    session.fleet.ask("read_no_more", chosen, True)
    session.until_quiet()
    session.check_endpoints()
    return figures


def restart(session: Session, _: Lengths) -> Figures:
    """The control plane starts anew, all proxies come back with what they hold, and each hears of a change."""
    world = session.world
    session.fleet.ask("close")
    session.server.stop()
    began = time.monotonic()
    session.server.start()
    ready = time.monotonic() - began

    def work() -> None:
        session.connect(again=True)
        at = time.monotonic()
        marks = world.touch_all()
        numbers = list(world.addresses)
        for mark in marks:
            [service] = [n for n in numbers if world.addresses[n][-1] == mark]
            session.changes.append(Change(at, mark, world.seen_by(service)))

    figures = session.measured(work)
    session.check_endpoints()
    cost = session.server.cost()
    return figures | {"ready after, s": ready, "CPU, s": cost.cpu_s, "of it system, s": cost.system_s}


def idle(session: Session, lengths: Lengths) -> Figures:
    """Nothing happens; costs are told as of an hour."""
    before = session.server.cost()
    time.sleep(lengths.idle_s)
    after = session.server.cost()
    hour = 3600 / lengths.idle_s
    return {
        "CPU of an hour, s": (after.cpu_s - before.cpu_s) * hour,
        "memory, MB": after.resident_mb,
        "peak memory, MB": after.peak_mb,
    }


def scratch(session: Session, _: Lengths) -> Figures:
    """All proxies come anew, and are told just what they hold: no figures but that it is so."""
    session.check_from_scratch()
    return {}


Workload = Callable[[Session, Lengths], Figures]
WORKLOADS: dict[str, Workload] = {
    "connect": connect,
    "idle": idle,
    "churn": churn,
    "rollout": rollout,
    "virtual-service": virtual_service,
    "mesh-wide": mesh_wide,
    "namespace": namespace,
    "cluster": cluster,
    "lost": lost,
    "slow": slow,
    "restart": restart,
    "scratch": scratch,
}
