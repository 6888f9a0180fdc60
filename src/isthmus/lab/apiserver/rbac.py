"""Who may do what: Roles and ClusterRoles, and the bindings that give them to users."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.lookup import Lookup
from isthmus.lab.apiserver.users import MASTERS, User

Json = dict[str, Any]

_GROUP = "rbac.authorization.k8s.io"
_ROLES, _CLUSTER_ROLES = builtin("roles", _GROUP), builtin("clusterroles", _GROUP)
_BINDINGS, _CLUSTER_BINDINGS = builtin("rolebindings", _GROUP), builtin("clusterrolebindings", _GROUP)


@dataclass(frozen=True, slots=True)
class Access:
    """What someone wants to do: with a resource, or else with a path that is none (`/version`)."""

    verb: str  # get list watch create update patch delete deletecollection, or an HTTP method's name
    resource: str = ""  # the plural
    group: str = ""
    version: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def target(self) -> str:
        """The resource as rules write it: `pods`, `pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def refusal(self, user: User) -> str:
        """Why `user` may not, in Kubernetes' words; without the object's name in front."""
        who = f'User "{user.name}" cannot {self.verb}'
        if not self.resource:
            return f'{who} path "{self.path}"'
        place = f' in the namespace "{self.namespace}"' if self.namespace else " at the cluster scope"
        return f'{who} resource "{self.target}" in API group "{self.group}"{place}'


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a role, and where it holds: in one namespace, or everywhere (`None`)."""

    rule: Json
    namespace: str | None
    reason: str


class Rbac:
    """Decides by the roles and bindings as they are at the time of asking."""

    def __init__(self, objects: Lookup) -> None:
        self._objects = objects

    def allows(self, user: User, access: Access) -> str | None:
        """Why `user` may do it, or `None` where nothing allows it. `system:masters` may do all."""
        if MASTERS in user.groups:
            return f"group {MASTERS}"
        for each in self.rules(user, access.namespace):
            if _covers(each.rule, access):
                return each.reason
        return None

    def rules(self, user: User, namespace: str) -> Iterator[Rule]:
        """All rules that hold for `user` in the namespace; those of the whole cluster before its own."""
        for binding in self._objects.list(_CLUSTER_BINDINGS):
            if _binds(binding, user, ""):
                yield from self._rules_of(binding, None)
        if namespace:
            for binding in self._objects.list(_BINDINGS, namespace):
                if _binds(binding, user, namespace):
                    yield from self._rules_of(binding, namespace)

    def _rules_of(self, binding: Json, namespace: str | None) -> Iterator[Rule]:
        reference = binding["roleRef"]
        cluster_wide = reference["kind"] == "ClusterRole"
        each, place = (_CLUSTER_ROLES, "") if cluster_wide else (_ROLES, namespace or "")
        role = self._objects.get(each, place, reference["name"])
        reason = f'RBAC: allowed by {_describe(binding)} of {reference["kind"]} "{reference["name"]}"'
        for rule in self._all_rules(role) if role is not None else ():
            yield Rule(rule, namespace, reason)

    def _all_rules(self, role: Json) -> Iterable[Json]:
        """The role's own rules and those of the roles that it gathers by labels."""
        yield from role.get("rules") or ()
        for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ():
            wanted = (selector.get("matchLabels") or {}).items()
            for other in self._objects.list(_CLUSTER_ROLES):
                labels = other["metadata"].get("labels") or {}
                if wanted and wanted <= labels.items() and other is not role:
                    yield from other.get("rules") or ()


def _binds(binding: Json, user: User, namespace: str) -> bool:
    for subject in binding.get("subjects") or ():
        match subject["kind"]:
            case "User" if subject["name"] == user.name:
                return True
            case "Group" if subject["name"] in user.groups:
                return True
            case "ServiceAccount":
                if user.account == (subject.get("namespace") or namespace, subject["name"]):
                    return True
    return False


def _describe(binding: Json) -> str:
    meta = binding["metadata"]
    place = f'"{meta["name"]}/{meta["namespace"]}"' if "namespace" in meta else f'"{meta["name"]}"'
    return f"{binding.get('kind') or 'binding'} {place}"


def _covers(rule: Json, access: Access) -> bool:
    if not _listed(rule.get("verbs"), access.verb):
        return False
    if not access.resource:
        return any(_path_fits(each, access.path) for each in rule.get("nonResourceURLs") or ())
    names = rule.get("resourceNames") or ()
    return (
        _listed(rule.get("apiGroups"), access.group)
        and _resource_fits(rule.get("resources") or (), access)
        and (not names or access.name in names)
    )


def _resource_fits(resources: Iterable[str], access: Access) -> bool:
    accepted = {"*", access.target}
    if access.subresource:
        accepted.add(f"*/{access.subresource}")
    return any(each in accepted for each in resources)


def _listed(values: Iterable[str] | None, wanted: str) -> bool:
    return any(each in {"*", wanted} for each in values or ())


def _path_fits(pattern: str, path: str) -> bool:
    if pattern.endswith("*"):
        return path.startswith(pattern.removesuffix("*"))
    return pattern == path
