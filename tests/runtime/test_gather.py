"""Shared calls: as many pictures in fewer calls, each as if it were alone."""

from __future__ import annotations

import threading

import pytest
import torch

from sbcore.runtime.gather import GATHERING, Gathering


class Network:
    """A network of one picture's own: it knows how often it was called, with how many."""

    def __init__(self):
        self.sizes = []

    def __call__(self, v, s, *conditions, scale=1.0):
        self.sizes.append(len(v))
        level = torch.as_tensor(s).expand(len(v)).reshape(-1, 1)
        return scale * (v + level + sum(conditions, torch.zeros_like(v)))


def together(gathering, *jobs):
    """Run jobs as members, in threads: their results or errors."""
    found = [None] * len(jobs)

    def work(place, job):
        with gathering.member():
            try:
                found[place] = job()
            except Exception as error:
                found[place] = error

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return found


def steps(gathering, network, seed, length, count=1, barrier=None, **options):
    """A run of so many calls; what it is alone is known."""

    def run():
        v = torch.full((count, 2), float(seed))
        if barrier:
            barrier.wait(10)
        for step in range(length):
            v = gathering.call(network, v, 0.1 * step, **options)
        return v

    return run


def test_who_is_alone_calls_directly():
    gathering, network = Gathering(), Network()
    v = gathering.call(network, torch.ones(3, 2), 2.0)
    assert torch.equal(v, torch.full((3, 2), 3.0)) and network.sizes == [3]
    (alone,) = together(gathering, steps(gathering, network, 1, 3))
    assert torch.equal(alone, steps(Gathering(), Network(), 1, 3)())


def test_runs_of_any_length_and_size_share_calls_and_get_their_own():
    gathering, network, barrier = Gathering(), Network(), threading.Barrier(4)
    sizes = [(1, 9), (2, 5), (3, 9), (1, 2)]
    jobs = [
        steps(gathering, network, seed, length, count, barrier)
        for seed, (count, length) in enumerate(sizes)
    ]
    found = together(gathering, *jobs)
    for seed, (count, length) in enumerate(sizes):
        assert torch.allclose(found[seed], steps(Gathering(), Network(), seed, length, count)())
    assert sum(network.sizes) == sum(count * length for count, length in sizes)
    assert len(network.sizes) <= 12 < sum(length for _, length in sizes)


def test_what_differs_in_kind_is_called_apart():
    gathering, one, other = Gathering(), Network(), Network()
    barrier = threading.Barrier(3)
    found = together(
        gathering,
        steps(gathering, one, 1, 4, barrier=barrier),
        steps(gathering, other, 1, 4, barrier=barrier),
        steps(gathering, one, 1, 4, barrier=barrier, scale=2.0),
    )
    assert set(one.sizes) == set(other.sizes) == {1}
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_an_error_reaches_all_whose_call_it_was():
    def broken(v, s):
        raise ValueError("broken")

    gathering, network, barrier = Gathering(), Network(), threading.Barrier(3)
    found = together(
        gathering,
        steps(gathering, broken, 1, 1, barrier=barrier),
        steps(gathering, broken, 1, 1, barrier=barrier),
        steps(gathering, network, 1, 3, barrier=barrier),
    )
    assert [type(one) for one in found[:2]] == [ValueError, ValueError]
    assert torch.equal(found[2], steps(Gathering(), Network(), 1, 3)())


@pytest.mark.parametrize("count", [1, 3])
def test_a_bridge_draws_the_same_pictures_together(count, bridge):
    barrier = threading.Barrier(3)

    def draw(seed):
        def job():
            barrier.wait(10)
            return bridge.generate(count, seed, steps=4).result()

        return job

    found = together(GATHERING, *(draw(10 * seed) for seed in range(3)))
    for seed, pictures in enumerate(found):
        alone = bridge.generate(count, 10 * seed, steps=4).result()
        assert (pictures - alone).abs().max() < 1e-4
