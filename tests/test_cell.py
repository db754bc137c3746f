"""A cell with every call of a Model unrolled: in the user's names, and equal in every bit."""

import ast
import contextlib
import copy
import io
import re
import signal
import sys
import textwrap
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.device import rng_state
from tutorial.notebook.cell import Answer, CellError, UnrolledCell, prove, unroll_cell
from tutorial.notebook.cell.show import AtDepths, SideBySide, Verdict
from tutorial.unroll import proof

SETUP = """
import torch, tutorial as tl
from torch import nn
from torch.utils.data import DataLoader
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
nets = [nn.Linear(8, 3), nn.Linear(8, 3)]
first = nets[0]
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
        names["chance"] = rng_state()["torch"]
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
train_loader = tl.Batches(digits, batch_size=bs, shuffle=True)
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
    names = notebook("del torch, nn, DataLoader; learner = clf; import tutorial")
    del names["tl"], names["tutorial"]
    cell = "h = clf.fit(digits, clip_grad_norm=1.0)\nclf.evaluate(digits, num_workers=1)"
    source = unroll_cell(cell, names).source
    assert source.splitlines()[:4] == [
        "import torch",
        "from torch import nn",
        "from torch.utils.data import BatchSampler, DataLoader, SequentialSampler",
        "from tutorial import Batches, History",
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
        (
            "clf.fit(digits, batch_size=bs * 2)",
            "train_loader = tl.Batches(digits, batch_size=bs * 2, shuffle=True)",
        ),
        (
            "clf.fit(digits, test, batch_size=(8, bs))",
            "eval_loader = tl.Batches(test, batch_size=bs)",
        ),
        (
            "clf.fit(digits, batch_size=sizes)",
            "train_loader = tl.Batches(digits, batch_size=sizes[0], shuffle=True)",
        ),
        (
            "clf.fit(digits, test, 1 * 8, N_EPOCHS, 1 + 1)",
            "if (epoch + 1) % (1 + 1) == 0 or epoch + 1 == N_EPOCHS:",
        ),
        ("clf.fit(digits, num_iters=n)", "if len(step_losses) == n:"),
        (
            "clf.fit(digits, clip_grad_norm=n / 2)",
            "nn.utils.clip_grad_norm_(net.parameters(), n / 2)",
        ),
        ("clf.fit(digits, log_freq=n)", "if (step + 1) % n == 0:"),
        (
            "clf.fit(digits, accumulate_grad_batches=n)",
            "if (step + 1) % n == 0 or step + 1 == len(train_loader):",
        ),
        (
            "clf.fit(listed, shuffle=yes)",
            "train_loader = DataLoader(listed, batch_size=64, shuffle=yes)",
        ),
        (
            "clf.fit(digits, drop_last=yes, batch_size=8)",
            "train_loader = tl.Batches(digits, batch_size=8, shuffle=True, drop_last=yes)",
        ),
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
        (
            "clf.fit(digits, test, callbacks=[tl.callbacks.EarlyStopping()])",
            "early_stopping = tl.callbacks.EarlyStopping()",
        ),
        ("clf.fit(digits, test, callbacks=list(two))", "callbacks = list(two)"),
        ("clf.fit(digits, save_dir='there')", "model_checkpoint = ModelCheckpoint(1)"),
        ("clf.fit(digits, compile=True)", "network = torch.compile(network)"),
        ("clf.fit(digits, loop=mine)", "step_losses = []; adam.zero_grad()"),
    ],
)
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


CELLS = {
    "fit and evaluation": """
        h = clf.fit(digits, test, epochs=N_EPOCHS, batch_size=(16, bs))
    """,
    "two calls in a statement": """
        a, b = clf.fit(digits), clf.fit(digits, shuffle=False, drop_last=True)
        acc = [clf.evaluate(digits)["acc"], clf.evaluate(test)["acc"]]  # two at once
    """,
    "in a text": """
        s = f"{clf.evaluate(test)['acc']:.2f} é {clf.predict(test, stack_outputs=True)[0].sum()}"
    """,
    "several statements in a line": """
        a = 1; out = clf.predict(test); b = 2
        if clf.fit(digits).rows[0]["acc"] > 2: a = 1
        else: a = clf.evaluate(test); b = 3
    """,
    "batches in the hand": """
        for x, y in DataLoader(digits, 20, shuffle=True): r = clf.train_batch(x, y)
        r = clf.train_batch(points[:9], digits[:9][1], update=False)
        clf.fit(digits)
    """,
    "over several lines": """
        with torch.no_grad():
        \tr = clf.evaluate(
        \t\ttest,  # ours
        \t\tbatch_size=7,
        \t)
    """,
    "an argument over two lines": """
        h = clf.fit(digits, epochs=1
            + N_EPOCHS)
    """,
    "a loop over a bare tuple": """
        for data in digits, test: r = clf.evaluate(data)
    """,
    "try": """
        try:
            clf.fit(digits, epochs=2)
        finally:
            r = clf.eval_batch(points[:9], digits[:9][1])
    """,
    "a model of the cell": """
        net = nn.Linear(8, 3)
        clf = tl.Model(net)
        clf.prepare(torch.optim.SGD(net.parameters(), 0.1), nn.CrossEntropyLoss())
        h = clf.fit(digits, epochs=3)
    """,
    "prepared in a loop": """
        for lr in (0.1, 0.01):
            clf.prepare(torch.optim.SGD(net.parameters(), lr=lr), nn.CrossEntropyLoss())
            clf.fit(digits)
        r = clf.evaluate(test)
    """,
    "prepared anew": """
        r = clf.evaluate(test)
        clf.prepare(adam, nn.MultiMarginLoss())
        r = r, clf.evaluate(test)
    """,
    "a name of something else by then": """
        net = adam = 0
        clf.fit(digits)
    """,
    "a model in each turn": """
        for net in nets:
            clf = tl.Model(net)
            clf.prepare(torch.optim.SGD(net.parameters(), 0.1), nn.CrossEntropyLoss())
            clf.fit(digits)
        r = first.weight, net.weight
    """,
    "callbacks": """
        stop = tl.callbacks.EarlyStopping("acc", patience=1, verbose=0)
        decay = tl.callbacks.LRScheduler(torch.optim.lr_scheduler.StepLR(adam, 1))
        clf.fit(digits, test, epochs=4, callbacks=[stop, decay])
        clf.fit(digits, test, callbacks=[tl.callbacks.EarlyStopping(verbose=0)] * 1)
    """,
    "options": """
        clf.fit(digits, epochs=N_EPOCHS, batch_size=16, accumulate_grad_batches=2, num_iters=5)
        clf.fit(digits, epochs=N_EPOCHS, batch_size=bs, clip_grad_norm=bs / 320)
    """,
    "a loader": """
        clf.fit(DataLoader(digits, 16, shuffle=True, generator=torch.Generator().manual_seed(3)))
    """,
    "several losses": """
        def losses(y_hat, y):
            return {"ce": nn.functional.cross_entropy(y_hat, y), "size": y_hat.square().mean()}

        clf.prepare(adam, losses)
        r = clf.fit(digits)
    """,
    "shorter numbers": """
        clf.prepare(adam, nn.CrossEntropyLoss(), precision="bf16-mixed")
        r = clf.fit(digits)
    """,
    "some calls stay": """
        def report(model):
            return model.evaluate(test)

        clf.fit(digits)
        r = report(clf), [clf.evaluate(data) for data in (digits, test)]
        while clf.evaluate(digits)["acc"] > 2:
            r = clf.evaluate(digits)
    """,
    "under a condition": """
        if False:
            clf.fit(digits)
        elif clf.evaluate(test):
            r = (h := clf.fit(digits)).rows[0]
        else:
            r = clf.evaluate(digits)
    """,
}


@pytest.mark.parametrize("name", CELLS)
def test_the_unrolled_cell_leaves_what_the_cell_leaves(name: str) -> None:
    check_equal(textwrap.dedent(CELLS[name]))


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
    'y = clf.evaluate(Subset(digits, range(20)))["acc"] + loss',
    "outputs = clf.predict(test)",
    'adam.param_groups[0]["lr"] = 0.003',
    "x.append(clf.train_batch(points[:5], digits[:5][1]))",
]
HEADS = ["if bs > 5:", "for epoch in range(2):", "with torch.enable_grad():", "for y in x[:2]:"]


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
    return "\n".join([*lines, "clf.evaluate(test)"]) + draw(
        st.sampled_from(["", "\n", "  # end\n"])
    )


@given(cells())
@settings(deadline=None, max_examples=25)
def test_any_cell_leaves_what_it_leaves_when_it_is_unrolled(cell: str) -> None:
    """Statements without a call stay byte for byte; the rest does the same."""
    source = check_equal(cell)
    for line in cell.splitlines():
        if "clf." not in line:
            assert line in source.splitlines()


def test_nothing_changes_by_looking(tmp_path, capsys) -> None:
    setup = """
    clf.train_batch(points[:9], digits[:9][1])
    scheduler, batches = torch.optim.lr_scheduler.StepLR(adam, 1), DataLoader(digits, 10)
    """
    names = notebook(setup)
    names["path"], names["log"] = tmp_path / "file", []
    cell = """\
print("not shown")
N_EPOCHS = 9
path.write_text("written")
torch.save(net.state_dict(), path)
log.append(clf)
points /= 255
clf.network[0].weight.data.zero_()
adam.param_groups[0]["lr"] = 100.0
net.append(nn.ReLU())
tl.seed(7)
clf.prepare(torch.optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss(), precision="bf16")
tl.set_device("cpu")
rest = Subset(digits, torch.randperm(60).tolist())
for x, y in batches:
    clf.train_batch(x + points.sum() + len(log), y)
clf.fit(rest, epochs=N_EPOCHS)
"""
    tl.device._chosen = None
    values, objects = dict(names), {id(value) for value in names.values()}
    before = {key: copy.deepcopy(value) for key, value in state_of(names["clf"]).items()}
    attributes, points = dict(vars(names["clf"])), names["points"].clone()
    chance, modes = rng_state(), [module.training for module in names["net"].modules()]
    assert "optimizer.step()" in unroll_cell(cell, names).source
    assert names == values
    assert {id(value) for value in names.values()} == objects
    assert dict(vars(names["clf"])) == attributes
    assert not names["log"]
    assert not names["path"].exists()
    assert torch.equal(names["points"], points)
    assert [module.training for module in names["net"].modules()] == modes
    assert len(names["net"]) == 4
    after = state_of(names["clf"])
    assert before.keys() == after.keys()
    assert all(proof.identical(before[key], after[key]) for key in before)
    assert repr(rng_state()) == repr(chance)
    assert tl.device._chosen is None
    assert capsys.readouterr() == ("", "")
    names["clf"].fit(names["digits"], verbose=0)  # and its calls are its own again
    assert tl.Model.fit.__name__ == "fit"
    assert not hasattr(tl.Model.fit.__wrapped__, "__wrapped__")


def test_what_a_model_remembers_is_its_own() -> None:
    names = notebook()
    remembered = {key: copy.copy(value) for key, value in vars(names["clf"]).items()}
    unroll_cell("clf.train_batch(points, digits.tensors[1])\nclf.fit(digits)", names)
    now = vars(names["clf"])
    assert now.keys() == remembered.keys()
    for key in ("_seen", "called_with", "callbacks", "loaded", "optimizer"):
        assert repr(now[key]) == repr(remembered[key]), key


NOT_RUN = {
    "a function": ("n = change()", r"n comes from change\(\)"),
    "in an argument": ("clf.fit(digits, epochs=change())", r"epochs comes from change\(\)"),
    "a lambda": ("n = max([1, 2], key=lambda n: log.append(n) or n)", "n comes from a lambda"),
    "a property": ("n = box.two", r"n comes from Box.two\(\)"),
    "a missing attribute": (
        "clf.fit(digits, epochs=box.any)",
        r"epochs comes from Box.__getattr__",
    ),
    "a length": ("clf.fit(digits, epochs=len(box))", r"epochs comes from Box.__len__\(\)"),
    "an operator": ("n = box + 1", r"n comes from Box.__add__\(\)"),
    "an item": ("box[0].fit(digits)", r"box\[0\] comes from Box.__getitem__\(\)"),
    "a constructor": ("n = Counted().n", r"n comes from Counted.__init__\(\)"),
    "a copy": ("box.n = 2\nclf.fit(digits, epochs=box.n)", "line 1, .*changes box itself"),
    "a class": ("Box.n = 2\nclf.fit(digits, epochs=Box.n)", "line 1, .*changes Box itself"),
    "the data": ("digits.tensors[0].zero_()", "line 1, .*changes digits itself"),
    "in a thread": (
        "from concurrent.futures import ThreadPoolExecutor as Pool\n"
        "with Pool() as pool: n = pool.submit(change).result()",
        r"n, pool come from change\(\)",
    ),
    "by another name": ("n = [*map(change, [1])][0]", r"n comes from change\(\)"),
    "what is caught": ("try: n = change()\nexcept: n = change()", "may catch anything"),
    "suppressed": (
        "import contextlib\nwith contextlib.suppress(BaseException): n = change()",
        r"n comes from change\(\)",
    ),
    "a file": ("n = open(there, 'w').write('12')", "this writes a file"),
    "a program": ("import os\nn = os.system('touch ' + there) + 1", "this has an effect outside"),
    "waiting": ("import time\nn = time.sleep(9) or 1", "this waits"),
    "a question": ("n = int(input())", "this asks for an input"),
}


@pytest.mark.parametrize("kind", NOT_RUN)
def test_what_is_the_users_own_is_not_run_nor_what_has_an_effect(kind: str, tmp_path) -> None:
    names = notebook("""
    log = []
    def change(*_):
        log.append("change")
        return 1
    class Counted:
        def __init__(self): log.append("init"); self.n = 1
    class Box:
        n = 1
        two = property(lambda self: log.append("two"))
        def __len__(self): log.append("len"); return 1
        def __add__(self, other): log.append("add"); return 1
        def __getitem__(self, i): log.append("item"); return clf
        def __deepcopy__(self, memo): log.append("copy"); return self
        def __getattr__(self, name):
            if name.startswith("__"): raise AttributeError(name)
            log.append(name)
            return 1
    Box.two.fget.__qualname__ = "Box.two"
    Box.two.fget.__code__ = Box.two.fget.__code__.replace(co_name="two", co_qualname="Box.two")
    box = Box()
    """)
    names["there"] = str(tmp_path / "file")
    cell, message = NOT_RUN[kind]
    weights = names["digits"].tensors[0].clone()
    if "fit" not in cell:
        cell += f"\nclf.fit(digits{', epochs=n' * ('n =' in cell)})"
    with pytest.raises(CellError, match=message):
        unroll_cell(cell, names)
    assert not names["log"]
    assert (names["Box"].n, vars(names["box"])) == (1, {})
    assert torch.equal(names["digits"].tensors[0], weights)
    assert not any(tmp_path.iterdir())
    assert sys.getprofile() is None


def test_what_libraries_compute_is_known() -> None:
    """With the items of the user's own data, which fit asks for as well."""
    setup = """
    from collections import namedtuple
    from dataclasses import dataclass
    Named = namedtuple("Named", "n")
    @dataclass
    class Options:
        n: int = 1
    class Data(torch.utils.data.Dataset):
        def __len__(self): return 20
        def __getitem__(self, i): return digits[i]
    """
    source = unrolled(
        """
options, named = Options(2), Named(n=3)
sizes = [size for size in sorted({16, 8}) if size]
parts = torch.utils.data.random_split(Data(), [10, 10])
for i, (x, y) in enumerate(DataLoader(parts[0], 5, num_workers=1)):
    clf.train_batch(x, y)
clf.fit(digits, epochs=options.n, batch_size=sizes[0])
clf.fit(digits, epochs=named.n, batch_size=int(torch.tensor(8.0) + 1))
""",
        setup,
    )
    assert "for epoch in range(options.n):" in source
    assert "for epoch in range(named.n):" in source


def test_arguments_in_a_list_or_a_dict_are_its_items() -> None:
    setup = "options, batch = {'epochs': 2, 'batch_size': bs}, digits[:9]"
    source = check_equal("clf.fit(digits, **options)\nr = clf.train_batch(*batch)\n", setup)
    assert "for epoch in range(options['epochs']):" in source
    assert "batch_size=options['batch_size']" in source
    assert "batch[0]" in source


def test_a_silent_call_is_a_silent_loop() -> None:
    source = check_equal(
        "h = clf.fit(digits, test, epochs=2, verbose=0)\nclf.evaluate(test, verbose=0)"
    )
    assert "print" not in source
    assert "if (step" not in source
    assert source.endswith("\nresult")
    printing = unrolled("clf.fit(digits, test, epochs=2)\nclf.evaluate(test)")
    assert printing.count("print(") == 3


def test_the_last_result_of_ipython_is_not_spoken_of() -> None:
    assert "overwrites" not in unrolled("out = clf.predict(test)", "_ = 3")


def test_calls_behind_a_magic_stay_and_say_so() -> None:
    cell = "%time clf.fit(digits)\nloss = 3\nclf.evaluate(test)\n"
    source = unrolled(cell)
    assert source.startswith("# stays: clf.fit(digits) (it stands behind a magic")
    assert "\n%time clf.fit(digits)\nloss = 3\n" in source
    assert "loss_2 = loss_fn(y_hat, y)" in source


def test_only_what_a_call_needs_is_looked_at() -> None:
    cell = "1 / 0\nwrong = undefined\nfor i in range(3):\n    1 / 0\nclf.evaluate(test)\n"
    assert unrolled(cell).startswith("1 / 0\nwrong = undefined\n")


def test_calls_in_functions_and_comprehensions_stay_and_say_so() -> None:
    source = unrolled("""\
def again():
    return clf.fit(digits)
accs = [clf.evaluate(data)["acc"] for data in (digits, test)]
good = accs and clf.evaluate(test)
clf.evaluate(test)
""")
    assert source.splitlines()[:7] == [
        "# stays: clf.fit(digits) (inside a function, it is known only when that is called)",
        "def again():",
        "    return clf.fit(digits)",
        "# stays: clf.evaluate(data) (in a comprehension there is no place for a loop; use `for`)",
        'accs = [clf.evaluate(data)["acc"] for data in (digits, test)]',
        "# stays: clf.evaluate(test) (it is made only under a condition, in the middle of a line)",
        "good = accs and clf.evaluate(test)",
    ]


def test_another_turn_of_a_loop_may_need_other_lines() -> None:
    source = unrolled("for clip in (None, 0.1):\n    clf.fit(digits, clip_grad_norm=clip)\n")
    assert "# (written for the first clip; another one may need other lines)" in source
    assert "first" not in unrolled("for n in (1, 2):\n    clf.fit(digits, epochs=n)\n")


def test_lines_for_ipython_stay() -> None:
    cell = "%matplotlib inline\nif bs:\n  !ls é\n  clf.evaluate(test)\ntext = '''\n%d'''\n"
    source = unrolled(cell)
    assert source.startswith("%matplotlib inline\nif bs:\n  !ls é\n  # clf.evaluate(test)\n")
    assert source.endswith("\ntext = '''\n%d'''\n")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "print(clf)",
            r"no call of a Model in this cell. Looked for: fit, evaluate.*such as clf.fit\(",
        ),
        ("", "no call of a Model in this cell"),
        ("x = (1,", r"line 1: '\(' was never closed: x = \(1,"),
        ("\nfoo.fit(digits)", "line 2, `foo.fit\\(digits\\)`: name 'foo' is not defined."),
        ("clf.fit(nothing)", "line 1, `clf.fit\\(nothing\\)`: name 'nothing' is not defined."),
        ("clf.fit(digits, epochs=0)", "line 1, .*epochs is 0, but an integer of at least 1"),
        ("clf.fit(digits, epoch=2)", "line 1, .*unexpected keyword argument 'epoch'"),
        ("m = tl.Model(net)\nm.fit(digits)", "line 2, `m.fit\\(digits\\)`: .*prepare"),
        ("n = 1 / 0\nclf.fit(digits, epochs=n)", "line 1, `n = 1 / 0`, fails: ZeroDivisionError"),
        (
            "h = clf.fit(digits)\nn = len(h.rows)\nclf.fit(digits, epochs=n)",
            "line 2, `n = len\\(h.rows\\)`, needs h, which is known only after the call of the "
            "model in line 1. Run that in a cell before.",
        ),
        (
            "clf.fit(digits, epochs=int(clf.evaluate(test)['acc']) + 1)",
            "line 1: fit needs what `clf.evaluate",
        ),
        (
            "def f(): return clf.evaluate(test)\nn = f()\nclf.fit(digits, epochs=n)",
            "line 2, `n = f\\(\\)`: n comes from f\\(\\), which unrolling does not run.",
        ),
        (
            "clf.train_batch(*list(digits[:9]))",
            r"line 1, .*\*list\(digits\[:9\]\) can be written out if it is the name of a list",
        ),
        (
            "clf.fit(digits, **dict(epochs=2))",
            r"line 1, .*\*\*dict\(epochs=2\) can be written out if it is the name of a dict",
        ),
        ("%time clf.fit(digits)", "line 1: `clf.fit.*behind a magic.* Write %%time"),
        ("x = 1\n%timeit -n 1 clf.fit(digits)", "line 2: `clf.fit.*behind a magic"),
        ("n = !ls\nclf.fit(digits, epochs=len(n))", "line 1, `n = !ls`, is for IPython"),
        ("%time n = 2\nclf.fit(digits, epochs=n)", "line 1, `%time n = 2`, is for IPython"),
        ("[clf, clf][0].fit(digits)", "line 1: .*its model has no name. Give the model one"),
        ("new().fit(digits)", "line 1: .*its model has no name. Give the model one"),
        (
            "def g(): clf.fit(digits)",
            "line 1: .*inside a function.* with values for the function's",
        ),
        ("again()", r"again\(\) calls evaluate: inside a function, .*a cell of its own"),
        ("bs and clf.fit(digits)", "line 1: .*only under a condition.* on a line of its own"),
        ("clf.predict_batch(next(stream))", "line 1, .*takes from the iterator stream"),
        ("for x in stream: clf.predict_batch(x)", "line 1, .*takes from the iterator stream"),
        ("for x in []: clf.predict_batch(x)", "line 1: there is no first item to look at"),
        ("clf.fit(digits, loop=mine)", "line 1, .*runs your own function as its loop"),
        (
            "[clf.evaluate(d) for d in (test,)]",
            "line 1: `clf.evaluate\\(d\\)` stays as it is: in a compre",
        ),
    ],
)
def test_what_cannot_be_unrolled_is_explained(cell: str, message: str) -> None:
    setup = """
    stream = (x for x in [points[:5]])
    def mine(network): pass
    def again(): return clf.evaluate(test)
    """
    names = notebook(setup)
    with pytest.raises(CellError, match=message):
        unroll_cell(cell, names)
    assert len(list(names["stream"])) == 1


# ---- both are run


def proved(cell: str, names: dict[str, Any]) -> proof.Proof:
    with contextlib.redirect_stdout(io.StringIO()):
        return prove(unroll_cell(cell, names), names)


def test_the_proof_counts_what_is_equal_and_the_cell_was_run() -> None:
    names, other = notebook(), notebook()
    cell = "h = clf.fit(digits, epochs=2, batch_size=bs)\nout = clf.predict(test)\n"
    cell += "for d in (digits, test):\n    print(clf.evaluate(d))\n"
    tl.seed(3)
    result = proved(cell, names)
    assert result
    assert result.line == (
        "equal bit for bit: 6 step losses, 10 reported means, 1 predictions, 4 weight tensors, "
        f"{len(proof.flat(names['adam'].state_dict()))} optimizer values"
    )
    tl.seed(3)
    run(cell, other)
    assert names["h"].step_losses == other["h"].step_losses
    assert torch.equal(names["net"][0].weight, other["net"][0].weight)
    assert torch.equal(names["out"][0][0], other["out"][0][0])
    assert "_record_" not in names
    assert "step_losses" not in names


def test_a_cell_that_differs_by_itself_is_told_from_a_wrong_loop() -> None:
    """A network that counts its calls where no state_dict shows it."""
    names = notebook("""
    class Drifting(nn.Linear):
        calls = 0
        def forward(self, x):
            Drifting.calls += 1
            return super().forward(x) * Drifting.calls
    clf = tl.Model(Drifting(8, 3))
    clf.prepare(torch.optim.SGD(clf.parameters(), lr=0.1), nn.CrossEntropyLoss())
    """)
    result = proved("clf.fit(digits, batch_size=35)", names)
    assert not result
    assert result.line.startswith("NOT equal: run twice, the cell itself gives something else")
    assert "step losses, [0][0]: " in result.line
    assert " at first, " in result.line


def test_the_proof_says_what_is_not_equal(monkeypatch) -> None:
    """A mistake of ours: two steps where there should be one."""
    recording = UnrolledCell.recording.fget
    step = "adam.step() "
    monkeypatch.setattr(
        UnrolledCell,
        "recording",
        property(lambda cell: recording(cell).replace(step, "adam.step(); adam.step() ")),
    )
    result = proved("clf.fit(digits, batch_size=35)", notebook())
    assert result.line.startswith("NOT equal: step losses, [0][1]: ")
    assert " in the cell, " in result.line
    assert " in the unrolled cell (2 step losses, " in result.line
    html = Verdict(result)._repr_html_()
    assert "not proved" in html
    assert "NOT equal: step losses" in html


def test_a_cell_that_cannot_run_twice_is_refused_and_not_run() -> None:
    names = notebook("stream = (x for x in [points[:5]])")
    before = state_of(names["clf"])["network.0.weight"].clone()
    for cell, message in (
        ("clf.fit(digits, save_dir='there')", r"line 1: .*save_dir='there'.*unroll\(\"fit\""),
        ("clf.fit(digits, callbacks=tl.callbacks.CSVLogger('x'))", "writes files .csv_logger"),
        ("clf.fit(digits)\nnext(stream)", "takes from stream"),
    ):
        with pytest.raises(CellError, match=message):
            prove(unroll_cell(cell, names), names)
    assert torch.equal(state_of(names["clf"])["network.0.weight"], before)


def test_an_unrolled_cell_that_fails_is_not_equal() -> None:
    names = notebook("class Count:\n    n = 0")  # a class is not copied
    result = proved("Count.n += 1\nassert Count.n > 1, 'first'\nclf.evaluate(test)", names)
    assert result.line.startswith("NOT equal: the unrolled cell fails: AssertionError: first (")
    assert names["Count"].n == 2


def test_an_interrupted_cell_is_not_compared(monkeypatch) -> None:
    names = notebook()
    whole = unroll_cell("clf.fit(digits, epochs=2)", names)

    def interrupted(cell: str) -> None:
        stop = tl.callbacks.LambdaCallback(on_epoch_end=lambda *_: signal.raise_signal(2))
        names["clf"].fit(names["digits"], epochs=2, callbacks=stop, verbose=0)

    assert prove(whole, names, interrupted).line.startswith("NOT equal: the cell was interrupted")


# ---- side by side


def test_side_by_side_each_statement_stands_beside_its_lines() -> None:
    both = SideBySide(unroll_cell("n = 2\nclf.fit(digits, epochs=n)\nprint(1)\n", notebook()))
    lines = both.text(120).splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[0] == "as written                | unrolled: what runs"
    assert lines[2] == "n = 2                     | n = 2"
    assert lines[4] == "clf.fit(digits, epochs=n) | # clf.fit(digits, epochs=n)"
    assert f"{' ' * 25} |     net.train()                               # dropout" in both.text(120)
    assert lines[-1] == "print(1)                  | print(1)"
    narrow = both.text(60).splitlines()
    assert narrow[:5] == [
        "---- in both",
        "n = 2",
        "---- as written",
        "clf.fit(digits, epochs=n)",
        "---- unrolled: what runs",
    ]
    assert narrow[-2:] == ["---- in both", "print(1)"]


def test_side_by_side_in_a_notebook_is_html_that_needs_nothing() -> None:
    html = SideBySide(unroll_cell("a = '<b>&'\nclf.evaluate(test)", notebook()))._repr_html_()
    assert html.count('role="row"') == 3
    assert "&lt;b&gt;&amp;" in html
    assert "<script" not in html
    assert "http" not in html
    ElementTree.fromstring(html)  # every tag is closed


# ---- what a front end is told


def test_a_cell_magic_stays_on_top_and_unroll_goes() -> None:
    names = notebook("del torch")
    cell = "history = clf.fit(digits, epochs=1)"
    timed = unroll_cell(f"%%time\n{cell}\n", names).source.splitlines()
    assert timed[0] == "%%time"
    assert timed[1] == "import torch"
    told = Answer(f"%%unroll --diff\n{cell}\n", names).json
    assert told["source"] == unroll_cell(cell, names).source.strip("\n")
    assert told["pairs"][-1]["before"] == f"{cell}\n"
    assert "".join(pair["after"] for pair in told["pairs"]).strip("\n") == told["source"]


def test_a_front_end_is_told_why_there_is_nothing_to_unroll() -> None:
    assert Answer("x = 3", notebook()).json.keys() == {"error"}
    assert "epochs" in Answer("clf.fit(digits, epochs=0)", notebook()).json["error"]


def test_an_answer_leaves_no_trace_in_the_notebook(kernel) -> None:
    kernel.run(SETUP)
    kernel.run("torch.manual_seed(3); weights = net[0].weight.clone(); names = set(globals())")
    answer = '__import__("tutorial.notebook.cell", fromlist=["Answer"]).Answer'
    question = f'{answer}("clf.fit(digits)", globals())'
    kernel.end(kernel.client.execute("", silent=True, user_expressions={"answer": question}))
    told = kernel.reply["user_expressions"]["answer"]["data"]["application/json"]
    assert told["source"].startswith("# clf.fit(digits)\n")
    look = """
        assert {name for name in globals() if not name.startswith("_")} <= names | {"names"}
        assert torch.equal(weights, net[0].weight)
        chance = torch.rand(1)
        torch.manual_seed(3)
        assert torch.equal(chance, torch.rand(1))
        assert not any("Answer" in cell for cell in In[:-1])
        """
    kernel.run(textwrap.dedent(look))


# ---- at another depth


@pytest.mark.parametrize("depth", ["optimizer", "gradients"])
def test_a_cell_at_another_depth_does_the_same(depth: str) -> None:
    """Where the optimizer takes one weight after the other, as written out."""
    net = nn.Sequential(nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3))
    one = tl.Model(net)
    adam = torch.optim.Adam(net.parameters(), foreach=False, fused=False)
    one.prepare(adam, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    data = TensorDataset(torch.randn(70, 8), torch.arange(70) % 3)
    names = {"one": one, "net": net, "data": data, "samples": 2, "weight": 3, "F": 4, "tl": tl}
    cell = "history = one.fit(data, epochs=samples)\nacc = one.evaluate(data)['acc']\n"
    unrolled = unroll_cell(cell, names, depth)
    assert "Running this overwrites your" in unrolled.source
    assert "net.parameters()" in unrolled.source
    assert ("net(x)" in unrolled.source) == (depth == "optimizer")
    assert prove(unrolled, names)
    html = AtDepths(unrolled, names, depth)._repr_html_()
    assert html.count("<section data") == (2 if depth == "optimizer" else 3)


def test_in_a_cell_the_lines_that_belong_together_have_the_same_number() -> None:
    net = nn.Linear(8, 3)
    one = tl.Model(net)
    one.prepare(torch.optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss())
    names = {"one": one, "net": net, "x": torch.randn(4, 8), "y": torch.arange(4) % 3}
    unrolled = unroll_cell("one.train_batch(x, y)\none.predict_batch(x)", names, "gradients")
    html = AtDepths(unrolled, names, "gradients")._repr_html_()
    loop, _, gradients = re.findall(r"<section data.*?</section>", html, re.DOTALL)

    def parts(section: str, code: str) -> list[str]:
        lines = re.findall(r'data-p="(\d+)"[^>]*>(.*?)\n</span>', section)
        return [part for part, line in lines if code in re.sub(r"<[^>]*>", "", line)]

    forward = parts(loop, "= net(x)")
    assert len(set(forward)) == 2
    assert parts(gradients, "torch.addmm") == forward
    assert parts(gradients, "d_W = ") == parts(loop, "loss.backward()")
    assert set(parts(gradients, "weight.grad = None")) == set(parts(loop, ".zero_grad()"))
