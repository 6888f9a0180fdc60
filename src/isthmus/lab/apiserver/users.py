"""Who asks: users, as their credentials prove them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
SERVICE_ACCOUNTS = "system:serviceaccounts"
_ACCOUNT_PREFIX = "system:serviceaccount:"


class Unauthenticated(Exception):
    """Credentials that prove nobody: absent, expired, of another cluster. Answered with 401."""


@dataclass(frozen=True, slots=True)
class User:
    """A user, the groups that they are in, and what more their credentials said."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict)

    def as_json(self) -> Json:
        """As `UserInfo` of Kubernetes writes it."""
        user: Json = {
            "username": self.name,
            "uid": self.uid,
            "groups": list(self.groups),
            "extra": self.extra,
        }
        return {key: value for key, value in user.items() if value}

    @property
    def account(self) -> tuple[str, str] | None:
        """Namespace and name of the service account that the user is, if they are one."""
        if not self.name.startswith(_ACCOUNT_PREFIX):
            return None
        namespace, _, name = self.name.removeprefix(_ACCOUNT_PREFIX).partition(":")
        return namespace, name


ADMIN = User("kubernetes-admin", (MASTERS, AUTHENTICATED))
"""The cluster's administrator, and the lab's own hand."""


def account_user(namespace: str, name: str, uid: str = "", extra: dict[str, list[str]] | None = None) -> User:
    """The user that a service account is."""
    groups = (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}", AUTHENTICATED)
    return User(f"{_ACCOUNT_PREFIX}{namespace}:{name}", groups, uid, extra or {})
