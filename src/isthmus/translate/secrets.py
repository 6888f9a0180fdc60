"""SDS: certificates of gateways, and of callers that DestinationRules give one, for those who may have them.

A proxy is sent a credential only if it has proven who it is, configuration that holds for it refers to the
credential, and that is of its own namespace or granted to it (ADR 0011).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.envoy.types import DataSource, Secret
from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.model.credential import ABSENT, Credential
from isthmus.model.credential_key import CredentialKey
from isthmus.model.credential_names import CA_SUFFIX, Asked, Place, asked, is_roots_name
from isthmus.model.credential_uses import Use, of_destination_rule, of_gateway, of_sidecar, uses_of
from isthmus.model.findings import Code, Finding
from isthmus.model.mesh import Mesh
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.rules import workloads_of
from isthmus.model.scope import View
from isthmus.model.visibility import is_visible
from isthmus.translate import proto

Names = frozenset[str]
Follow = Callable[[frozenset[CredentialKey]], None]
"""Told of credentials that a proxy waits for and of which nothing is known."""
_Uses = Mapping[str, Use]
_AskedRules = tuple[tuple[DestinationRule, tuple[Use, ...]], ...]


class Secrets:
    """Makes secrets."""

    def __init__(self, follow: Follow) -> None:
        self._follow = follow
        self._uses: Memo[_Uses] = Memo()
        self._rules: Memo[_AskedRules] = Memo()
        self._made: Memo[Versioned] = Memo()
        self.memos = (self._made,)
        self.of_views = (self._rules, self._uses)
        self._lacking: dict[tuple[str, Place], Use] = {}

    def of(self, mesh: Mesh, view: View, proxy: Proxy, wanted: Names | None) -> Iterator[Versioned]:
        """The secrets of `proxy` among `wanted` (None: all) that there are."""
        uses = self.uses(mesh, view, proxy)
        for name in uses if wanted is None else uses.keys() & wanted:
            place = _place(mesh, proxy)
            meant = _permitted(mesh, name, place)
            found = _found(mesh, meant) if meant is not None else ABSENT
            if found:
                self._lacking.pop((name, place), None)
                yield self._sealed(name, found, roots=meant is not None and meant.roots)
            else:
                self._lacking[name, place] = uses[name]

    def unsettled(self, mesh: Mesh, view: View, proxy: Proxy, names: Names) -> Names:
        """Those of `names` of which nobody knows yet whether they are there; from now on they are followed."""
        place, waiting = _place(mesh, proxy), set()
        missing: set[CredentialKey] = set()
        for name in self.uses(mesh, view, proxy).keys() & names:
            meant = _permitted(mesh, name, place)
            unknown = [key for key in meant.keys if key not in mesh.credentials] if meant else []
            if unknown:
                waiting.add(name)
                missing.update(unknown)
        if missing:
            self._follow(frozenset(missing))
        return frozenset(waiting)

    def uses(self, mesh: Mesh, view: View, proxy: Proxy) -> _Uses:
        """The credentials to which configuration for `proxy` refers; none where it has not proven who it is."""
        if not proxy.proven:
            return {}
        rules = self._rules.get((mesh.config.get("DestinationRule"),), "", lambda: _asking(mesh))
        return self._uses.get((view, rules), "", lambda: dict(_by_name(view, rules)))

    def bundles(self, mesh: Mesh, view: View, proxy: Proxy) -> Mapping[str, Credential]:
        """The CAs, by name, by which the proxy believes whom it calls and who calls it."""
        place = _place(mesh, proxy)
        asked_for = (name for name in self.uses(mesh, view, proxy) if is_roots_name(name))
        meant = ((name, _permitted(mesh, name, place)) for name in asked_for)
        return {name: held for name, one in meant if one and one.roots and (held := _found(mesh, one))}

    def _sealed(self, name: str, found: Credential, *, roots: bool) -> Versioned:
        return self._made.get(
            (found,), name, lambda: Versioned.of(name, proto.body(secret(name, found, roots)))
        )

    def findings(self, mesh: Mesh) -> Iterator[Finding]:
        """Credentials that proxies have asked for in vain, as far as configuration still refers to them."""
        for (name, place), use in list(self._lacking.items()):
            about = mesh.config.get(_TYPES[use.about.kind], {}).get(use.about)
            if about is None or use not in uses_of(about):
                del self._lacking[name, place]
            elif why := _lacks(mesh, name, place):
                yield Finding(ref=use.about, path=use.path, message=why, code=Code.NOT_FOUND)


_TYPES = {"Gateway": "GatewayConfig", "DestinationRule": "DestinationRule", "Sidecar": "Sidecar"}


def _place(mesh: Mesh, proxy: Proxy) -> Place:
    return Place(proxy.namespace, proxy.cluster, mesh.settings.config_cluster)


def _permitted(mesh: Mesh, name: str, place: Place) -> Asked | None:
    """What `name` means, where who asks from `place` may have it."""
    meant = asked(name, place)
    if meant is None or all(_may(mesh, place.namespace, key) for key in meant.keys):
        return meant
    return None


def _may(mesh: Mesh, namespace: str, key: CredentialKey) -> bool:
    plain = key.ref._replace(name=key.ref.name.removesuffix(CA_SUFFIX))
    granted = not mesh.credential_grants.isdisjoint({(namespace, key.ref), (namespace, plain)})
    return key.ref.namespace == namespace or granted


def _found(mesh: Mesh, meant: Asked) -> Credential:
    """The first of the objects that has the part that is asked for."""
    known = (mesh.credentials.get(key, ABSENT) for key in meant.keys)
    return next((each for each in known if (each.roots if meant.roots else each.certificate)), ABSENT)


def _lacks(mesh: Mesh, name: str, place: Place) -> str:
    """Why there is no credential of that name for a proxy there; empty where there is one, or nobody knows."""
    meant = asked(name, place)
    if meant is None:
        return f"{name} names no Secret (hint: SECRET, or kubernetes://SECRET)"
    key = meant.keys[-1]
    where = f'{key.ref} in cluster "{key.cluster}"'
    if _permitted(mesh, name, place) is None:
        hint = f"hint: put it into {place.namespace}, where the proxy is"
        return f"{where} is of another namespace than the proxy that needs it ({hint})"
    if any(each not in mesh.credentials for each in meant.keys) or _found(mesh, meant):
        return ""
    wrong = {(finding.cluster, finding.ref) for finding in mesh.findings}
    if not wrong.isdisjoint(meant.keys):
        return ""  # there it is said what is wrong
    part = "certificates of a CA (ca.crt or cacert)" if meant.roots else "certificate (tls.crt and tls.key)"
    if any(mesh.credentials[each].exists for each in meant.keys):
        return f"{where} holds no {part}, so that TLS fails"
    kubectl = f"kubectl -n {key.ref.namespace} create secret"
    hint = (
        f"{kubectl} generic {key.ref.name} --from-file=ca.crt=FILE"
        if meant.roots
        else f"{kubectl} tls {key.ref.name} --cert=FILE --key=FILE"
    )
    return f"{where} is not there, so that TLS fails (hint: {hint})"


def _asking(mesh: Mesh) -> _AskedRules:
    """The DestinationRules that refer to credentials."""
    found = ((rule, tuple(of_destination_rule(rule))) for rule in mesh.of(DestinationRule))
    return tuple((rule, uses) for rule, uses in found if uses)


def _by_name(view: View, rules: _AskedRules) -> Iterator[tuple[str, Use]]:
    """The credentials that proxies of the view need, by name."""
    for config in view.gateways if view.kind is ProxyKind.ROUTER else ():
        for use in of_gateway(config):
            yield use.name, use
    for use in of_sidecar(view.sidecar) if view.sidecar is not None else ():
        yield use.name, use
    for rule, uses in rules:
        if _holds(rule, view):
            for use in uses:
                yield use.name, use


def _holds(rule: DestinationRule, view: View) -> bool:
    """Whether the rule's credentials are for these proxies.

    Gateways have those of all rules that they see, sidecars those of rules that select them. Source: Istio's
    ClientTLSSettings reference, `credentialName`.
    """
    selected = workloads_of(rule)
    if selected:
        return rule.metadata.namespace == view.namespace and set(selected) <= set(view.labels)
    return view.kind is ProxyKind.ROUTER and is_visible(
        rule.spec.export_to, rule.metadata.namespace, view.namespace
    )


def secret(name: str, found: Credential, roots: bool) -> Secret:
    """Envoy's message for one part of a credential."""
    if not roots:
        made = Secret(name=name)
        made.tls_certificate.certificate_chain.CopyFrom(DataSource(inline_bytes=found.certificate))
        made.tls_certificate.private_key.CopyFrom(DataSource(inline_bytes=found.key))
        if found.staple:
            made.tls_certificate.ocsp_staple.CopyFrom(DataSource(inline_bytes=found.staple))
        return made
    made = Secret(name=name)
    made.validation_context.trusted_ca.CopyFrom(DataSource(inline_bytes=found.roots))
    if found.revoked:
        made.validation_context.crl.CopyFrom(DataSource(inline_bytes=found.revoked))
    return made
