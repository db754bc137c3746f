"""A cell with every call of a Model unrolled: in the user's names, and equal in every bit."""

import ast
import contextlib
import io
import textwrap
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tutorial as tl
from tutorial import proof
from tutorial.cell import CellError, prove, unroll_cell
from tutorial.cell.side_by_side import SideBySide
from tutorial.device import random_state

SETUP = """
import torch, tutorial as tl
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler
from torch.utils.data import Subset, TensorDataset
tl.seed(0)
points = torch.randn(70, 8)
digits = TensorDataset(points, (points @ torch.randn(8, 3)).argmax(1))
test = Subset(digits, range(40))
net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
adam = torch.optim.Adam(net.parameters(), lr=0.01)
clf = tl.Model(net)
clf.prepare(adam, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
N_EPOCHS, bs = 2, 32
"""


def notebook(setup: str = "") -> dict[str, Any]:
    """The names of a notebook in which these cells were run."""
    names: dict[str, Any] = {}
    exec(SETUP, names)
    exec(textwrap.dedent(setup), names)
    return names


def unrolled(cell: str, setup: str = "") -> str:
    return unroll_cell(cell, notebook(setup)).source


def state_of(model: tl.Model) -> dict[str, Any]:
    optimizer = model.optimizer and model.optimizer.state_dict()
    return proof.flat({"network": model.network.state_dict(), "optimizer": optimizer})


def run(cell: str, names: dict[str, Any]) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(cell, "<cell>", "exec"), names)


def check_equal(cell: str, setup: str = "", model: str = "clf") -> str:
    """Run the cell in one notebook and what it unrolls to in another; compare all they leave."""
    one, other = notebook(setup), notebook(setup)
    whole = unroll_cell(cell, other)
    assert "".join(pair.before for pair in whole.pairs) == cell == whole.before
    assert "".join(pair.after for pair in whole.pairs) == whole.source
    assert f"{model}.fit(" not in without_comments(whole.source)
    for names, source in ((one, cell), (other, whole.source)):
        tl.seed(5)
        run(source, names)
        names["chance"] = random_state()["torch"]
    here, there = (state_of(eval(model, names)) for names in (one, other))
    assert here.keys() == there.keys()
    assert all(proof.identical(here[key], there[key]) for key in here)
    for name in {node.id for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Name)}:
        a, b = (names.get(name) for names in (one, other))
        if isinstance(a, tl.History):
            a, b = ((history.step_losses, history.rows) for history in (a, b))
        if isinstance(a, int | float | dict | list | tuple | torch.Tensor):
            assert proof.flat(a).keys() == proof.flat(b).keys(), name
            flat = zip(proof.flat(a).values(), proof.flat(b).values(), strict=True)
            assert all(proof.identical(*both) for both in flat), name
    assert torch.equal(one["chance"], other["chance"])
    return whole.source


def without_comments(source: str) -> str:
    return "\n".join(line.partition("#")[0] for line in source.splitlines())


# ---- what it looks like


def test_a_fit_in_the_users_names() -> None:
    assert unrolled("""\
# my first training
history = clf.fit(digits, epochs=N_EPOCHS, batch_size=bs)  # it learns
""") == """\
# my first training
# clf.fit(digits, epochs=N_EPOCHS, batch_size=bs)
loss_fn = clf.loss_fn
accuracy = clf.metrics["accuracy"]
torch.set_flush_denormal(True)                # numbers below 1e-38 become 0: they slow a CPU down
order = RandomSampler(digits)
indices = BatchSampler(order, bs, drop_last=False)  # a list for each batch
train_loader = DataLoader(digits, batch_size=None, sampler=indices)
step_losses = []
rows = []
for epoch in range(N_EPOCHS):
    net.train()                               # dropout and batch norm behave as in training
    accuracy.reset()
    loss_sum, samples = 0.0, 0
    for step, (x, y) in enumerate(train_loader):
        y_hat = net(x)                        # forward: predict
        loss = loss_fn(y_hat, y)              # how wrong was it?
        loss.backward()                       # backward: a gradient for every weight
        adam.step()                           # one small step downhill
        adam.zero_grad()                      # forget this batch's gradients
        step_losses.append(loss.item())       # for the curve
        loss_sum += step_losses[-1] * len(x)  # so that the mean is over samples
        samples += len(x)
        accuracy.update(y_hat, y)
        if (step + 1) % 10 == 0:
            print(f"epoch {epoch + 1} step {step + 1}: loss {loss_sum / samples:.4f}")
    rows.append({"epoch": epoch + 1, "loss": loss_sum / samples, "acc": float(accuracy.compute())})
    print({name: round(number, 4) for name, number in rows[-1].items()})
torch.set_flush_denormal(False)  # as it was
history = tl.History(step_losses, rows)  # it learns
"""  # fmt: skip


def test_a_call_in_the_middle_of_a_statement() -> None:
    source = unrolled('print("acc:",   clf.evaluate(test)["acc"])  # as it is\n')
    assert source.startswith("# clf.evaluate(test)\nloss_fn = clf.loss_fn\n")
    assert source.endswith('\nprint("acc:",   result["acc"])  # as it is\n')


def test_what_is_missing_is_imported() -> None:
    names = notebook("del torch, nn, RandomSampler, DataLoader; learner = clf; import tutorial")
    del names["tl"], names["tutorial"]
    source = unroll_cell("h = clf.fit(digits, clip_grad_norm=1.0)", names).source
    assert source.splitlines()[:4] == [
        "import torch",
        "from torch import nn",
        "from torch.utils.data import DataLoader, RandomSampler",
        "from tutorial import History",
    ]
    run(source, names)
    assert isinstance(names["h"], tl.History)


def test_imports_of_the_cell_are_enough() -> None:
    names = notebook("del torch")
    source = unroll_cell("import torch\nclf.fit(digits)", names).source
    assert source.count("import torch") == 1


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("clf.fit(digits, epochs=N_EPOCHS)", "for epoch in range(N_EPOCHS):"),
        ("clf.fit(digits, epochs=N_EPOCHS - 1)", "for epoch in range(N_EPOCHS - 1):"),
        ("clf.fit(digits, epochs=3)", "for epoch in range(3):"),
        ("clf.fit(digits, epochs=len(test) // 20)", "epochs = len(test) // 20"),
        ("clf.fit(digits, epochs=len(test) // 20)", "for epoch in range(epochs):"),
        ("clf.fit(digits, batch_size=bs * 2)", "indices = BatchSampler(order, bs * 2, drop_last=False)"),
        ("clf.fit(digits, test, batch_size=(8, bs))", "indices = BatchSampler(order, bs, drop_last=False)"),
        ("clf.fit(digits, batch_size=sizes)", "indices = BatchSampler(order, sizes[0], drop_last=False)"),
        ("clf.fit(digits, test, 1 * 8, N_EPOCHS, 1 + 1)", "if (epoch + 1) % (1 + 1) == 0 or epoch + 1 == N_EPOCHS:"),
        ("clf.fit(digits, num_iters=n)", "if len(step_losses) == n:"),
        ("clf.fit(digits, clip_grad_norm=n / 2)", "nn.utils.clip_grad_norm_(net.parameters(), n / 2)"),
        ("clf.fit(digits, log_freq=n)", "if (step + 1) % n == 0:"),
        ("clf.fit(digits, accumulate_grad_batches=n)", "if (step + 1) % n == 0 or step + 1 == len(train_loader):"),
        ("clf.fit(listed, shuffle=yes)", "train_loader = DataLoader(listed, batch_size=64, shuffle=yes)"),
        ("clf.fit(digits, drop_last=yes, batch_size=8)", "indices = BatchSampler(order, 8, drop_last=yes)"),
        ("clf.fit(Subset(digits, range(50)))", "train_data = Subset(digits, range(50))"),
        ("clf.fit(data['train'])", "train_data = data['train']"),
        ("m['a'].evaluate(digits)", "network, loss_fn = m['a'].network, m['a'].loss_fn"),
        ("out = clf.predict(test)", "out = [tuple(y_hats)]"),
        ("clf.predict_batch(points)", "outputs = [y_hat]"),
        ("clf.predict_batch(points)", "outputs"),
        ("clf.predict_batch(points);", "outputs = [y_hat]"),
        ("clf.eval_batch(points, one)", "x, y = points, one"),
        ("clf.train_batch([points], labels=one)", "loss = loss_fn(y_hat, one)"),
        ("clf.train_batch(points.numpy(), one)", "x = torch.as_tensor(points.numpy())"),
        ("clf.fit(digits, callbacks=[tl.callbacks.LRScheduler(decay)])", "decay.step()"),
        ("clf.fit(digits, test, callbacks=stops)", "stops.on_epoch_end(epoch, dict(rows[-1]))"),
        ("clf.fit(digits, test, callbacks=[tl.callbacks.EarlyStopping()])", "early_stopping = tl.callbacks.EarlyStopping()"),
        ("clf.fit(digits, test, callbacks=list(two))", "callbacks = list(two)"),
        ("clf.fit(digits, save_dir='there')", "model_checkpoint = ModelCheckpoint(1)"),
        ("clf.fit(digits, compile=True)", "network = torch.compile(network)"),
        ("clf.fit(digits, loop=mine)", "step_losses = []; adam.zero_grad()"),
    ],
)  # fmt: skip
def test_arguments_stay_as_they_are_written(cell: str, line: str) -> None:
    source = unrolled(
        cell,
        """
        sizes, n, yes, m = (16, 8), 2, True, {"a": tl.Model(nn.Linear(8, 3))}
        m["a"].prepare(torch.optim.SGD(m["a"].parameters()), nn.CrossEntropyLoss())
        data, one = {"train": digits}, digits.tensors[1]
        class Listed(torch.utils.data.Dataset):
            def __len__(self): return 70
            def __getitem__(self, i): return digits[i]
        listed, decay = Listed(), torch.optim.lr_scheduler.StepLR(adam, 1)
        stops, two = tl.callbacks.EarlyStopping(), (tl.callbacks.EarlyStopping(),)
        mine = "step_losses = []; optimizer.zero_grad()"
        """,
    )
    code = [text.partition("  #")[0].strip() for text in source.splitlines()]
    assert line in code, source
    compile(source, "<unrolled>", "exec")


def test_a_loss_called_loss_is_not_lost_on_the_way() -> None:
    setup = "loss = nn.CrossEntropyLoss(); clf.prepare(adam, loss)"
    source = unrolled("clf.fit(digits)", setup)
    assert "# Running this overwrites your loss.\n" in source
    assert "loss = loss_fn(y_hat, y)" in source
    source = unrolled("clf.fit(digits)\nprint(loss)", setup)  # here the cell itself uses it
    assert "loss_2 = loss(y_hat, y)" in source
    assert "overwrites" not in source


def test_names_that_the_cell_uses_are_left_alone() -> None:
    source = check_equal(
        """\
rows = []
for epoch in range(2):
    x = clf.fit(digits, epochs=epoch + 1).step_losses
    rows.append(sum(x) + epoch)
""",
    )
    assert "    for epoch_2 in range(epoch + 1):" in source
    assert "tl.History(step_losses, rows_2).step_losses" in source


def test_names_of_another_model_are_left_alone() -> None:
    """`optimizer` is the user's name for another model's optimizer, and stays that."""
    setup = """
    other = tl.Model(nn.Linear(8, 3))
    optimizer = torch.optim.SGD(other.parameters(), lr=0.5)
    other.prepare(optimizer, nn.CrossEntropyLoss())
    del adam
    """
    cell = "clf.fit(digits)\nother.fit(digits)\nclf.evaluate(test)\n"
    source = check_equal(cell, setup)
    assert "optimizer_2, loss_fn = clf.optimizer, clf.loss_fn" in source
    check_equal(cell, setup, model="other")


def test_what_is_bound_is_bound_once() -> None:
    source = unrolled("clf.fit(digits)\nclf.evaluate(test)\nif bs:\n    clf.evaluate(test)\n")
    assert source.count("loss_fn = clf.loss_fn") == 1
    source = unrolled("for _ in range(2):\n    clf.evaluate(test)\nclf.evaluate(test)\n")
    assert source.count("loss_fn = clf.loss_fn") == 2  # there may be no turn of the loop


# ---- what it does


@pytest.mark.parametrize(
    "cell",
    [
        "h = clf.fit(digits, test, epochs=N_EPOCHS, batch_size=(16, bs))\n",
        "a, b = clf.fit(digits), clf.fit(digits, shuffle=False, drop_last=True)\n",
        "acc = [clf.evaluate(digits)['acc'], clf.evaluate(test)['acc']]  # two at once\n",
        "s = f\"{clf.evaluate(test)['acc']:.2f} é {clf.predict(test, stack_outputs=True)[0].sum()}\"\n",
        "a = 1; out = clf.predict(test); b = 2\n",
        "if clf.fit(digits).rows[0]['acc'] > 2: a = 1\nelse: a = clf.evaluate(test)\n",
        "for x, y in DataLoader(digits, 20, shuffle=True): r = clf.train_batch(x, y)\nclf.fit(digits)\n",
        "with torch.no_grad():\n\tr = clf.evaluate(\n\t\ttest,  # ours\n\t\tbatch_size=7,\n\t)\n",
        "try:\n    clf.fit(digits, epochs=2)\nfinally:\n    r = clf.eval_batch(*[points[:9]], digits[:9][1])\n".replace("*[points[:9]]", "points[:9]"),
        "r = clf.train_batch(points[:9], digits[:9][1], update=False)\nclf.fit(digits)\n",
        "net = nn.Linear(8, 3)\nclf = tl.Model(net)\nclf.prepare(torch.optim.SGD(net.parameters(), 0.1), nn.CrossEntropyLoss())\nh = clf.fit(digits, epochs=3)",
        "for lr in (0.1, 0.01):\n    clf.prepare(torch.optim.SGD(net.parameters(), lr=lr), nn.CrossEntropyLoss())\n    clf.fit(digits)\nr = clf.evaluate(test)\n",
        "clf.fit(digits, test, epochs=4, callbacks=[tl.callbacks.EarlyStopping('acc', patience=1, verbose=0), tl.callbacks.LRScheduler(torch.optim.lr_scheduler.StepLR(adam, 1))])\n",
        "clf.fit(digits, epochs=N_EPOCHS, accumulate_grad_batches=2, clip_grad_norm=0.1, num_iters=3, batch_size=16)\n",
        "clf.fit(DataLoader(digits, 16, shuffle=True, generator=torch.Generator().manual_seed(3)))\n",
        "class Net(nn.Linear):\n    pass\n\nclf = tl.Model(Net(8, 3))\nclf.prepare(torch.optim.SGD(clf.parameters()), {'a': nn.CrossEntropyLoss()})\nclf.fit([(points, {'a': digits.tensors[1]})])\n".replace("{'a': nn.CrossEntropyLoss()}", "nn.CrossEntropyLoss()").replace("{'a': digits.tensors[1]}", "digits.tensors[1]"),
        "clf.prepare(adam, lambda a, b: {'ce': nn.functional.cross_entropy(a, b), 'norm': a.square().mean()})\nr = clf.fit(digits)\n",
        "clf.prepare(adam, nn.CrossEntropyLoss(), amp_configs='O1')\nr = clf.fit(digits)\n",
        "def report(model):\n    return model.evaluate(test)\n\nclf.fit(digits)\nr = report(clf)\n",
        "(h := clf.fit(digits)).rows[0]\nwhile True:\n    r = clf.evaluate(digits)\n    break",
        "if False:\n    clf.fit(digits)\nelif clf.evaluate(test):\n    r = 1\nelse:\n    r = clf.evaluate(digits)\n",
    ],
)  # fmt: skip
def test_the_unrolled_cell_leaves_what_the_cell_leaves(cell: str) -> None:
    check_equal(cell)


STATEMENTS = [
    "# a comment",
    "",
    "x =  [ 1,2 ]",
    "text = '''two\n  lines'''",
    "loss, step = 7, 8",
    "total = loss+step  # é",
    "draw = torch.rand(1)",
    "n_epochs = 1",
    "clf.fit(digits, epochs=n_epochs, batch_size=bs)",
    "history = clf.fit( digits , test )",
    "result = clf.evaluate(test, batch_size=n_epochs + 6)",
    "y = clf.evaluate(Subset(digits, range(20)))[\"acc\"] + loss",
    "outputs = clf.predict(test)",
    "adam.param_groups[0][\"lr\"] = 0.003",
    "x.append(clf.train_batch(points[:5], digits[:5][1]))",
]
HEADS = ["if bs > 5:", "for epoch in range(2):", "with torch.enable_grad():", "for y in x:"]


@st.composite
def cells(draw: st.DrawFn) -> str:
    lines, indent = ["x, loss, step, n_epochs = [0], 1, 2, 1"], ""
    for _ in range(draw(st.integers(1, 6))):
        statement = draw(st.sampled_from(STATEMENTS))
        if not indent and draw(st.integers(0, 3)) == 0:
            lines.append(draw(st.sampled_from(HEADS)))
            indent = draw(st.sampled_from(["  ", "\t", "    "]))
            lines.append(f"{indent}pass")
        elif indent and draw(st.booleans()):
            indent = ""
        lines.append("" if not statement else indent + statement)
    return "\n".join([*lines, "clf.evaluate(test)"]) + draw(st.sampled_from(["", "\n", "  # end\n"]))


@given(cells())
@settings(deadline=None, max_examples=25)
def test_any_cell_leaves_what_it_leaves_when_it_is_unrolled(cell: str) -> None:
    """Statements without a call stay byte for byte; the rest does the same."""
    source = check_equal(cell)
    for line in cell.splitlines():
        if "clf." not in line:
            assert line in source.splitlines()
