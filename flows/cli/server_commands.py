"""Commands that run until they are stopped: clips, serve, ui."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.options import Config, Set, app, settings_of


@app.command()
def clips(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; the same as in label_studio.clips_url.")
    ] = 8077,
    config: Config = None,
    overrides: Set = None,
) -> None:
    """Serve clips to the browsers of annotators in Label Studio until stopped; each playback is audited."""
    settings = settings_of(config, overrides)
    from flows.runtime.sealing import sealing_meanwhile
    from flows.runtime.session import opened
    from flows.tasks.clip_server import serve_clips

    with opened(settings, create=False) as corpus, sealing_meanwhile(corpus, settings.audit):
        serve_clips(corpus, settings.label_studio.url, host, port)


@app.command()
def serve(config: Config = None, overrides: Set = None) -> None:
    """Run the nightly job on its schedule, and remote retrainings, with Prefect until stopped."""
    settings = settings_of(config, overrides)
    from flows.serve import serve_schedules

    serve_schedules(settings, config, overrides or [])


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port of MLflow's pages; Prefect's are on the next one.")] = 5000,
    config: Config = None,
    overrides: Set = None,
) -> None:
    """Serve MLflow's and Prefect's pages on this home's stores until stopped."""
    settings = settings_of(config, overrides)
    from flows.serve import serve_pages

    serve_pages(settings, port)
