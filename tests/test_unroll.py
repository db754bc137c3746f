"""The partial evaluator: what it keeps, what it drops, and that the result means the same."""

import ast

import pytest

from tutorial.loop.options import Code
from tutorial.unroll.spelling import align_comments
from tutorial.unroll.unroll import unroll

ACCURACY = {
    "METRICS": ((Code("accuracy"), Code("y_hat"), Code("y")),),
    "VALUES": (("acc", Code("accuracy"), None, False),),
}


def written(function: str, **options: object) -> str:
    return unroll(function, tuple(options.items()))


def test_a_plain_fit_is_what_a_textbook_prints() -> None:
    assert (
        written("fit", EPOCHS=5, **ACCURACY)
        == """\
train_loader = DataLoader(train_data, batch_size=64, shuffle=True)
step_losses = []
rows = []
for epoch in range(5):
    network.train()                           # dropout and batch norm behave as in training
    accuracy.reset()
    loss_sum, samples = 0.0, 0
    for step, (x, y) in enumerate(train_loader):
        y_hat = network(x)                    # forward: predict
        loss = loss_fn(y_hat, y)              # how wrong was it?
        loss.backward()                       # backward: a gradient for every weight
        optimizer.step()                      # one small step downhill
        optimizer.zero_grad()                 # forget this batch's gradients
        step_losses.append(loss.item())       # for the curve
        loss_sum += step_losses[-1] * len(x)  # so that the mean is over samples
        samples += len(x)
        accuracy.update(y_hat, y)
        if (step + 1) % 10 == 0:
            print(f"epoch {epoch + 1} step {step + 1}: loss {loss_sum / samples:.4f}")
    rows.append({"epoch": epoch + 1, "loss": loss_sum / samples, "acc": float(accuracy.compute())})
    print({name: round(number, 4) for name, number in rows[-1].items()})
"""
    )


@pytest.mark.parametrize("fetch", ["per_batch", "per_sample", "as_is"])
def test_a_plain_fit_has_at_most_25_lines(fetch: str) -> None:
    source = written("fit", TRAIN_LOADING=fetch, FLUSH_DENORMAL=True, **ACCURACY)
    assert len(source.splitlines()) <= 25
    assert max(map(len, source.splitlines())) <= 100


def test_evaluation_is_written_out_inside_fit_exactly_as_evaluate_runs_it() -> None:
    alone = written("evaluate", **ACCURACY).splitlines()
    inside = {line.strip() for line in written("fit", EVAL_DATA=True, **ACCURACY).splitlines()}
    measured = [line.split("  #")[0].strip() for line in alone if "print(" not in line]
    assert {line.split("  #")[0].strip() for line in inside} >= set(measured)


def test_reporting_is_all_that_differs_between_what_is_read_and_what_runs() -> None:
    options = {
        **ACCURACY,
        "EVAL_DATA": True,
        "CLIP_GRAD_NORM": 1.0,
        "ACCUMULATE_GRAD_BATCHES": 2,
        "NUM_ITERS": 9,
    }

    class Quiet(ast.NodeTransformer):
        """Takes out print and report, and the tests that only guard them."""

        def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
            return None if "print(" in ast.unparse(node) or "report." in ast.unparse(node) else node

        def visit_If(self, node: ast.If) -> ast.If | None:
            self.generic_visit(node)
            return node if node.body else None

    read, run = (written("fit", **options, REPORT=flag) for flag in (False, True))
    assert read != run
    assert ast.unparse(Quiet().visit(ast.parse(read))) == ast.unparse(Quiet().visit(ast.parse(run)))


def test_what_is_off_leaves_no_trace() -> None:
    source = written("fit")
    for word in ("None", "True or", "group", "clip", "eval", "to(", "report", "accuracy"):
        assert word not in source


def test_each_option_writes_its_own_line() -> None:
    assert 'x, y = x.to("cuda:0"), y.to("cuda:0")' in written("fit", DEVICE="cuda:0")
    assert "clip_grad_norm_(network.parameters(), 0.5)" in written("fit", CLIP_GRAD_NORM=0.5)
    assert "drop_last=True" in written("fit", DROP_LAST=True)
    assert "num_workers=2" in written("fit", NUM_WORKERS=2)
    assert "if len(step_losses) == 7:" in written("fit", NUM_ITERS=7)
    assert "loss.item()" not in written("fit", DEVICE="cuda:0")  # it would wait for the GPU
    assert "train_loader = train_data" in written("fit", TRAIN_LOADING="as_is")


def test_a_condition_keeps_only_what_is_open() -> None:
    every_other = written("fit", EVAL_DATA=True, EVAL_FREQ=2, EPOCHS=5)
    assert "    if (epoch + 1) % 2 == 0 or epoch + 1 == 5:\n" in every_other
    assert "    network.eval()" in written("fit", EVAL_DATA=True).replace("  #", "\n")


def test_several_metrics_and_parts_of_one_are_written_out() -> None:
    source = written(
        "evaluate",
        METRICS=(
            (Code("accuracy"), Code("y_hat"), Code("y")),
            (Code("auc"), Code("y_hat"), Code("y")),
        ),
        VALUES=(
            ("acc_top1", Code("accuracy"), 0, False),
            ("auc", Code("auc"), None, False),
            ("f1", Code("scores"), "BinaryF1Score", False),
            ("r2", Code("r2_score"), None, True),
            ("rank", Code("scores"), "Spearman", True),
        ),
        OTHER_VALUES=(("roc", Code("scores"), "ROC", False), ("matrix", Code("m"), None, False)),
    )
    assert "accuracy.update(y_hat, y)\n        auc.update(y_hat, y)\n" in source
    assert (
        '    "acc_top1": float(accuracy.compute()[0]),\n    "auc": float(auc.compute()),' in source
    )
    assert '"f1": float(scores.compute()["BinaryF1Score"])' in source
    assert '"r2": float(value_or_nan(r2_score))' in source
    assert '"rank": float(value_or_nan(scores, "Spearman"))' in source
    assert source.endswith(
        'result.update({"roc": scores.compute()["ROC"], "matrix": m.compute()})\n'
    )


def test_comments_align_without_being_pushed_by_a_long_line() -> None:
    long = "x" * 60
    assert align_comments(f"a = 1 # one\nbcd = '#'  # two\n{long} # three\n") == (
        f"a = 1      # one\nbcd = '#'  # two\n{long}  # three\n"
    )


@pytest.mark.parametrize(
    "function", ["fit", "evaluate", "predict", "train_batch", "eval_batch", "predict_batch"]
)
def test_every_program_is_valid_python_that_needs_only_torch(function: str) -> None:
    source = written(function)
    compile(source, function, "exec")
    assert "return" not in source
    assert "tutorial" not in source
