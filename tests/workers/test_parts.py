"""What workers are made of: calls, sums, sockets, and the plan that all or none follow."""

import asyncio
import os
import resource
import socket
from contextlib import ExitStack, asynccontextmanager, contextmanager

import pytest

from pycoredns import metrics
from pycoredns.assemble import Address, assemble
from pycoredns.corefile.expand import parse
from pycoredns.errors import StartError
from pycoredns.peers import Message, NobodyAnswers
from pycoredns.sockets import Sockets
from pycoredns.sources import Source
from pycoredns.testing import free_port
from pycoredns.workers import figures
from pycoredns.workers.channel import Channel, Refused
from pycoredns.workers.crew import Crew
from pycoredns.workers.member import Member
from pycoredns.workers.plan import Plan, read, written

# --- calls


@asynccontextmanager
async def channels(handlers):
    """Both ends of a line; the second one answers."""
    ours, theirs = socket.socketpair()
    lost = asyncio.Event()
    one, other = Channel(ours, {}, lost.set), Channel(theirs, handlers, lambda: None)
    one.start()
    other.start()
    try:
        yield one, other, lost
    finally:
        one.close()
        other.close()


@contextmanager
def room_for(descriptors):
    """So many more files can be opened."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.open(os.devnull, os.O_RDONLY) for _ in range(descriptors + 1)]
    for each in free:
        os.close(each)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("room", [0, 1])
async def test_sockets_that_find_no_room_are_a_refusal_and_no_others_take_their_place(room):
    taken = []

    def take(message, sockets):
        taken.append([each.getsockname() for each in sockets])
        for each in sockets:
            each.close()

    with ExitStack() as stack:
        sent = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        async with channels({"take": take}) as (one, _, _):
            asking = asyncio.create_task(one.call("take", sockets=sent[:2], seconds=5))
            await asyncio.sleep(0)
            with room_for(room), pytest.raises(Refused, match="too many open files"):
                await asking
            await one.call("take", sockets=sent[2:], seconds=5)
            assert taken == [[sent[2].getsockname()]]


async def test_a_call_is_answered_with_value_and_octets():
    async with channels({"echo": lambda message, _: message}) as (one, _, _):
        sent = Message(["a", 1, None], os.urandom(3_000_000))
        assert await one.call("echo", sent) == sent


async def test_many_calls_are_answered_each():
    async def later(message, _):
        await asyncio.sleep(0.001 * (message.value % 3))
        return message

    async with channels({"later": later}) as (one, _, _):
        answers = await asyncio.gather(*(one.call("later", Message(number, b"x" * 20_000)) for number in range(200)))
        assert [answer.value for answer in answers] == list(range(200))


async def test_sockets_are_handed_over():
    ports = []

    def take(message, sockets):
        ports.extend(each.getsockname()[1] for each in sockets)
        for each in sockets:
            each.close()

    async with channels({"take": take}) as (one, _, _):
        with ExitStack() as stack:
            bound = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(5)]
            await asyncio.gather(*(one.call("take", Message(body=b"y" * 300_000), [each]) for each in bound))
            assert ports == [each.getsockname()[1] for each in bound]


async def test_what_cannot_be_done_is_refused_with_the_reason():
    def refuse(message, _):
        raise StartError("no such file")

    async with channels({"start": refuse}) as (one, _, _):
        with pytest.raises(Refused, match="no such file"):
            await one.call("start")


async def test_nobody_answers_where_the_other_is_gone_or_slow():
    async def never(message, _):
        await asyncio.Event().wait()

    async with channels({"never": never}) as (one, other, lost):
        with pytest.raises(NobodyAnswers, match=r"within 0\.01 s"):
            await one.call("never", seconds=0.01)
        waiting = asyncio.create_task(one.call("never"))
        await asyncio.sleep(0)
        other.close()
        with pytest.raises(NobodyAnswers):
            await waiting
        assert lost.is_set()
        with pytest.raises(NobodyAnswers):
            await one.call("never")


async def test_calls_to_one_who_does_not_answer_are_bounded():
    async def never(message, _):
        await asyncio.Event().wait()

    async with channels({"never": never, "hear": lambda *_: None}) as (one, _, _):
        waiting = [asyncio.create_task(one.call("never")) for _ in range(256)]
        await asyncio.sleep(0)
        with pytest.raises(NobodyAnswers):
            await one.call("never")
        await one.call("hear", seconds=5, always=True)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


# --- sums


def told(name, kind, cells, alike=False):
    return [[name, kind, "help", ["server"], alike], cells]


def total(*several):
    return {
        (family.name, values): getattr(cell, "value", None) or (cell.counts, cell.sum)
        for family in figures.add_up(several)
        for values, cell in family.cells.items()
    }


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (told("c", "counter", [[["a"], 1]]), told("c", "counter", [[["a"], 2]]), {("c", ("a",)): 3}),
        (told("c", "counter", [[["a"], 1]]), told("c", "counter", [[["b"], 2]]), {("c", ("a",)): 1, ("c", ("b",)): 2}),
        (told("g", "gauge", [[["a"], 4]]), told("g", "gauge", [[["a"], 2]]), {("g", ("a",)): 6}),
        (told("g", "gauge", [[["a"], 4]], True), told("g", "gauge", [[["a"], 2]], True), {("g", ("a",)): 4}),
        (
            told("h", "histogram", [[["a"], [1, 0, 2], 7.5, [1, 2]]]),
            told("h", "histogram", [[["a"], [0, 1, 1], 2.0, [1, 2]]]),
            {("h", ("a",)): ([1, 1, 3], 9.5)},
        ),
    ],
)
def test_counters_and_histograms_are_added_gauges_as_they_mean(first, second, expected):
    assert total([first], [second]) == expected


def test_what_the_dead_have_counted_stays_but_not_their_gauges():
    kept = figures.Figures()
    for _ in range(2):
        kept.bury([told("c", "counter", [[["a"], 5]]), told("g", "gauge", [[["a"], 5]])])
    sums = {family.name: family.cells[("a",)].value for family in kept.total([[told("c", "counter", [[["a"], 1]])]])}
    assert sums == {"c": 11}


def test_own_metrics_are_written_so_that_they_can_be_added(monkeypatch):
    monkeypatch.setattr(metrics.Metric, "declared", [])
    counter = metrics.Counter("c", "A counter.", "name", prefix="")
    histogram = metrics.Histogram("h", "A histogram.", buckets=(1, 2), prefix="")
    counter.cell("x").value = 2
    histogram.cell().observe(1.5)
    assert total(figures.written(), figures.written()) == {("c", ("x",)): 4, ("h", ()): ([0, 2, 0], 3.0)}


# --- all or none


class Pupil:
    """Stands for a worker: keeps what it was told, and refuses what it is to refuse."""

    def __init__(self, refuses=""):
        self.told = []
        self.refuses = refuses
        self.handlers = {name: self.handler(name) for name in ("take", "prepare", "commit", "give_up", "lead")}

    def handler(self, name):
        def handle(message, sockets):
            self.told.append(name)
            for each in sockets:
                each.close()
            if name == self.refuses:
                raise StartError(f"cannot {name}")

        return handle


def plan_for(port, old=None):
    assembly = assemble(parse(f".:{port} {{\n bind 127.0.0.1\n whoami\n}}\n"))
    return Plan(Source("Corefile"), assembly.corefile, Sockets.open(assembly.addresses, old, copies=2))


async def nobody_is_born(child, keep):
    raise OSError("not here")


@asynccontextmanager
async def school(*pupils):
    """A crew whose workers are these pupils."""
    crew = Crew(len(pupils), nobody_is_born, lambda last: None)
    crew._plan = plan_for(free_port())
    with ExitStack() as stack:
        for number, pupil in enumerate(pupils):
            ours, theirs = socket.socketpair()
            far = Channel(theirs, pupil.handlers, lambda: None)
            member = crew.members[number] = Member(number, 0, Channel(ours, {}, lambda: None))
            member.started = True
            member.dead.set()  # so that nobody ends process 0
            for channel in (far, member.channel):
                channel.start()
                stack.callback(channel.close)
        yield crew
    crew._plan.sockets.close()


async def test_a_reload_that_one_worker_refuses_is_followed_by_none():
    willing, unwilling = Pupil(), Pupil("prepare")
    async with school(willing, unwilling) as crew:
        plan = plan_for(free_port())
        with pytest.raises(StartError, match="cannot prepare"):
            await crew.prepare(plan)
        await crew.give_up()
        assert willing.told == ["take", "take", "prepare", "give_up"]
        assert unwilling.told[-1] == "give_up"
        plan.sockets.close()


async def test_a_reload_that_all_can_follow_is_followed_by_all():
    pupils = Pupil(), Pupil()
    async with school(*pupils) as crew:
        plan = plan_for(free_port())
        await crew.prepare(plan)
        before = crew._plan
        await crew.commit(plan)
        before.sockets.close()
        for pupil in pupils:
            assert pupil.told == ["take", "take", "prepare", "commit"]


# --- sockets and names


def test_a_port_that_another_has_is_told_even_though_it_could_be_shared():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        with pytest.raises(StartError, match="address already in use"):
            Sockets.open([Address("127.0.0.1", other.getsockname()[1])], copies=2)


def test_keys_of_sockets_survive_the_way():
    sockets = Sockets.open([Address("127.0.0.1", free_port())], copies=1)
    assert [read(written(key)) for key in sockets.bound] == list(sockets.bound)
    sockets.close()
