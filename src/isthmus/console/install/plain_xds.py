"""Port 15010, xDS in plain text, opened to the network: only where the settings ask for it."""

from __future__ import annotations

from typing import Any

from isthmus.console.install.settings import Installation

Json = dict[str, Any]
_NAME, _PORT = "grpc-xds", 15010


def open_plain_xds(objects: list[Json], installation: Installation) -> None:
    """Let Pilot among `objects` answer plain xDS, and Service `istiod` lead there. Changes them."""
    if not installation.pilot.plain_xds:
        return
    for each in objects:
        if each["kind"] == "Deployment":
            for container in each["spec"]["template"]["spec"].get("containers", ()):  # of gateways none yet
                if container["name"] == "discovery":
                    container["args"].append("--plain-address=0.0.0.0")
                    container["ports"].insert(0, {"containerPort": _PORT, "name": _NAME})
        elif each["kind"] == "Service" and each["metadata"]["name"].startswith("istiod"):
            each["spec"]["ports"].insert(0, {"name": _NAME, "port": _PORT})
