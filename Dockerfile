# The one image of Isthmus: every role of the control plane, and the sidecar with its Envoy. `make dist` comes first.
#
# Tags are what people read; builds that are published give digests in place of them, of which a machine can say that
# nothing changed: --build-arg PYTHON=python@sha256:… --build-arg ENVOY=envoyproxy/envoy@sha256:…
# (docker buildx imagetools inspect NAME:TAG shows them).
ARG PYTHON=python:3.13.9-slim-trixie
ARG ENVOY=envoyproxy/envoy:distroless-v1.40.0

# hadolint ignore=DL3006
FROM ${ENVOY} AS envoy

# hadolint ignore=DL3006
FROM ${PYTHON} AS build
COPY requirements.lock dist/isthmus-*.whl /build/
# What is installed is what the lock names, byte for byte; compiled here, since the root is read-only where it runs.
RUN python -m venv --without-pip /opt/isthmus \
 && python -m pip --python /opt/isthmus/bin/python install --no-cache-dir --no-compile \
      --only-binary :all: --require-hashes -r /build/requirements.lock \
 && python -m pip --python /opt/isthmus/bin/python install --no-cache-dir --no-compile \
      --no-index --no-deps /build/isthmus-*.whl \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/isthmus/lib

# hadolint ignore=DL3006
FROM ${PYTHON}
LABEL org.opencontainers.image.title="Isthmus" \
      org.opencontainers.image.description="One service mesh over Kubernetes clusters in public and private clouds" \
      org.opencontainers.image.licenses="Apache-2.0"
# Capture loads its rules by nft, in the one container that runs as root and with NET_ADMIN.
RUN apt-get update \
 && apt-get install -y --no-install-recommends 'nftables=1.1.*' \
 && rm -rf /var/lib/apt/lists/*
COPY --from=envoy /usr/local/bin/envoy /usr/local/bin/envoy
COPY --from=build /opt/isthmus /opt/isthmus
ENV PATH=/opt/isthmus/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 1337:1337
WORKDIR /
ENTRYPOINT ["isthmus"]
CMD ["--help"]
