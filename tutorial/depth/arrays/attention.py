"""Attention: each query reads the values whose keys are like it."""

import math

import numpy as np

from tutorial.depth.arrays.softmax import logsumexp


def attention(q, k, v, dropout=0.0, causal=False, attn_mask=None, scale=None):
    """softmax(q @ k.T / sqrt(width)) @ v; and the logarithms of softmax's sums."""
    scores = attention_scores(q, k, causal, attn_mask, scale)
    sums = logsumexp(scores, -1)
    return np.exp(scores - sums[..., None]) @ v, sums


def attention_backward(
    d_y, q, k, v, y, sums, dropout=0.0, causal=False, attn_mask=None, scale=None
):
    """d_q, d_k, d_v: through the product with v, softmax, and the product of q and k."""
    p = np.exp(attention_scores(q, k, causal, attn_mask, scale) - sums[..., None])
    d_p = d_y @ v.swapaxes(-1, -2)
    d_scores = p * (d_p - (d_y * y).sum(-1, keepdims=True))
    d_scores *= 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    return d_scores @ k, d_scores.swapaxes(-1, -2) @ q, p.swapaxes(-1, -2) @ d_y


def attention_scores(q, k, causal, attn_mask, scale):
    """q @ k.T / sqrt(width) + mask; causal: -inf for each key that comes after its query."""
    scores = q @ k.swapaxes(-1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if attn_mask is not None:
        scores = scores + attn_mask
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    return scores
