"""A line of the loop that is gone or in another place is noticed: see mutants.py."""

import os

import mutants
import pytest
from mutants import EQUIVALENT, Mutant, all_mutants, killer

EVERY = 80  # about seven a day: each first asks its oracles about the loop as it is
TODAY = 5 * int(os.environ["PAIRWISE_SEED"])  # a day has its own sample, as in test_equality.py
SAMPLE = [
    pytest.param(
        mutant,
        id=str(mutant),
        marks=[pytest.mark.slow] * (number % EVERY != TODAY or str(mutant) in EQUIVALENT),
    )
    for number, mutant in enumerate(all_mutants())
]


@pytest.mark.parametrize("mutant", SAMPLE)
def test_a_mutant_is_noticed(mutant: Mutant) -> None:
    noticed = killer(mutant)
    assert noticed or str(mutant) in EQUIVALENT
    assert not (noticed and str(mutant) in EQUIVALENT), f"{noticed} notices it"


def test_the_reasons_are_of_mutants_that_exist() -> None:
    assert set(EQUIVALENT) <= {str(mutant) for mutant in all_mutants()}


@pytest.mark.slow
def test_every_line_has_an_oracle_that_reads_it() -> None:
    woven = set().union(*map(mutants.woven_by, mutants.oracles.ORACLES))
    assert {mutants.part(mutant) for mutant in all_mutants()} <= woven
