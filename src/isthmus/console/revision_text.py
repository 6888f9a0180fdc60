"""A revision as people read it."""

from __future__ import annotations

from isthmus.console.render import table
from isthmus.console.revision_description import Description, Place


def described_text(found: Description) -> str:
    """All of it, part by part."""
    revision = found.revision
    title = f"Revision {revision.name}{', the default' if revision.is_default else ''}"
    tags = f"Tags: {', '.join(revision.tags) or '-'}"
    pilots = [*revision.pilots] or ["none runs: new pods have no sidecar, or are not made"]
    parts = [title, tags, _listed("Pilots", pilots), f"Images: {', '.join(revision.images) or '-'}"]
    if found.webhooks:
        rows = [
            (each.kind, each.name, each.tag or "-", each.calls, "no" if each.silent else "yes")
            for each in found.webhooks
        ]
        parts.append("\n" + table(("WEBHOOKS", "NAME", "TAG", "CALLS", "ASKS"), rows))
    if found.places:
        places = [(each.namespace, each.asks_by or "-", each.pods, _others(each)) for each in found.places]
        parts.append("\n" + table(("NAMESPACE", "ASKS BY", "PODS", "PODS OF OTHERS"), places))
    if found.is_free:
        parts.append("\nNobody asks for it, and no pod has a sidecar of it.")
    return "\n".join(parts)


def _listed(head: str, lines: list[str]) -> str:
    return f"{head}: {', '.join(lines)}"


def _others(place: Place) -> str:
    return ", ".join(f"{number} of {revision}" for revision, number in place.others.items()) or "-"
