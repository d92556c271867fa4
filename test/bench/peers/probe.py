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


def mkl_holds_back() -> bool:
    """Whether torch multiplies matrices with MKL on a processor that is not Intel's, where MKL leaves AVX-512 unused."""
    import torch

    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpu:
            text = cpu.read()
    except OSError:
        return False
    return torch.backends.mkl.is_available() and "avx512f" in text and "GenuineIntel" not in text


print(json.dumps({"versions": {"python": platform.python_version(), **{n: version(n) for n in names}}, "compiles": compiles(), "mklHoldsBack": mkl_holds_back()}))
