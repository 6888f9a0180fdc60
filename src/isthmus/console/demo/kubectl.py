"""The real kubectl, as a person would use it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from isthmus.kube.errors import KubeError


class Kubectl:
    """kubectl for one cluster."""

    def __init__(self, kubeconfig: Path, cache: Path) -> None:
        self._words = ("kubectl", f"--kubeconfig={kubeconfig}", f"--cache-dir={cache}")

    async def run(self, *words: str, stdin: str | None = None) -> str:
        """What `kubectl words…` printed. Raises `KubeError` with its own words where it fails."""
        process = await asyncio.create_subprocess_exec(
            *self._words,
            *words,
            stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(stdin.encode() if stdin is not None else None)
        if process.returncode:
            raise KubeError(f"kubectl {' '.join(words)}: {err.decode(errors='replace').strip()}")
        return out.decode()

    async def apply(self, manifests: str) -> str:
        """`kubectl apply -f -` of a YAML stream."""
        return await self.run("apply", "-f", "-", stdin=manifests)

    async def json(self, *words: str) -> object:
        """What `kubectl words… -o json` printed, decoded."""
        decoded: object = msgspec.json.decode(await self.run(*words, "-o", "json"))
        return decoded
