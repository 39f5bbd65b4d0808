"""A process that serves: from start to the signal that ends it."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pycoredns import COREDNS_VERSION, __version__, memory, output
from pycoredns.assemble import assemble
from pycoredns.errors import ConfigErrors, PluginError, StartError
from pycoredns.reload import Reloader
from pycoredns.server import Server
from pycoredns.sources import Source, tell_doubts

START_GRACE = 2.0
"""Seconds that a start may go on after a signal to end: nearly done it is finished, as who saw its ports open counts on it."""
NOT_ENDING = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that end no server; those that come before it can take them wait until then."""
log = output.logger("pycoredns")


def version_lines() -> list[str]:
    """What ``-version`` prints: the CoreDNS release that is followed, the platform, our own version."""
    kernel = os.uname()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(kernel.machine, kernel.machine)
    system, python = kernel.sysname.lower(), sys.version.partition(" ")[0]
    return [f"CoreDNS-{COREDNS_VERSION}", f"{system}/{machine}, python{python}, pycoredns-{__version__}"]


def run(
    source: Source, quiet: bool = False, pidfile: str = "", started: Callable[[Server], None] | None = None, workers: int = 1
) -> int:
    """Serves until a signal ends it; returns the exit status. ``started`` is called once questions are answered."""
    import uvloop

    signal.pthread_sigmask(signal.SIG_BLOCK, NOT_ENDING)
    output.set_up()
    _raise_file_limit()
    try:
        corefile = source.read()
        tell_doubts(corefile)
        assembly = assemble(corefile, source.port)
    except (ConfigErrors, PluginError, OSError) as error:
        output.complain(_reason(source, error))
        return 1
    try:
        if workers > 1:
            from pycoredns.workers.supervisor import Supervisor, running

            return running(lambda crew: _serve(Supervisor(assembly, source, crew), source, quiet, pidfile, started), workers)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(Server(assembly), source, quiet, pidfile, started))
    finally:
        output.writer.flush()


def _reason(source: Source, error: Exception) -> str:
    """Why the Corefile cannot be served."""
    if isinstance(error, OSError):
        return f"{source.file}: cannot be read: {error.strerror}; name the Corefile with -conf FILE"
    return str(error)


async def _serve(server: Server, source: Source, quiet: bool, pidfile: str, started: Callable[[Server], None] | None) -> int:
    signals = _Signals(pidfile)
    try:
        if not await _start(server, signals):
            return 0
    except (StartError, OSError) as error:
        output.complain(str(error))
        return 1
    if not quiet:
        for line in server.start_lines():
            output.say(line)
    reloader = Reloader(server, source)
    if not quiet:
        for line in version_lines():
            output.say(line)
    await server.announced()
    _write_pid(pidfile)
    asyncio.get_running_loop().call_later(memory.SETTLED_AFTER, memory.settle)
    watching = asyncio.get_running_loop().create_task(reloader.watch())
    if started is not None:
        started(server)
    try:
        return await _until_signal(reloader, signals)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await reloader.server.stop()
        await reloader.stopped()
        _remove_pid(pidfile)


async def _start(server: Server, signals: _Signals) -> bool:
    """Starts a server; False if a signal to end came long before it was done: it may wait for names of upstreams."""
    starting = asyncio.get_running_loop().create_task(server.start())
    await asyncio.wait((starting, signals.ending), return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait((starting,), timeout=START_GRACE)
    if starting.done():
        await starting
        return True
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    _tell_end(signals.ending.result())
    return False


def _tell_end(number: signal.Signals) -> None:
    log.info("SIGTERM: Shutting down servers then terminating" if number == signal.SIGTERM else f"{number.name}: Shutting down")


def _raise_file_limit() -> None:
    """As many open files as the system allows: a connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _remove_pid(file: str) -> None:
    if file:
        with suppress(OSError):  # in a folder of others it could be written, perhaps, but not removed
            Path(file).unlink()


def _write_pid(file: str) -> None:
    """Writes the process ID where ``-pidfile`` wants it."""
    if file:
        try:
            Path(file).write_text(f"{os.getpid()}\n")
        except OSError as error:
            log.error("Could not write pidfile: open %s: %s", file, (error.strerror or str(error)).lower())


class _Signals:
    """The signals that matter, in their order. SIGQUIT, and a second SIGINT, end the process with all that is under way."""

    def __init__(self, pidfile: str) -> None:
        self.queue: asyncio.Queue[signal.Signals] = asyncio.Queue()
        self.ending: asyncio.Future[signal.Signals] = asyncio.get_running_loop().create_future()
        """The first of those that end the server."""
        self._pidfile = pidfile
        self._interrupted = False
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            loop.add_signal_handler(number, self._take, number)
        loop.add_signal_handler(signal.SIGQUIT, self._leave, "SIGQUIT: Quitting process immediately", 0)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, NOT_ENDING)

    def _take(self, number: signal.Signals) -> None:
        if number == signal.SIGINT and self._interrupted:
            self._leave("SIGINT: Force quit", 2)
        self._interrupted = self._interrupted or number == signal.SIGINT
        if number in (signal.SIGTERM, signal.SIGINT) and not self.ending.done():
            self.ending.set_result(number)
        self.queue.put_nowait(number)

    def _leave(self, line: str, status: int) -> None:
        log.info(line)
        _remove_pid(self._pidfile)
        output.writer.flush()
        os._exit(status)


async def _until_signal(reloader: Reloader, signals: _Signals) -> int:
    """Reloads on SIGUSR1; returns on a signal to end, which waits for no reload."""
    reloads: set[asyncio.Task[bool]] = set()
    while (number := await signals.queue.get()) in (signal.SIGUSR1, signal.SIGUSR2):
        if number == signal.SIGUSR2:
            log.warning("SIGUSR2: Upgrading takes a restart; nothing has changed")
            continue
        log.info("SIGUSR1: Reloading")
        task = asyncio.get_running_loop().create_task(reloader.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)
    _tell_end(number)
    for task in reloads:
        task.cancel()
    await asyncio.gather(*reloads, return_exceptions=True)
    return 0
