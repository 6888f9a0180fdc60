"""TokenReview: the API server of this cluster says whose a token is.

Source: Kubernetes, authentication.k8s.io/v1 TokenReview.
"""

from __future__ import annotations

import msgspec

from isthmus.api.resource import Kind, Object
from isthmus.ca.vouching import Review, ReviewUnavailable
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError

_TOKEN_REVIEWS = Kind(
    "authentication.k8s.io", ("v1",), "TokenReview", "tokenreviews", Object, namespaced=False
)


_POD = "authentication.kubernetes.io/pod-name"


class _User(msgspec.Struct):
    username: str = ""
    extra: dict[str, tuple[str, ...]] = {}


class _Status(msgspec.Struct):
    authenticated: bool = False
    user: _User = msgspec.field(default_factory=_User)
    audiences: tuple[str, ...] = ()
    error: str = ""


class _Answer(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


class ClusterReviewer:
    """Asks the API server behind `client`, which must allow us to create TokenReviews."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def review(self, token: str, audience: str) -> Review:
        """See `vouching.Reviewer`."""
        body = {
            "apiVersion": _TOKEN_REVIEWS.api_version,
            "kind": "TokenReview",
            "metadata": {},
            "spec": {"token": token, "audiences": [audience]},
        }
        try:
            answer = await self._client.create(_TOKEN_REVIEWS, body)
        except KubeError as error:
            raise ReviewUnavailable(f"cannot have the token reviewed: {error}") from error
        try:
            status = msgspec.convert(answer, _Answer).status
        except UNREADABLE as error:
            raise ReviewUnavailable(f"cannot have the token reviewed: its answer is none: {error}") from error
        if not status.authenticated:
            return Review(error=status.error)
        pod = "".join(status.user.extra.get(_POD, ())[:1])
        return Review(status.user.username, status.audiences, status.error, pod)
