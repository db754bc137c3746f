"""CTC: the probability of a word, over all ways to spread its letters over more steps.

Between two letters, before and after them there may be blanks, and each may stand for several
steps. A way never passes over a letter, and over a blank only between two different letters.
"""

import numpy as np


def ctc_loss(log_p, y, steps, letters, blank=0, zero_infinity=False):
    """-log(probability of the word y), where log_p is (steps, n, classes).

    It gives also alpha[n, t, s]: the logarithm of the probability to be at s after t + 1 steps.
    """
    labels, skip = with_blanks(y, np.asarray(letters), blank)
    n = np.arange(len(labels))
    scores = log_p[:, n[:, None], labels].swapaxes(0, 1)  # n, steps, places in the word
    alpha = np.full(scores.shape, -np.inf)
    alpha[:, 0, :2] = scores[:, 0, :2]
    for t in range(1, len(log_p)):
        stay, one, two = (later(alpha[:, t - 1], by) for by in (0, 1, 2))
        alpha[:, t] = scores[:, t] + log_sum(stay, one, np.where(skip, two, -np.inf))
    last, end = np.asarray(steps) - 1, 2 * np.asarray(letters)
    before = np.where(end > 0, alpha[n, last, end - 1], -np.inf)
    return -np.logaddexp(alpha[n, last, end], before), alpha


def ctc_loss_backward(
    d_losses, log_p, y, steps, letters, losses, alpha, blank=0, zero_infinity=False
):
    """d_loss * (p - the probability to be at a letter of this class, given the word)."""
    labels, skip = with_blanks(y, np.asarray(letters), blank)
    n = np.arange(len(labels))
    scores = log_p[:, n[:, None], labels].swapaxes(0, 1)
    last, end = np.asarray(steps) - 1, 2 * np.asarray(letters)
    beta = np.full(scores.shape, -np.inf)  # the same as alpha, from the end
    beta[n, last, end] = scores[n, last, end]
    beta[n, last, np.maximum(end - 1, 0)] = scores[n, last, np.maximum(end - 1, 0)]
    for t in range(len(log_p) - 2, -1, -1):
        stay, one = (later(beta[:, t + 1], by) for by in (0, -1))
        two = later(np.where(skip, beta[:, t + 1], -np.inf), -2)
        found = scores[:, t] + log_sum(stay, one, two)
        beta[:, t] = np.where((t < last)[:, None], found, beta[:, t])
    with np.errstate(invalid="ignore"):  # of a word that cannot be: inf - inf
        here = np.exp(alpha + beta - scores + losses[:, None, None])
    d_log_p = np.exp(log_p)
    for s in range(labels.shape[1]):
        d_log_p[:, n, labels[:, s]] -= here[:, :, s].T
    inside = np.arange(len(log_p))[:, None] <= last
    if zero_infinity:
        inside &= np.isfinite(losses)
    return np.where(inside[:, :, None], d_log_p * d_losses[:, None], 0)


def with_blanks(y, letters, blank):
    """The letters with blanks around them; and where the blank before may be left out."""
    rows = np.full((len(letters), letters.max()), blank)
    inside = np.arange(letters.max()) < letters[:, None]
    rows[inside] = y if y.ndim == 1 else y[:, : letters.max()][inside]
    labels = np.full((len(rows), 2 * rows.shape[1] + 1), blank)
    labels[:, 1::2] = rows
    skip = np.zeros(labels.shape, dtype=bool)
    skip[:, 3::2] = rows[:, 1:] != rows[:, :-1]
    return labels, skip


def later(scores, by):
    """Each score so many places later, or earlier if by < 0; what is not known is -inf."""
    moved = np.full(scores.shape, -np.inf)
    if by < 0:
        moved[:, :by] = scores[:, -by:]
    else:
        moved[:, by:] = scores[:, : scores.shape[1] - by]
    return moved


def log_sum(a, b, c):
    """log(exp(a) + exp(b) + exp(c))."""
    return np.logaddexp(np.logaddexp(a, b), c)
