"""What is POSTed to pods and accounts rather than stored: tokens, evictions, bindings."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
from aiohttp import web

from isthmus.kit import date
from isthmus.lab.apiserver import errors, protobuf
from isthmus.lab.apiserver.api import Api, Deletion, Target, Write
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.causes import invalid
from isthmus.lab.apiserver.patches import read_body
from isthmus.lab.apiserver.paths import Place
from isthmus.lab.apiserver.selectors import labels_match
from isthmus.lab.apiserver.tokens import ISSUER, USUAL_S, Grant, Tokens
from isthmus.lab.apiserver.types import ResourceType
from isthmus.lab.apiserver.users import User

Json = dict[str, Any]

_BUDGETS = builtin("poddisruptionbudgets", "policy")
_BINDABLE = {"Pod": builtin("pods"), "Secret": builtin("secrets"), "Node": builtin("nodes")}


class PodVerbs:
    """Answers POSTs of `TokenRequest`, `Eviction` and `Binding` in one cluster."""

    def __init__(self, api: Api, tokens: Tokens) -> None:
        self._api = api
        self._tokens = tokens

    async def token(self, request: web.Request, place: Place, _user: User) -> web.StreamResponse:
        """The TokenRequest with a token in its status."""
        asked = await _posted(request)
        account = self._api.get(builtin("serviceaccounts"), place.namespace, place.name)
        spec = asked.get("spec") or {}
        audiences = tuple(spec.get("audiences") or ()) or (ISSUER,)
        lifetime_s = spec.get("expirationSeconds") or USUAL_S
        if lifetime_s < 600:
            words = "may not specify a duration less than 10 minutes"
            raise errors.invalid(_TOKEN_REQUEST, "", [invalid("spec.expirationSeconds", lifetime_s, words)])
        bound = self._bound(place, spec.get("boundObjectRef"))
        token, end = self._tokens.issue(Grant(account, audiences, lifetime_s, bound))
        filled = {**spec, "audiences": list(audiences), "expirationSeconds": int(lifetime_s)}
        meta = {"name": place.name, "namespace": place.namespace, "creationTimestamp": self._stamp()}
        return _made(
            {
                "kind": "TokenRequest",
                "apiVersion": "authentication.k8s.io/v1",
                "metadata": meta,
                "spec": filled,
                "status": {"token": token, "expirationTimestamp": date.show(end)},
            }
        )

    async def evict(self, request: web.Request, place: Place, user: User) -> web.StreamResponse:
        """Delete the pod, unless a disruption budget forbids it now (429)."""
        eviction = await _posted(request)
        pod = self._api.get(builtin("pods"), place.namespace, place.name)
        for budget in self._api.list(_BUDGETS, place.namespace).items:
            selector = (budget.get("spec") or {}).get("selector")
            allowed = (budget.get("status") or {}).get("disruptionsAllowed", 0)
            if labels_match(selector, pod["metadata"].get("labels") or {}) and allowed < 1:
                words = "Cannot evict pod as it would violate the pod's disruption budget."
                raise errors.ApiError(429, "TooManyRequests", words)
        options = eviction.get("deleteOptions") or {}
        deletion = Deletion(options.get("gracePeriodSeconds"))
        target = Target(place.each, place.namespace, place.name)
        await self._api.delete(target, deletion, Write(user, dry_run=bool(options.get("dryRun"))))
        return _made({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})

    async def bind(self, request: web.Request, place: Place, user: User) -> web.StreamResponse:
        """Give the pod its node. Raises `ApiError` (409) where it has one."""
        binding = await _posted(request)
        pod = copy.deepcopy(self._api.get(builtin("pods"), place.namespace, place.name))
        node = (binding.get("target") or {}).get("name")
        if not node:
            raise errors.bad_request("target.name: Required value")
        if assigned := pod["spec"].get("nodeName"):
            why = f'pod {place.name} is already assigned to node "{assigned}"'
            raise errors.conflict(place.each, place.name, why)
        pod["spec"]["nodeName"] = node
        await self._api.update(Target(place.each, place.namespace, place.name), pod, Write(user, "binding"))
        return _made({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})

    def _bound(self, place: Place, reference: Json | None) -> tuple[tuple[str, Json], ...]:
        """The object that the token is to live with, and for a pod also its node."""
        if not reference:
            return ()
        each = _BINDABLE.get(str(reference.get("kind")))
        if each is None:
            raise errors.bad_request(f"cannot bind token for object of type {reference.get('kind')}")
        namespace = place.namespace if each.namespaced else ""
        obj = self._api.get(each, namespace, reference.get("name", ""))
        uid = reference.get("uid")
        if uid and uid != obj["metadata"]["uid"]:
            why = f"the UID in the bound object reference ({uid}) does not match the UID in record"
            raise errors.conflict(each, reference["name"], why)
        bound = [(each.singular, obj)]
        if each.kind == "Pod" and (node := self._api.find(_NODES, "", obj["spec"].get("nodeName", ""))):
            bound.append(("node", node))
        return tuple(bound)

    def _stamp(self) -> str:
        return date.show(self._api.clock.now())


_NODES = builtin("nodes")
_TOKEN_REQUEST = ResourceType(
    "authentication.k8s.io", "v1", "TokenRequest", "tokenrequests", "tokenrequest", verbs=("create",)
)


async def _posted(request: web.Request) -> Json:
    if request.method != "POST":
        raise errors.method_not_allowed()
    body = await request.read()
    if request.content_type == protobuf.CONTENT_TYPE:
        try:
            return protobuf.decode(body)
        except protobuf.Undecodable as error:
            raise errors.unsupported_media_type(["application/json"]) from error
    obj = read_body(body, request.content_type) if body else {}
    if not isinstance(obj, dict):
        raise errors.bad_request("the request's body is no object")
    return obj


def _made(content: Json) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), status=201, content_type="application/json")
