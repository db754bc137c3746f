"""Each situation comes out as the table says: `python -m tests.situations` prints it."""

import os
from typing import Any

import pytest
import torch

from .runner import COMPARISONS, DiffersError, Row, attempt, look_at
from .situation import Case, Situation, all_situations, numbers, points

os.environ.setdefault("HF_HUB_OFFLINE", "1")
pytestmark = pytest.mark.filterwarnings("default")  # what is warned of is part of the table
ALL = all_situations()
THIRD = ALL[int(os.environ.get("PAIRWISE_SEED", "0")) % 3 :: 3]  # another one each day


def check(row: Row) -> None:
    """Refuse an outcome that is not the table's, be it worse or better."""
    notes = "\n".join(row.notes)
    said = "as it should be; take it out of open_rows.py" if row.situation.is_open else ""
    assert row.as_expected, said or f"{row.outcome}, not {row.situation.expected}:\n{notes}"


@pytest.mark.parametrize("situation", THIRD, ids=lambda one: one.name)
def test_a_situation_of_the_days_third(situation: Situation) -> None:
    row = look_at(situation)
    if situation.is_open:
        pytest.xfail(row.outcome)
    check(row)


@pytest.mark.slow
@pytest.mark.parametrize("situation", ALL, ids=lambda one: one.name)
def test_a_situation_and_the_proof_of_its_script(situation: Situation) -> None:
    check(look_at(situation, fresh=True))


def test_every_number_of_the_list_is_there() -> None:
    in_layers = {154, 155}  # see layers.py
    assert {one.number for one in ALL} == set(range(1, 195)) - in_layers
    names = [one.name for one in ALL]
    assert len(set(names)) == len(names)


# ---- the comparison itself notices


def wrong_step(network, loss, batch):
    return 2 * loss(network(batch[0]), batch[1])


def wrong_prediction(network, batch):
    return network(batch[0]) + 1e-6


def noticed(make: Any, **options: Any) -> dict[str, str]:
    given = dict.fromkeys(("told", "unscripted", "refused", "instead"), "") | options
    return look_at(Situation(0, "", make, {}, family="", **given)).found


def test_another_loss_and_another_prediction_are_noticed() -> None:
    def other_loss() -> Case:
        return Case(torch.nn.Linear(4, 1), torch.nn.MSELoss(), numbers(), step=wrong_step)

    def other_prediction() -> Case:
        network = torch.nn.Linear(4, 3)
        return Case(network, torch.nn.CrossEntropyLoss(), points(), predict=wrong_prediction)

    wrong = {name for name, found in noticed(other_loss).items() if found != "equal"}
    assert wrong == {"fit", "evaluate", "alone"}
    assert noticed(other_prediction) == dict.fromkeys(COMPARISONS, "equal") | {
        "predict": "SILENTLY WRONG"
    }


def test_a_refusal_without_the_fix_and_an_accident_fail() -> None:
    def no_samples() -> Case:
        return Case(torch.nn.Linear(4, 3), torch.nn.CrossEntropyLoss(), 5)

    assert set(noticed(no_samples, refused="train_data|eval_data|test_data").values()) == {
        "refused"
    }
    assert set(noticed(no_samples, refused="what it does not say").values()) == {"FAILS"}
    row = Row(Situation(0, "", print, {}, "", "", "boom", "", ""))
    with attempt(row, "fit", ""):
        raise ValueError("boom")  # by the user's code
    with attempt(row, "load", ""):
        raise DiffersError("boom")
    assert row.found == {"fit": "FAILS", "load": "SILENTLY WRONG"}
    assert row.outcome == "SILENTLY WRONG"
