"""Prints the versions of what the peers need and whether torch.compile has a compiler; fails where something is missing."""

import importlib.util
import json
import platform
from importlib.metadata import version

names = ["torch", "transformers", "peft"]
for name in [*names, "safetensors"]:
    if importlib.util.find_spec(name) is None:
        raise SystemExit(f"there is no {name} in it")


def compiles() -> bool:
    try:
        from torch._inductor.cpp_builder import get_cpp_compiler

        get_cpp_compiler()
        return True
    except Exception:
        return False


print(json.dumps({"versions": {"python": platform.python_version(), **{n: version(n) for n in names}}, "compiles": compiles()}))
