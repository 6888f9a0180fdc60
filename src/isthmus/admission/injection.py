"""Pods as the API server is about to take them: with a sidecar, where they are to have one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import NamedTuple, Protocol

import msgspec

from isthmus.admission.paths import Where
from isthmus.admission.review import Answer, Asked, Json
from isthmus.kit.metrics import (
    INJECTION_FAILURES,
    INJECTION_REQUESTS,
    INJECTION_SECONDS,
    INJECTION_SKIPS,
    INJECTION_SUCCESSES,
)
from isthmus.sidecar.inject import review
from isthmus.sidecar.inject.settings import InjectSettings


class NotReady(Exception):
    """What an answer needs is not known yet; the message says what."""


class Known(Protocol):
    """What is known of our own cluster."""

    @property
    def now(self) -> InjectSettings | None:
        """The settings of injection; None while they are not known."""
        ...

    def labels(self, namespace: str) -> Mapping[str, str]:
        """Of a namespace; none where it is not known."""
        ...


class There(NamedTuple):
    """What is known of another cluster; what is empty nobody knows."""

    network: str = ""
    trust_domain: str = ""
    kubernetes: str = ""


Elsewhere = Callable[[str], There]
"""What is known of a cluster, by its name. Raises `NotReady`."""


def unknown(_: str) -> There:
    """Nothing, of whatever cluster: of an injector that follows its own alone."""
    return There()


class Injection:
    """Answers about pods."""

    def __init__(self, known: Known, elsewhere: Elsewhere = unknown) -> None:
        self._known, self._elsewhere = known, elsewhere

    def answer(self, asked: Asked, where: Where) -> Answer:
        """The pod with its sidecar, as a patch. Raises `NotReady`."""
        INJECTION_REQUESTS.inc()
        began = perf_counter()
        settings = self._known.now
        if settings is None:
            raise NotReady(
                "how pods are injected is not known yet (hint: is ConfigMap istio-sidecar-injector there?)"
            )
        if asked.operation != "CREATE" or asked.sub_resource or asked.object is None:
            INJECTION_SKIPS.inc()
            return Answer()
        answer = self._answer(asked, asked.object, self._there(settings, where))
        INJECTION_SECONDS.observe(perf_counter() - began)
        return answer

    def _answer(self, asked: Asked, pod: Json, settings: InjectSettings) -> Answer:
        # The labels of a namespace elsewhere are not known here: its API server has looked at them.
        is_here = settings.cluster == (self._known.now or settings).cluster
        labels = self._known.labels(asked.namespace) if is_here else {}
        found = review.review(review.Asked(pod, asked.namespace or "default", labels), settings)
        if found.refusal:
            INJECTION_FAILURES.inc()
            return Answer(allowed=False, why=found.refusal)
        (INJECTION_SUCCESSES if found.patch else INJECTION_SKIPS).inc()
        return Answer(patch=found.patch)

    def _there(self, settings: InjectSettings, where: Where) -> InjectSettings:
        """The settings for a pod that is `where` the question says: those of its own cluster are not ours."""
        if where.cluster in {"", settings.cluster}:
            return msgspec.structs.replace(settings, network=where.network or settings.network)
        there = self._elsewhere(where.cluster)
        pilots = settings.pilot_trust_domain or settings.trust_domain
        domain = there.trust_domain or settings.trust_domain
        return msgspec.structs.replace(
            settings,
            cluster=where.cluster,
            network=where.network or there.network,
            trust_domain=domain,
            pilot_trust_domain="" if domain == pilots else pilots,
            kubernetes=there.kubernetes,
        )
