"""The simulated class, against what is known of waiting lines."""

import statistics

import pytest
from benchmarks.classroom import PATIENCE, cores_needed, late, waits


def test_with_a_core_for_each_nobody_waits() -> None:
    assert set(waits(20, 20, [5.0, 30.0], think=10.0)) == {0.0}


def test_a_line_of_many_learners_is_as_long_as_theory_says() -> None:
    # Many learners who seldom come: M/D/1, whose mean wait is load / (2 (1 - load)) of a service.
    learners, service, load = 2000, 1.0, 0.7
    waited = waits(learners, 1, [service], think=learners / load, hour=200_000.0)
    expected = load / (2 * (1 - load)) * service
    assert statistics.fmean(waited[20_000:]) == pytest.approx(expected, rel=0.1)


def test_a_full_core_serves_no_more_than_it_can() -> None:
    waited = waits(50, 1, [10.0], think=1.0)
    assert len(waited) <= 360 + 49  # cells of 10 seconds in an hour, and those that still stand
    assert late(waited) == pytest.approx(49 * 10.0, abs=15.0)  # all others stand before one


def test_the_cores_that_are_needed_are_the_fewest() -> None:
    cells, think = [0.1, 0.5, 4.0], 60.0
    cores = cores_needed(300, cells, think)
    assert late(waits(300, cores, cells, think)) <= PATIENCE
    assert late(waits(300, cores - 1, cells, think)) > PATIENCE
