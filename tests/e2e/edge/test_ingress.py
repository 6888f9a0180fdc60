"""TLS at the ingress gateway: one port, told apart by server name."""

from __future__ import annotations

import yaml

from e2e.edge.callers import Outside, Seen
from e2e.edge.conftest import serial
from e2e.edge.objects import VAULT, secret
from e2e.mesh_views import findings
from fakes.pki import Pki, Shown
from isthmus.console.demo.stage import PUBLIC, Stage
from isthmus.kit.tasks import supervise

WEB, PARTNERS, PAGE = "web.example.com", "partners.example.com", "/productpage"


async def answered(stage: Stage, caller: Outside, host: str, path: str = PAGE, wanted: str = "") -> bool:
    """Whether requests are answered soon, by the certificate with the serial number `wanted` if there is one."""

    async def held() -> bool:
        try:
            seen = await caller.get(host, path)
        except OSError:
            return False
        return seen.status == 200 and wanted in {"", seen.serial}

    return await stage.until(held, 30)


async def test_a_new_certificate_is_shown_without_a_request_lost(stage: Stage, edge: str, pki: Pki) -> None:
    caller = Outside(edge, pki)
    assert await answered(stage, caller, WEB)
    first, second = (await caller.get(WEB, PAGE)).serial, pki.leaf(dns=(WEB,))
    seen: list[Seen] = []

    async def ask_on() -> None:
        while True:
            seen.append(await caller.get(WEB, PAGE))

    async def more() -> bool:
        return len(seen) >= before + 10

    async with supervise(ask_on(), ask_on(), ask_on()):
        before = 0
        assert await stage.until(more, 30)
        await stage.kubectl(PUBLIC).apply(yaml.safe_dump(secret("web", second)))
        assert await answered(stage, caller, WEB, wanted=serial(second))
        before = len(seen)
        assert await stage.until(more, 30)
    assert {each.status for each in seen} == {200}
    order = [each.serial for each in seen]
    assert set(order) == {first, serial(second)}, f"{len(order)} requests"


async def test_a_wrong_certificate_is_said_and_the_last_good_one_is_shown(
    stage: Stage, edge: str, pki: Pki
) -> None:
    caller = Outside(edge, pki)
    assert await answered(stage, caller, WEB)
    good = (await caller.get(WEB, PAGE)).serial
    one, other = pki.leaf(dns=(WEB,)), pki.leaf(dns=(WEB,))
    mixed = secret("web", Shown(one.certificate, other.key))
    await stage.kubectl(PUBLIC).apply(yaml.safe_dump(mixed))

    async def told() -> bool:
        return any(
            "is not the key of the first certificate" in each["message"] for each in await findings(stage)
        )

    assert await stage.until(told, 20)
    assert (await caller.get(WEB, PAGE)).serial == good
    assert await answered(stage, Outside(edge, pki), VAULT, "/"), "others of the port go on"


async def test_who_shows_no_certificate_is_not_let_in_where_one_is_asked_for(
    stage: Stage, edge: str, pki: Pki
) -> None:
    partner = Outside(edge, pki, pki.leaf(dns=("partner.example.com",)))
    assert await answered(stage, partner, PARTNERS)
    for stranger in (Outside(edge, pki), Outside(edge, pki, Pki("another root").leaf(dns=("a.example",)))):
        try:
            seen = await stranger.get(PARTNERS, PAGE)
        except OSError:
            continue
        raise AssertionError(seen)
    assert await answered(stage, Outside(edge, pki), WEB), "where none is asked for nobody needs one"


async def test_tls_passes_by_its_server_name_to_a_server_that_only_the_other_cluster_has(
    stage: Stage, edge: str, pki: Pki
) -> None:
    caller = Outside(edge, pki, pki.leaf(dns=("someone.example.com",)))
    assert await answered(stage, caller, VAULT, "/")
    said = (await caller.get(VAULT)).said
    assert (said["server"], said["client"]) == ("vault", ["someone.example.com"]), (
        "TLS ends at the server itself"
    )
