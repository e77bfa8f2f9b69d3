"""The process of the `evoptax` command: signals, streams and internal errors. Calls `main.main`.

As little as possible is imported before Ctrl-C is handled. A Ctrl-C while Python itself starts
cannot be handled.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

STOPPED = 130


def run() -> int:
    """Runs the command line of this process.

    Returns:
      The exit status; see `main`. 1 for an internal error.
    """
    try:
        # At first Ctrl-C ends the process at once: there is nothing to save.
        _on_ctrl_c(_end)
        sys.unraisablehook = _unraisable
        _open_missing_streams()
        from .main import main, wants_debug
        from .streams import wrap_streams

        wrap_streams()
        _on_ctrl_c(_interrupt)
        try:
            status = main()
        except Exception as error:
            status = _internal_error(error, wants_debug(sys.argv[1:]))
        # Everything is printed; Ctrl-C may now interrupt Python's shutdown.
        _on_ctrl_c(signal.SIG_DFL)
        return status
    except KeyboardInterrupt:  # a second one, while `main` handled the first
        _end()
        return STOPPED


def _on_ctrl_c(handler: object) -> None:
    """Sets the handler, unless the process was started with Ctrl-C ignored, as by nohup."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)  # type: ignore[arg-type]


def _interrupt(number: int, frame: FrameType | None) -> None:
    """At the first Ctrl-C `main` cleans up; a second one ends the process at once."""
    if is_importing(frame):
        _end()  # nothing to clean up yet
    _on_ctrl_c(_end)
    raise KeyboardInterrupt


def is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported, so that an exception must not be raised.

    Extension modules in C or C++ may abort the process on it, as JAX's do.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _end(*received: object) -> None:
    with suppress(OSError):  # the terminal may be gone
        os.write(2, b"evoptax: stopped\n")
    os._exit(STOPPED)


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Ends the process on a Ctrl-C that Python would only print, as in a destructor."""
    if unraisable.exc_type is KeyboardInterrupt:
        _end()
    sys.__unraisablehook__(unraisable)


def _open_missing_streams() -> None:
    """Opens /dev/null for closed standard streams, whose numbers the next file would take."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def _internal_error(error: Exception, debug: bool) -> int:
    """Reports an internal error, with the traceback if `debug`. Returns the exit status."""
    import traceback

    if debug:
        traceback.print_exception(error)
    what = " ".join(f"{type(error).__name__}: {error}".split("\n")[0].split())
    hint = "" if debug else "; run again with --debug for the traceback"
    print(f"evoptax: internal error: {what}{hint}", file=sys.stderr)
    return 1
