"""`isthmus explain` of the running mesh: what it says is what the page then does."""

from __future__ import annotations

from isthmus.console.calls import Target
from isthmus.console.control_plane import access_to
from isthmus.console.demo.stage import PUBLIC, Stage
from isthmus.console.explain_live import explain_live


async def test_a_call_is_explained_on_both_sides(stage: Stage) -> None:
    access = access_to(stage.lab.kubeconfig(PUBLIC), None)
    found = await explain_live(access, "productpage", Target(url="http://reviews:9080/reviews/0"))
    ((share, upstream),) = found.trace.forwards
    assert share == 100
    assert upstream.name == "outbound|9080||reviews.default.svc.cluster.local"
    assert {each.cluster for each in upstream.endpoints} == {"gke", "onprem"}
    assert {each.tls.mode for each in upstream.endpoints if each.share} == {"mutual"}
    near = {each.endpoint for each in found.arrivals if each.trace is not None}
    assert near == {each.address for each in upstream.endpoints if each.cluster == "gke"}
    assert not [each.problem for each in found.arrivals if each.problem]


async def test_a_gateway_explains_what_it_lets_in(stage: Stage) -> None:
    access = access_to(stage.lab.kubeconfig(PUBLIC), None)
    gateway = "istio-system/istio-ingressgateway"
    page = await explain_live(access, gateway, Target(url="http://any.example.com/productpage"))
    assert [each.name.split("|")[3] for _, each in page.trace.forwards] == [
        "productpage.default.svc.cluster.local"
    ]
    assert page.origins["0"].object == "VirtualService default/bookinfo"
    assert page.origins["0"].entry.startswith("http[0]")
    other = await explain_live(access, gateway, Target(url="http://any.example.com/other"))
    assert other.destinations() == {"404": 100.0}
