"""What goes wrong between a supervisor and its workers: silence, late answers, help that is given and taken back."""

import asyncio
import os
import signal
import socket
import threading
from contextlib import ExitStack, asynccontextmanager

import pytest

from pycoredns import peers, server
from pycoredns.assemble import assemble
from pycoredns.peers import Message, NobodyAnswers
from pycoredns.server import Server
from pycoredns.sockets import Sockets
from pycoredns.sources import Source
from pycoredns.testing import eventually, exchange_udp, free_port, query_wire
from pycoredns.workers import crew as crew_module
from pycoredns.workers.channel import Channel, Refused
from pycoredns.workers.crew import Crew
from pycoredns.workers.handing import Ways
from pycoredns.workers.member import Member
from pycoredns.workers.plan import Plan, written
from pycoredns.workers.supervisor import SupervisorPeers
from pycoredns.workers.worker import Worker
from tests.workers.crew_process import alive, kill, serving

COREFILE = "example.org:{port} {{\n bind 127.0.0.1\n whoami\n}}\n"
NOTHING = Message()


# --- a worker


@pytest.fixture
async def plan(tmp_path):
    (tmp_path / "Corefile").write_text(COREFILE.format(port=free_port()))
    source = Source(str(tmp_path / "Corefile"))
    corefile = source.read()
    plan = Plan(source, corefile, Sockets.open(assemble(corefile).addresses, copies=3))
    yield plan
    plan.sockets.close()


@pytest.fixture
async def worker(plan, monkeypatch):
    monkeypatch.setattr(peers, "_here", peers.here())
    ours, theirs = socket.socketpair()
    own = Sockets({key: [sock.dup() for sock in several] for key, several in plan.sockets.of_worker(0).bound.items()})
    worker = Worker(0, Plan(plan.source, plan.corefile, own), theirs, True, Ways(0))
    await worker.start(NOTHING, [])
    await worker.commit(NOTHING, [])
    yield worker
    await worker.give_up(NOTHING, [])
    await worker.stop(NOTHING, [])
    ours.close()
    theirs.close()


def hand_over(worker, plan, number):
    for key, (sock,) in plan.sockets.of_worker(number).bound.items():
        worker.take(Message([number, written(key)]), [sock.dup()])


def reload_of(plan):
    return Message([plan.corefile.checksum, [written(key) for key in plan.sockets.bound]])


def listeners(worker):
    return [listener for service in worker._server.services.values() for listener in service.listeners]


async def test_sockets_for_helping_are_not_those_of_the_next_server(worker, plan):
    hand_over(worker, plan, 1)  # and help_out does not come in time
    await worker.prepare(reload_of(plan), [])
    for key, (sock,) in worker._next.sockets.bound.items():
        (own,) = worker._server.sockets.bound[key]
        assert os.fstat(sock.fileno()).st_ino == os.fstat(own.fileno()).st_ino
    await worker.help_no_more(Message(1), [])
    assert not worker._taken


async def test_help_for_one_is_not_ended_with_that_for_another_and_leaves_nothing_behind(worker, plan, monkeypatch):
    monkeypatch.setattr(server, "DRAIN_SECONDS", 0.0)
    own = listeners(worker)
    for number in (1, 2):
        hand_over(worker, plan, number)
        await worker.help_out(Message(number), [])
    both = listeners(worker)
    hand_over(worker, plan, 1)
    await worker.help_out(Message(1), [])
    assert listeners(worker) == both, "what the first help has in hand is kept"
    await worker.help_no_more(Message(1), [])
    await eventually(lambda: listeners(worker) == own + both[4:])
    await worker.help_no_more(Message(2), [])
    await eventually(lambda: listeners(worker) == own)
    assert [each.sock.fileno() for each in both[2:]] == [-1] * 4


async def test_one_that_cannot_help_keeps_no_sockets(worker, plan, monkeypatch):
    async def fail(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(server.Listeners, "start", fail)
    hand_over(worker, plan, 1)
    given = list(worker._taken[1].values())
    with pytest.raises(OSError, match="Too many open files"):
        await worker.help_out(Message(1), [])
    assert [sock.fileno() for sock in given] == [-1] * len(given) != []


async def test_a_worker_assembles_the_next_server_beside_its_answers(worker, plan, monkeypatch):
    threads = []
    monkeypatch.setattr(
        "pycoredns.workers.worker.assemble", lambda *given: threads.append(threading.current_thread()) or assemble(*given)
    )
    await worker.prepare(reload_of(plan), [])
    assert len(threads) == 1
    assert threading.main_thread() not in threads


async def test_a_reload_that_is_given_up_while_it_is_prepared_leaves_nothing(worker, plan, monkeypatch):
    reached, prepare, begun = asyncio.Event(), Server.prepare, []

    async def slow(self, old=None):
        await prepare(self, old)
        begun.append(self)
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Server, "prepare", slow)
    preparing = asyncio.create_task(worker.prepare(reload_of(plan), []))
    await reached.wait()
    await worker.give_up(NOTHING, [])
    with pytest.raises(Refused, match="given up"):
        await preparing
    assert worker._next is None
    assert not begun[0].sockets.bound
    monkeypatch.setattr(Server, "prepare", prepare)
    for _ in range(2):  # the second one gives the first up
        await worker.prepare(reload_of(plan), [])
    await worker.commit(NOTHING, [])
    (port,) = {key.address.port for key in plan.sockets.bound}
    plan.sockets.close()  # the worker's own are all that is left
    assert (await exchange_udp(query_wire("example.org"), ("127.0.0.1", port)))[3] & 15 == 0


# --- their supervisor


async def never(message, sockets):
    await asyncio.Event().wait()


async def nobody_is_born(child, keep):
    raise OSError("not here")


@asynccontextmanager
async def crew_of(*several, plan=None):
    """A crew whose workers answer with these handlers; their processes only sleep."""
    crew = Crew(len(several), nobody_is_born, lambda last: None)
    crew._plan = plan
    processes = []
    with ExitStack() as stack:
        for number, handlers in enumerate(several):
            processes.append(await asyncio.create_subprocess_exec("sleep", "60"))
            ours, theirs = socket.socketpair()
            member = Member(number, processes[-1].pid, Channel(ours, {}, lambda: None))
            crew.members[number], member.started = member, True
            for channel in (Channel(theirs, handlers, lambda: None), member.channel):
                channel.start()
                stack.callback(channel.close)
        yield crew, processes
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def test_a_worker_that_is_silent_is_ended(monkeypatch):
    monkeypatch.setattr(crew_module, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(crew_module, "LISTEN_SECONDS", 0.01)
    async with crew_of({"hear": never}, {"hear": lambda *_: None, "start": never}) as (crew, processes):
        watching = [asyncio.create_task(crew._watch(member)) for member in crew.members.values()]
        starting = asyncio.create_task(crew.members[1].channel.call("start"))
        assert await processes[0].wait() == -signal.SIGKILL
        await asyncio.sleep(0.2)
        assert processes[1].returncode is None, "it takes long, but shows that it is there"
        for task in (*watching, starting):
            task.cancel()
        await asyncio.gather(*watching, starting, return_exceptions=True)


async def test_a_worker_that_does_not_give_a_reload_up_is_ended(monkeypatch):
    monkeypatch.setattr(crew_module, "UNDO_SECONDS", 0.05)
    async with crew_of({"give_up": never}, {"give_up": lambda *_: None}) as (crew, processes):
        await crew.give_up()
        assert await processes[0].wait() == -signal.SIGKILL
        assert processes[1].returncode is None


async def test_sockets_that_cannot_be_handed_over_are_no_reason_to_give_a_worker_up(plan):
    plan.sockets.close()
    broken = socket.socket()
    broken.close()
    (address,) = assemble(plan.corefile).addresses
    plan.sockets.bound.update({key: [broken] for key in _keys(address)})
    async with crew_of({}, plan=plan) as (crew, _):
        await crew._find_help(0)
        assert not crew.members[0].channel._open


def _keys(address):
    sockets = Sockets.open([address])
    keys = list(sockets.bound)
    sockets.close()
    return keys


@pytest.mark.parametrize("error", [Refused("no"), NobodyAnswers("gone")])
async def test_a_replacement_is_kept_though_its_helper_fails(error):
    def fail(message, sockets):
        raise error

    async with crew_of({"ready": fail}, {"ready": never}) as (crew, _):
        crew._helpers[1] = crew.members[0]
        await crew._until_ready(crew.members[1])


def counts(number):
    return [[["c_total", "counter", "help", [], False], [[[], number]]]]


async def test_a_counter_does_not_go_back_when_a_worker_is_replaced_while_others_are_asked():
    first_has_answered, go_on = asyncio.Event(), asyncio.Event()

    def count(message, sockets):
        first_has_answered.set()
        return Message(counts(100))

    async def slow(message, sockets):
        await go_on.wait()
        return Message(counts(5))

    async with crew_of({"count": count}, {"count": slow}) as (crew, _):
        supervisor = SupervisorPeers(2, type("Nursery", (), {"fork": nobody_is_born}))
        supervisor.crew.members, supervisor.crew.begun = crew.members, crew.begun
        crew.begun.set()
        crew.members[0].last = counts(90)
        asking = asyncio.create_task(supervisor.families())
        await first_has_answered.wait()
        member = crew.members[0]
        await eventually(lambda: member.last == counts(100))
        supervisor._figures.bury(member.last)
        crew.members[0] = Member(0, member.process, member.channel)
        go_on.set()
        shown = [family.cells[()].value for family in await asking if family.name == "c_total"]
        assert shown == [105]


async def test_an_answer_that_cannot_be_written_is_a_refusal():
    async with crew_of({"count": lambda *_: Message(object())}) as (crew, _):
        with pytest.raises(Refused, match="JSON"):
            await crew.members[0].channel.call("count", seconds=5)


# --- all of it

NAMES = [f"n{number}.test" for number in range(20)]


def serving_octet(octet):
    return (
        ".:{port} {\n bind 127.0.0.1\n ready 127.0.0.1:{http}\n hosts {\n"
        + "\n".join(f" 192.0.2.{octet} {name}" for name in NAMES)
        + "\n}\n}\n"
    )


async def octets(server):
    return {await server.ask(name, 10) for name in NAMES}


async def test_a_worker_that_dies_in_the_midst_of_a_reload_is_no_reason_to_give_it_up(tmp_path):
    async with serving(tmp_path, serving_octet(1)) as server:
        dying, _ = server.workers
        os.kill(dying, signal.SIGSTOP)
        reloading = asyncio.create_task(server.reload(serving_octet(2)))
        await server.line("Reloading$")
        kill(dying)
        assert "complete" in await reloading
        await server.line("worker 0 .*answers in its place")
        assert await octets(server) == {(0, 2)}


async def test_if_all_die_in_the_midst_of_a_reload_it_is_given_up(tmp_path):
    async with serving(tmp_path, serving_octet(1)) as server:
        for worker in server.workers:
            os.kill(worker, signal.SIGSTOP)
        reloading = asyncio.create_task(server.reload(serving_octet(2)))
        await server.line("Reloading$")
        for worker in server.workers:
            kill(worker)
        assert "no worker that could follow" in await reloading
        assert await octets(server) == {(0, 1)}
        assert "complete" in await server.reload(serving_octet(3))
        assert await octets(server) == {(0, 3)}


async def test_a_server_is_ready_while_another_answers_in_a_workers_place(tmp_path):
    async with serving(tmp_path, serving_octet(1)) as server:
        for pause in ("at once", "in 0.1 s", "in 0.2 s", "in 0.4 s", "in 0.8 s"):
            seen = len(server.lines)
            kill(server.workers[-1])
            await server.line(f"begins {pause}", seen)
            if pause != "in 0.8 s":
                await server.line("worker 1 .*answers in its place", seen)
        assert await octets(server) == {(0, 1)}, "another one does"
        assert await server.get("http", "/ready") == (200, "OK")
        assert len(server.workers) == 1


async def test_one_that_stands_still_ends_with_its_supervisor(tmp_path):
    async with serving(tmp_path, serving_octet(1), ends_with=-signal.SIGKILL) as server:
        workers = server.workers
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        server.end(signal.SIGKILL)
        await eventually(lambda: not any(map(alive, workers)))


@pytest.mark.parametrize("how", ["killed", "reloaded"])
async def test_a_signal_to_end_comes_while_a_worker_is_replaced(tmp_path, how):
    async with serving(tmp_path, serving_octet(1)) as server:
        before = server.workers
        kill(before[0])
        await server.line("begins at once")
        if how == "reloaded":
            server.process.send_signal(signal.SIGUSR1)
        server.end(signal.SIGTERM)
        await asyncio.wait_for(server.process.wait(), 10)
        assert not any(map(alive, before))


async def test_a_signal_to_end_does_not_wait_for_a_reload_that_waits_for_a_silent_worker(tmp_path):
    text = ".:{port} {\n bind 127.0.0.1\n whoami\n}\n"
    async with serving(tmp_path, text) as server:
        (silent, _) = server.workers
        os.kill(silent, signal.SIGSTOP)
        server.process.send_signal(signal.SIGUSR1)
        await server.line("Reloading")
        server.end(signal.SIGTERM)
        await asyncio.wait_for(server.process.wait(), 10)
