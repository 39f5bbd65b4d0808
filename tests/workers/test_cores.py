"""How many workers there are."""

import os

import pytest

from pycoredns.commands.arguments import workers as workers_argument
from pycoredns.workers import cores

MANY = 64
V1 = {"quota": "cpu,cpuacct/docker/1/cpu.cfs_quota_us", "period": "cpu,cpuacct/docker/1/cpu.cfs_period_us"}


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, MANY),
        ("0::/\n", {"cpu.max": ""}, MANY),
        ("0::/\n", {}, MANY),
        ("0::/system.slice/dns.service\n", {"system.slice/dns.service/cpu.max": "300000 100000"}, 3),
        ("0::/system.slice/dns.service\n", {"system.slice/cpu.max": "200000 100000"}, 2),
        ("0::/one\n", {"other/cpu.max": "200000 100000"}, MANY),
        ("5:memory:/\n4:cpu,cpuacct:/docker/1\n", {V1["quota"]: "250000", V1["period"]: "100000"}, 3),
        ("4:cpu,cpuacct:/docker/1\n", {V1["quota"]: "-1", V1["period"]: "100000"}, MANY),
        ("4:cpu,cpuacct:/docker/2\n", {"cpu,cpuacct/cpu.cfs_quota_us": "100000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 1),
        ("4:cpuset:/\n", {"cpuset/cpu.max": "100000 100000"}, MANY),
        ("nonsense", {}, MANY),
    ],
)
def test_auto_is_what_may_be_used(tmp_path, monkeypatch, membership, files, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(MANY), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: MANY)
    (tmp_path / "cgroup").write_text(membership)
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text)
    assert cores.usable(tmp_path / "groups", tmp_path / "cgroup") == expected
    assert cores.usable(tmp_path / "groups", tmp_path / "none") == MANY


@pytest.mark.parametrize(("text", "expected"), [("1", 1), ("16", 16), ("auto", cores.usable())])
def test_numbers_of_workers(text, expected):
    assert workers_argument(text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "two", "", "1.5", "257"])
def test_what_is_no_number_of_workers(text):
    with pytest.raises(ValueError, match=f'^"{text}" is not a number of processes; write 1 to 256, or auto$'):
        workers_argument(text)
