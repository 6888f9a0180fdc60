"""One server of every protocol that stories speak, each on ports of its own. Who answers says which pod it is."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import serve_grpc
import serve_http
import serve_tcp

POD = os.environ.get("HOSTNAME", "")


async def main() -> None:
    async with asyncio.TaskGroup() as group:
        for serve in (serve_http.serve, serve_grpc.serve, serve_tcp.serve):
            group.create_task(serve(POD))


asyncio.run(main())
