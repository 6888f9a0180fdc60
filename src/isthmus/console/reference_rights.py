"""The page of rights: what each account of the mesh may do in Kubernetes, made from the manifests that give it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from isthmus.console.installation import Installation, documents

_HEAD = """\
# Rights in Kubernetes

What each part of the mesh may do at an API server, made of the Roles that `isthmus install` prints. Made by
`make docs`; do not edit. That each part works with these rights, and has no others, is held by
`tests/unit/console/test_rights.py` and by every story of the lab, whose API server enforces them. Why they are as they
are: [threat model](../threat-model.md).

*Read* is `get`, `list` and `watch`. A right with a name is for objects of that name only. Gateways and sidecars have no
rights at all: their accounts are there to be somebody.

The tables are those of `--layout apart`. Together, which is usual, Pilot's account has Citadel's rights as well: who
takes over Pilot can then read the key of a root that Citadel keeps in `istio-ca-secret`, and have any certificate.
"""
_READ = ("get", "list", "watch")
_ACCOUNTS = {
    "istio-pilot-service-account": "Pilot, in the cluster it runs in",
    "istio-reader-service-account": "Pilot, in every other cluster",
    "istio-citadel-service-account": "Citadel, in each cluster",
}
_INSTALLED = (
    (
        "primary",
        "`install primary`",
        Installation(cluster="east", layout="apart", clusters_dir="/etc/clusters", managed_gateways=False),
    ),
    (
        "primary",
        "`install primary` without `--no-managed-gateways`",
        Installation(cluster="east", layout="apart", clusters_dir="/etc/clusters"),
    ),
    (
        "remote-secrets",
        "`install remote-secrets` (primary without `--clusters-dir`)",
        Installation(cluster="east", layout="apart"),
    ),
    (
        "remote",
        "`install remote --injection-url` without `injectionRoots`",
        Installation(cluster="west", injection_url="https://injector.example:15017"),
    ),
    ("gateway", "`install gateway --in edge`", Installation(cluster="east", layout="apart", place="edge")),
    (
        "secret-reader",
        "`install secret-reader --secret web`",
        Installation(cluster="east", layout="apart", secrets=("web",)),
    ),
)


def page() -> str:
    """The page, a table for each account."""
    rows: dict[tuple[str, str], Row] = {}
    for role, command, choice in _INSTALLED:
        for row in _rows(documents(role, choice), command):
            rows.setdefault((row.account, row.right), row)
    return "\n".join(
        [_HEAD, *(_section(account, title, [*rows.values()]) for account, title in _ACCOUNTS.items())]
    )


class Row(NamedTuple):
    """A right of an account, and what gives it."""

    account: str
    right: str
    command: str


def _section(account: str, title: str, rows: list[Row]) -> str:
    head = f"## {title}\n\n`{account}`\n\n| where | what | of | by |\n|---|---|---|---|"
    said = [f"{row.right} {row.command} |" for row in rows if row.account == account]
    return "\n".join([head, *said, ""])


def _rows(objects: list[dict[str, Any]], command: str) -> Iterator[Row]:
    roles = {_key(each): each for each in objects if each["kind"] in {"Role", "ClusterRole"}}
    for binding in (each for each in objects if each["kind"] in {"RoleBinding", "ClusterRoleBinding"}):
        place = binding["metadata"].get("namespace", "")
        reference = binding["roleRef"]
        role = roles[reference["kind"], place if reference["kind"] == "Role" else "", reference["name"]]
        for rule in role["rules"]:
            for subject in binding["subjects"]:
                yield Row(subject["name"], _right(rule, place), command)


def _key(role: dict[str, Any]) -> tuple[str, str, str]:
    meta = role["metadata"]
    return role["kind"], meta.get("namespace", ""), meta["name"]


def _right(rule: dict[str, Any], place: str) -> str:
    verbs = [each for each in rule["verbs"] if each not in _READ]
    said = ["read", *verbs] if set(_READ) <= set(rule["verbs"]) else rule["verbs"]
    of = [
        f"{resource} ({group})" if group else resource
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    ]
    named = (
        f" called {', '.join(f'`{each}`' for each in rule['resourceNames'])}"
        if "resourceNames" in rule
        else ""
    )
    where = f"namespace `{place}`" if place else "the whole cluster"
    return f"| {where} | {', '.join(said)} | {', '.join(of)}{named} |"
