"""Questions that are answered at once and not stored: who is this, and may they?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isthmus.lab.apiserver.rbac import Access, Rbac
from isthmus.lab.apiserver.tokens import ISSUER, Tokens
from isthmus.lab.apiserver.users import MASTERS, Unauthenticated, User

Json = dict[str, Any]


class Reviews:
    """Answers the objects of the types whose only verb is `create`."""

    def __init__(self, rbac: Rbac, tokens: Tokens, admin: Callable[[str], User | None]) -> None:
        """`admin` tells whose a static token is."""
        self._rbac = rbac
        self._tokens = tokens
        self._admin = admin

    def answer(self, kind: str, review: Json, user: User) -> Json:
        """`review` of `kind` with its status filled in; `user` is who asks. Raises `KeyError` for other kinds."""
        match kind:
            case "TokenReview":
                status = self._token(review.get("spec") or {})
            case "SelfSubjectReview":
                status = {"userInfo": user.as_json()}
            case "SelfSubjectAccessReview":
                status = self._access(user, review.get("spec") or {})
            case "SubjectAccessReview" | "LocalSubjectAccessReview":
                spec = review.get("spec") or {}
                status = self._access(_subject(spec), spec)
            case "SelfSubjectRulesReview":
                status = self._rules(user, (review.get("spec") or {}).get("namespace", ""))
            case _:
                raise KeyError(kind)
        return {**review, "status": status}

    def _token(self, spec: Json) -> Json:
        asked = tuple(spec.get("audiences") or ()) or (ISSUER,)
        token = str(spec.get("token") or "")
        if (admin := self._admin(token)) is not None:
            return {"authenticated": True, "user": admin.as_json(), "audiences": list(asked)}
        try:
            verified = self._tokens.verify(token, asked)
        except Unauthenticated as error:
            return {"user": {}, "error": str(error)}
        return {
            "authenticated": True,
            "user": verified.user.as_json(),
            "audiences": list(verified.audiences),
        }

    def _access(self, user: User, spec: Json) -> Json:
        reason = self._rbac.allows(user, _asked(spec))
        return {"allowed": reason is not None, "reason": reason or ""}

    def _rules(self, user: User, namespace: str) -> Json:
        rules = [each.rule for each in self._rbac.rules(user, namespace)]
        if MASTERS in user.groups:
            rules.append({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
        return {
            "resourceRules": [rule for rule in rules if rule.get("resources")],
            "nonResourceRules": [rule for rule in rules if rule.get("nonResourceURLs")],
            "incomplete": False,
        }


def _asked(spec: Json) -> Access:
    if path := spec.get("nonResourceAttributes"):
        return Access(path.get("verb", ""), path=path.get("path", ""))
    wanted = spec.get("resourceAttributes") or {}
    names = ("verb", "resource", "group", "version", "subresource", "namespace", "name")
    return Access(**{name: wanted.get(name) or "" for name in names})


def _subject(spec: Json) -> User:
    extra = spec.get("extra") or {}
    return User(spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "", extra)
