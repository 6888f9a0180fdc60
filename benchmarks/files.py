"""How long commands over files take, from the first to the last letter that they say.

    python -m benchmarks.files [--sizes 100 1000 10000]

A service is four objects: a Service, a Deployment of two pods, a DestinationRule and a VirtualService, all in one
file; 20 namespaces. Each command is a process of its own, its start included: CPU time and the most memory. What
shows or compares all of a proxy's configuration is measured up to 1,000 objects.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

NAMESPACES = 20
MOST_SHOWN = 1000
OBJECTS = """apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{app: {name}}}
  ports:
  - {{name: http, port: 80, targetPort: 8080}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  replicas: 2
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}, version: v1}}
    spec:
      serviceAccountName: {name}
      containers:
      - name: app
        image: registry.example/app:1
        ports:
        - {{name: http, containerPort: 8080}}
        env:
        - {{name: MODE, value: production}}
        resources:
          requests: {{cpu: 100m, memory: 128Mi}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  host: {name}
  subsets:
  - name: v1
    labels: {{version: v1}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: [{name}]
  http:
  - match:
    - uri: {{prefix: {prefix}}}
    route:
    - destination: {{host: {name}, subset: v1}}
  - route:
    - destination: {{host: {name}, subset: v1}}
"""


def text(objects: int, *, first: str = "/v1") -> str:
    """So many objects; the VirtualService of the first service matches another prefix."""
    return "---\n".join(
        OBJECTS.format(
            name=f"service-{number}", namespace=f"ns-{number % NAMESPACES}", prefix="/v1" if number else first
        )
        for number in range(objects // 4)
    )


def commands(mesh: Path, changed: Path) -> dict[str, tuple[str, ...]]:
    """The commands by their names."""
    return {
        "validate": ("-f", str(mesh)),
        "convert": ("-f", str(mesh)),
        "explain": ("ns-0/service-0-0", "http://service-0", "-f", str(mesh)),
        "analyze": (str(mesh),),
        "translate": ("-f", str(mesh), "--proxy", "service-0-0.ns-0"),
        "diff": (str(mesh), str(changed)),
    }


def cost(*words: str) -> tuple[float, float]:
    """Seconds of CPU time and MB of a process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "isthmus", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, 1}:
        sys.exit(f"isthmus {' '.join(words)} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    asked = parser.parse_args()
    print("| objects | command | CPU s | MB |")
    print("|---:|---|---:|---:|")
    print("| | {:9} | {:5.2f} | {:3.0f} |".format("--help", *cost("--help")))
    with tempfile.TemporaryDirectory() as folder:
        mesh, changed = Path(folder) / "mesh.yaml", Path(folder) / "changed.yaml"
        for size in asked.sizes:
            mesh.write_text(text(size))
            changed.write_text(text(size, first="/v2"))
            for name, words in commands(mesh, changed).items():
                if size <= MOST_SHOWN or name not in {"translate", "diff"}:
                    seconds, most = cost(name, *words)
                    print(f"| {size:,} | {name:9} | {seconds:5.2f} | {most:3.0f} |", flush=True)


if __name__ == "__main__":
    main()
