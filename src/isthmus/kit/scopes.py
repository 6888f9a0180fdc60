"""The scopes of the house's logs, all declared here: whoever logs imports its own, as `log`."""

from __future__ import annotations

from typing import Final

from isthmus.kit.log import Scope, log

ads = Scope("ads", "proxies: who comes and goes, what they are sent, take up and reject")
discovery = Scope("discovery", "clusters of the mesh, what is followed in them and written there")
model = Scope("model", "the mesh that is made of what was heard, step by step")
kube = Scope("kube", "what is asked of API servers, and what they answer")
ca = Scope("ca", "certificates: who asked, who was refused, whom and what Citadel believes")
admission = Scope("admission", "webhooks: injection and validation")
agent = Scope("agent", "what runs beside a workload; in the control plane, its own certificate")

SCOPES: Final = {each.name: each for each in (log, ads, discovery, model, kube, ca, admission, agent)}
"""All there are, by name."""
