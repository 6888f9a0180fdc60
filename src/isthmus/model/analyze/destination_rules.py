"""DestinationRules: that they are for a service, count, and ask for TLS that is worth something."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.core.pod import Pod
from isthmus.api.istio.destination_rule import ClientTLSSettings, DestinationRule, Subset, TrafficPolicy
from isthmus.api.istio.load_balancer import LoadBalancerSettings
from isthmus.model.analyze.subject import Subject, finding
from isthmus.model.codes import Code
from isthmus.model.findings import Finding
from isthmus.model.names import Hostname, ServiceKey, resolve
from isthmus.model.rules import age, workloads_of

_TLS = frozenset({"SIMPLE", "MUTUAL"})


def have_services(subject: Subject) -> Iterator[Finding]:
    """Each DestinationRule is for a service."""
    for rule in subject.of(DestinationRule):
        host = resolve(rule.spec.host, rule.metadata.namespace, subject.domain)
        found = subject.services_by_host.get(host)
        if found is not None and found.alias_of:
            message = f"has no effect: {host} is another name of a service (hint: host: {found.alias_of})"
            yield finding(rule, "$.spec.host", message, Code.RULE_FOR_NOBODY)
        elif subject.lacks(host) and not (host.startswith("*") and subject.any_under(host)):
            message = f"no service is called {host}, so that this rule has no effect"
            yield finding(rule, "$.spec.host", message, Code.RULE_FOR_NOBODY)


def are_not_overruled(subject: Subject) -> Iterator[Finding]:
    """No older DestinationRule of its namespace has another policy for the same host and workloads."""
    first: dict[tuple[str, Hostname, object], DestinationRule] = {}
    for rule in sorted(subject.of(DestinationRule), key=age):
        if rule.spec.traffic_policy is None:
            continue
        namespace = rule.metadata.namespace
        host = resolve(rule.spec.host, namespace, subject.domain)
        shown = (workloads_of(rule), frozenset(rule.spec.export_to))
        holder = first.setdefault((namespace, host, shown), rule)
        if holder is not rule:
            message = (
                f"has no effect: {holder.metadata.name} of this namespace has a policy for {host}, and is "
                "older (hint: put them into one object)"
            )
            yield finding(rule, "$.spec.trafficPolicy", message, Code.OVERRULED)


def subsets_have_endpoints(subject: Subject) -> Iterator[Finding]:
    """Each subset of a DestinationRule has endpoints in some cluster."""
    for rule in subject.of(DestinationRule):
        namespace = rule.metadata.namespace
        service = subject.service_called(resolve(rule.spec.host, namespace, subject.domain), namespace)
        if service is None or service.is_resolved_by_proxy:
            continue
        if not subject.is_whole and not subject.mesh.shards.get(service.key):
            continue  # its pods are not in the files
        for index, subset in enumerate(rule.spec.subsets):
            if not _is_served(subject, service.key, subset):
                message = f"no endpoint of {service.key.hostname} has the labels of subset {subset.name!r}"
                yield finding(rule, f"$.spec.subsets[{index}]", message, Code.SUBSET_EMPTY)


def servers_are_verified(subject: Subject) -> Iterator[Finding]:
    """Each DestinationRule that asks for TLS says who is trusted: by a CA of its own, or by name."""
    for rule in subject.of(DestinationRule):
        for at, tls, of_port in _asked(rule):
            by_name = tls.sni or tls.subject_alt_names
            if tls.mode in _TLS and not (
                tls.ca_certificates or tls.credential_name or tls.insecure_skip_verify or by_name
            ):
                code = Code.NOT_VERIFIED_ON_PORT if of_port else Code.NOT_VERIFIED
                message = (
                    f"{tls.mode} without caCertificates, sni and subjectAltNames: of connections that are no requests "
                    f"whoever has a certificate of any CA that the proxy's system trusts is believed "
                    "(hint: caCertificates or credentialName, or sni)"
                )
                yield finding(rule, at, message, code)


def zones_have_effect(subject: Subject) -> Iterator[Finding]:
    """Zones share by themselves where Envoy knows in which zones callers are, and where it does not hash."""
    usual = subject.mesh.settings.listener.proxy.proxy_metadata
    known = usual.get(_KNOWS_ITSELF, "").lower() == "true" or any(
        _KNOWS_ITSELF in pod.metadata.annotations.get("proxy.istio.io/config", "")
        for _, pod in subject.everywhere(Pod)
    )
    for rule in subject.of(DestinationRule):
        for path, found in _balancers(rule):
            zones = found.zone_aware_lb_setting
            if zones is None or zones.enabled is False:
                continue
            why = ""
            if found.consistent_hash is not None or found.simple == "PASSTHROUGH":
                why = "this balancer knows no zones (hint: simple: LEAST_REQUEST)"
            elif not known:
                hint = f'hint: proxyMetadata: {{{_KNOWS_ITSELF}: "true"}} in the mesh\'s defaultConfig'
                why = f"no proxy is told in which zones callers are ({hint})"
            if why:
                yield finding(rule, f"{path}.zoneAwareLbSetting", f"has no effect: {why}", Code.NO_EFFECT)


_KNOWS_ITSELF = "ISTIO_META_ENABLE_SELF_DISCOVERY"


def _balancers(rule: DestinationRule) -> Iterator[tuple[str, LoadBalancerSettings]]:
    """What a rule says of balancing, by the paths."""
    for at, policy in _policies(rule):
        if policy.load_balancer is not None:
            yield f"{at}.loadBalancer", policy.load_balancer
        for index, port in enumerate(policy.port_level_settings):
            if port.load_balancer is not None:
                yield f"{at}.portLevelSettings[{index}].loadBalancer", port.load_balancer


def _asked(rule: DestinationRule) -> Iterator[tuple[str, ClientTLSSettings, bool]]:
    """What a rule says of TLS: where, what, and whether it is for a port alone."""
    for at, policy in _policies(rule):
        if policy.tls is not None:
            yield f"{at}.tls", policy.tls, False
        for index, port in enumerate(policy.port_level_settings):
            if port.tls is not None:
                yield f"{at}.portLevelSettings[{index}].tls", port.tls, True


def _policies(rule: DestinationRule) -> Iterator[tuple[str, TrafficPolicy]]:
    """The policies of a rule and of its subsets, by their paths."""
    if rule.spec.traffic_policy is not None:
        yield "$.spec.trafficPolicy", rule.spec.traffic_policy
    for index, subset in enumerate(rule.spec.subsets):
        if subset.traffic_policy is not None:
            yield f"$.spec.subsets[{index}].trafficPolicy", subset.traffic_policy


def _is_served(subject: Subject, key: ServiceKey, subset: Subset) -> bool:
    wanted = tuple(subset.labels.items())
    shards = subject.mesh.shards.get(key, {}).values()
    return any(endpoint.has_labels(wanted) for shard in shards for endpoint in shard.endpoints)
