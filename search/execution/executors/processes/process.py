"""A worker process: lines go to it, lines come back, and it ends with all that it has started.

It leads a session of its own, so that Ctrl-C is not for it, and so that its whole process group can
be killed: what a task has forked would otherwise hold pipes open, and live on.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

# Seconds between two looks at whether it is still there.
TICK = 0.5

# One thread of linear algebra per worker. PJRT_NPROC is what sizes the thread pool of XLA's CPU
# client (JAX 0.10); XLA_FLAGS=--xla_cpu_multi_thread_eigen=false leaves it at one thread per core
# (a convolution took 8.5 s of processor time in 5.1 s). Binding the process to a core would size
# the pool too, but would keep it there when another program takes that core. The numbers are the
# same to the last bit either way, and differ from those of several threads.
_ENVIRONMENT = {
    "PJRT_NPROC": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
# The machine trains on the processor even where there is a GPU, on which it is 2 to 50 times slower
# than on one core (docs/performance.md). Who wants it there has several processes share its memory.
_UNLESS_SET = {"JAX_PLATFORMS": "cpu", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

# What a process runs. It imports much that imports this folder, so it is named and not imported.
_MODULE = "evoptax.search.engine.worker"
# The same modules as here, and none from the folder that the user happens to be in.
_COMMAND = (
    f"import json, sys; sys.path[:] = json.loads(sys.argv[1]);from {_MODULE} import main; main()"
)


class WorkerProcess:
    """A running worker process."""

    def __init__(self) -> None:
        """Starts it. Raises OSError where that cannot be."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _COMMAND, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**_UNLESS_SET, **os.environ, **_ENVIRONMENT},
            start_new_session=True,
        )
        self._ended = False

    @property
    def pid(self) -> int:
        """Its number, which is also that of its process group."""
        return self._process.pid

    def send(self, line: bytes) -> None:
        """Sends a line. If it has died, who reads its lines finds out."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def lines(self) -> Iterator[bytes]:
        """Its lines until it has ended, and an empty one at least every `TICK` seconds."""
        assert self._process.stdout is not None
        answers = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(answers, select.POLLIN)
        begun = b""
        while True:
            if poll.poll(1000 * TICK):
                if not (data := os.read(answers, 1 << 16)):
                    return
                *whole, begun = (begun + data).split(b"\n")
                yield from whole
            elif self._process.poll() is not None:
                return  # and the pipe is held open by a process that it has started
            yield b""

    def kill(self) -> None:
        """Kills it and all that it has started."""
        if not self._ended:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def end(self) -> str:
        """Kills what is left of it and frees what it held; how it ended, in words."""
        self.kill()
        status = self._process.wait()
        self._ended = True
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdout.close()
        with suppress(OSError):  # what it was sent last may be there still
            self._process.stdin.close()
        if status >= 0:
            return f"ended with status {status}"
        return f"was killed by {signal.Signals(-status).name}"
