"""Where would this call go? A table-driven answer out of generated configuration, by what `isthmus explain` does."""

from __future__ import annotations

from functools import lru_cache

from isthmus.console.calls import Target
from isthmus.console.drawn_mesh import draw
from isthmus.console.explain import Explainer
from isthmus.console.explain_files import FromFiles
from isthmus.console.written import Manifest
from isthmus.translate.trace.steps import Forward


def assert_goes(files, caller, call, lands_on, tls=None, refused="", without=""):
    """Holds where `call` of the pod `caller` ends as said.

    `files` is YAML, its clusters named by `kind: Cluster`. `call` is `[METHOD] URL [; header: value]…`;
    the header `host` is that of the request. `lands_on` is where all of it ends, or by name in per cent: the
    beginning of pods' names, an address with its port, `redirect URL`, a status, `closed`. `tls` is what the
    proxy puts around it: mutual, tls or plain. `refused` is in what the other side says, if it does.
    """
    found = explained(files, caller, call, without)
    assert ends(found, lands_on) == (lands_on if isinstance(lands_on, dict) else {lands_on: 100.0})
    if tls is not None:
        assert transports(found) == {tls}
    problems = [each.problem for each in found.arrivals if each.problem]
    assert all(refused and refused in problem for problem in problems), problems
    assert bool(problems) == bool(refused)


def explained(files, caller, call, without=""):
    """The explanation of a call, as in `assert_goes`."""
    return Explainer(FromFiles(_drawn(files)), without).explain(caller, target(call))


@lru_cache(maxsize=64)
def _drawn(files):
    return draw([Manifest("case.yaml", files)])


def target(call):
    """What is called, from one line."""
    line, *headers = (part.strip() for part in call.split(";"))
    method, _, url = line.rpartition(" ")
    pairs = [tuple(part.strip() for part in each.split(":", 1)) for each in headers]
    host = next((value for name, value in pairs if name == "host"), "")
    own = tuple(pair for pair in pairs if pair[0] != "host")
    return Target(url=url, method=method or "GET", host=host, headers=own)


def ends(found, lands_on):
    """Where the call ends, pods summed up under the names by which `lands_on` speaks of them."""
    names = lands_on if isinstance(lands_on, dict) else {lands_on: 100.0}
    by_name = {}
    for end, share in found.destinations().items():
        name = next((each for each in names if end == each or end.startswith(f"{each}-")), end)
        by_name[name] = by_name.get(name, 0) + share
    return {name: round(share, 1) for name, share in by_name.items()}


def transports(found):
    """What stands around the bytes to all endpoints that get some."""
    upstreams = [one for branch in found.trace.branches for one in upstreams_of(branch.action)]
    return {endpoint.tls.mode for one in upstreams for endpoint in one.endpoints if endpoint.share}


def upstreams_of(action):
    """The upstreams of an action; none where it is no forward."""
    return action.upstreams if isinstance(action, Forward) else ()
