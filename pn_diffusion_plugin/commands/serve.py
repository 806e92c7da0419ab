"""`pn-diffusion serve`: the web page."""

from __future__ import annotations

from typing import Annotated

import typer

from ..paths import DEFAULT_WEIGHTS
from .common import say


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="As --checkpoint of `generate`; may be repeated, the first is the default.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0: the whole network, without a password.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any free one.")] = 7860,
    root_path: Annotated[
        str, typer.Option(help="Path of the page behind a reverse proxy, such as /music.")
    ] = "",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    max_upload_mb: Annotated[float, typer.Option(help="Largest video file, in megabytes.")] = 200.0,
    max_seconds: Annotated[float, typer.Option(help="Longest part of a video, in seconds.")] = 120.0,
    max_side: Annotated[int, typer.Option(help="Longest side of a frame, in pixels.")] = 4096,
    queue: Annotated[int, typer.Option(help="Requests that may wait while one is served.")] = 8,
    keep_minutes: Annotated[float, typer.Option(help="How long uploads and results are kept.")] = 60.0,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """A web page: drop a dance video, get music. Runs until Ctrl-C; nothing leaves this machine.

    Example: `pn-diffusion serve --model mini --model models/mine --port 8000`
    """
    from ..apps.serve.server import Serving, import_gradio, listen
    from ..apps.serve.settings import ServeSettings

    settings = ServeSettings(
        models=tuple(model or [DEFAULT_WEIGHTS, "mini"]),
        device=device,
        host=host,
        port=port,
        root_path=root_path,
        max_upload_mb=max_upload_mb,
        max_seconds=max_seconds,
        max_side=max_side,
        queue=queue,
        keep_minutes=keep_minutes,
    )

    def ready(address: str) -> None:
        say(f"open {address} in a browser; Ctrl-C ends it")
        if open_browser:
            import webbrowser

            webbrowser.open(address)

    import_gradio()  # fails before anything is loaded
    listener = listen(host, port)
    Serving(settings).run(listener, ready)
