"""Kubernetes' CertificateSigningRequests (certificates.k8s.io/v1): who may write which part of them, and what is right.

Nobody signs here: a signer is a client that watches, as controllers of Kubernetes do. Source: Kubernetes, "Certificates
and Certificate Signing Requests"; the verbs `approve` and `sign` on `signers`, by signer or by its domain (`DOMAIN/*`).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from typing import Any

from cryptography import x509 as certificates
from cryptography.exceptions import UnsupportedAlgorithm

from isthmus.kit import x509
from isthmus.lab.apiserver.ages import span
from isthmus.lab.apiserver.causes import Cause, duplicate, forbidden, invalid, required, unsupported
from isthmus.lab.apiserver.cell_parts import age_cell
from isthmus.lab.apiserver.rbac import Access, Rbac
from isthmus.lab.apiserver.users import User

Json = dict[str, Any]

KIND = "CertificateSigningRequest"
GROUP = "certificates.k8s.io"
APPROVAL = "approval"
_DECISIONS = frozenset({"Approved", "Denied"})
_FINAL = _DECISIONS | {"Failed"}
_WHO = frozenset({"username", "uid", "groups", "extra"})
_LEAST_S = 600
_SIGNER = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+/[-.:/A-Za-z0-9]+")
_USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping",
)  # fmt: skip


def asked_by(request: Json, user: User) -> Json:
    """A new request, with who asks for it: what it says of that itself does not count."""
    who = user.as_json()
    spec = {key: value for key, value in request["spec"].items() if key not in _WHO}
    return {**request, "spec": spec | who}


def parts(old: Json, new: Json, subresource: str) -> Json:
    """`new`, but for what a write to this part must leave as it is in `old`."""
    was, now = old.get("status") or {}, new.get("status") or {}
    match subresource:
        case "":
            return {**new, "spec": old["spec"]}
        case "approval":
            conditions = [*_conditions(was, decisions=False), *_conditions(now, decisions=True)]
            return {**old, "metadata": new["metadata"], "status": {**was, "conditions": conditions}}
        case _:
            said = {
                each.get("type") for each in _conditions(now, decisions=True)
            }  # to leave one out is refused
            kept = [each for each in _conditions(was, decisions=True) if each["type"] in said]
            conditions = [*kept, *_conditions(now, decisions=False)]
            return {**new, "status": {**now, **({"conditions": conditions} if conditions else {})}}


def _conditions(status: Json, *, decisions: bool) -> list[Json]:
    return [each for each in status.get("conditions") or () if (each.get("type") in _DECISIONS) is decisions]


def refusal(old: Json, new: Json, subresource: str, user: User, rbac: Rbac) -> str:
    """Why `user` may not decide of, or sign, requests to this signer; empty where they may."""
    was, now = old.get("status") or {}, new.get("status") or {}
    if subresource == APPROVAL:
        verb = "approve"
    elif subresource == "status" and (
        was.get("certificate") != now.get("certificate") or _failed(was) != _failed(now)
    ):
        verb = "sign"
    else:
        return ""
    signer = str(old["spec"].get("signerName", ""))
    for name in (signer, f"{signer.partition('/')[0]}/*"):
        if rbac.allows(user, Access(verb, "signers", GROUP, "v1", name=name)) is not None:
            return ""
    return f'user not permitted to {verb} requests with signerName "{signer}"'


def _failed(status: Json) -> bool:
    return any(each.get("type") == "Failed" for each in status.get("conditions") or ())


def broken(request: Json) -> Iterator[Cause]:
    """What is wrong with a request whose structure is right."""
    spec, status = request.get("spec") or {}, request.get("status") or {}
    yield from _request_broken(spec.get("request") or "")
    if not spec.get("usages"):
        yield required("spec.usages")
    for index, each in enumerate(spec.get("usages") or ()):
        if each not in _USAGES:
            yield unsupported(f"spec.usages[{index}]", each, _USAGES)
    signer = spec.get("signerName") or ""
    if not signer:
        yield required("spec.signerName")
    elif not _SIGNER.fullmatch(signer) or len(signer) > 571:
        words = 'must be a fully qualified domain and path of the form "example.com/signer-name"'
        yield invalid("spec.signerName", signer, words)
    if (asked_s := spec.get("expirationSeconds")) is not None and asked_s < _LEAST_S:
        words = "may not specify a duration less than 600 seconds (10 minutes)"
        yield invalid("spec.expirationSeconds", asked_s, words)
    yield from _conditions_broken(status.get("conditions") or ())
    yield from _certificate_broken(status.get("certificate") or "")


def _request_broken(text: str) -> Iterator[Cause]:
    try:
        found = certificates.load_pem_x509_csr(base64.b64decode(text, validate=True))
        if not found.is_signature_valid:
            yield invalid("spec.request", "<bytes>", "its signature is not of its own key")
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        yield invalid("spec.request", "<bytes>", f"PEM block type must be CERTIFICATE REQUEST: {error}")


def _conditions_broken(conditions: Iterable[Json]) -> Iterator[Cause]:
    seen: list[str] = []
    for index, each in enumerate(conditions):
        path, kind = f"status.conditions[{index}]", each.get("type") or ""
        if not kind:
            yield required(f"{path}.type")
        if kind in seen:
            yield duplicate(f"{path}.type", kind)
        seen.append(kind)
        allowed = ["True"] if kind in _FINAL else ["False", "True", "Unknown"]
        if not each.get("status"):
            yield required(f"{path}.status")
        elif each["status"] not in allowed:
            yield unsupported(f"{path}.status", each["status"], allowed)
    if set(seen) >= _DECISIONS:
        words = "Approved and Denied conditions are mutually exclusive"
        yield invalid("status.conditions", sorted(_DECISIONS), words)


def _certificate_broken(text: str) -> Iterator[Cause]:
    if not text:
        return
    try:
        if not x509.load_bundle(base64.b64decode(text, validate=True)):
            yield invalid(
                "status.certificate", "<bytes>", "must contain at least one PEM block of CERTIFICATE"
            )
    except (ValueError, binascii.Error) as error:
        yield invalid("status.certificate", "<bytes>", f"is no certificate in PEM: {error}")


def changed(old: Json, new: Json) -> Iterator[Cause]:
    """What an update changes and may not: decisions stay, and so does a certificate."""
    was, now = old.get("status") or {}, new.get("status") or {}
    if was.get("certificate") and now.get("certificate") != was["certificate"]:
        yield forbidden("status.certificate", "updates may not modify existing certificate content")
    kinds = {each.get("type") for each in now.get("conditions") or ()}
    for each in was.get("conditions") or ():
        if each.get("type") in _FINAL and each["type"] not in kinds:
            words = f'updates may not remove a condition of type "{each["type"]}"'
            yield forbidden("status.conditions", words)


def cells(request: Json, now: float) -> list[Any]:
    """NAME AGE SIGNERNAME REQUESTOR REQUESTEDDURATION CONDITION."""
    spec, status = request.get("spec") or {}, request.get("status") or {}
    kinds = [each.get("type") for each in status.get("conditions") or ()]
    words = [each for each in ("Denied", "Approved") if each in kinds] or ["Pending"]
    words += ["Failed"] if "Failed" in kinds else []
    words += ["Issued"] if status.get("certificate") else []
    return [
        request["metadata"]["name"],
        age_cell(request, now),
        spec.get("signerName", "<none>"),
        spec.get("username", ""),
        span(asked_s) if (asked_s := spec.get("expirationSeconds")) is not None else "<none>",
        ",".join(words),
    ]
