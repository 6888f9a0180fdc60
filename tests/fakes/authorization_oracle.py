"""Whether AuthorizationPolicies let a call in, by Istio's documentation alone: nothing here knows Envoy or our code.

Source: Istio's references of AuthorizationPolicy, of its conditions, and "Authorization on TCP ports".
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from msgspec.structs import replace

from fakes.judges import CHANGED, JUDGES
from fakes.signed_tokens import CLAIMED

_OF_REQUESTS = {"requestPrincipals", "hosts", "methods", "paths"}
_DOMAIN = "cluster.local"


def lets_in(documents, call):
    """Whether the call gets to the application."""
    policies = [each for each in documents if each["kind"] == "AuthorizationPolicy"]
    rules = [
        rule
        for each in documents
        if each["kind"] == "RequestAuthentication"
        for rule in each["spec"]["jwtRules"]
    ]
    mode = mode_at(documents, call.port)
    is_known = mode == "STRICT" or (mode == "PERMISSIVE" and call.hello is not None and call.hello.alpn)
    if call.hello is None and mode == "STRICT":
        return False
    if call.hello is not None and not is_known:
        if call.request is not None and mode == "PERMISSIVE":
            return False  # HTTP is asked for, and strangers in TLS are none
        # It is the application's own TLS: nobody looks into it.
        call = replace(call, request=None, hello=replace(call.hello, identity="", names=()))
    elif call.hello is not None and not call.hello.identity.startswith(f"spiffe://{_DOMAIN}/"):
        return False  # of another trust domain: no handshake
    asked = Asked(call, rules)
    held = [each for each in policies if "annotations" not in each["metadata"]]

    def meant(action):
        return [each for each in held if each["spec"]["action"] == action]

    asking = meant("CUSTOM")
    if not all(asked.passes(each, asking, before_tokens=True) for each in _judges(asking)):
        return False
    if asked.is_forged:
        return False
    if not all(asked.passes(each, asking, before_tokens=False) for each in _judges(asking)):
        return False
    if any(asked.is_meant(each) for each in meant("DENY")):
        return False
    allowing = meant("ALLOW")
    return not allowing or any(asked.is_meant(each) for each in allowing)


def mode_at(documents, port):
    """On which terms callers of a port come: the narrowest that says any decides."""
    mode, peers = (
        "PERMISSIVE",
        {each["metadata"]["name"]: each["spec"] for each in documents if _is_peer(each)},
    )
    for spec in (peers[name] for name in ("mesh", "all", "own") if name in peers):
        for said in (spec["mtls"], spec.get("portLevelMtls", {}).get(str(port), {"mode": "UNSET"})):
            mode = mode if said["mode"] == "UNSET" else said["mode"]
    return mode


def _is_peer(found):
    return found["kind"] == "PeerAuthentication"


def _judges(policies):
    """Who is asked, in the order of the policies: first those of the mesh, then those of the namespace."""
    found = sorted(policies, key=lambda each: each["metadata"]["namespace"] == "default")
    return list(dict.fromkeys(each["spec"]["provider"]["name"] for each in found))


class Asked:
    """A call, as policies see it."""

    def __init__(self, call, rules):
        self._call, self._http = call, call.request is not None
        self._headers = dict(call.request.headers) if self._http else {}
        token, looking = self._token(rules)
        self._claims = CLAIMED.get(token, {}) if looking else {}
        self.is_forged = bool(looking) and self._claims.get("iss") not in looking
        first = [each.strip() for each in self._headers.get("x-forwarded-for", "").split(",")][-1]
        self._remote = first if re.fullmatch(r"[\d.]+", first) else call.source
        shown = call.hello.identity.removeprefix("spiffe://") if call.hello is not None else ""
        self._principal = shown or None
        self._domain, _, self._namespace, _, self._account = shown.split("/") if shown else (None,) * 5

    def _token(self, rules):
        """The request's token, and the issuers of the rules that look for one where it is."""
        query = self._call.request.path.partition("?")[2] if self._http else ""
        given = dict(each.partition("=")[::2] for each in query.split("&"))
        found = {name: self._headers[name] for name in ("authorization", "x-token") if name in self._headers}
        found |= {name: given[name] for name in ("token", "access_token") if name in given}
        for place, token in found.items():
            looking = [rule["issuer"] for rule in rules if place in _places(rule)]
            return token.removeprefix("Bearer "), looking
        return "", []

    def passes(self, name, policies, *, before_tokens):
        """Whether the judge of that name lets it pass, if it is its turn, and one of its policies means the call."""
        own = [each for each in policies if each["spec"]["provider"]["name"] == name]
        if before_tokens == any(
            "request.auth" in str(each) or "equestPrincipals" in str(each) for each in own
        ):
            return True
        if not any(self.is_meant(each) for each in own):
            return True
        judge = JUDGES.get(name)
        if judge is None or not (self._http or judge.over == "grpc"):
            return False  # it cannot be asked
        if judge.changes:
            self._headers |= dict([CHANGED])
        return judge.lets_in

    def is_meant(self, policy):
        spec, namespace = policy["spec"], policy["metadata"]["namespace"]
        is_strict = spec["action"] in {"ALLOW", "AUDIT"}
        return any(self._rule(rule, namespace, is_strict) for rule in spec["rules"])

    def _rule(self, rule, namespace, is_strict):
        """`is_strict`: what asks for requests holds for no connection; else it is not looked at there."""
        sources = [each["source"] for each in rule.get("from", ())]
        operations = [each["operation"] for each in rule.get("to", ())]
        conditions = [
            {f"{'' if 'values' in each else 'not '}{each['key']}": each.get("values") or each["notValues"]}
            for each in rule.get("when", ())
        ]
        every = [*sources, *operations, *conditions]
        if (
            is_strict
            and not self._http
            and any(_asks_for_requests(name, values) for each in every for name, values in each.items())
        ):
            return False
        return (
            (not sources or any(self._all(each, namespace, is_strict) for each in sources))
            and (not operations or any(self._all(each, namespace, is_strict) for each in operations))
            and all(self._all(each, namespace, is_strict) for each in conditions)
        )

    def _all(self, fields, namespace, is_strict):
        for name, values in fields.items():
            if not self._http and _asks_for_requests(name, values):
                # Each expression stands for itself; of those of which one must hold, none may be left out.
                values = [each for each in values if "request" not in each] if name == "not cel" else []
                if not values:
                    continue
            bare, is_wanted = _bare(name)
            found = {self._holds(bare, each, namespace) for each in values}
            if (
                True not in found and None in found
            ):  # it cannot be told: who is let in by it is not, and who is refused is
                if is_strict:
                    return False
            elif (True in found) != is_wanted:
                return False
        return True

    def _holds(self, name, text, namespace):
        match name:
            case "principals" | "source.principal":
                return _fits(text, self._principal)
            case "namespaces" | "source.namespace":
                return _fits(text, self._namespace)
            case "trustDomains" | "source.trustDomain":
                return _fits(text, self._domain)
            case "serviceAccounts" | "source.serviceAccount":
                wanted = text if "/" in text else f"{namespace}/{text}"
                return wanted == f"{self._namespace}/{self._account}"
            case "source.cluster":
                named = self._call.hello.names if self._call.hello is not None else ()
                return any(_fits(text, each.partition(".")[0]) for each in named)
            case "ipBlocks" | "source.ip":
                return _is_in(text, self._call.source)
            case "remoteIpBlocks" | "remote.ip":
                return _is_in(text, self._remote)
            case "destination.ip":
                return _is_in(text, self._call.address)
            case "ports" | "destination.port":
                return text == str(self._call.port)
            case "connection.sni":
                return _fits(text, self._call.hello.sni if self._call.hello is not None else "")
            case "cel":
                return self._expression(text)
            case _:
                return self._of_request(name, text)

    def _of_request(self, name, text):
        request, claims = self._call.request, self._claims
        match name:
            case "requestPrincipals" | "request.auth.principal":
                return _fits(text, f"{claims['iss']}/{claims['sub']}" if claims else None)
            case "request.auth.audiences":
                return _fits_some(text, claims.get("aud"))
            case "request.auth.presenter":
                return _fits_some(text, claims.get("azp"))
            case "request.auth.claims[group]":
                return _fits_some(text, claims.get("group"))
            case "request.auth.claims[org][unit]":
                return _fits_some(text, claims.get("org", {}).get("unit"))
            case "hosts":
                return _fits(text.lower(), request.host.lower())
            case "methods":
                return _fits(text, request.method)
            case "paths":
                return _path_fits(text, request.path.partition("?")[0])
            case _:
                found = self._headers.get(name.removeprefix("request.headers[").removesuffix("]"))
                return found is not None if text == "*" else _fits(text, found)

    def _expression(self, text):
        if text == "connection.mtls":
            return self._principal is not None
        if "==" in text:
            return self._headers["x-a"] == "one" if "x-a" in self._headers else None
        return "x-b" in self._headers


def _places(rule):
    """Where a rule looks for tokens."""
    own = [*(each["name"] for each in rule.get("fromHeaders", ())), *rule.get("fromParams", ())]
    return own or ["authorization", "access_token"]


def _bare(name):
    """The field without `not`, and whether it was without."""
    if name.startswith("not "):
        return name[4:], False
    if re.match("not[A-Z]", name):
        return name[3].lower() + name[4:], False
    return name, True


def _asks_for_requests(name, values):
    bare, _ = _bare(name)
    is_cel = bare == "cel" and any("request" in each for each in values)
    return bare in _OF_REQUESTS or bare.startswith("request.") or is_cel


def _fits(pattern, value):
    if not value:
        return False
    if pattern == "*":
        return True
    if pattern.startswith("*"):
        return value.endswith(pattern[1:])
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


def _fits_some(pattern, value):
    return any(_fits(pattern, each) for each in (value if isinstance(value, list) else [value]))


def _is_in(text, address):
    return ip_address(address) in ip_network(text)


def _path_fits(pattern, path):
    if "{" not in pattern:
        return _fits(pattern, path)
    parts = re.split(r"(\{\*\*?\})", pattern)
    words = {"{*}": "[^/]+", "{**}": ".*"}
    return re.fullmatch("".join(words.get(each) or re.escape(each) for each in parts), path) is not None
