"""Questions and answers with the benchmark's runner: one JSON object a line, answers begin with `@`."""

import json
import resource
import sys


def answer_questions(answer) -> None:
    for line in sys.stdin:
        print("@" + json.dumps(answer(json.loads(line))), flush=True)


def peak_resident_bytes() -> int:
    """The greatest resident memory of this process since it began."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
