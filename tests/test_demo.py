"""`make demo`: its last lines say how long its call is at each depth, and that each is equal."""

import pytest
import torch
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial import __main__ as demo
from tutorial.depth.depths import DEPTHS


@pytest.mark.slow  # it starts a process
@pytest.mark.parametrize("depth", DEPTHS[1:])
def test_a_depth_is_proved_and_kept(depth, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(demo, "BUILD", tmp_path)
    data = TensorDataset(torch.randn(100, 4), torch.randint(3, (100,)))
    model = tl.Model(torch.nn.Linear(4, 3))
    optimizer = torch.optim.Adam(model.parameters())
    model.prepare(optimizer, torch.nn.CrossEntropyLoss())
    assert demo.prove_at(depth, model, data)
    said = capsys.readouterr().out
    text = (tmp_path / f"fit_{depth}.py").read_text(encoding="utf-8")
    assert text == model.unroll("fit", data, batch_size=64, epochs=1, depth=depth).source
    assert said.split()[:3] == [depth, str(text.count("\n")), "lines"]
    assert "equal" in said and "NOT" not in said
