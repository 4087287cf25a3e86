"""The server of the page: on this machine alone unless asked otherwise, and with nothing loaded from elsewhere."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ddsp_zoo.app import check_installed
from ddsp_zoo.app.session import Limits, Session, Sessions, sessions
from ddsp_zoo.errors import DdspZooError

LOCAL = ("127.0.0.1", "localhost", "::1")
HERE = Path(__file__).parent
GONE = "This is no longer here, or never was: load the page again."
# A browser that keeps to this asks nobody but this server for anything, whatever a library has in its pages.
HEADERS = {
    "content-security-policy": (
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'; form-action 'self'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def serve(host: str, port: int, limits: Limits, ready: Callable[[str], None]) -> None:
    """Serves the page until the program is ended; `ready` is called with its address.

    Raises `DdspZooError` where gradio is missing, and for an address that cannot be used.
    """
    check_installed()
    with _listening(host, port) as listening, sessions(limits) as here:
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(here.root / "uploads")}
        application = _application(here, host)
        import uvicorn

        ready(f"http://{host}:{listening.getsockname()[1]}")
        config = uvicorn.Config(application, log_level="critical", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise DdspZooError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}): choose another --port, or --host."
        ) from error


def _application(here: Sessions, host: str) -> Any:
    """The page and what a visitor fetches beside it."""
    import gradio as gr
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from ddsp_zoo.app.page import build

    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_routes(application, here)
    gr.mount_gradio_app(
        application,
        build(here),
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        max_file_size=round(here.limits.megabytes * 1e6),
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        css=(HERE / "page.css").read_text(encoding="utf-8"),
        head=f"<script>{(HERE / 'player.js').read_text(encoding='utf-8')}</script>",
    )
    application.add_middleware(Headers)
    if host in LOCAL:  # a page elsewhere whose name points here is not answered
        application.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL))
    return application


def add_routes(application: Any, here: Sessions) -> None:
    """Adds the addresses of what visitors have, each below the token of its session; nothing is listed."""
    from fastapi import HTTPException
    from fastapi.responses import FileResponse, Response
    from starlette.background import BackgroundTask

    from ddsp_zoo.app.player import piece

    def of(token: str) -> Session:
        if (session := here.by_token(token)) is None or session.opened is None:
            raise HTTPException(404, GONE)
        return session

    @application.get("/session/{token}/sound/{version}/{track}/{number}")
    def sound(token: str, version: int, track: int, number: int) -> Response:
        session = of(token)
        if version != session.key[1] or not 0 <= track < len(session.tracks) or not 0 <= number < 1 << 20:
            raise HTTPException(404, GONE)
        return Response(piece(session.tracks[track], number), media_type="audio/wav")

    @application.get("/session/{token}/overview.png")
    def overview(token: str) -> Response:
        return FileResponse(of(token).song / "overview.png")

    @application.get("/session/{token}/song.zip")
    def take(token: str) -> Response:
        session = of(token)
        path = session.write_zip()
        name = f"{session.recording.stem}.zip"
        return FileResponse(path, filename=name, background=BackgroundTask(path.unlink, missing_ok=True))


class Headers:
    """Adds the headers to every answer that say what a browser may do with it."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers, with these headers and, for what belongs to a session, without a copy kept anywhere."""
        own = dict(HEADERS)
        if scope.get("path", "").startswith("/session/"):
            own["cache-control"] = "no-store"

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in own.items()),
                ]
            await send(message)

        await self.app(scope, receive, with_headers)
