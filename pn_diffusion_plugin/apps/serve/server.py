"""The server of the page: routes, limits and security headers."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ...errors import UserError
from .settings import ServeSettings
from .studio import Studio
from .uploads import MEGABYTE
from .workspace import Workspace

# Gradio reads these once, when it is imported: no telemetry.
_ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_SSR_MODE": "False",
}
# The browser loads nothing from other hosts, whatever the page contains.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_MAX_FILES = 20  # times the size of the largest upload; beyond it the oldest files are removed


def import_gradio() -> Any:
    """Import Gradio without telemetry.

    Raises:
        UserError: Gradio is not installed.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ[name] = value
    try:
        import gradio
        import gradio.processing_utils as processing
    except ImportError as error:
        raise UserError(
            "the web page needs gradio, which is not installed: pip install 'pn-diffusion-plugin[serve]'"
        ) from error
    import matplotlib

    # Gradio selects this backend for every call and the former one (of MPLBACKEND) afterwards, which fails where they
    # differ while a job's thread imports matplotlib.pyplot.
    matplotlib.use("agg")
    # Gradio would download an address that a client sends instead of a file.
    processing.async_ssrf_protected_download = _refuse_address
    return gradio


async def _refuse_address(url: str, cache_dir: str) -> NoReturn:
    import gradio

    raise gradio.Error("an address was sent instead of a video: send the file itself", print_exception=False)


class Serving:
    """The page as an ASGI application, `app`.

    Args:
        settings: limits and models.
        parent: of the folder for temporary files; the system's by default.
    """

    def __init__(self, settings: ServeSettings, parent: Path | None = None) -> None:
        gradio = import_gradio()
        self.settings = settings
        self.workspace = Workspace(
            settings.keep_minutes * 60, _MAX_FILES * settings.max_upload_mb * MEGABYTE, parent
        )
        try:
            os.environ["GRADIO_TEMP_DIR"] = str(self.workspace.uploads)
            self.studio = Studio(settings, self.workspace)
            self.app = self._build(gradio)
        except BaseException:
            self.workspace.close()
            raise

    def close(self) -> None:
        """Cancel all jobs and remove all files."""
        self.studio.close()

    def _build(self, gradio: Any) -> Any:
        from fastapi import FastAPI, HTTPException
        from fastapi.responses import FileResponse
        from starlette.routing import Mount

        from .page import build_page
        from .render import static

        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

        @app.get("/takes/{token}/{name}", response_model=None)
        def take(token: str, name: str) -> Any:
            file = self.workspace.result(token, name)
            if file is None:
                raise HTTPException(404, "the file was removed: generate it again")
            return FileResponse(file, filename=name, content_disposition_type="inline")

        page = build_page(self.studio)
        page.has_launched = True  # else Gradio accepts any path of this machine as an upload
        gradio.mount_gradio_app(
            app,
            page,
            path="/",
            root_path=self.settings.root_path or None,
            max_file_size=int(self.settings.max_upload_mb * MEGABYTE),
            show_error=False,
            ssr_mode=False,
            enable_monitoring=False,
            pwa=False,
            mcp_server=False,
            footer_links=[],
            theme=gradio.themes.Soft(
                primary_hue="purple",
                secondary_hue="pink",
                neutral_hue="slate",
                font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
                font_mono=["ui-monospace", "Consolas", "monospace"],
            ).set(
                block_title_background_fill="none",
                block_title_text_color="*body_text_color",
                block_title_padding="0",
                block_label_background_fill="*background_fill_primary",
                block_label_text_color="*body_text_color",
            ),
            css=static("page.css"),
            head=f"<script>{static('page.js')}</script>",
        )
        self._gradio = next(route.app for route in app.routes if isinstance(route, Mount))
        return _with_headers(app, self.settings.root_path)

    def run(self, listener: socket.socket, ready: Callable[[str], None] = lambda address: None) -> None:
        """Serve on a socket (see `listen`) until Ctrl-C or a signal; `ready` is called with the address first."""
        import uvicorn

        try:
            host, port = listener.getsockname()[:2]
            server = self._server(uvicorn)
            self.studio.warm_up()
            ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
            server.run(sockets=[listener])
        finally:
            listener.close()
            self.close()

    def _server(self, uvicorn: Any) -> Any:
        """A uvicorn server that closes the connections of open pages, which never end, when it stops."""
        gradio_app: Any = self._gradio
        queue = self.studio.queue

        class Server(uvicorn.Server):
            async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
                gradio_app.stop_event.set()
                queue.cancel_all()
                await super().shutdown(sockets)

        config = uvicorn.Config(self.app, log_level="warning", timeout_graceful_shutdown=5, access_log=False)
        return Server(config)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        UserError: the address is not this machine's, or in use.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"cannot listen on {host} port {port} ({error}): give another --port, or 0 for any free one"
        ) from error
    return listener


def _with_headers(app: Any, root_path: str) -> Any:
    """The ASGI application with security headers, found with and without `root_path` before its paths."""

    async def with_security(scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
            await send(message)

        path = scope.get("path", "")
        if root_path and f"{path}/".startswith(f"{root_path}/"):
            scope = {**scope, "path": path.removeprefix(root_path) or "/"}
        await app(scope, receive, with_headers)

    return with_security
