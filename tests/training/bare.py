"""An environment that has the libraries of a serving host, but not earmark."""

from __future__ import annotations

import os
import sysconfig
import venv
from pathlib import Path


def bare_python(folder: Path) -> Path:
    """Return the interpreter of a new environment that finds this one's libraries, and nothing of earmark.

    A folder that a `.pth` file names is searched for packages, but its own `.pth` files, by which earmark is installed
    for development, are not read. Where earmark is installed as files, the libraries are linked one by one without it.
    """
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    libraries = Path(sysconfig.get_paths()["purelib"])
    inside = next((folder / "venv" / "lib").glob("python*")) / "site-packages"
    if (libraries / "training").exists():
        linked = folder / "libraries"
        linked.mkdir()
        for path in libraries.iterdir():
            if path.name not in {"corpus", "sampling", "annotation", "training", "flows", "configs"}:
                (linked / path.name).symlink_to(path)
        libraries = linked
    (inside / "libraries.pth").write_text(f"{libraries}\n")
    python = folder / "venv" / "bin" / "python"
    server = python.with_name("uvicorn")  # which an installation would have put there
    server.write_text(f"#!{python}\nfrom uvicorn.main import main\n\nmain()\n")
    server.chmod(0o755)
    return python


def bare_environment(cwd: Path) -> dict[str, str]:
    """Return the variables of a serving host: nothing of this process but its path and its language."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "OMP_NUM_THREADS") if name in os.environ}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "HF_HUB_OFFLINE": "1", "HOME": str(cwd)}
    return kept | quiet | {"PYTHONDONTWRITEBYTECODE": "1"}
