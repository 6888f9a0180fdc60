"""Pilot and Citadel as containers of one Deployment, `istiod`, with one account: the usual layout.

Who has that account has all that both may do; the layout `apart` keeps the CA's key from whoever takes over Pilot.
"""

from __future__ import annotations

from typing import Any

from isthmus.console.install.settings import Installation

Json = dict[str, Any]
_PILOT, _CITADEL = "istio-pilot-service-account", "istio-citadel-service-account"
_ROOTS = "/var/run/isthmus"
_ROOTS_FILE = f"{_ROOTS}/root-cert.pem"


def together(objects: list[Json], installation: Installation) -> list[Json]:
    """`objects` of a primary, with one Deployment and one account in place of two each. May change them."""
    suffix = installation.suffix
    pilot = _find(objects, "Deployment", f"istio-pilot{suffix}")
    citadel = _find(objects, "Deployment", f"istio-citadel{suffix}")
    _join(pilot, citadel)
    pilot["metadata"] |= {"name": f"istiod{suffix}"}
    pilot["metadata"]["labels"] |= {"app": "istiod"}
    account = _find(objects, "ServiceAccount", _CITADEL)
    kept = [each for each in objects if each is not citadel and each is not account]
    for each in kept:
        for subject in each.get("subjects", ()):
            if subject["name"] == _CITADEL:
                subject["name"] = _PILOT
    return kept


def _find(objects: list[Json], kind: str, name: str) -> Json:
    return next(each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))


def _join(pilot: Json, citadel: Json) -> None:
    """Make `citadel`'s container one of `pilot`'s pod, where Pilot asks it over loopback and reads its roots
    from a file."""
    labels = pilot["spec"]["template"]["metadata"]["labels"]
    labels |= {"isthmus.io/citadel": "true"}
    ours, theirs = (each["spec"]["template"]["spec"] for each in (pilot, citadel))
    (discovery,), (signer,) = ours["containers"], theirs["containers"]
    discovery["args"] = [each for each in discovery["args"] if not each.startswith("--citadel=")]
    discovery["args"] += ["--citadel=localhost:8060", f"--root-path={_ROOTS_FILE}"]
    signer["args"] += ["--grpc-hostname=localhost", f"--roots-file={_ROOTS_FILE}"]
    # Its ConfigMap with the roots is not there before this very pod runs, so they are handed over within it.
    _drop_volume(ours, "istio-ca-root")
    roots = {"name": "roots", "mountPath": _ROOTS}
    discovery["volumeMounts"].append({**roots, "readOnly": True})
    signer["volumeMounts"].append(roots)
    taken = {each["name"] for each in ours["volumes"]}
    for volume in theirs["volumes"]:
        if volume["name"] in taken:
            _rename(theirs, volume["name"], f"citadel-{volume['name']}")
    ours["volumes"] += [
        *theirs["volumes"],
        {"name": "roots", "emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}},
    ]
    ours["containers"].append(signer)


def _drop_volume(pod: Json, name: str) -> None:
    pod["volumes"] = [each for each in pod["volumes"] if each["name"] != name]
    for container in pod["containers"]:
        container["volumeMounts"] = [each for each in container["volumeMounts"] if each["name"] != name]


def _rename(pod: Json, old: str, new: str) -> None:
    for each in (*pod["volumes"], *(mount for one in pod["containers"] for mount in one["volumeMounts"])):
        if each["name"] == old:
            each["name"] = new
