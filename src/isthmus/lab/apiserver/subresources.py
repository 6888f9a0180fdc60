"""The subresources that are no parts of objects: which handler answers for which."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.crds import CustomResources
from isthmus.lab.apiserver.doors import Doors
from isthmus.lab.apiserver.nodes import Nodes
from isthmus.lab.apiserver.paths import Place
from isthmus.lab.apiserver.pod_commands import PodCommands
from isthmus.lab.apiserver.pod_logs import PodLogs
from isthmus.lab.apiserver.pod_verbs import PodVerbs
from isthmus.lab.apiserver.proxying import Proxying
from isthmus.lab.apiserver.scales import Scales
from isthmus.lab.apiserver.tokens import Tokens
from isthmus.lab.apiserver.users import User

Handler = Callable[[web.Request, Place, User], Awaitable[web.StreamResponse]]


def handlers(
    api: Api, tokens: Tokens, custom: CustomResources, doors: Doors, nodes: Callable[[], Nodes | None]
) -> dict[tuple[str, str], Handler]:
    """By plural (`*`: any resource) and subresource. `nodes` gives who runs pods at the time, if anyone."""
    logs, commands = PodLogs(api, nodes), PodCommands(api, nodes)
    verbs, proxying, scales = PodVerbs(api, tokens), Proxying(doors), Scales(api, custom)
    return {
        ("*", "scale"): scales.answer,
        ("pods", "attach"): commands.refuse_attach,
        ("pods", "binding"): verbs.bind,
        ("pods", "eviction"): verbs.evict,
        ("pods", "exec"): commands.execute,
        ("pods", "log"): logs.answer,
        ("pods", "portforward"): commands.forward,
        ("pods", "proxy"): proxying.pod,
        ("serviceaccounts", "token"): verbs.token,
        ("services", "proxy"): proxying.service,
    }
