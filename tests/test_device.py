import random

import numpy as np
import pytest
import torch
from torch import nn

import tutorial as tl
from tutorial.device import rng_state, set_rng_state, unchanged_randomness


def draw() -> tuple:
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_a_seed_repeats_python_numpy_and_torch() -> None:
    tl.seed(7)
    first = draw()
    tl.seed(7)
    assert draw() == first
    tl.seed(8)
    assert draw() != first


@pytest.mark.parametrize("n", [-1, 2**32, 1.5, "7", None])
def test_a_wrong_seed_is_refused(n: object) -> None:
    with pytest.raises(ValueError, match=r"n is .*, but an integer from 0 to"):
        tl.seed(n)


def test_the_state_of_chance_survives_torch_save(tmp_path) -> None:
    torch.save(rng_state(), tmp_path / "chance.pt")
    first = draw()
    set_rng_state(torch.load(tmp_path / "chance.pt", weights_only=True))
    assert draw() == first


def test_unchanged_randomness_leaves_no_trace_even_after_an_error() -> None:
    tl.seed(7)
    first = draw()
    tl.seed(7)
    with pytest.raises(ZeroDivisionError), unchanged_randomness():
        draw()[0] / 0
    assert draw() == first


def test_models_go_to_the_chosen_device() -> None:
    assert str(tl.set_device("cpu")) == tl.get_device() == "cpu"
    assert tl.Model(nn.Linear(1, 1)).device == "cpu"


@pytest.mark.parametrize("name", ["gpu:9", "cuda:9", "tpu", "cpu:1", "", None, 3])
def test_an_unknown_device_is_refused_with_what_there_is(name: object) -> None:
    with pytest.raises(ValueError, match=r"name is .*, but this machine has 'cpu'"):
        tl.set_device(name)
    assert tl.get_device() == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_gpu_is_refused() -> None:
    with pytest.raises(ValueError, match="name is 'gpu', but this machine has 'cpu'"):
        tl.set_device("gpu")


def test_gpu_is_another_name_for_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutorial.device.available", lambda: ["cpu", "cuda:0", "cuda:1"])
    assert tl.set_device("gpu") == tl.set_device("gpu:0") == torch.device("cuda:0")
    assert tl.set_device("gpu:1") == torch.device("cuda:1")
    tl.set_device("cpu")
