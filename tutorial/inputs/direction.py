"""Whether more of what is reported is better: the metric says it, or its name does."""

from typing import Any

# The names that the field uses, each in full: 'acc', and not what only contains it.
LARGER_IS_BETTER = {
    "acc", "accuracy", "balanced_accuracy", "top1", "top5", "acc_top1", "acc_top5", "top1_acc",
    "top5_acc", "precision", "recall", "sensitivity", "specificity", "tpr", "tnr", "ppv",
    "npv", "hit_rate", "f1", "f1_score", "f1_macro", "f1_micro", "f1_weighted", "fbeta", "auc",
    "auroc", "roc_auc", "auprc", "pr_auc", "average_precision", "ap", "map", "mrr", "ndcg",
    "kappa", "cohen_kappa", "mcc", "matthews_corrcoef", "iou", "miou", "jaccard", "dice",
    "exact_match", "r2", "r2_score", "explained_variance", "pearson", "spearman", "psnr",
    "ssim", "bleu", "rouge", "meteor",
}  # fmt: skip
SMALLER_IS_BETTER = {
    "loss", "error", "err", "error_rate", "zero_one_loss", "hamming_loss", "fpr", "fnr", "eer",
    "mae", "mse", "rmse", "mape", "smape", "msle", "rmsle", "mean_absolute_error",
    "mean_squared_error", "nll", "log_loss", "cross_entropy", "bce", "hinge", "kl",
    "kl_divergence", "perplexity", "ppl", "bpc", "bpb", "wer", "cer", "ter", "brier",
    "brier_score", "ece", "calibration_error", "fid", "lpips",
}  # fmt: skip


def larger_is_better(metric: Any, key: Any, name: str) -> bool | None:
    """Whether a larger value is better; None if that is not known.

    Args:
        metric: the metric. Its `higher_is_better` counts first, if it is True or False; of a
            collection, that of the metric which gives this part of its value.
        key: the part of its value, if that is a dict.
        name: its name in reports, which counts if it is a well-known one.

    Example:
        >>> larger_is_better(object(), None, "Kappa"), larger_is_better(object(), None, "kappa_2")
        (True, None)
    """
    members = dict(metric.items()) if hasattr(metric, "items") else {}  # of torchmetrics
    said = getattr(members.get(key, metric), "higher_is_better", None)
    if isinstance(said, bool):
        return said
    known = name.lower().replace("-", "_").replace(" ", "_")
    return True if known in LARGER_IS_BETTER else False if known in SMALLER_IS_BETTER else None
