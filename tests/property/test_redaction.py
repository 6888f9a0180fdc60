"""Whatever is planted where secrets stand, no archive has it; and what is no secret stays."""

from __future__ import annotations

import base64
import gzip
import json
import string
import tarfile
from itertools import pairwise

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.console.bug_report.archive import Archive
from isthmus.console.bug_report.redacted_text import redact_text
from isthmus.console.bug_report.redaction import redact
from isthmus.console.bug_report.sensitive import GONE, is_sensitive

SECRETS = st.text(string.ascii_letters + string.digits, min_size=20, max_size=40).map(
    lambda text: f"Zq{text}"
)
NAMES = st.sampled_from(
    [
        *(
            "password",
            "DB_PASSWORD",
            "dbPassword",
            "client-secret",
            "clientSecret",
            "accessToken",
            "api_key",
            "x-api-key",
        ),
        *(
            "API-KEY",
            "privateKey",
            "private_key",
            "client-key-data",
            "Authorization",
            "cookie",
            "set-cookie",
            "MYSQL_PWD",
        ),
        *(
            "session_ticket_keys",
            "secret_key",
            "AWS_SECRET_ACCESS_KEY",
            "token",
            "bearer",
            "credentials",
            "passphrase",
        ),
    ]
)


def pem(secret, kind="EC PRIVATE KEY"):
    return f"-----BEGIN {kind}-----\n{secret}\n{secret}\n-----END {kind}-----\n"


def jwt(secret):
    return f"eyJhbGciOiJFUzI1NiJ9.eyJ{secret}.{secret}"


def logged(text):
    """As kubectl shows a log with times."""
    return "".join(f"2026-01-01T00:00:00.5Z {line}" for line in text.splitlines(keepends=True))


TREES = [
    lambda name, secret: {name: secret},
    lambda name, secret: {name: {"inline_bytes": secret, "more": [secret]}},
    lambda name, secret: {"env": [{"name": name, "value": secret}]},
    lambda name, secret: {"header": {"key": name, "value": secret}},
    lambda name, secret: {"headers": {"request": {"set": {name: secret}}}},
    lambda name, secret: {"match": [{"headers": {name: {"exact": secret}}}]},
    lambda name, secret: {"args": [f"--{name}={secret}", f"--{name}", secret]},
    lambda name, secret: {
        "kind": "Secret",
        "data": {"a": base64.b64encode(secret.encode()).decode()},
        "stringData": {"b": secret},
    },
    lambda name, secret: {"items": [{"kind": "Secret", "data": {"anything": secret}}]},
    lambda name, secret: {"data": {"file.yaml": f"a: 1\n{name}: {secret}\n"}},
    lambda name, secret: {"data": {"file.yaml": f"a: 1\n{name}: |\n  {secret}\n  {secret}\n"}},
    lambda name, secret: {"data": {"file.yaml": f"a: 1\nb:\n  c.yaml: |\n    {name}: |\n      {secret}\n"}},
    lambda name, secret: {"data": {"file.yaml": f"a: {{{{ no yaml }}}}\nb: |\n  {name}: |\n    {secret}\n"}},
    lambda name, secret: {"data": {"file.yaml": f"a: 1\n---\n{name}:\n  b: {secret}\n"}},
    lambda name, secret: {"data": {"file.yaml": f"a: 1\n---\nkind: Secret\ndata: {{b: {secret}}}\n"}},
    lambda name, secret: {"data": {"file.yaml": f"a: &b 1\nc: *b\nd:\n- {name}: >-\n    {secret}\n"}},
    lambda name, secret: {"kind": "SecretList", "items": [{"data": {"a": secret}}]},
    lambda name, secret: {"jwks": json.dumps({"keys": [{"kty": "oct", "k": secret}]})},
    lambda name, secret: {"jwks": json.dumps({"keys": [{"kty": "RSA", "n": "public", "d": secret}]})},
    lambda name, secret: {"args": [f"--{name}=one {secret}"]},
    lambda name, secret: {
        "annotations": {"last": json.dumps({"spec": {"env": [{"name": name, "value": secret}]}})}
    },
    lambda name, secret: {"annotations": {"last": json.dumps({"data": json.dumps({name: secret})})}},
    lambda name, secret: {"anything": pem(secret)},
    lambda name, secret: {"anything": base64.b64encode(pem(secret).encode()).decode()},
    lambda name, secret: {"inlineString": f"a {jwt(secret)} b"},
    lambda name, secret: {"url": f"https://somebody:{secret}@db.example/x?{name}={secret}"},
    lambda name, secret: {"inline_code": f'headers:add("{name}", "Bearer {secret}")'},
]
TEXTS = [
    lambda name, secret: f"{name}={secret}",
    lambda name, secret: f"{name}: {secret}",
    lambda name, secret: f'{{"{name}": "{secret}", "a": 1}}',
    lambda name, secret: f"x '{name}': '{secret}' y",
    lambda name, secret: f'level=info {name}="{secret}" msg=x',
    lambda name, secret: f'said "{{\\"{name}\\": \\"{secret}\\"}}"',
    lambda name, secret: json.dumps(json.dumps(json.dumps({name: secret}))),
    lambda name, secret: json.dumps({name: f'"{secret}'}),
    lambda name, secret: f'said {{"{name}": {{"a": "{secret}"}}}}',
    lambda name, secret: f'said {{"{name}": ["a", "{secret}"]}}',
    lambda name, secret: f'said {{"kind":"Secret","data":{{"a":"{secret}"}}}}',
    lambda name, secret: f"':authority', 'shop'\n'{name}', '{secret}'\n",
    lambda name, secret: f"<{name}>{secret}</{name}>",
    lambda name, secret: f"GET /?{name}%3D{secret} HTTP/1.1",
    lambda name, secret: f"said authorization: Token {secret}",
    lambda name, secret: f"postgres://u:a/{secret}@host/db",
    lambda name, secret: f"https://{secret}@host/repository",
    lambda name, secret: pem(secret, "PGP PRIVATE KEY BLOCK"),
    lambda name, secret: f"github_pat_{secret}",
    lambda name, secret: f"Authorization: Bearer {secret}",
    lambda name, secret: f"authorization: Basic {secret}==",
    lambda name, secret: f"got {jwt(secret)}",
    lambda name, secret: pem(secret),
    lambda name, secret: pem(secret).replace("\n", "\\n"),
    lambda name, secret: pem(secret).partition("-----END")[0],
    lambda name, secret: f"postgres://u:{secret}@host/db",
    lambda name, secret: (
        f"run --{name.lower()} {secret}" if "token" in name.lower() else f"--{name}={secret}"
    ),
]
LINES = [
    lambda name, secret: f"a: |\n  {name}: |\n    {secret}\n",
    lambda name, secret: logged(f"a.yaml: |\n  {name}: |\n    {secret}\n\n    {secret}\n"),
    lambda name, secret: f"{name}:\n  {secret}\n",
    lambda name, secret: f"{name}: one\n  {secret}\n",
    lambda name, secret: f"- {name}: !!str |\n    {secret}\n",
    lambda name, secret: f"{name}: &a |\r\n  {secret}\r\n  {secret}\r\n",
    lambda name, secret: f"{name}:\n- {secret}\n- {secret}\n",
    lambda name, secret: f'{name}: "one\n  {secret}"\n',
    lambda name, secret: f"{name}: one two,three {secret}",
    lambda name, secret: f"{name}={{a;{secret})",
    lambda name, secret: f"kind: Secret\nstringData:\n  a: {secret}\n",
    lambda name, secret: logged(pem(secret)).partition("PRIVATE KEY-----\n")[2],
]


@settings(max_examples=400, deadline=None)
@given(make=st.sampled_from(TREES), name=NAMES, secret=SECRETS, depth=st.integers(0, 3))
def test_nothing_planted_in_a_tree_is_left(make, name, secret, depth):
    tree = make(name, secret)
    for _ in range(depth):
        tree = {"spec": [tree, {"other": "kept"}]}
    said = json.dumps(redact(tree))
    assert secret not in said
    assert base64.b64encode(secret.encode()).decode().rstrip("=") not in said
    assert said.count("kept") == depth


@settings(max_examples=400, deadline=None)
@given(
    make=st.sampled_from(TEXTS),
    name=NAMES,
    secret=SECRETS,
    around=st.sampled_from(["", "2026-01-01 info ", "x\n"]),
)
def test_nothing_planted_in_a_text_is_left(make, name, secret, around):
    assert secret not in redact_text(f"{around}{make(name, secret)}\nnext line")


@settings(max_examples=200, deadline=None)
@given(make=st.sampled_from(LINES), name=NAMES, secret=SECRETS, before=st.sampled_from(["", "x\n", "a: b\n"]))
def test_nothing_planted_in_lines_is_left(make, name, secret, before):
    said = redact_text(f"{before}{make(name, secret)}\nnext line")
    assert secret not in said
    assert said.endswith("\nnext line")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_planted_secret_is_in_an_archive(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("report") / "a.tar.gz"
    archive = Archive(path, limit_bytes=1 << 20, file_limit_bytes=1 << 16)
    planted = []
    for number in range(5):
        name, secret = data.draw(NAMES), data.draw(SECRETS)
        planted.append(secret)
        tree = data.draw(st.sampled_from(TREES))(name, secret)
        archive.tree(f"a/{number}.yaml", [tree])
        archive.text(f"b/{number}.txt", json.dumps(tree), is_json=True)
        archive.text(f"b/{number}.log", data.draw(st.sampled_from([*TEXTS, *LINES]))(name, secret))
        archive.note(f"cluster: {data.draw(st.sampled_from(TEXTS))(name, secret)}")
    assert archive.write("of a test") == 16
    content = gzip.decompress(path.read_bytes()).decode()
    assert not [secret for secret in planted if secret in content]


KEPT = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
    "spec": {
        "servers": [{"tls": {"mode": "SIMPLE", "credentialName": "web-cert"}, "hosts": ["shop.example"]}],
        "jwtRules": [{"issuer": "https://issuer.example", "jwksUri": "https://issuer.example/keys"}],
        "tls_certificate_sds_secret_configs": [{"name": "kubernetes://web-cert", "sds_config": {"ads": {}}}],
        "token_bucket": {"max_tokens": 4, "tokens_per_fill": 4, "fill_interval": "60s"},
        "tokenBucket": {"maxTokens": 4, "tokensPerFill": 4},
        "volumes": [{"name": "certs", "secretRef": {"name": "web"}}],
        "replicas": 2,
        "on": True,
        "none": None,
        "note": "see https://docs.example/a:b and 10.0.0.1:8080",
    },
}


def test_what_is_no_secret_stays_as_it_is():
    assert redact(KEPT) == KEPT
    text = yaml.safe_dump(KEPT)
    assert redact_text(text) == text
    line = "2026-01-01T00:00:00Z info cluster synced cluster=gke seconds=1.2 tokenPath=/var/run/token"
    assert redact_text(line) == line


STRANGE = {
    "backslashes": "\\" * 200_000,
    "flags": "--" + "token-" * 40_000,
    "dashes": "-" * 200_000,
    "ends": "-----END PRIVATE KEY-----\n" * 4_000,
    "places": "://a:" * 20_000,
    "quotes": "token='" * 14_000,
    "words": "pass_" * 40_000,
}


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_no_text_of_strangers_holds_it_up(text):
    # What looks back at each place over all before it is busy with these for an hour.
    assert redact_text(text)


def test_what_is_nested_without_end_is_gone_from_some_depth_on():
    deep = {}
    below = deep
    for _ in range(2_000):
        below["a"] = {}
        below = below["a"]
    assert str(redact(deep)).endswith(f"'{GONE}'" + "}" * 100)


def test_what_aliases_unfold_to_is_never_unfolded():
    lines = [
        f"{after}: &{after} [*{before}, *{before}]"
        for before, after in pairwise("abcdefghijklmnopqrstuvwxyz")
    ]
    text = "\n".join(["a: &a [1, 2]", *lines, ""])
    assert redact({"data": f"{text}password: one two\n"}) == {"data": f"{text}password: {GONE}\n"}


def test_certificates_stay_and_keys_go():
    certificate = pem("MIIBabc", "CERTIFICATE")
    assert redact({"a": certificate, "b": base64.b64encode(certificate.encode()).decode()}) == {
        "a": certificate,
        "b": base64.b64encode(certificate.encode()).decode(),
    }
    assert redact({"a": certificate + pem("MIIBdef")})["a"].startswith(certificate)


@pytest.mark.parametrize(
    "name", ["secretName", "credentialName", "token_path", "passwordFile", "tokenUri", "author", "authority"]
)
def test_names_that_only_speak_of_secrets_are_none(name):
    assert not is_sensitive(name)


def test_an_archive_never_holds_more_than_it_may_and_says_what_is_missing(tmp_path):
    path = tmp_path / "a.tar.gz"
    archive = Archive(path, limit_bytes=3000, file_limit_bytes=1000)
    archive.text("a.log", "old\n" * 1000 + "newest\n")
    archive.text("b.txt", "first\n" + "more\n" * 1000)
    archive.text("c.txt", "x" * 999)
    archive.write("of a test")
    with tarfile.open(path) as tar:
        said = {each.name: tar.extractfile(each).read().decode() for each in tar}
    assert "newest" in said["bug-report/a.log"]
    assert "first" in said["bug-report/b.txt"]
    assert all("<cut: 1000 of" in said[f"bug-report/{each}"] for each in ("a.log", "b.txt"))
    assert "bug-report/c.txt" not in said
    assert (
        "- c.txt: there was no room left for its 999 bytes (hint: --max-size)"
        in said["bug-report/README.txt"]
    )
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        archive.write("again")
    assert GONE == "<redacted>"
