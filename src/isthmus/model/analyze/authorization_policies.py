"""AuthorizationPolicies: that they are for somebody, name what there is, and can be kept where they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from isthmus.api.gateway_api.gateway import Gateway
from isthmus.api.gateway_api.reference import GROUP
from isthmus.api.istio.authorization_policy import AuthorizationPolicy, Operation, Rule
from isthmus.api.istio.authorization_policy_keys import CEL, key_of
from isthmus.api.istio.service_entry import ServiceEntry
from isthmus.api.resource import Ref
from isthmus.envoy.cel import asks_for_requests, problem_of
from isthmus.model.analyze.subject import Subject, finding
from isthmus.model.authorization_findings import authorization_findings, lets_in
from isthmus.model.authorization_policies import services_of
from isthmus.model.codes import Code, Severity
from isthmus.model.findings import Finding
from isthmus.model.names import kubernetes_hostname
from isthmus.model.selection import labels_of, references_of
from isthmus.model.service import Protocol
from isthmus.model.workload import ServedPort, Workload


def are_kept(subject: Subject) -> Iterator[Finding]:
    """Each policy does what it was meant to, and those who are asked are there."""
    settings = subject.mesh.settings.written_in
    here = subject.objects.get(subject.mesh.settings.config_cluster, {})
    # Who writes no MeshConfig names providers of another file's.
    is_known = subject.is_whole or settings in here
    for each in authorization_findings(subject.mesh):
        if is_known or each.code is not Code.AUTHORIZER:
            yield each


def have_workloads(subject: Subject) -> Iterator[Finding]:
    """Each policy is for some workload, or for something that there is."""
    for found in subject.of(AuthorizationPolicy):
        namespace = found.metadata.namespace
        wanted = labels_of(found)
        everywhere = namespace == subject.root
        if wanted and not references_of(found) and not subject.finds(wanted, "" if everywhere else namespace):
            yield finding(found, "$.spec.selector.matchLabels", "selects no pod", Code.NO_WORKLOADS)
        yield from _targets(found, subject)


def _targets(found: AuthorizationPolicy, subject: Subject) -> Iterator[Finding]:
    own = found.metadata.namespace
    count = len(found.spec.target_refs)
    for index, each in enumerate(references_of(found)):
        at = f"$.spec.targetRefs[{index}]" if index < count else "$.spec.targetRef"
        namespace = each.namespace or own
        if namespace != own and (own != subject.root or each.group != GROUP):
            message = f"is {namespace!r}, and a policy is for what is in its own namespace (hint: {own})"
            yield finding(found, f"{at}.namespace", message, Code.NO_EFFECT)
        elif not _is_there(each.group, each.kind, Ref(each.kind, namespace, each.name), subject):
            message = f"no {each.kind} is called {namespace}/{each.name}"
            yield finding(found, f"{at}.name", message, Code.NOT_FOUND, Severity.WARNING)


def _is_there(group: str, kind: str, ref: Ref, subject: Subject) -> bool:
    """Whether something is there by which a policy could hold; classes of Gateways are."""
    if kind == "Service":
        host = kubernetes_hostname(ref.name, ref.namespace, subject.domain)
        return subject.service_called(host, ref.namespace) is not None or not subject.lacks(host)
    if kind == "ServiceEntry":
        return ref in subject.mesh.config.get(ServiceEntry.__name__, {}) or ref in subject.refused
    if (group, kind) == (GROUP, "Gateway"):
        there = {(each.metadata.namespace, each.metadata.name) for each in subject.of(Gateway)}
        return (ref.namespace, ref.name) in there or Ref(f"Gateway.{GROUP}", *ref[1:]) in subject.refused
    return True


def namespaces_are_there(subject: Subject) -> Iterator[Finding]:
    """Each namespace from which calls come is that of some cluster."""
    known = {name for _, name in subject.namespaces}
    if not subject.is_whole or not known:
        return
    for found in subject.of(AuthorizationPolicy):
        for path, name in _namespaces(found):
            if "*" not in name and name not in known:
                message = f"no cluster has a namespace {name!r}"
                yield finding(found, path, message, Code.NOT_FOUND, Severity.WARNING)


def _namespaces(found: AuthorizationPolicy) -> Iterator[tuple[str, str]]:
    for number, rule in enumerate(found.spec.rules or ()):
        at = f"$.spec.rules[{number}]"
        for index, each in enumerate(rule.from_ or ()):
            for name, several in (
                ("namespaces", each.source and each.source.namespaces),
                ("notNamespaces", each.source and each.source.not_namespaces),
            ):
                for place, text in enumerate(several or ()):
                    yield f"{at}.from[{index}].source.{name}[{place}]", text
        for index, condition in enumerate(rule.when or ()):
            if condition.key == "source.namespace":
                for place, text in enumerate(condition.values or ()):
                    yield f"{at}.when[{index}].values[{place}]", text


def hold_for_connections(subject: Subject) -> Iterator[Finding]:
    """No rule asks for something of requests where connections alone are known."""
    for found in subject.of(AuthorizationPolicy):
        asking = {
            number: path
            for number, rule in enumerate(found.spec.rules or ())
            if (path := _of_requests(f"$.spec.rules[{number}]", rule))
        }
        told: set[int] = set()
        for workload in workloads_of(found, subject) if asking else ():
            for one in _plain(found, workload, subject):
                for number, path in asking.items():
                    rule = (found.spec.rules or ())[number]
                    if number not in told and may_mean(rule, one.target_port):
                        told.add(number)
                        yield finding(found, path, _message(found, workload, one), Code.NOT_FOR_CONNECTIONS)


def providers_take_connections(subject: Subject) -> Iterator[Finding]:
    """No provider that is asked over HTTP is to be asked about connections of which no requests are known."""
    over_http = {
        each.name
        for each in subject.mesh.settings.listener.providers
        if each.envoy_ext_authz_http is not None
    }
    for found in subject.of(AuthorizationPolicy):
        provider = found.spec.provider
        if (
            found.spec.action != "CUSTOM"
            or found.is_dry
            or provider is None
            or provider.name not in over_http
        ):
            continue
        rules = found.spec.rules or ()
        refused = (
            (workload, one)
            for workload in workloads_of(found, subject)
            for one in _plain(found, workload, subject)
            if any(may_mean(rule, one.target_port) for rule in rules)
        )
        for workload, one in islice(refused, 1):
            message = (
                f"{provider.name!r} is asked over HTTP about requests alone: connections to port {one.target_port} of "
                f"{workload.name} are refused (hint: ports other than {one.target_port}, or envoyExtAuthzGrpc)"
            )
            yield finding(found, "$.spec.provider.name", message, Code.NOT_FOR_CONNECTIONS)


def _message(found: AuthorizationPolicy, workload: Workload, one: ServedPort) -> str:
    port = f"port {one.target_port} of {workload.name}, which speaks {one.port.protocol.value},"
    if lets_in(found):
        becomes = f"the rule means nobody there (hint: ports, or a rule for {one.target_port} by who calls)"
    else:
        becomes = (
            f"calls are met there without it, so more of them (hint: ports other than {one.target_port})"
        )
    return f"nothing is known of requests to {port} and {becomes}"


def workloads_of(found: AuthorizationPolicy, subject: Subject) -> Iterator[Workload]:
    """The workloads for which a policy may hold."""
    namespace = found.metadata.namespace
    selection = subject.workloads if namespace == subject.root else subject.workloads_in.get(namespace)
    references = references_of(found)
    if selection is None or any(each.group == GROUP for each in references):
        return
    yield from selection.having({} if references else labels_of(found))


def _plain(found: AuthorizationPolicy, workload: Workload, subject: Subject) -> Iterator[ServedPort]:
    """The ports of a workload on which the policy holds and no requests are known."""
    keys = services_of(found, subject.mesh)
    meant = [one for one in workload.serves if not keys or one.service in keys]
    # The first service decides, and the proxy finds out what nobody says.
    protocols: Mapping[int, Protocol] = {
        one.target_port: one.port.protocol for one in reversed(workload.serves)
    }
    for one in meant:
        protocol = protocols[one.target_port]
        if protocol is one.port.protocol and not protocol.is_http and protocol is not Protocol.UNSPECIFIED:
            yield one


def may_mean(rule: Rule, port: int) -> bool:
    """Whether a rule may be about calls to a port, as far as its operations say their ports."""
    operations = [each.operation or Operation() for each in rule.to or ()]
    return not operations or any(
        (each.ports is None or str(port) in each.ports) and str(port) not in (each.not_ports or ())
        for each in operations
    )


def _of_requests(at: str, rule: Rule) -> str:
    """Where a rule asks for something that only requests have; empty: nowhere."""
    for index, each in enumerate(rule.from_ or ()):
        if each.source is not None:
            for name, found in (
                ("requestPrincipals", each.source.request_principals),
                ("notRequestPrincipals", each.source.not_request_principals),
            ):
                if found is not None:
                    return f"{at}.from[{index}].source.{name}"
    for index, to in enumerate(rule.to or ()):
        for name in ("hosts", "methods", "paths", "not_hosts", "not_methods", "not_paths"):
            if to.operation is not None and getattr(to.operation, name) is not None:
                field = f"not{name[4:].capitalize()}" if name.startswith("not_") else name
                return f"{at}.to[{index}].operation.{field}"
    for index, condition in enumerate(rule.when or ()):
        key = key_of(condition.key)
        texts = (*(condition.values or ()), *(condition.not_values or ()))
        if key is not None and (
            key.of_requests
            or (key.name == CEL and any(asks_for_requests(each) for each in texts if not problem_of(each)))
        ):
            return f"{at}.when[{index}].key"
    return ""
