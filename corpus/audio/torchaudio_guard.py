"""A replacement that makes torchaudio importable with a CPU-only torch; to be imported before transformers.

The torchaudio of the package index needs CUDA on Linux x86-64. With a CPU-only torch its native extension fails to
load, and transformers imports torchaudio whenever it is installed. earmark needs only the part in pure PyTorch, so the
extension is replaced where the real one does not load.
"""

from __future__ import annotations

import importlib
import sys
import types


def guard() -> bool:
    """Make torchaudio importable, and return True where its native extension is the real one."""
    if "torchaudio" in sys.modules:
        return not getattr(sys.modules.get("torchaudio._extension"), "is_stand_in", False)
    try:
        importlib.import_module("torchaudio")
    except OSError:
        for name in [n for n in sys.modules if n == "torchaudio" or n.startswith("torchaudio.")]:
            del sys.modules[name]
        stand_in = types.ModuleType("torchaudio._extension")
        stand_in._IS_TORCHAUDIO_EXT_AVAILABLE = False  # type: ignore[attr-defined]
        stand_in.fail_if_no_align = lambda function: function  # type: ignore[attr-defined]
        stand_in.is_stand_in = True  # type: ignore[attr-defined]
        sys.modules["torchaudio._extension"] = stand_in
        importlib.import_module("torchaudio")
        return False
    return True


guard()
