"""Check labels against the loss."""

import warnings
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tutorial import checks
from tutorial.checks import shape_of
from tutorial.inputs.matching import signature_of_loss

# Losses that take class indices, and losses that take labels in the shape of the predictions.
BY_INDEX = (nn.CrossEntropyLoss, nn.NLLLoss, F.cross_entropy, F.nll_loss)
BY_SHAPE = (
    nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.BCELoss, nn.BCEWithLogitsLoss,
    nn.PoissonNLLLoss, nn.KLDivLoss, nn.SoftMarginLoss, F.mse_loss, F.l1_loss, F.smooth_l1_loss,
    F.huber_loss, F.binary_cross_entropy, F.binary_cross_entropy_with_logits, F.poisson_nll_loss,
)  # fmt: skip


def labels_fit(name: str, y_hat: Any, y: Any, all_labels: Any, loss_fn: Any) -> None:
    """Refuse labels of which the loss would make something else than is meant."""
    if not isinstance(y_hat, torch.Tensor) or not isinstance(y, torch.Tensor):
        return
    options = vars(loss_fn) if isinstance(loss_fn, nn.Module) else {}
    kind = type(loss_fn) if isinstance(loss_fn, nn.Module) else loss_fn
    if isinstance(loss_fn, partial):
        kind, options = loss_fn.func, loss_fn.keywords
    if kind in BY_SHAPE:
        _labels_of_one_shape(name, y_hat, y)
    if kind in BY_INDEX:
        _labels_by_index(name, y_hat, y, all_labels, options.get("ignore_index", -100))


def scores_fit(name: str, guess: list[Any], truth: list[Any], loss_fn: Any) -> None:
    """Warn if the scores were made probabilities already: the loss would do that a second time."""
    kind = loss_fn.func if isinstance(loss_fn, partial) else loss_fn
    if isinstance(kind, nn.BCEWithLogitsLoss) or kind is F.binary_cross_entropy_with_logits:
        made_by = [part.grad_fn.name() for part in guess if getattr(part, "grad_fn", None)]
        if any(function.startswith("SigmoidBackward") for function in made_by):
            checks.warn(
                f"{name}: the network ends in a sigmoid, but BCEWithLogitsLoss expects logits: it "
                "applies a sigmoid itself, and would learn slowly and badly from these. Remove "
                "nn.Sigmoid from the network, or take nn.BCELoss()."
            )
    if not (isinstance(kind, nn.CrossEntropyLoss) or kind is F.cross_entropy):
        return
    if len(guess) != 1 or len(truth) != 1 or truth[0].is_floating_point() or guess[0].dim() < 2:
        return
    sums = guess[0].detach().float().sum(1)
    if (guess[0] >= 0).all() and torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
        checks.warn(
            f"{name}: the predictions are probabilities (none below 0, and each sample's sum to "
            "1), but CrossEntropyLoss expects scores: it applies log-softmax itself, and would "
            "learn slowly and badly from these. Remove nn.Softmax from the network; or let it end "
            "in nn.LogSoftmax(dim=1), and take nn.NLLLoss()."
        )


def pairs_fit(name: str, guess: list[Any], truth: list[Any], loss_fn: Any) -> bool:
    """Warn if a loss of one's own compares every label with every prediction: (N,) with (N, 1).

    The numbers tell, as it may squeeze them itself: with labels in the predictions' shape
    the loss of all samples is the mean, or the sum, of each sample's; as they come, it is not that.
    """
    tensors = [part.detach() for part in (*guess, *truth) if isinstance(part, torch.Tensor)]
    if len(guess) != 1 or len(truth) != 1 or len(tensors) != 2:
        return True
    y_hat, y = tensors
    if y_hat.shape == y.shape or y_hat.squeeze().shape != y.squeeze().shape:
        return True
    shaped = y.reshape(y_hat.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            as_it_comes, meant = loss_fn(y_hat, y), loss_fn(y_hat, shaped)
            each = torch.stack(
                [loss_fn(y_hat[i : i + 1], shaped[i : i + 1]) for i in range(len(y))]
            )
        except Exception:  # it takes only what it gets
            return True
    adds_up = any(torch.isclose(meant, whole, rtol=1e-3) for whole in (each.mean(), each.sum()))
    if not adds_up or torch.isclose(as_it_comes, meant, rtol=1e-3):
        return True
    checks.warn(
        f"{name}: the labels of {len(y)} samples have shape {shape_of(y)}, but the predictions "
        f"{shape_of(y_hat)}, and the loss compares every label with every prediction. {AXES}"
    )
    return False


def views_fit(name: str, x: Any, guess: list[Any], truth: list[Any], loss_fn: Any) -> None:
    """Warn if what seems to be a second view of the input is taken for its label.

    The loss has two parameters of a kind, z1 and z2; and the label looks as the input does.
    """
    signature = signature_of_loss(loss_fn)
    if not signature.twins() or len(guess) != 1 or len(truth) != 1:
        return
    [y] = truth
    if not isinstance(x, torch.Tensor) or not isinstance(y, torch.Tensor) or y[:1].numel() < 2:
        return
    if (x.shape, x.dtype) == (y.shape, y.dtype) and not torch.equal(x, y):
        first, second = signature.by_place[:2]
        checks.warn(
            f"{name}: the loss compares {first} and {second}, two of a kind, but gets a prediction "
            "and a part of the batch as it is, which the network has not seen. Are these two views "
            "of one thing? Then let forward take both, and return both embeddings; and say that "
            "there are no labels: Model(network, labels=[])."
        )


AXES = "y.unsqueeze(1) adds an axis to the labels, y_hat.squeeze(1) in forward drops one."


def _labels_of_one_shape(name: str, y_hat: torch.Tensor, y: torch.Tensor) -> None:
    if y_hat.shape == y.shape:
        return
    fix = "Let the network's last layer give as many numbers as a label has."
    if y_hat.squeeze().shape == y.squeeze().shape:
        fix = AXES
    raise ValueError(
        f"{name}: the labels of {len(y)} samples have shape {shape_of(y)}, but the predictions "
        f"{shape_of(y_hat)}; the loss would compare every label with every prediction. {fix}"
    )


def _labels_by_index(
    name: str, y_hat: torch.Tensor, y: torch.Tensor, all_labels: Any, ignored: int
) -> None:
    whole = not y.is_floating_point()
    if y_hat.dim() < 2:
        raise ValueError(
            f"{name}: the predictions have shape {shape_of(y_hat)}, but a score for every class is "
            "expected, shape (N, classes). For one score a sample: nn.BCEWithLogitsLoss()."
        )
    if y.shape == y_hat.shape:  # probabilities of the classes
        if whole:
            raise ValueError(
                f"{name}: the labels have shape {shape_of(y)} and {y.dtype}: one-hot? Class "
                "indices are expected, y.argmax(1), or probabilities, y.float()."
            )
        return
    if y.dim() == y_hat.dim() and y.shape[1] == 1:
        raise ValueError(
            f"{name}: the labels of {len(y)} samples have shape {shape_of(y)}, but class indices "
            f"of shape {shape_of(y)[:1] + shape_of(y)[2:]} are expected: y.squeeze(1) drops it."
        )
    if y.dtype not in (torch.int64, torch.uint8):
        raise ValueError(
            f"{name}: the labels are {y.dtype}, but class indices are expected as torch.int64. "
            "Convert them: y.long()."
        )
    if y_hat.shape[:-1] == y.shape != y_hat.shape[:1] + y_hat.shape[2:]:
        raise ValueError(
            f"{name}: the predictions have shape {shape_of(y_hat)}, with the classes last, but "
            f"with labels of shape {shape_of(y)} the classes are expected on axis 1: let forward "
            f"return y_hat.{'transpose(1, 2)' if y_hat.dim() == 3 else 'movedim(-1, 1)'}, or "
            "flatten both in a loss of your own: "
            "F.cross_entropy(y_hat.flatten(0, -2), y.flatten())."
        )
    classes = y_hat.shape[1]
    labels = y if all_labels is None else all_labels
    wrong = labels[((labels < 0) | (labels >= classes)) & (labels != ignored)]
    if wrong.numel():
        raise ValueError(
            f"{name}: there is a label {int(wrong[0])}, but the network gives scores for "
            f"{classes} classes, so labels from 0 to {classes - 1} are expected. Number the "
            "classes from 0, or give the last layer more outputs."
        )
