"""Whether a call is let in, and by which rule, as `isthmus authz check` says of manifests."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from fakes.ruled_manifests import ruled
from fakes.signed_tokens import BAD, ISSUERS, JWKS, TOKENS
from isthmus.console.cli import main
from isthmus.console.explanation_text import text_of
from simulate import explained


def policy(name, spec, annotations=""):
    return f"""
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {name}, namespace: default{annotations}}}
spec: {spec}
"""


PRODUCTPAGE = "cluster.local/ns/default/sa/productpage"
READS = policy(
    "reads",
    f"""
  selector: {{matchLabels: {{app: ratings}}}}
  rules:
  - from: [{{source: {{namespaces: [nobody]}}}}]
  - from: [{{source: {{principals: [{PRODUCTPAGE}]}}}}]
    to: [{{operation: {{methods: [GET], paths: [/ratings/*]}}}}]
""",
)
NO_ADMIN = policy("no-admin", "{action: DENY, rules: [{to: [{operation: {paths: [/ratings/admin*]}}]}]}")
NOBODY = policy("nobody", "{}")
CLUSTERS = policy("clusters", "{rules: [{when: [{key: source.cluster, values: [cloud]}]}]}")
ADDRESSES = policy("addresses", "{rules: [{from: [{source: {ipBlocks: [203.0.113.0/24]}}]}]}")
TOKENS_OF_STAFF = policy(
    "tokens", "{rules: [{when: [{key: 'request.auth.claims[group]', values: [staff]}]}]}"
)
TRIED = policy("tried", "{action: DENY, rules: [{}]}", ", annotations: {istio.io/dry-run: 'true'}")
TRIED_AND_NOT_MET = policy(
    "tried",
    "{action: DENY, rules: [{to: [{operation: {ports: ['1']}}]}]}",
    ", annotations: {istio.io/dry-run: 'true'}",
)
AUDITED = policy("audited", "{action: AUDIT, rules: [{}]}")
BY_CEL = policy("by-cel", "{rules: [{when: [{key: cel, values: [\"request.headers['x-a'] == 'one'\"]}]}]}")
DATABASE = policy(
    "database",
    f"{{selector: {{matchLabels: {{app: db}}}}, rules: [{{from: [{{source: {{principals: [{PRODUCTPAGE}]}}}}]}}]}}",
)


ISSUER = f"""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: issuer, namespace: default}}
spec: {{jwtRules: [{{issuer: {ISSUERS[0]}, audiences: [books], jwks: '{JWKS}'}}]}}
"""
STAFF = json.dumps({"iss": ISSUERS[0], "sub": "me", "aud": "books", "group": ["guests", "staff"]})
PROVIDER = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders:
      - name: doorman
        envoyExtAuthzHttp: {service: legacy.default.svc.cluster.local, port: 9080}
"""
CUSTOM = policy(
    "ask", "{action: CUSTOM, provider: {name: doorman}, rules: [{to: [{operation: {paths: [/ask*]}}]}]}"
)


@pytest.fixture
def check(tmp_path):
    """Runs the command on the usual manifests with some more; gives what it says as JSON, and its code."""

    def run(documents, *arguments):
        path = tmp_path / "case.yaml"
        path.write_text(ruled(*documents))
        ran = CliRunner().invoke(main, ["authz", "check", "-f", str(path), "-o", "json", *arguments])
        return json.loads(ran.stdout) if ran.exit_code in {0, 3, 4} else ran.stderr, ran.exit_code

    return run


@pytest.mark.parametrize(
    ("documents", "arguments", "code", "why"),
    [
        ((), "productpage ratings:9080 GET /", 0, "no policy decides here"),
        ((READS,), "productpage ratings:9080 GET /ratings/0", 0,
         "AuthorizationPolicy default/reads rules[1] allows it"),
        ((READS,), "sa/default/productpage ratings:9080 GET /ratings/0?x=1", 0,
         "AuthorizationPolicy default/reads rules[1] allows it"),
        ((READS,), f"spiffe://{PRODUCTPAGE} ratings:9080 /ratings/0", 0,
         "AuthorizationPolicy default/reads rules[1] allows it"),
        ((READS,), "productpage ratings:9080 POST /ratings/0", 3,
         "no rule of an AuthorizationPolicy allows it"),
        ((READS,), "productpage --plaintext ratings:9080 GET /ratings/0", 3,
         "no rule of an AuthorizationPolicy allows it"),
        ((READS,), "outside ratings:9080 GET /ratings/0", 3, "no rule of an AuthorizationPolicy allows it"),
        ((READS,), "reviews-v1 ratings:9080 GET /ratings/0", 3, "no rule of an AuthorizationPolicy allows it"),
        ((READS, NO_ADMIN), "productpage ratings:9080 GET /ratings/admin", 3,
         "AuthorizationPolicy default/no-admin rules[0] denies it"),
        ((READS, NO_ADMIN), "productpage ratings:9080 GET /ratings/0", 0,
         "AuthorizationPolicy default/reads rules[1] allows it"),
        ((NO_ADMIN,), "outside ratings:9080 GET /", 0, "nothing denies it, and no policy says who alone may"),
        ((NOBODY,), "productpage ratings:9080 GET /", 3, "no rule of an AuthorizationPolicy allows it"),
        ((TRIED,), "productpage ratings:9080 GET /", 0, "no policy decides here"),
        ((CLUSTERS,), "sa/default/productpage --cluster cloud ratings:9080 GET /", 0,
         "AuthorizationPolicy default/clusters rules[0] allows it"),
        ((CLUSTERS,), "sa/default/productpage --cluster other ratings:9080 GET /", 3,
         "no rule of an AuthorizationPolicy allows it"),
        ((ADDRESSES,), "outside --source-ip 203.0.113.9 ratings:9080 GET /", 0,
         "AuthorizationPolicy default/addresses rules[0] allows it"),
        ((ADDRESSES,), "outside --source-ip 198.51.100.9 ratings:9080 GET /", 3,
         "no rule of an AuthorizationPolicy allows it"),
        ((BY_CEL,), "outside -H x-a:one ratings:9080 GET /", 0,
         "AuthorizationPolicy default/by-cel rules[0] allows it"),
        ((BY_CEL,), "outside ratings:9080 GET /", 3, "no rule of an AuthorizationPolicy allows it"),
        ((DATABASE,), "productpage db:3306 bytes", 0,
         "AuthorizationPolicy default/database rules[0] allows it"),
        ((DATABASE,), "reviews-v1 db:3306 bytes", 3, "no rule of an AuthorizationPolicy allows it"),
        ((), "productpage ratings:9080 bytes", 3, "HTTP is expected here, and the caller sends bytes"),
        ((READS,), "reviews-v1 legacy:9080 GET /", 0, "it has no sidecar: whoever reaches it is let in"),
    ],
)  # fmt: skip
def test_a_call_is_decided_by_the_rule_that_matches(check, documents, arguments, code, why):
    found, ended = check(documents, *arguments.split())
    assert (ended, found["judgements"][0]["why"]) == (code, why), found


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("--jwt-claims", STAFF), 0, "AuthorizationPolicy default/tokens rules[0] allows it"),
        (("--jwt", TOKENS[0]), 0, "AuthorizationPolicy default/tokens rules[0] allows it"),
        (("--jwt", BAD), 3, "it is not signed by its issuer"),
        (("--jwt", TOKENS[2]), 3, "its issuer is not known here"),
        (("--jwt-claims", json.dumps({"iss": ISSUERS[0], "aud": "films"})), 3, "its audience is another"),
        (("--jwt-claims", json.dumps({"iss": ISSUERS[0], "aud": "books"})), 3,
         "no rule of an AuthorizationPolicy allows it"),
        (("--jwt", "nothing"), 3, "it is no token"),
        ((), 3, "no rule of an AuthorizationPolicy allows it"),
    ],
)  # fmt: skip
def test_tokens_are_looked_at_as_the_proxy_does(check, words, code, why):
    found, ended = check((ISSUER, TOKENS_OF_STAFF), "outside", "ratings:9080", "GET", "/", *words)
    assert (ended, found["judgements"][0]["why"]) == (code, why), found


def test_whom_custom_asks_is_named_and_not_answered_for(check):
    found, code = check((PROVIDER, CUSTOM), "outside", "ratings:9080", "GET", "/ask")
    (judgement,) = found["judgements"]
    question, asks = judgement["steps"]
    assert (code, judgement["decision"]) == (4, "asked")
    assert (question["provider"], question["by"]["object"]) == ("doorman", "AuthorizationPolicy default/ask")
    assert asks["verdict"]["why"] == "outbound|9080||legacy.default.svc.cluster.local"
    assert check((PROVIDER, CUSTOM), "outside", "ratings:9080", "GET", "/other")[1] == 0


@pytest.mark.parametrize(
    ("given", "decision"),
    [("headersToUpstreamOnAllow: [authorization]", "unknown"), ("headersToUpstreamOnAllow: [x-a]", "denied")],
)
def test_what_a_provider_may_put_into_the_request_is_not_denied_for_being_not_there(check, given, decision):
    provider = PROVIDER.replace("port: 9080}", f"port: 9080, {given}}}")
    documents = (provider, CUSTOM, ISSUER, TOKENS_OF_STAFF)
    found, code = check(documents, "outside", "ratings:9080", "GET", "/ask")
    assert (code, found["decision"]) == (3 if decision == "denied" else 4, decision)
    asked, why = "outbound|9080||legacy.default.svc.cluster.local", found["judgements"][0]["why"]
    assert (f"{asked} may give the header authorization another value" in why) == (decision == "unknown")
    assert check(documents, "outside", "ratings:9080", "GET", "/other")[0]["decision"] == "denied"


def test_a_provider_that_cannot_be_asked_is_why_a_call_is_refused(tmp_path):
    path = tmp_path / "case.yaml"
    path.write_text(ruled(CUSTOM, AUDITED, TRIED_AND_NOT_MET))
    said = CliRunner().invoke(
        main, ["authz", "check", "outside", "ratings:9080", "GET", "/ask", "-f", str(path)]
    )
    assert "DENY by AuthorizationPolicy default/ask rules[0]" in said.output
    assert ", for provider doorman cannot be asked" in said.output
    said = CliRunner().invoke(
        main, ["authz", "check", "outside", "ratings:9080", "GET", "/", "-f", str(path)]
    )
    assert "✓ http.rbac: AUDIT by AuthorizationPolicy default/audited rules[0]" in said.output
    assert "dry run, would be allowed, no rule of default/tried matches" in said.output


def test_explain_tells_of_a_call_that_would_be_refused_by_which_rule():
    found = explained(ruled(NO_ADMIN), "productpage", "http://ratings:9080/ratings/admin")
    problem = "403, AuthorizationPolicy default/no-admin rules[0] denies it"
    assert [each.problem for each in found.arrivals] == [problem]
    open_to_all = explained(ruled(NO_ADMIN), "productpage", "http://ratings:9080/ratings/0")
    assert [each.problem for each in open_to_all.arrivals] == [""]


def test_explain_tells_who_is_asked():
    found = explained(ruled(PROVIDER, CUSTOM), "productpage", "http://ratings:9080/ask")
    assert "legacy.default.svc.cluster.local is asked whether it may pass" in text_of(found)


def test_each_filter_tells_the_rule_behind_it_with_its_line(check):
    found, _ = check((READS, NO_ADMIN), "productpage", "ratings:9080", "GET", "/ratings/0")
    (judgement,) = found["judgements"]
    denies, allows = judgement["steps"]
    assert denies["verdict"]["among"] == ["ns[default]-policy[no-admin]-rule[0]"]
    assert (denies["verdict"]["says"], denies["verdict"]["policy"]) == ("passes", "")
    assert (allows["by"]["object"], allows["by"]["entry"]) == (
        "AuthorizationPolicy default/reads",
        "rules[1]",
    )
    assert allows["by"]["place"].startswith("case.yaml:") or "case.yaml:" in allows["by"]["place"]
    assert judgement["policies"] == ["default/no-admin (DENY)", "default/reads (ALLOW)"]


def test_a_dry_run_tells_what_it_would_do(check):
    found, _ = check((TRIED,), "productpage", "ratings:9080")
    (step,) = found["judgements"][0]["steps"]
    assert (step["verdict"]["says"], step["verdict"]["is_tried"]) == ("would refuse", True)
    assert step["by"]["object"] == "AuthorizationPolicy default/tried"


def test_what_is_not_known_is_not_guessed(check):
    found, code = check((ADDRESSES,), "outside", "ratings:9080")
    assert code == 4
    assert found["judgements"][0]["why"].endswith(
        "a policy asks for the caller's address, which is not known"
    )


def test_of_a_service_all_pods_are_asked(check):
    v1 = policy("v1", "{selector: {matchLabels: {version: v1}}, action: DENY, rules: [{}]}")
    found, code = check((v1,), "productpage", "reviews:9080")
    by_workload = {each["workload"].rpartition("/")[2][:10]: each["decision"] for each in found["judgements"]}
    assert by_workload == {"reviews-v1": "denied", "reviews-v2": "allowed", "reviews-v3": "allowed"}
    assert (found["decision"], code) == ("denied", 3)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("nobody ratings:9080", "no pod is called nobody"),
        ("productpage ratings", "it is let in"),
        ("productpage nobody:1", "no pod is called nobody"),
        ("productpage ratings:1", "which port? (hint: ratings:PORT; its ports are 9080)"),
        ("productpage ratings:x", "'x' is no port (hint: reviews:9080)"),
        ("productpage ratings:9080 GET / more", "is no request (hint: GET /reviews/0, or bytes)"),
        ("sa/one ratings:9080", "is no service account (hint: sa/NAMESPACE/NAME)"),
        ("spiffe://x ratings:9080", "not a workload identity"),
        ("outside --source-ip x ratings:9080", "x is no address (hint: --source-ip 203.0.113.9)"),
        ("outside --jwt-claims x ratings:9080", "--jwt-claims: "),
        ("outside -H x ratings:9080", "is no header (hint: -H 'end-user: jason')"),
        ("outside -H a:b ratings:9080 bytes", "bytes have no headers and no token"),
    ],
)
def test_what_cannot_be_asked_is_told_with_a_hint(check, arguments, says):
    found, code = check((), *arguments.split())
    if code:
        assert code == 1
        assert says in found, found


def test_the_decision_comes_first_for_people(tmp_path):
    path = tmp_path / "case.yaml"
    path.write_text(ruled(READS, NO_ADMIN, TRIED))
    words = ["productpage", "ratings:9080", "GET", "/ratings/admin"]
    ran = CliRunner().invoke(main, ["authz", "check", "-f", str(path), *words])
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("DENIED  default/productpage")
    assert lines[1].startswith("DENIED with 403 at default/ratings-v1")
    assert "· http.rbac: dry run, would be denied by AuthorizationPolicy default/tried rules[0]" in ran.stdout
    assert "✗ http.rbac: DENY by AuthorizationPolicy default/no-admin rules[0]" in ran.stdout
    assert "policies that hold there: default/no-admin (DENY), default/reads (ALLOW)" in ran.stdout


def test_files_may_be_put_on_top(tmp_path):
    base, more = tmp_path / "base.yaml", tmp_path / "more.yaml"
    base.write_text(ruled())
    more.write_text(NOBODY)
    words = ["authz", "check", "-f", str(base), "productpage", "ratings:9080"]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert CliRunner().invoke(main, [*words, "--what-if", str(more)]).exit_code == 3
