"""`isthmus run injector`: the webhooks of a cluster as a process of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from isthmus.console.cli.cluster_access import own_access
from isthmus.console.cli.options import set_up_logs_as
from isthmus.console.cli.settings_options import settings_from, settings_options
from isthmus.console.render import fail
from isthmus.kit import core_dumps
from isthmus.settings import InjectorSettings

ACCOUNT = "istio-sidecar-injector-service-account"


@click.command("injector")
@settings_options(InjectorSettings)
def command(**flags: Any) -> None:
    """Put sidecars into the pods of one cluster as they are made, apart from Pilot.

    Pilot does the same in its own process. Where there is no Pilot, as in a remote cluster, or where pods must start
    whatever becomes of it, this does.
    """
    import uvloop

    from isthmus.admission.process import run_injector
    from isthmus.kit.tasks import run_until_cancelled
    from isthmus.model.identity import SpiffeId
    from isthmus.sidecar.certs import CertSettings

    settings = settings_from(InjectorSettings, flags)
    set_up_logs_as("--log-level", settings.log_level)
    core_dumps.leave_none()
    certificate = CertSettings(
        identity=SpiffeId(settings.trust_domain, settings.root_namespace, ACCOUNT),
        citadel=settings.citadel,
        cluster=settings.cluster,
        workload_api=settings.workload_api,
        token_file=Path(settings.token_path),
        roots_file=Path(settings.root_path),
    )
    job = run_injector(
        settings.webhooks, certificate, settings.monitoring_port, own_access(settings.kubeconfig)
    )
    try:
        uvloop.run(run_until_cancelled(job))
    except OSError as error:
        fail(str(error))
