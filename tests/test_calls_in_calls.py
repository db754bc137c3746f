"""A call inside another call, or in another thread, changes nothing of it.

The oracle is the same fit without the inner call: history, weights, optimizer, schedulers, random
state, the callbacks' state, the modes and all checkpoints are equal bit for bit.
"""

import copy
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tutorial as tl
from tutorial.callbacks import (
    HOOKS,
    EarlyStopping,
    LambdaCallback,
    LRScheduler,
    ModelCheckpoint,
    TerminateOnNaN,
)
from tutorial.device import rng_state
from tutorial.display.report import Report
from tutorial.running import RUNNING, Watcher, watched_by
from tutorial.saving.parts import part_state
from tutorial.unroll.proof import flat, identical

DRAWN = torch.Generator().manual_seed(0)
X, Y = torch.randn(10, 4, generator=DRAWN), torch.randint(3, (10,), generator=DRAWN)
IN_FIT = [hook for hook in HOOKS if "predict" not in hook]
DATA, FEW = TensorDataset(X, Y), TensorDataset(X[:5], Y[:5])


def make_model() -> tl.Model:
    """A prepared model: the same weights in every call; dropout and batch norm have two modes."""
    tl.seed(1)
    network = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))
    model = tl.Model(network)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    return model


class Outer:
    """A fit with all that a call can disturb, and all that it leaves behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.other, self.model = make_model(), make_model()
        self.loader = DataLoader(DATA, 4, shuffle=True, generator=torch.Generator().manual_seed(3))
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.model.optimizer, 1, gamma=0.9)
        self.stop = EarlyStopping("loss", patience=9, verbose=0)

    def fit(self, inner: Callable[["Outer"], Any] | None = None, *hooks: str, **options: Any):
        """Fit, with the inner call in these hooks; what it leaves behind."""

        def acting(hook: str) -> Callable[..., None]:
            return lambda *_: inner(self) if hook in hooks else None

        self.model.fit(
            self.loader,
            FEW,
            batch_size=[4, 3],
            epochs=2,
            accumulate_grad_batches=2,
            save_dir=self.folder,
            callbacks=[
                self.stop,
                LRScheduler(self.scheduler),
                LambdaCallback(**{hook: acting(hook) for hook in IN_FIT}),
            ],
            verbose=0,
            **options,
        )
        return self.left()

    def left(self) -> dict[str, Any]:
        """Everything that the fit leaves behind."""
        model = self.model
        files = {path.name: torch.load(path) for path in sorted(self.folder.glob("*.pt"))}
        for file in files.values():
            file.pop("fit", {}).pop("began", None)
        return flat(
            {
                "history": [model.history.step_losses, model.history.rows],
                "network": model.network.state_dict(),
                "optimizer": model.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict(),
                "generator": self.loader.generator.get_state(),
                "random": rng_state(),
                "stop": self.stop.state_dict() | {"saved": None},
                "modes": [module.training for module in model.network.modules()],
                "accuracy": float(model.metrics["accuracy"].compute()),
                "gradients": [weight.grad for weight in model.parameters()],
                "ended": model.stop_training,
                "callbacks": [type(callback).__name__ for callback in model.callbacks],
                "parts": {code: part_state(part) for code, part in model.parts.items()},
                "schedulers": [scheduler.state_dict() for scheduler in model.schedulers],
                "files": files,
            }
        )


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Where the two are not equal bit for bit: the first few places."""
    return [key for key in {**a, **b} if not identical(a.get(key), b.get(key))][:5]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the fit leaves behind without any other call."""
    return Outer(tmp_path_factory.mktemp("alone")).fit()


# ---- the calls


def another_fit(outer: Outer) -> None:
    """A training of another model, with a callback of the outer one."""
    history = outer.other.fit(DATA, FEW, batch_size=4, callbacks=outer.stop, verbose=0)
    assert len(history.step_losses) == 3


def a_fit_taken_back(outer: Outer) -> None:
    """A training of the same model that is stopped early; afterwards, its weights are put back."""
    model = outer.model
    parts = [part for part in (model.network, model.optimizer) if part is not None]
    before = [copy.deepcopy(part.state_dict()) for part in parts]

    def end(*_: Any) -> None:
        model.stop_training = True

    scheduler = torch.optim.lr_scheduler.ConstantLR(model.optimizer, factor=1.0)
    callbacks = [LambdaCallback(on_train_batch_end=end), LRScheduler(scheduler), outer.stop]
    history = model.fit(outer.loader, FEW, epochs=3, verbose=0, callbacks=callbacks)
    assert len(history.step_losses) == 1
    for part, state in zip(parts, before, strict=True):
        part.load_state_dict(state)


EVALUATING = {
    "evaluate": lambda outer: outer.model.evaluate(DATA, batch_size=3, verbose=0),
    "evaluate, a loader": lambda outer: outer.model.evaluate(DataLoader(DATA, 3), verbose=0),
    "evaluate, the outer's callback and loader": lambda outer: outer.model.evaluate(
        outer.loader, verbose=0, callbacks=outer.stop
    ),
    "predict": lambda outer: outer.model.predict(DATA, verbose=0),
    "eval_batch": lambda outer: outer.model.eval_batch(X, Y),
    "predict_batch": lambda outer: outer.model.predict_batch(X),
    "confusion": lambda outer: tl.confusion(outer.model, DataLoader(DATA, 3)),
    "a program": lambda outer: outer.model.unroll("evaluate", DATA).run(Report()),
}
TRAINING = {
    "train_batch of another model": lambda outer: outer.other.train_batch(X, Y),
    "fit of another model": another_fit,
    "fit of the same model": a_fit_taken_back,
}
CALLS = EVALUATING | TRAINING


@pytest.mark.parametrize("name", CALLS)
def test_a_call_in_any_hook_changes_nothing_of_the_fit(name, alone, tmp_path) -> None:
    left = Outer(tmp_path).fit(CALLS[name], *IN_FIT)
    assert not differences(alone, left)
    assert not RUNNING


@pytest.mark.parametrize("hook", IN_FIT)
def test_any_call_in_a_hook_changes_nothing_of_the_fit(hook, alone, tmp_path) -> None:
    left = Outer(tmp_path).fit(lambda outer: [call(outer) for call in CALLS.values()], hook)
    assert not differences(alone, left)


def in_a_thread(call: Callable[[], Any]) -> None:
    """Make the call in another thread, and wait until it has returned."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("name", EVALUATING)
def test_a_call_of_another_thread_changes_nothing_of_the_fit(name, alone, tmp_path) -> None:
    def inner(outer: Outer) -> None:
        in_a_thread(lambda: EVALUATING[name](outer))

    left = Outer(tmp_path).fit(inner, *IN_FIT)
    assert not differences(alone, left)


def test_threads_that_evaluate_all_the_time_change_nothing_of_the_fit(alone, tmp_path) -> None:
    ended, made, threads = threading.Event(), [], []

    def all_the_time(call: Callable[[Outer], Any], outer: Outer) -> None:
        while not ended.is_set():
            made.append(call(outer))

    def begin_or_end(outer: Outer) -> None:
        if not threads:
            for call in EVALUATING.values():
                threads.append(threading.Thread(target=all_the_time, args=[call, outer]))
                threads[-1].start()
        else:
            ended.set()
            for thread in threads:
                thread.join()

    left = Outer(tmp_path).fit(begin_or_end, "on_train_begin", "on_train_end")
    assert len(made) >= len(EVALUATING)  # no thread has failed
    assert not differences(alone, left)
    assert not RUNNING


@pytest.mark.parametrize("method", ["predict", "evaluate"])
def test_a_call_in_a_callback_of_an_evaluation_changes_nothing_of_it(method) -> None:
    kind = {"predict": "predict", "evaluate": "eval"}[method]
    hooks = [hook for hook in HOOKS if f"on_{kind}" in hook]
    for name, call in CALLS.items():
        results = []
        for inner in (lambda outer: None, call):
            outer = Outer(Path("unused"))
            acting = LambdaCallback(**dict.fromkeys(hooks, lambda *_: inner(outer)))  # noqa: B023
            result = getattr(outer.model, method)(outer.loader, verbose=0, callbacks=acting)
            draws = torch.rand(1), torch.rand(1, generator=outer.loader.generator)
            results.append(flat([result, draws, float(outer.model.metrics["accuracy"].compute())]))
        assert not differences(*results), name


# ---- what a fit leaves for save


def test_what_the_last_fit_left_is_saved_after_any_call(tmp_path) -> None:
    """The schedulers and the loader's generator are those of the last fit."""
    outer = Outer(tmp_path / "files")
    outer.fit()
    outer.model.save(tmp_path / "at once")
    for name, call in EVALUATING.items():
        call(outer)
        in_a_thread(lambda: call(outer))  # noqa: B023
        outer.model.save(tmp_path / "later")
        files = [torch.load(tmp_path / f"{file}.pt") for file in ("at once", "later")]
        assert files[1].keys() >= {"schedulers", "parts", "optimizer"}
        for file in files:
            file.pop("random"), file.pop("parts")  # a call draws from them
        assert not differences(*map(flat, files)), name
        if "loader" not in name:
            assert float(outer.model.metrics["accuracy"].compute()) >= 0


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_end"])
def test_a_fit_with_a_call_in_it_can_be_resumed(hook, alone, tmp_path) -> None:
    def broken_off(outer: Outer) -> None:
        outer.model.predict_batch(X)
        if outer.model.epochs_seen == 1:
            raise InterruptedError

    outer = Outer(tmp_path)
    outer.model.epochs_seen = 0

    def count(outer: Outer) -> None:
        CALLS["evaluate"](outer)
        outer.model.epochs_seen += 1
        if outer.model.epochs_seen == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        outer.fit(count, "on_epoch_end", resume=True)
    assert len(outer.model.history.rows) == 2  # what there was
    (tmp_path / "1.pt").unlink(missing_ok=True)
    left = Outer(tmp_path).fit(CALLS["evaluate"], hook, resume=True)
    assert not [key for key in differences(alone, left) if not key.startswith("files.start")]


def test_after_an_error_the_history_has_what_there_was() -> None:
    model, steps = make_model(), []

    def fail(step: int, logs: Any) -> None:
        steps.append(logs["loss"])
        if len(steps) == 4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        model.fit(
            DATA,
            batch_size=5,
            epochs=3,
            callbacks=LambdaCallback(on_train_batch_end=fail),
            verbose=0,
        )
    assert len(model.history.step_losses) == 4 and len(model.history.rows) == 1
    assert not model.history.interrupted
    assert model.fit(DATA, verbose=0) is model.history


# ---- modes, metrics and stop flags


@pytest.mark.parametrize("training", [True, False])
def test_every_modules_mode_is_put_back(training) -> None:
    outer = Outer(Path("unused"))
    network = outer.model.network.train(training)
    network[1].train(not training)  # frozen statistics, say
    modes = [module.training for module in network.modules()]
    failing = LambdaCallback(**{h: interrupted for h in HOOKS if "batch_end" in h})
    broken = TensorDataset(torch.zeros(3, 5), Y[:3])
    for call in (
        *EVALUATING.values(),
        lambda outer: outer.model.fit(DATA, verbose=0),
        lambda outer: outer.model.train_batch(X, Y),
    ):
        call(outer)
        assert [module.training for module in network.modules()] == modes
    for fail in (outer.model.evaluate, outer.model.predict, outer.model.fit):
        with pytest.raises(ValueError, match="cannot take"):
            fail(broken, verbose=0)
        with pytest.raises(InterruptedError):
            fail(DATA, verbose=0, callbacks=failing)
        assert [module.training for module in network.modules()] == modes


def interrupted(*_: Any) -> None:
    raise InterruptedError


def test_an_evaluation_counts_in_the_models_own_metrics_but_inside_a_call_in_copies() -> None:
    model = make_model()
    accuracy, counts = model.metrics["accuracy"], []
    model.evaluate(DATA, verbose=0)
    assert int(accuracy.total) == len(X)
    count = LambdaCallback(
        on_eval_batch_end=lambda *_: (
            model.evaluate(FEW, verbose=0),
            counts.append(int(accuracy.total)),
        )
    )
    model.evaluate(DATA, batch_size=5, callbacks=count, verbose=0)
    assert counts == [5, 10]


def test_the_flag_to_stop_is_each_calls_own() -> None:
    model = make_model()

    def stop(*_: Any) -> None:
        model.stop_training = True

    def fit_and_evaluate(*_: Any) -> None:
        early = LambdaCallback(on_train_batch_end=stop, on_eval_batch_end=stop)
        assert len(model.fit(DATA, batch_size=5, callbacks=early, verbose=0).step_losses) == 1
        model.evaluate(DATA, callbacks=early, verbose=0)
        model.predict_batch(X)

    inner = LambdaCallback(on_epoch_end=fit_and_evaluate)
    assert len(model.fit(DATA, epochs=3, callbacks=inner, verbose=0).rows) == 3
    outer = LambdaCallback(on_epoch_begin=stop)
    assert len(model.fit(DATA, epochs=3, callbacks=[outer, inner], verbose=0).rows) == 1


# ---- two threads


def test_a_second_training_in_another_thread_is_refused() -> None:
    model, errors = make_model(), []

    def another(*_: Any) -> None:
        for train in (lambda: model.fit(DATA, verbose=0), lambda: model.train_batch(X, Y)):
            with pytest.raises(RuntimeError, match=r"trained in another thread.*thread\.join"):
                in_a_thread(train)
            errors.append(train)

    callback = LambdaCallback(on_train_batch_end=another)
    assert len(model.fit(DATA, batch_size=5, callbacks=callback, verbose=0).step_losses) == 2
    assert len(errors) == 4
    in_a_thread(lambda: model.fit(DATA, verbose=0))  # alone, it may train where it likes


def test_a_training_waits_for_an_evaluation_in_another_thread() -> None:
    model, begun, order = make_model(), threading.Event(), []
    model.network.eval()

    def slowly(*_: Any) -> None:
        begun.set()
        time.sleep(0.1)
        order.append(model.network.training)

    callback = LambdaCallback(on_predict_batch_end=slowly)
    thread = threading.Thread(target=lambda: model.predict(DATA, verbose=0, callbacks=callback))
    thread.start()
    begun.wait()
    first = LambdaCallback(on_train_begin=lambda logs: order.append("fit"))
    model.fit(DATA, callbacks=first, verbose=0)
    thread.join()
    assert order == [False, "fit"]


# ---- what a call draws, notes and leaves elsewhere


class Locked(torch.utils.data.RandomSampler):
    """A sampler that cannot be copied as a whole."""

    def __init__(self, data: Any, **options: Any) -> None:
        super().__init__(data, **options)
        self.lock = threading.Lock()


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


LOADERS = {
    "DataLoader": lambda: DataLoader(DATA, 4, shuffle=True, generator=seeded()),
    "DataLoader, no generator": lambda: DataLoader(DATA, 4, shuffle=True),
    "workers that stay": lambda: DataLoader(
        DATA, 4, shuffle=True, generator=seeded(), num_workers=1, persistent_workers=True
    ),
    "a sampler with a lock": lambda: DataLoader(DATA, 4, sampler=Locked(DATA, generator=seeded())),
    "Batches": lambda: tl.Batches(DATA, 4, shuffle=True, generator=seeded()),
    "Batches, no generator": lambda: tl.Batches(DATA, 4, shuffle=True),
}


@pytest.mark.parametrize("around", [lambda call: call(), in_a_thread], ids=["inside", "thread"])
@pytest.mark.parametrize("name", LOADERS)
def test_the_fit_shuffles_as_if_no_other_call_drew_from_its_loader(name, around) -> None:
    losses = []
    for calls in (False, True):
        model, loader = make_model(), LOADERS[name]()

        def look_at_it(*_: Any) -> None:
            if calls:  # noqa: B023
                around(lambda: model.evaluate(loader, verbose=0))  # noqa: B023
                around(lambda: tl.confusion(model, loader))  # noqa: B023

        looking = LambdaCallback(on_train_batch_begin=look_at_it)
        history = model.fit(loader, epochs=2, callbacks=looking, verbose=0)
        losses.append([history.step_losses, torch.rand(1).item()])
    assert losses[0] == losses[1]


def test_a_resumed_fit_goes_on_with_the_order_of_its_batches(tmp_path) -> None:
    losses = []
    for folder, breaks in (("whole", False), ("broken", True), ("broken", False)):
        loader = tl.Batches(DATA, 4, shuffle=True, generator=seeded())

        def break_off(epoch: int, logs: Any) -> None:
            if breaks and epoch == 1:  # noqa: B023
                raise InterruptedError

        breaking = LambdaCallback(on_epoch_begin=break_off)
        with pytest.raises(InterruptedError) if breaks else nullcontext():
            history = make_model().fit(
                loader,
                epochs=3,
                save_dir=tmp_path / folder,
                resume=True,
                callbacks=breaking,
                verbose=0,
            )
            losses.append(history.step_losses)
    assert losses[0] == losses[1]


class Waiting(nn.Module):
    """In another thread than the test's, it calls a function before it passes x on."""

    def __init__(self, wait: Callable[[], None]) -> None:
        super().__init__()
        self.wait = wait

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if threading.current_thread() is not threading.main_thread():
            self.wait()
        return x


LOOKING = {
    "summary": lambda model: model.summary((1, 4)),
    "a model of a part": lambda model: tl.Model(model.network[1:]).predict_batch(torch.ones(1, 6)),
    "save": lambda model: model.save("model", training=False),
}


@pytest.mark.parametrize("name", LOOKING)
def test_a_network_is_looked_at_in_a_thread_while_it_trains(name, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    states = []
    for looks in (False, True):
        model, begun, trained = make_model(), threading.Event(), threading.Event()

        def wait(begun=begun, trained=trained) -> None:
            begun.set()
            assert trained.wait(10)

        model.network.append(Waiting(wait))
        thread = threading.Thread(target=LOOKING[name], args=[model])

        def look(step: int, logs: Any) -> None:
            if looks and step == 0:  # noqa: B023
                thread.start()  # noqa: B023
                assert begun.wait(10)  # noqa: B023
            elif looks and step == 2:  # noqa: B023
                trained.set()  # noqa: B023
                thread.join()  # noqa: B023

        looking = LambdaCallback(on_train_batch_begin=look)
        history = model.fit(DATA, batch_size=2, callbacks=looking, verbose=0)
        modes = [module.training for module in model.network.modules()]
        states.append(flat([history.step_losses, model.network.state_dict(), modes]))
    assert not differences(*states)


def test_a_look_that_began_before_a_fit_does_not_set_back_its_random_numbers() -> None:
    losses = []
    for looks in (False, True):
        model, begun, trained = make_model(), threading.Event(), threading.Event()

        def wait(begun=begun, trained=trained) -> None:
            begun.set()
            assert trained.wait(10)

        look = tl.Model(nn.Sequential(nn.Linear(4, 1), Waiting(wait))).summary
        thread = threading.Thread(target=look, args=[(1, 4)])
        if looks:
            thread.start()
            assert begun.wait(10)

        def end_the_look(step: int, logs: Any) -> None:
            if looks and step == 2:  # noqa: B023
                trained.set()  # noqa: B023
                thread.join()  # noqa: B023

        ending = LambdaCallback(on_train_batch_begin=end_the_look)
        tl.seed(2)
        losses.append(model.fit(DATA, batch_size=2, callbacks=ending, verbose=0).step_losses)
    assert losses[0] == losses[1]


def test_a_training_of_a_part_of_the_network_in_another_thread_is_refused() -> None:
    model = make_model()
    part = tl.Model(model.network[3:])
    part.prepare(torch.optim.SGD(part.parameters(), lr=0.1), nn.CrossEntropyLoss())

    def another(*_: Any) -> None:
        with pytest.raises(RuntimeError, match="trained in another thread"):
            in_a_thread(lambda: part.train_batch(torch.ones(2, 6), Y[:2]))

    assert model.fit(DATA, callbacks=LambdaCallback(on_train_begin=another), verbose=0).rows


def test_a_model_fitted_inside_a_fit_of_another_keeps_what_its_fit_left() -> None:
    model, other = make_model(), make_model()
    scheduler = torch.optim.lr_scheduler.StepLR(other.optimizer, 1)
    left = []

    def fit_other(*_: Any) -> None:
        left.append(other.fit(DATA, callbacks=LRScheduler(scheduler), verbose=0))

    model.fit(DATA, callbacks=LambdaCallback(on_epoch_end=fit_other), verbose=0)
    assert other.history is left[0] and other.schedulers == [scheduler]
    assert model.history is not left[0] and model.schedulers == []


def test_a_callback_given_to_both_fits_notes_for_each_one_alone(tmp_path) -> None:
    model, other = make_model(), make_model()
    checkpoint, guard = ModelCheckpoint(), TerminateOnNaN()
    begun = copy.deepcopy(model.network.state_dict())
    other.fit(FEW, verbose=0)

    def fit_other(step: int, logs: Any) -> None:
        other.fit(FEW, save_dir=tmp_path / "inner", callbacks=[checkpoint, guard], verbose=0)

    bad = torch.cat([X[:5], torch.full((5, 4), torch.nan)])
    with pytest.warns(UserWarning, match="before epoch 1 step 1"):
        model.fit(
            TensorDataset(bad, Y),
            batch_size=5,
            shuffle=False,
            save_dir=tmp_path / "outer",
            callbacks=[LambdaCallback(on_train_batch_begin=fit_other), checkpoint, guard],
            verbose=0,
        )
    assert not differences(begun, model.network.state_dict())  # as before the last good step
    assert [path.name for path in (tmp_path / "outer").glob("final.pt")]


@pytest.mark.parametrize("method", ["fit", "train_batch"])
def test_a_training_through_the_network_leaves_no_gradient_on_it(method) -> None:
    losses = []
    for trains in (False, True):
        generator, model = tl.Model(nn.Linear(4, 6)), make_model()

        def fooled(fake: torch.Tensor, y: torch.Tensor, model=model) -> torch.Tensor:
            return nn.functional.cross_entropy(model.network[3](fake), y)

        optimizer = torch.optim.SGD(generator.parameters(), lr=0.1)
        generator.prepare(optimizer, fooled)

        def train(*_: Any) -> None:
            if trains and method == "fit":  # noqa: B023
                generator.fit(FEW, verbose=0)  # noqa: B023
            elif trains:  # noqa: B023
                generator.train_batch(X, Y)  # noqa: B023

        history = model.fit(
            DATA,
            batch_size=2,
            accumulate_grad_batches=2,
            verbose=0,
            callbacks=LambdaCallback(on_train_batch_end=train),
        )
        losses.append(history.step_losses)
    assert losses[0] == losses[1]


def test_autocast_of_the_fit_does_not_reach_the_calls_in_it() -> None:
    model, teacher, same = make_model(), make_model(), []
    alone = teacher.predict_batch(X)[0]

    def loss(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        same.append(torch.equal(teacher.predict_batch(X)[0], alone))
        return nn.functional.cross_entropy(y_hat, y)

    model.prepare(model.optimizer, loss, precision="bf16-mixed")
    model.fit(DATA, verbose=0)
    assert same and all(same)


def test_a_network_that_holds_a_lock_is_looked_at_from_another_thread() -> None:
    model = make_model()
    model.network[2].lock = threading.Lock()
    calling = LambdaCallback(on_train_batch_begin=lambda *_: in_a_thread(look_at(model)))
    assert model.fit(DATA, callbacks=calling, verbose=0).rows
    assert model.network.training


def look_at(model: tl.Model) -> Callable[[], Any]:
    return lambda: model.predict(DATA, verbose=0)


# ---- interrupts, and who is told


def test_an_interrupt_ends_a_fit_in_a_fit_and_the_one_around_it() -> None:
    model, other, inner = make_model(), make_model(), []

    def ask_to_stop(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)

    def fit_inside(*_: Any) -> None:
        asking = LambdaCallback(on_train_batch_begin=ask_to_stop)
        inner.append(other.fit(DATA, batch_size=5, callbacks=asking, verbose=0))

    outer = LambdaCallback(on_train_batch_end=fit_inside)
    history = model.fit(DATA, batch_size=5, epochs=3, callbacks=outer, verbose=0)
    assert history.interrupted and len(history.step_losses) == 1
    assert inner[0].interrupted and len(inner[0].step_losses) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_only_the_context_that_watches_is_told_of_runs() -> None:
    model, told = make_model(), []

    class Noting(Watcher):
        def ended(self, method: str, result: Any) -> None:
            told.append((method, result))

    with watched_by(Noting()):
        in_a_thread(lambda: model.predict_batch(X))
        result = model.eval_batch(X, Y)
    model.eval_batch(X, Y)
    assert told == [("eval_batch", result)]
