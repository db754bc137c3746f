"""What a batch may hold: each form trains as a loop by hand does, and its script as well."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
import warm
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import tutorial as tl
from tutorial import InputSpec
from tutorial.inputs.readings import structure_of
from tutorial.inputs.structure import (
    BatchStructure,
    OutputStructure,
    codes,
    leaves,
    pattern_code,
)
from tutorial.unroll.proof import flat, identical

CHANCE = torch.Generator().manual_seed(0)
IMAGE, TEXT = torch.randn(20, 8, generator=CHANCE), torch.randn(20, 5, generator=CHANCE)
DIGIT, PARITY = torch.arange(20) % 3, torch.arange(20) % 2
CE = nn.CrossEntropyLoss
SPECS = [InputSpec((None, 8), name="image"), InputSpec((None, 5), name="text")]
LABELS = [InputSpec([-1], "int64", name="digit"), InputSpec([-1], "int64", name="parity")]

# ---- networks, by what they take and give


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 3), nn.Linear(5, 3)

    def forward(self, image: torch.Tensor, text: torch.Tensor) -> Any:
        return self.a(image) + self.b(text)


class Heads(Two):
    def forward(self, image: torch.Tensor, text: torch.Tensor) -> Any:
        return self.a(image), self.b(text)[:, :2]


class Named(Two):
    def forward(self, image: torch.Tensor, text: torch.Tensor) -> Any:
        return {"digit": self.a(image), "parity": self.b(text)[:, :2]}


class Nested(Two):
    def forward(self, image: torch.Tensor, text: torch.Tensor) -> Any:
        return self.a(image), (self.b(text), self.b(text).tanh())


class Whole(Two):
    def forward(self, features: dict[str, torch.Tensor]) -> Any:
        return self.a(features["image"]) + self.b(features["text"])


class Optional(Two):
    def forward(self, image: torch.Tensor, text: Any = None, scale: float = 1.0) -> Any:
        return self.a(image) * scale + (0 if text is None else self.b(text))


class Every(Two):
    def forward(self, *parts: torch.Tensor) -> Any:
        return self.a(parts[0]) + self.b(parts[1])


class Keyword(Two):
    def forward(self, image: torch.Tensor, *, text: torch.Tensor) -> Any:
        return self.a(image) + self.b(text)


# ---- data, by how a sample is put together


class Arranged(Dataset):
    """One sample at a time: whatever `arrange` makes of an image, a text, a digit and a parity."""

    def __init__(self, arrange: Callable[..., Any]) -> None:
        self.arrange = arrange
        self.parts = (IMAGE, TEXT, DIGIT, PARITY)

    def __len__(self) -> int:
        return 20

    def __getitem__(self, i: int) -> Any:
        return self.arrange(*(part[i] for part in self.parts))


class Stream(IterableDataset):
    """The same, and nobody knows what comes next."""

    def __init__(self, arrange: Callable[..., Any]) -> None:
        self.rows = Arranged(arrange)

    def __iter__(self) -> Iterator[Any]:
        return (self.rows[i] for i in range(len(self.rows)))


def pair_of_one(image, text, digit, parity):
    return (image, text), digit


def pair_of_two(image, text, digit, parity):
    return (image, text), (digit, parity)


def row_of_three(image, text, digit, parity):
    return image, text, digit


def row_of_four(image, text, digit, parity):
    return image, text, digit, parity


def one_dict(image, text, digit, parity):
    return {"text": text, "label": digit, "image": image}


def dict_and_label(image, text, digit, parity):
    return {"text": text, "image": image}, digit


def two_dicts(image, text, digit, parity):
    return {"image": image, "text": text}, {"parity": parity, "digit": digit}


def dict_of_four(image, text, digit, parity):
    return {"id": digit, "image": image, "text": text, "digit": digit, "parity": parity}


def image_and_label(image, text, digit, parity):
    return image, digit


def image_and_text(image, text, digit, parity):
    return image, text


# ---- losses of several


def added(digit_hat, parity_hat, digit, parity):
    return F.cross_entropy(digit_hat, digit) + F.cross_entropy(parity_hat, parity)


def listed(digit_hat, parity_hat, digit, parity):
    return [F.cross_entropy(digit_hat, digit), F.cross_entropy(parity_hat, parity)]


def keyed(digit_hat, parity_hat, digit, parity):
    each = listed(digit_hat, parity_hat, digit, parity)
    return dict(zip(("digit", "the parity"), each, strict=True))


def of_states(out, h, c, digit):
    return F.cross_entropy(out, digit) + (h * c).mean()


def of_outputs(y_hat):
    return y_hat.pow(2).mean()


class Case(NamedTuple):
    """A form, and what a person writes for it: the parts of a batch, and the losses."""

    network: Any
    data: Any
    hand: Callable[[Any, Any], list[torch.Tensor]]
    words: tuple[str, ...]
    loss: Any = CE()
    names: tuple[str, ...] = ()
    inputs: Any = None
    labels: Any = None


def one(net: Any, image: Any, text: Any, digit: Any) -> list[torch.Tensor]:
    return [F.cross_entropy(net(image, text), digit)]


def both(net: Any, image: Any, text: Any, digit: Any, parity: Any) -> list[torch.Tensor]:
    return listed(*net(image, text), digit, parity)


def both_named(net: Any, image: Any, text: Any, digit: Any, parity: Any) -> list[torch.Tensor]:
    return listed(*net(image, text).values(), digit, parity)


CASES = {
    "(x1, x2), y": Case(
        Two, Arranged(pair_of_one), lambda n, b: one(n, *b[0], b[1]),
        ("for step, ((x_0, x_1), y) in", "y_hat = network(x_0, x_1)"),
    ),
    "x1, x2, y": Case(
        Two, TensorDataset(IMAGE, TEXT, DIGIT), lambda n, b: one(n, *b),
        ("for step, (x_0, x_1, y) in", "loss_fn(y_hat, y)"),
    ),
    "a list of batches": Case(
        Two, [[IMAGE, TEXT, DIGIT], [IMAGE[:3], TEXT[:3], DIGIT[:3]]], lambda n, b: one(n, *b),
        ("for step, (x_0, x_1, y) in",),
    ),
    "names from InputSpec": Case(
        Two, Arranged(pair_of_one), lambda n, b: one(n, *b[0], b[1]),
        ("((image, text), digit) in", "network(image, text)", "loss_fn(y_hat, digit)"),
        inputs=SPECS, labels=LABELS[0],
    ),
    "dict": Case(
        Two, Arranged(one_dict), lambda n, b: one(n, b["image"], b["text"], b["label"]),
        ("for step, batch in", 'network(batch["image"], batch["text"])', 'y_hat, batch["label"])'),
    ),
    "dict with more in it": Case(
        Heads, Arranged(dict_of_four), lambda n, b: both(n, *list(b.values())[1:]),
        ('loss_fn(y_hat_0, y_hat_1, batch["digit"], batch["parity"])',),
        added, inputs={"image": SPECS[0], "text": SPECS[1]}, labels=LABELS,
    ),
    "list of dicts": Case(
        Two, [{"text": TEXT, "image": IMAGE, "label": DIGIT}] * 2,
        lambda n, b: one(n, b["image"], b["text"], b["label"]),
        ("for step, batch in",),
    ),
    "dict, y": Case(
        Two, Arranged(dict_and_label), lambda n, b: one(n, b[0]["image"], b[0]["text"], b[1]),
        ("for step, (inputs, y) in", 'network(inputs["image"], inputs["text"])'),
        inputs=SPECS,
    ),
    "dict, y; the network takes the dict": Case(
        Whole, Arranged(dict_and_label), lambda n, b: [F.cross_entropy(n(b[0]), b[1])],
        ("for step, (inputs, y) in", "y_hat = network(inputs)"),
    ),
    "keyword": Case(
        Keyword, Arranged(one_dict),
        lambda n, b: [F.cross_entropy(n(b["image"], text=b["text"]), b["label"])],
        ('network(image=batch["image"], text=batch["text"])',),
    ),
    "optional argument left out": Case(
        Optional, Arranged(image_and_label), lambda n, b: [F.cross_entropy(n(b[0]), b[1])],
        ("y_hat = network(x)",),
    ),
    "optional argument given": Case(
        Optional, TensorDataset(IMAGE, TEXT, DIGIT), lambda n, b: one(n, *b),
        ("y_hat = network(image, text)", "loss_fn(y_hat, y)"), inputs=SPECS,
    ),
    "any number of arguments": Case(
        Every, Arranged(pair_of_one), lambda n, b: one(n, *b[0], b[1]), ("network(x_0, x_1)",),
    ),
    "no labels": Case(
        Two, TensorDataset(IMAGE, TEXT), lambda n, b: [of_outputs(n(*b))],
        ("(image, text) in", "loss = loss_fn(y_hat)"), of_outputs, inputs=SPECS,
    ),
    "(x1, x2), (y1, y2), one loss": Case(
        Heads, Arranged(pair_of_two), lambda n, b: both(n, *b[0], *b[1]),
        ("((x_0, x_1), (y_0, y_1)) in", "y_hat_0, y_hat_1 = network(",
         "loss_fn(y_hat_0, y_hat_1, y_0, y_1)"),
        added,
    ),
    "a list of losses": Case(
        Heads, Arranged(row_of_four), lambda n, b: both(n, *b),
        ("loss_0, loss_1 = loss_fn(y_hat_0, y_hat_1, y_0, y_1)", "loss = loss_0 + loss_1"),
        listed, ("loss_0", "loss_1"),
    ),
    "a dict of losses": Case(
        Heads, Arranged(row_of_four), lambda n, b: both(n, *b),
        ('loss = losses["digit"] + losses["the parity"]',),
        keyed, ("digit", "the parity"),
    ),
    "a list of loss functions": Case(
        Heads, Arranged(pair_of_two), lambda n, b: both(n, *b[0], *b[1]),
        ("loss_0 = loss_fn_0(y_hat_0, y_0)", "loss_1 = loss_fn_1(y_hat_1, y_1)"),
        [CE(), F.cross_entropy], ("loss_0", "loss_1"),
    ),
    "a dict of loss functions": Case(
        Named, Arranged(row_of_four), lambda n, b: both_named(n, *b),
        ('loss_digit = loss_fn_digit(y_hat["digit"], y_0)', 'fn_parity(y_hat["parity"], y_1)'),
        {"digit": CE(), "parity": CE()}, ("digit", "parity"),
    ),
    "two dicts": Case(
        Named, Arranged(two_dicts),
        lambda n, b: both_named(n, *b[0].values(), b[1]["digit"], b[1]["parity"]),
        ("for step, (inputs, labels) in", 'loss_fn_digit(y_hat["digit"], labels["digit"])',
         'loss_fn_parity(y_hat["parity"], labels["parity"])'),
        {"digit": CE(), "parity": CE()}, ("digit", "parity"),
    ),
    "nested outputs": Case(
        Nested, Arranged(row_of_three),
        lambda n, b: [of_states(*(o := n(*b[:2]))[:1], *o[1], b[2])],
        ("y_hat_0, (y_hat_1, y_hat_2) = network(x_0, x_1)", "(y_hat_0, y_hat_1, y_hat_2, y)"),
        of_states,
    ),
    "a stream, described": Case(
        Heads, Stream(row_of_four), lambda n, b: both(n, *b),
        ("(image, text, digit, parity) in", "loss_0, loss_1 = loss_fn(y_hat_0, y_hat_1, digit, pa"),
        listed, ("loss_0", "loss_1"), SPECS, LABELS,
    ),
    "a stream, named outputs": Case(
        Named, Stream(row_of_four), lambda n, b: both_named(n, *b),
        ('loss_parity = loss_fn_parity(y_hat["parity"], parity)',),
        {"digit": CE(), "parity": CE()}, ("digit", "parity"), SPECS, LABELS,
    ),
    "a stream of pairs, not described": Case(
        Optional, Stream(image_and_label), lambda n, b: [F.cross_entropy(n(b[0]), b[1])],
        ("for step, (x, y) in", "y_hat = network(x)"),
    ),
    "a stream without labels": Case(
        Two, Stream(image_and_text), lambda n, b: [of_outputs(n(*b))],
        ("(image, text) in", "loss = loss_fn(y_hat)"), of_outputs, inputs=SPECS, labels=[],
    ),
}  # fmt: skip


def prepared(case: Case) -> tl.Model:
    tl.seed(1)
    model = tl.Model(case.network(), case.inputs, case.labels)
    model.prepare(torch.optim.Adam(model.parameters(), lr=0.05), case.loss)
    tl.seed(2)
    return model


def by_fit(case: Case) -> dict[str, Any]:
    model = prepared(case)
    history = model.fit(case.data, batch_size=8, epochs=2, verbose=0)
    return results(history.step_losses, history.rows, model.network, model.optimizer)


def by_hand(case: Case) -> dict[str, Any]:
    tl.seed(1)
    network = case.network()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05, fused=True)
    tl.seed(2)
    shuffle = None if isinstance(case.data, IterableDataset) else True
    loader = case.data if isinstance(case.data, list) else DataLoader(case.data, 8, shuffle)
    step_losses, rows = [], []
    for epoch in range(2):
        sums, samples = [0.0] * (1 + len(case.names)), 0
        for batch in loader:
            losses = case.hand(network, batch)
            loss = losses[0] + losses[1] if len(losses) == 2 else losses[0]
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            n = len(next(iter(leaves((), batch)))[1])
            step_losses.append(loss.item())
            shown = [loss, *losses][: len(sums)]
            sums = [total + part.item() * n for total, part in zip(sums, shown, strict=True)]
            samples += n
        means = [total / samples for total in sums]
        if isinstance(case.loss, dict | list) and isinstance(case.data, IterableDataset):
            means[0] = sum(means[1:])  # each loss has a mean of its own: what it ignores is unknown
        rows.append({"epoch": epoch + 1} | dict(zip(("loss", *case.names), means, strict=True)))
    return results(step_losses, rows, network, optimizer)


def results(step_losses: Any, rows: Any, network: Any, optimizer: Any) -> dict[str, Any]:
    states = {"network": network.state_dict(), "optimizer": optimizer.state_dict()["state"]}
    return {"step_losses": step_losses, "rows": rows} | states


RUN_ALL = """
import runpy, sys
from pathlib import Path
sys.modules["tutorial"] = None
import torch
torch.set_num_threads(1)
for script in sorted(Path(sys.argv[1]).glob("*.py")):
    n = runpy.run_path(str(script))
    kept = {name: n[name] for name in ("step_losses", "rows")}
    kept["network"] = n["network"].state_dict()
    kept["optimizer"] = n["optimizer"].state_dict()["state"]
    torch.save(kept, script.with_suffix(".r"))
"""


@pytest.fixture(scope="module")
def by_script(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """The scripts of all forms, run one after the other in one fresh process."""
    folder = tmp_path_factory.mktemp("scripts")
    for i, case in enumerate(CASES.values()):
        tl.set_device("cpu")
        program = prepared(case).unroll("fit", case.data, batch_size=8, epochs=2)
        program.save(folder / f"{i:02}.py")
    ran = warm.run(RUN_ALL, folder, cwd="/")
    assert ran.returncode == 0, ran.stderr
    return lambda name: torch.load(folder / f"{list(CASES).index(name):02}.r", weights_only=True)


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    a, b = flat(one), flat(other)
    return [key for key in a | b if not identical(a.get(key), b.get(key))]


@pytest.mark.parametrize("name", CASES)
def test_every_form_trains_as_by_hand_and_as_a_script(
    name: str, by_script: Callable[[str], dict[str, Any]]
) -> None:
    torch.set_num_threads(1)
    fit = by_fit(CASES[name])
    assert len(fit["step_losses"]) >= 4
    assert not differences(fit, by_hand(CASES[name]))
    assert not differences(fit, by_script(name))


@pytest.mark.parametrize("name", CASES)
def test_every_form_reads_as_a_person_would_write_it(name: str) -> None:
    case = CASES[name]
    source = prepared(case).unroll("fit", case.data, batch_size=8, epochs=2).source
    for words in case.words:
        assert words in source


@pytest.mark.parametrize("name", CASES)
def test_every_form_evaluates_to_the_same_for_every_batch_size(name: str) -> None:
    model, case = prepared(CASES[name]), CASES[name]
    expected = model.evaluate(case.data, batch_size=20, verbose=0)
    assert list(expected) == ["loss", *case.names]
    if case.names:
        assert expected["loss"] == pytest.approx(sum(expected[name] for name in case.names))
    for batch_size in (1, 7):
        result = model.evaluate(case.data, batch_size=batch_size, verbose=0)
        assert result == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_every_form_predicts_all_rows_in_order_and_never_looks_at_labels(name: str) -> None:
    model, case = prepared(CASES[name]), CASES[name]
    batches = model.predict(case.data, batch_size=8, verbose=0)
    stacked = model.predict(case.data, batch_size=8, stack_outputs=True, verbose=0)
    assert isinstance(stacked, dict) == (case.network is Named)
    keys = list(stacked) if isinstance(stacked, dict) else range(len(stacked))
    assert len(keys) == {Heads: 2, Named: 2, Nested: 3}.get(case.network, 1)
    with torch.no_grad():
        text = None if case.network is Optional and not case.inputs else TEXT
        inputs = [{"image": IMAGE, "text": TEXT}] if case.network is Whole else [IMAGE, text]
        named = case.network is Keyword
        expected = model.network(IMAGE, text=TEXT) if named else model.network(*inputs)
    for key, whole in zip(keys, (tensor for _, tensor in leaves((), expected)), strict=True):
        assert torch.equal(torch.cat(batches[key]), stacked[key])
        torch.testing.assert_close(stacked[key][:20], whole)
    assert model.unroll("predict", case.data).source.count("y_hats.append(") == 1


@pytest.mark.parametrize("name", CASES)
def test_every_form_that_was_seen_is_known_to_summary(name: str, capsys) -> None:
    model, case = prepared(CASES[name]), CASES[name]
    model.evaluate(case.data, batch_size=8, verbose=0)
    assert model.summary()["total_params"] == 8 * 3 + 3 + 5 * 3 + 3
    assert "Linear (a)" in capsys.readouterr().out


def test_a_dict_goes_by_the_names_of_arguments_whatever_its_order() -> None:
    named = {"text": InputSpec((None, 5)), "image": InputSpec((None, 8))}
    batches = [{"text": TEXT, "image": IMAGE, "digit": DIGIT}]
    for network, call in (
        (Two, 'network(batch["image"], batch["text"])'),
        (Keyword, 'network(image=batch["image"], text=batch["text"])'),
    ):
        for inputs in (None, named):
            model = tl.Model(network(), inputs=inputs)
            model.prepare(loss=CE())
            assert call in model.unroll("evaluate", batches).source
            expected = F.cross_entropy(model.network(image=IMAGE, text=TEXT), DIGIT).item()
            assert model.evaluate(batches, verbose=0)["loss"] == pytest.approx(expected)


# ---- one batch


def test_a_batch_in_the_hand_may_be_a_list_a_dict_or_numpys() -> None:
    model = prepared(CASES["a dict of loss functions"])
    as_dict, as_arrays = {"text": TEXT, "image": IMAGE}, [IMAGE.numpy(), TEXT.numpy()]
    expected = model.eval_batch([IMAGE, TEXT], [DIGIT, PARITY])
    assert list(expected) == ["loss", "digit", "parity"]
    named = {"parity": PARITY.numpy(), "digit": DIGIT}
    other = prepared(CASES["a dict of loss functions"])  # what one has seen, the other has not
    near = pytest.approx(expected, rel=1e-6)  # a sum of means, or the mean of a sum
    assert other.eval_batch(as_dict, named) == near
    assert model.eval_batch(as_arrays, named) == near
    results = []
    for inputs, labels in (([IMAGE, TEXT], (DIGIT, PARITY)), (as_dict, named)):
        model = prepared(CASES["a dict of loss functions"])
        assert model.train_batch(inputs, labels) == near
        results.append(model.predict_batch(inputs))
        assert list(results[-1]) == ["digit", "parity"]
    assert torch.equal(results[0]["digit"], results[1]["digit"])


def test_a_batch_in_the_hand_may_have_no_labels() -> None:
    model = prepared(CASES["no labels"])
    expected = of_outputs(model.network(IMAGE, TEXT)).item()
    assert model.eval_batch([IMAGE, TEXT]) == {"loss": expected}
    assert model.train_batch([IMAGE, TEXT], None) == {"loss": expected}
    model = tl.Model(nn.Linear(8, 3))
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), of_outputs)
    assert model.train_batch(IMAGE.numpy())["loss"] > model.eval_batch(IMAGE)["loss"]
    assert model.predict_batch(IMAGE.numpy())[0].shape == (20, 3)


def test_all_that_is_given_to_predict_batch_is_an_input() -> None:
    for network in (Optional(), Every()):
        [y_hat] = tl.Model(network).predict_batch([IMAGE, TEXT])
        assert torch.equal(y_hat, network(IMAGE, TEXT))


def test_verify_holds_where_there_is_more_than_x_and_y() -> None:
    case = CASES["two dicts"]
    model = prepared(case)
    model.fit(case.data, verbose=0)
    batch = ({"image": IMAGE, "text": TEXT}, [DIGIT, PARITY])
    assert model.unroll("predict", case.data, stack_outputs=True).verify()
    assert model.unroll("train_batch", *batch).verify()


# ---- what is not clear is refused


@pytest.mark.parametrize(
    ("network", "data", "specs", "words"),
    [
        (Two(), Arranged(one_dict), {"inputs": InputSpec((None, 8), name="img")},
         ("keys 'text', 'label', 'image'", "'img' is not among them", "takes image, text")),
        (nn.Linear(8, 3), Arranged(one_dict), {},
         ("none of them is an input", "Linear.forward takes input", "InputSpec(shape, name=key)")),
        (Two(), Arranged(pair_of_one), {"inputs": SPECS, "labels": LABELS},
         ("holds 3 tensors", "2 inputs and 2 labels", "Name each tensor once")),
        (Two(), Arranged(pair_of_one), {"inputs": SPECS[::-1]},
         ("the input text", "shape (20, 8)", "(None, 5)", "Change the data, or the InputSpec")),
        (Optional(), Arranged(row_of_three), {},
         ("loss(y_hat, y_0, y_1)", "Model(network, inputs=[InputSpec(shape), ...]")),
        (Two(), Arranged(image_and_label), {},
         ("called as network(x)", "forward takes (image, text)", "missing 1 required")),
        (Two(), Stream(row_of_three), {"inputs": SPECS[::-1], "labels": LABELS[0]},
         ("the input text", "shape (20, 8)", "(None, 5)", "Change the data, or the InputSpec")),
        (nn.Linear(8, 8), TensorDataset(IMAGE), {}, ("a list of 1", "a pair (x, y)")),
    ],
    ids=lambda value: None,
)  # fmt: skip
def test_what_does_not_fit_is_explained(
    network: Any, data: Any, specs: dict[str, Any], words: tuple[str, ...]
) -> None:
    model = tl.Model(network, **specs)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), CE())
    with pytest.raises(ValueError, match=r"train_data|a batch") as error:
        model.fit(data)
    for word in words:
        assert word in str(error.value)


def test_any_number_of_inputs_is_not_guessed_where_labels_are_not_needed() -> None:
    with pytest.raises(ValueError, match=r"any number of inputs, so it is not known which of them"):
        tl.Model(Every()).predict(Arranged(row_of_three))
    [y_hat] = tl.Model(Every(), inputs=SPECS).predict(Arranged(row_of_three), verbose=0)
    assert y_hat[0].shape == (20, 3)


def test_train_and_eval_data_must_be_alike() -> None:
    model = prepared(CASES["x1, x2, y"])
    with pytest.raises(ValueError, match=r"\(x_0, x_1, y\), but eval_data \(\(x_0, x_1\), y\)"):
        model.fit(CASES["x1, x2, y"].data, Arranged(pair_of_one))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((0, 8),), "shape is (0, 8), but sizes from 1"),
        ((8,), "shape is 8"),
        (((None, 8.0),), "with None where a size may vary"),
        (((None, 8), "float"), None),
        (((None, 8), "float3"), "dtype is 'float3', but a type of torch"),
        (((None, 8), None), "dtype is None"),
        (((None, 8), "float32", "my image"), "name is 'my image', but a name as in Python"),
        (((None, 8), "float32", "class"), "name is 'class'"),
        (((None, 8), "float32", 3), "name is 3"),
    ],
)
def test_an_input_spec_is_checked(arguments: tuple[Any, ...], words: str | None) -> None:
    if words is None:
        assert InputSpec(*arguments).dtype == torch.float32
        return
    with pytest.raises(ValueError, match=re.escape(words)):
        InputSpec(*arguments)


def test_names_of_inputs_are_checked() -> None:
    image = SPECS[0]
    with pytest.raises(ValueError, match=r"'image', which is used twice\. Choose another"):
        tl.Model(Two(), inputs=[image, image])
    with pytest.raises(ValueError, match="'optimizer', which is used for something else"):
        tl.Model(Two(), inputs=InputSpec((None, 8), name="optimizer"))
    with pytest.raises(TypeError, match=r"inputs holds 'image', but InputSpec objects"):
        tl.Model(Two(), inputs=["image"])


def test_a_structure_says_only_what_is_not_plain() -> None:
    assert structure_of((IMAGE, DIGIT), nn.Linear(8, 3)) == BatchStructure()
    assert BatchStructure().options() == OutputStructure().options() == {}
    structure = structure_of(one_dict(IMAGE, TEXT, DIGIT, PARITY), Two())
    assert structure.inputs == (("batch", "image"), ("batch", "text"))
    assert codes(structure.inputs) == ('batch["image"]', 'batch["text"]')
    assert structure.unpack({"image": 1}) == {"batch": {"image": 1}}


def test_a_pattern_binds_what_an_assignment_would() -> None:
    structure = BatchStructure((("x_0", ("x_1",)), "y"))
    assert pattern_code(structure.pattern) == "((x_0, (x_1,)), y)"
    batch = [(1, [2]), 3]
    names: dict[str, Any] = {}
    exec(f"{pattern_code(structure.pattern)} = batch", {"batch": batch}, names)
    assert structure.unpack(batch) == names == {"x_0": 1, "x_1": 2, "y": 3}
    with pytest.raises(ValueError, match="shorter"):
        structure.unpack([(1, [2])])


class Rows(IterableDataset):
    def __init__(self, labelled: bool) -> None:
        self.labelled = labelled

    def __iter__(self) -> Iterator[Any]:
        for x in torch.eye(6).repeat(3, 1):
            yield (x, torch.tensor(1)) if self.labelled else x


@pytest.mark.parametrize("inputs", [None, tl.InputSpec((None, 6), name="image")])
@pytest.mark.parametrize("labelled", [False, True])
def test_predict_needs_no_labels_where_it_cannot_look_beforehand(
    labelled: bool, inputs: Any
) -> None:
    model = tl.Model(nn.Linear(6, 2), inputs=inputs)
    [y_hat] = model.predict(DataLoader(Rows(labelled), 8), stack_outputs=True, verbose=0)
    with torch.no_grad():
        torch.testing.assert_close(y_hat, model.network(torch.eye(6).repeat(3, 1)))
