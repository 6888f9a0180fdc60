"""`isthmus authz`: who may call whom."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.console.authz_verdicts import Decision, Said
from isthmus.console.cli import ToldWhole
from isthmus.console.cli.mesh_options import chosen, cluster_options, file_options
from isthmus.console.cli.options import output, written
from isthmus.console.render import fail, table
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.errors import KubeError
from isthmus.translate.trace.call import Request

if TYPE_CHECKING:
    from isthmus.console.authz_called import Asking
    from isthmus.console.live_objects import Live

_BYTES = "bytes"
_CODES = {Decision.ALLOWED: 0, Decision.DENIED: 3, Decision.ASKED: 4, Decision.UNKNOWN: 4}


@click.group("authz", cls=ToldWhole)
def command() -> None:
    """Who may call whom."""


@command.command("check")
@click.argument("caller", metavar="FROM")
@click.argument("to", metavar="TO", default="")
@click.argument("request", nargs=-1, metavar="REQUEST")
@file_options
@click.option(
    "--cluster", default="", help="FROM's cluster: of an identity, or where several have such a pod"
)
@click.option("--source-ip", default="", help="the address that FROM calls from, in place of its pod's")
@click.option("--plaintext", is_flag=True, help="as if FROM called without the mesh's TLS")
@click.option("--host", default="", help="the Host header, in place of TO")
@click.option("-H", "--header", "headers", multiple=True, help="NAME: VALUE; may be given several times")
@click.option(
    "--jwt-claims",
    "claims",
    default="",
    metavar="JSON",
    help="claims of a token that is taken for signed: JSON, or @FILE",
)
@click.option("--jwt", "token", default="", help="a token, sent as `Authorization: Bearer`")
@cluster_options
@output()
def check(caller: str, to: str, request: tuple[str, ...], **flags: Any) -> None:
    """Say whether FROM may call TO, and by which rule; with one POD alone, which policies its Envoy enforces.

    It is told by the filters that the proxies of TO hold: with -f those that would be made of manifests, else
    those of the running mesh, in the clusters of --context (several), or of the current context.

    FROM is a pod or the beginning of its name (`namespace/name`), a service account (`sa/NAMESPACE/NAME`), an
    identity (`spiffe://…`), or `outside`: somebody without a certificate. TO is a Service or a pod with a port,
    `reviews:9080`: of a Service all pods are asked. REQUEST is METHOD PATH (GET / by itself), or `bytes`.

    Ends with 0 where it is allowed, 3 where it is denied, and 4 where somebody else decides or it is not known.
    """
    from isthmus.console import authz_text

    if not to:
        _show_policies(caller, flags)
        return
    if flags["files"] and (flags["contexts"] or flags["all_contexts"]):
        fail("-f is in place of a running mesh (hint: --what-if FILE puts manifests on top of one)")
    try:
        found = _checked(_asking(caller, to, request, flags), flags)
    except (InvalidConfig, KubeError, ValueError) as error:
        fail(str(error))
    click.echo(written(flags["output"], found, lambda: authz_text.text_of(found)))
    sys.exit(_CODES[found.decision])


def _show_policies(pod: str, flags: dict[str, Any]) -> None:
    """What istioctl shows by these words."""
    import asyncio

    from isthmus.console.authz_held import policies_in

    if flags["files"] or flags["changed"]:
        fail("may it call whom? (hint: TO, or a POD of a running mesh alone, without -f and --what-if)")
    try:
        rows = policies_in(asyncio.run(_dump(pod, flags)))
    except (KubeError, ValueError) as error:
        fail(str(error))
    head = ("ACTION", "POLICY", "RULES", "PORTS")
    text = table(head, [each.text for each in rows]) if rows else f"no policy is enforced at {pod}"
    click.echo(written(flags["output"], rows, lambda: text))


async def _dump(pod: str, flags: dict[str, Any]) -> dict[str, Any]:
    from isthmus.console.envoy_parts import DUMP
    from isthmus.console.found_pods import find_pod
    from isthmus.console.programs import ADMIN_PORT
    from isthmus.kube.client import Client
    from isthmus.kube.pods import fetch

    found = await find_pod(flags["kubeconfig"], chosen(flags), pod)
    async with Client(found.access) as client:
        said = await fetch(client, found.namespace, found.name, ADMIN_PORT, f"/{DUMP}")
    return msgspec.json.decode(said, type=dict[str, Any])


def _asking(caller: str, to: str, request: tuple[str, ...], flags: dict[str, Any]) -> Asking:
    from isthmus.console.authz_called import Asking

    return Asking(
        caller=caller,
        to=to,
        request=_request(" ".join(request).split(), flags),
        address=flags["source_ip"],
        cluster=flags["cluster"],
        in_plain_text=flags["plaintext"],
    )


def _request(words: list[str], flags: dict[str, Any]) -> Request | None:
    headers = [*map(_header, flags["headers"]), *_token(flags)]
    if words == [_BYTES]:
        if headers:
            raise ValueError("bytes have no headers and no token (hint: GET /path)")
        return None
    if len(words) > 2 or (len(words) == 2 and not words[1].startswith("/")):
        raise ValueError(f"{' '.join(words)!r} is no request (hint: GET /reviews/0, or bytes)")
    path = next((each for each in words if each.startswith("/")), "/")
    method = next((each for each in words if not each.startswith("/")), "GET")
    return Request(method=method, path=path, host=flags["host"], headers=tuple(headers))


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"{text!r} is no header (hint: -H 'end-user: jason')")
    return name.strip().lower(), value.strip()


def _token(flags: dict[str, Any]) -> list[tuple[str, str]]:
    """The header with the token that is given, or with one that claims what is supposed."""
    from isthmus.translate.trace.tokens import supposed

    token, text = flags["token"], flags["claims"]
    if token and text:
        raise ValueError("--jwt stands without --jwt-claims")
    if text:
        said = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
        try:
            claims = msgspec.json.decode(said, type=dict[str, Any])
        except UNREADABLE as error:
            raise ValueError(f'--jwt-claims: {error} (hint: \'{{"iss": "me", "sub": "you"}}\')') from error
        token = supposed(claims)
    return [("authorization", f"Bearer {token}")] if token else []


def _checked(asking: Asking, flags: dict[str, Any]) -> Said:
    import asyncio

    from isthmus.console.authz import Checker
    from isthmus.console.authz_live import check_live
    from isthmus.console.drawn_mesh import draw
    from isthmus.console.explain_files import FromFiles
    from isthmus.console.written import given_manifests

    live = None if flags["files"] else asyncio.run(_live(flags))
    if live is not None and not flags["changed"]:
        return asyncio.run(check_live(live, asking))
    held = {name: each.objects for name, each in live.items()} if live is not None else None
    drawn = draw(given_manifests([*flags["files"], *flags["changed"]]), held)
    return Checker(FromFiles(drawn)).check(asking)


async def _live(flags: dict[str, Any]) -> Live:
    from isthmus.console.live_objects import clusters_of

    return await clusters_of(flags["kubeconfig"], chosen(flags), flags["root"])
