"""A program can be read, run, stepped into, changed and handed back."""

import bdb
import copy
import linecache
import os
import re
import signal
import threading
import time
import traceback

import pytest
import torch
from torch import nn

import tutorial as tl
from tutorial.display.report import Report
from tutorial.unroll.program import compiled


def weights(model: tl.Model) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in model.network.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# ---- run


def test_run_does_what_the_call_does_and_prints_as_a_textbook_does(
    data, make_model, capsys
) -> None:
    one, other = make_model(tl.metrics.Accuracy()), make_model(tl.metrics.Accuracy())
    tl.seed(2)
    expected = one.fit(data, epochs=2, verbose=0, batch_size=32)
    assert capsys.readouterr().out == ""
    tl.seed(2)
    history = other.unroll("fit", data, epochs=2, batch_size=32, log_freq=4).run()
    assert history.step_losses == expected.step_losses
    assert history.rows == expected.rows
    assert same(weights(one), weights(other))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "epoch 1 step 4", "{'epoch'", "epoch 2 step 4", "{'epoch'",
    ]  # fmt: skip


def test_run_takes_other_objects_for_the_loops_names(data, more_data, make_model, capsys) -> None:
    model = make_model()
    program = model.unroll("evaluate", data)
    assert program.run(eval_data=more_data) == model.evaluate(more_data, verbose=0)
    with pytest.raises(TypeError, match="run: test_data is no name of this program; its names are"):
        program.run(test_data=data)


def test_the_numbers_are_plain(data, make_model) -> None:
    model = make_model(tl.metrics.Accuracy())
    history = model.fit(data, verbose=0)
    assert {type(loss) for loss in history.step_losses} == {float}
    for result in (history.rows[0], model.evaluate(data, verbose=0)):
        assert {type(number) for number in result.values()} <= {int, float}


# ---- step into


def test_an_error_in_the_network_shows_the_unrolled_line(data, make_model) -> None:
    class Broken(nn.Linear):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("here")
            return super().forward(x)

    model = tl.Model(Broken(8, 3))
    model.prepare(torch.optim.SGD(model.parameters()), nn.CrossEntropyLoss())
    with pytest.raises(RuntimeError, match="here") as error:
        model.fit(data, verbose=0)
    frames = traceback.extract_tb(error.value.__traceback__)
    unrolled = [frame for frame in frames if frame.filename.startswith("<unrolled fit")]
    assert [frame.line.split("#")[0].strip() for frame in unrolled] == ["y_hat = network(x)"]
    [note] = error.value.__notes__
    assert re.fullmatch(r"\(in epoch 1, step 2, line \d+ of the loop: y_hat = network\(x\)\)", note)


def test_a_debugger_steps_through_the_very_lines_that_are_read(data, make_model) -> None:
    model = make_model()
    program = model.unroll("fit", data, batch_size=150)

    lines: list[str] = []

    class Stepper(bdb.Bdb):
        def user_line(self, frame) -> None:
            if frame.f_code.co_filename.startswith("<unrolled"):
                line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
                lines.append(line.rstrip("\n"))

    debugger = Stepper()
    debugger.runcall(model.fit, data, batch_size=150, verbose=0)
    assert set(lines) <= set(program.reporting_source.splitlines())
    assert "optimizer.step()" in [line.split("#")[0].strip() for line in lines]


def test_from_fit_to_the_optimizers_step_there_are_few_hops(data) -> None:
    hops: list[str] = []

    class Recording(torch.optim.SGD):
        def step(self, closure=None) -> None:
            hops[:] = [frame.name for frame in traceback.extract_stack()]

    # PyTorch wraps every optimizer's step for its own profiler: that frame is not ours.
    model = tl.Model(nn.Linear(8, 3))
    model.prepare(Recording(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    model.fit(data, verbose=0)
    ours = [
        name for name in hops[hops.index("fit") :] if name not in ("profile_hook_step", "wrapper")
    ]
    assert ours == ["fit", "_run", "called", "run", "<module>", "step"]  # tracebacks.py: called


def test_the_same_program_is_compiled_once() -> None:
    assert compiled("fit", "x = 1\n") is compiled("fit", "x = 1\n")


# ---- change and hand back


def test_a_changed_source_runs_instead(data, make_model, capsys) -> None:
    model = make_model()
    changed = model.unroll("fit", data).source.replace(
        "optimizer.step()", "print('step', step)\n        optimizer.step()", 1
    )
    history = model.fit(data, batch_size=64, loop=changed)
    assert "step 2" in capsys.readouterr().out
    assert len(history.step_losses) == 3
    assert len(history.rows) == 1


def test_a_changed_program_can_be_unrolled_verified_and_handed_back(data, make_model) -> None:
    model = make_model()
    source = model.unroll("fit", data).source.replace("optimizer.step()", "optimizer.step(); z = 1")
    program = model.unroll("fit", data, loop=source)
    assert program.source == source
    proof = program.verify()
    assert proof, proof
    assert len(model.fit(data, loop=program, verbose=0).step_losses) == 3


def test_a_function_is_given_the_names_that_it_asks_for(data, make_model) -> None:
    model = make_model()
    before = weights(model)

    def my_loop(network, optimizer, loss_fn, train_data, bonus=3):
        losses = []
        for x, y in torch.utils.data.DataLoader(train_data, batch_size=50):
            loss = loss_fn(network(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
        return losses

    history = model.fit(data, loop=my_loop, verbose=0)
    assert len(history.step_losses) == 3
    assert {type(loss) for loss in history.step_losses} == {float}
    assert not same(before, weights(model))
    with pytest.raises(TypeError, match="asks for learning_rate, but a loop is given only network"):
        model.fit(data, loop=lambda network, learning_rate: None)


class Adversaries(nn.Module):
    """A generator, and a discriminator that tells its points from real ones."""

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.discriminator = nn.Linear(2, 8), nn.Linear(8, 1)


def play(network, train_data, loss_fn):
    """Two optimizers take turns."""
    first = torch.optim.Adam(network.generator.parameters(), lr=0.01)
    second = torch.optim.Adam(network.discriminator.parameters(), lr=0.01)
    step_losses = []
    for x, _ in torch.utils.data.DataLoader(train_data, batch_size=50, shuffle=True):
        fake = network.generator(torch.randn(len(x), 2))
        judged = network.discriminator(torch.cat([x, fake.detach()]))
        truth = torch.cat([torch.ones(len(x), 1), torch.zeros(len(x), 1)])
        loss_fn(judged, truth).backward()
        second.step()
        loss = loss_fn(network.discriminator(fake), torch.ones(len(x), 1))
        loss.backward()
        first.step()
        network.zero_grad()
        step_losses.append(loss.item())
    return step_losses


def test_a_loop_with_two_optimizers_is_run_shown_and_proved() -> None:
    data = torch.utils.data.TensorDataset(torch.randn(150, 8), torch.zeros(150))

    def made() -> tl.Model:
        tl.seed(0)
        model = tl.Model(Adversaries())
        model.prepare(loss=nn.BCEWithLogitsLoss())
        return model

    tl.seed(0)
    network = Adversaries()
    by_hand = play(network, data, nn.BCEWithLogitsLoss())
    model = made()
    program = model.unroll("fit", data, loop=play)
    assert program.source.startswith("def play(network, train_data, loss_fn):\n")
    assert program.source.endswith("\nstep_losses = play(network, train_data, loss_fn)\n")
    history = model.fit(data, loop=play, verbose=0)
    assert history.step_losses == by_hand
    assert same(weights(model), [weight.detach() for weight in network.parameters()])
    proof = program.verify(history)
    assert proof, proof.line
    assert proof.compared["step losses"] == 3


@pytest.mark.parametrize("depth", ["optimizer", "gradients"])
def test_a_text_of_another_depth_is_changed_handed_back_and_proved(depth, capsys) -> None:
    data = torch.utils.data.TensorDataset(torch.randn(70, 4), torch.randint(3, (70,)))
    network = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 3))
    one, other = (
        tl.Model(own_copy) for own_copy in (copy.deepcopy(network), copy.deepcopy(network))
    )
    for model, lr in ((one, 0.1), (other, 0.05)):
        model.prepare(torch.optim.SGD(model.parameters(), lr=lr), nn.CrossEntropyLoss())
    source = one.unroll("fit", data, depth=depth, shuffle=False).source
    changed = source.replace("alpha=-0.1", "alpha=-0.05")
    assert changed != source
    program = one.unroll("fit", data, loop=changed, shuffle=False)
    history = one.fit(data, loop=changed, shuffle=False, verbose=0)
    expected = other.fit(data, shuffle=False, verbose=0)
    assert history.step_losses == pytest.approx(expected.step_losses, rel=1e-6)
    proof = program.verify(history)
    assert proof, proof.line


def test_a_text_in_numpy_is_not_handed_back(data, make_model) -> None:
    model = make_model()
    program = model.unroll("fit", data, depth="numpy")
    before = weights(model)
    for loop in (program, program.source):
        with pytest.raises(ValueError, match=r"loop is a program of depth 'numpy'.*fit_numpy\.py"):
            model.fit(data, loop=loop)
    assert same(before, weights(model))


def test_several_optimizers_are_refused_with_a_loop_for_them() -> None:
    model = tl.Model(Adversaries())
    parts = (model.network.generator, model.network.discriminator)
    optimizers = [torch.optim.Adam(part.parameters()) for part in parts]
    for several in (optimizers, dict(zip("gd", optimizers, strict=True))):
        with pytest.raises(TypeError, match="of 2 optimizers, but the loop of fit") as error:
            model.prepare(several)
        assert "model.fit(train_data, loop=train)" in str(error.value)
        assert len(str(error.value)) < 800


# ---- the proof


def test_verify_holds_for_every_method(data, make_model) -> None:
    model = make_model([tl.metrics.Accuracy(topk=(1, 2))])
    x, y = data[:10]
    for method, arguments in (
        ("fit", (data, data)),
        ("evaluate", (data,)),
        ("predict", (data,)),
        ("train_batch", (x, y)),
        ("eval_batch", (x, y)),
        ("predict_batch", (x,)),
    ):
        before = weights(model)
        proof = model.unroll(method, *arguments).verify()
        assert proof, proof
        assert "equal bit for bit" in repr(proof)
        assert same(before, weights(model))  # it works on copies


def test_verify_compares_the_very_fit(data, make_model) -> None:
    model = make_model()
    program = model.unroll("fit", data, epochs=2)
    history = model.fit(data, epochs=2, verbose=0)
    proof = program.verify(history)
    assert proof, proof
    assert proof.compared["step losses"] == 6
    model.network[0].weight.data[0, 0] += 1e-7  # one bit of one weight
    proof = program.verify(history)
    assert not proof
    assert "NOT equal: weight tensors, 0.weight" in repr(proof)


def test_a_different_loss_is_found_at_its_step(data, make_model, new_process) -> None:
    model = make_model()
    program = model.unroll("fit", data)
    history = model.fit(data, verbose=0)
    history.step_losses[1] += 1e-9
    assert "step losses, [1]" in repr(program.verify(history))


def test_a_saved_script_is_two_files(data, make_model, tmp_path) -> None:
    path = make_model().unroll("fit", data).save(tmp_path / "deep" / "my_fit.py")
    assert sorted(p.name for p in path.parent.iterdir()) == ["my_fit.pt", "my_fit.py"]
    state = torch.load(path.with_suffix(".pt"), weights_only=True)
    assert state.keys() >= {"network", "optimizer", "random"}


# ---- interrupts, and what must not leak


class Slow(nn.Linear):
    """Sends an interrupt to this process in the middle of a forward pass."""

    def __init__(self, at: int, times: int = 1) -> None:
        super().__init__(8, 3)
        self.at, self.times, self.passes = at, times, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.passes += 1
            if self.passes == self.at:
                for _ in range(self.times):
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(0.05)
        return super().forward(x)


def interrupted_model(at: int, times: int = 1) -> tl.Model:
    model = tl.Model(Slow(at, times))
    model.prepare(
        torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss(), tl.metrics.Accuracy()
    )
    return model


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_an_interrupt_ends_fit_after_the_step(data, verbose: int, capsys) -> None:
    model = interrupted_model(at=7)
    history = model.fit(data, batch_size=50, epochs=9, verbose=verbose)
    assert history.interrupted
    assert len(history.step_losses) == 7  # the step in which it came was finished
    assert len(history.rows) == 2  # and its epoch was not
    assert {int(state["step"]) for state in model.optimizer.state.values()} == {7}
    assert all(weight.grad is None for weight in model.parameters())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = model.fit(data, batch_size=50, epochs=2, verbose=0)
    assert not again.interrupted
    assert len(again.step_losses) == 6


def test_an_interrupt_after_the_last_step_is_not_lost(data, make_model) -> None:
    class Late(Report):
        def finish(self, logs) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)

    history = make_model().unroll("fit", data).run(Late())
    assert history.interrupted
    assert len(history.rows) == 1


def test_a_second_interrupt_does_not_wait(data) -> None:
    model = interrupted_model(at=4, times=2)
    history = model.fit(data, batch_size=50, epochs=9, verbose=0)
    assert history.interrupted
    assert len(history.step_losses) == 3
    assert all(weight.grad is None for weight in model.parameters())


def test_an_interrupt_of_a_students_own_loop_comes_at_once(data) -> None:
    model = interrupted_model(at=4)
    source = model.unroll("fit", data, batch_size=50, epochs=9, log_freq=1000).source
    history = model.fit(data, loop=source, verbose=0)
    assert history.interrupted
    assert len(history.step_losses) == 3


def test_evaluate_and_predict_can_be_interrupted(data) -> None:
    class Impatient(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if interrupt:
                os.kill(os.getpid(), signal.SIGINT)
            return super().forward(x)

    interrupt = False
    model = tl.Model(Impatient(8, 3))
    model.prepare(loss=nn.CrossEntropyLoss())
    program, other = model.unroll("evaluate", data), model.unroll("predict", data)
    interrupt = True
    for one in (program, other):
        with pytest.raises(KeyboardInterrupt):
            one.run(tl.display.Report())


def test_fit_works_in_a_thread_where_there_are_no_signals(data, make_model) -> None:
    model, histories = make_model(), []
    thread = threading.Thread(target=lambda: histories.append(model.fit(data, verbose=0)))
    thread.start()
    thread.join()
    assert len(histories[0].step_losses) == 3


def test_flush_to_zero_is_put_back_even_after_an_error(data, make_model) -> None:
    model = make_model()
    for before in (False, True):
        torch.set_flush_denormal(before)
        with pytest.raises(ZeroDivisionError):
            model.fit(data, verbose=0, loop=f"torch.set_flush_denormal({not before}); 1 / 0")
        assert bool(torch.tensor(1e-39) * 1.0 == 0) == before
    torch.set_flush_denormal(False)


def test_half_made_gradients_do_not_leak(data, make_model) -> None:
    clean, dirty = make_model(), make_model()
    x, y = data[:20]
    dirty.train_batch(x, y, update=False)
    assert dirty.network[0].weight.grad is not None
    tl.seed(2)
    expected = clean.fit(data, verbose=0).step_losses
    tl.seed(2)
    assert dirty.fit(data, verbose=0).step_losses == expected


# ---- looks


def test_it_prints_its_source_and_shows_it_in_colours(data, make_model) -> None:
    program = make_model().unroll("fit", data)
    assert str(program) == program.source == repr(program) + "\n"
    assert "://" not in program._repr_html_()
    own = make_model().unroll("fit", data, loop=program.source)
    html = own._repr_html_()
    assert "<script" not in html
    assert "for</span> epoch <span" in html
    assert "var(--jp-mirror-editor-keyword-color" in html  # follows the notebook's theme


def test_a_function_as_loop_goes_with_metrics_for_outputs_by_name(data) -> None:
    class Named(nn.Linear):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"digit": super().forward(x)}

    def loop(network, optimizer, train_data):
        x, y = train_data[:20]
        nn.functional.cross_entropy(network(x)["digit"], y).backward()
        optimizer.step()
        return [0.5]

    model = tl.Model(Named(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.prepare(optimizer, {"digit": nn.CrossEntropyLoss()}, {"digit": tl.metrics.Accuracy()})
    assert model.fit(data, loop=loop, verbose=0).step_losses == [0.5]
