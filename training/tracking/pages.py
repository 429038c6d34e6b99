"""MLflow's pages in a process of their own that answers only who has the secret: `python -m training.tracking.pages`.

MLflow's own sign-in (`--app-name basic-auth`) needs packages beside MLflow and a database of users. Here is one secret
for one home. It comes from the environment, as does the database's address, so that no list of processes shows them.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

AUTH: Final = "EARMARK_PAGES_AUTH"
"""Environment variable with the `USER:PASSWORD` that the pages ask for."""

URI: Final = "EARMARK_PAGES_URI"
"""Environment variable with the address of MLflow's database, which may have a password in it."""

HEALTH: Final = "/health"
"""The one path that answers everybody: it says only that there is a server."""

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def locked(app: App, auth: str) -> App:
    """Return the application behind HTTP's basic authentication (RFC 7617).

    Args:
        app: an ASGI application.
        auth: the `USER:PASSWORD` that is asked for.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        public = scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] == HEALTH)
        if public or is_signed_in(dict(scope["headers"]).get(b"authorization", b""), auth):
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"www-authenticate", b'Basic realm="earmark", charset="UTF-8"'), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

    return answer


def is_signed_in(header: bytes, auth: str) -> bool:
    """Return whether a request's header `Authorization` has the `USER:PASSWORD`."""
    scheme, _, credentials = header.partition(b" ")
    try:
        given = base64.b64decode(credentials.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == b"basic" and hmac.compare_digest(given, auth.encode())


def main(port: int) -> None:
    """Serve MLflow's pages at a port of this machine until the process is stopped."""
    auth, uri = os.environ.pop(AUTH), os.environ.pop(URI)
    from mlflow.server import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR, REGISTRY_STORE_URI_ENV_VAR

    # A page of another origin is refused, and so is a name of this machine that somebody else's server gave.
    os.environ.update(
        {
            BACKEND_STORE_URI_ENV_VAR: uri,
            REGISTRY_STORE_URI_ENV_VAR: uri,
            ARTIFACT_ROOT_ENV_VAR: "./mlruns",  # of new experiments, of which these pages make none
            "MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{port},localhost:{port}",
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port},http://localhost:{port}",
        }
    )
    import uvicorn
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    initialize_backend_stores(uri, uri, "./mlruns")
    uvicorn.run(locked(app, auth), host="127.0.0.1", port=port, log_level="critical", access_log=False)


if __name__ == "__main__":
    main(int(sys.argv[1]))
