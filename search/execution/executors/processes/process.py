"""A worker process, seen from the coordinator: lines in, lines out, and a clean end.

It leads its own session, so that Ctrl-C does not reach it and its whole process group can be
killed. Processes that a task forked would otherwise survive and keep the pipes open.
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

# Seconds between two checks that the process still exists.
TICK = 0.5

# One thread of linear algebra per worker. PJRT_NPROC sets the thread pool of XLA's CPU client (JAX
# 0.10); XLA_FLAGS=--xla_cpu_multi_thread_eigen=false leaves it at one thread per core (a
# convolution took 8.5 s of processor time in 5.1 s). Binding the process to one core would also
# work, but it could not move when another program takes that core. Both give the same bits, which
# differ from those of several threads.
_ENVIRONMENT = {
    "PJRT_NPROC": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
# The machine trains on the CPU even if there is a GPU, where it is 2 to 50 times slower than one
# core (docs/performance.md). If the user sets JAX_PLATFORMS to the GPU, several processes share its
# memory.
_UNLESS_SET = {"JAX_PLATFORMS": "cpu", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

# The module that a process runs. Named instead of imported, because it imports modules that import
# this folder.
_MODULE = "evoptax.search.engine.worker"
# The same import path as here, so that nothing is imported from the current folder.
_COMMAND = (
    f"import json, sys; sys.path[:] = json.loads(sys.argv[1]);from {_MODULE} import main; main()"
)


class WorkerProcess:
    """A running worker process."""

    def __init__(self) -> None:
        """Starts the process. Raises OSError if that fails."""
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
        """The process id, which is also the id of its process group."""
        return self._process.pid

    def send(self, line: bytes) -> None:
        """Sends a line. If the process has died, nothing is raised: `lines` ends."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def lines(self) -> Iterator[bytes]:
        """Yields its lines until it ends, and an empty line at least every `TICK` seconds."""
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
                return  # it has ended, but a process that it started keeps the pipe open
            yield b""

    def kill(self) -> None:
        """Kills the process and everything in its process group."""
        if not self._ended:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def end(self) -> str:
        """Kills the process group, frees its pipes, and returns how the process ended, in words."""
        self.kill()
        status = self._process.wait()
        self._ended = True
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdout.close()
        with suppress(OSError):  # unsent bytes may be left in the buffer
            self._process.stdin.close()
        if status >= 0:
            return f"ended with status {status}"
        return f"was killed by {signal.Signals(-status).name}"
